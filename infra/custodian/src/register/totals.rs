//! What was answered of blind totals: each total once, each seed once, over one set of members for each project, and no total
//! whose difference to the last one would be of fewer than three members.
//!
//! INVARIANT: it is on disk before the sum of masks leaves; two requests for one total never both get it.

use super::{Register, RegisterError, from_db, to_db};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proto::{
    blind::{MIN_MEMBERS, SeedStatement},
    ids::{ControllerId, QueryId},
};
use sha2::{Digest, Sha256};
use sqlx::{Row, Sqlite, Transaction};

/// Totals and seeds are remembered for so many days. Seeds count for an hour.
const REMEMBERED: TimeDelta = TimeDelta::days(2);

/// Why a total isn't answered, though its seeds hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAgain {
    /// The project's totals are over others.
    #[error(
        "the totals of project '{project}' have been over {fixed} since {since}, and this one is over {asked}. Two sets would \
         tell the difference between them, so a project keeps the first; another set needs another project"
    )]
    Set {
        /// which project
        project: String,
        /// over whom
        fixed: String,
        /// since when
        since: String,
        /// over whom this one is
        asked: String,
    },
    /// Too few members have published anew.
    #[error(
        "since the last total of project '{project}' only {changed} published table {table} anew, and what changed would be \
         theirs alone. Wait until {MIN_MEMBERS} members have, or have the project's versions pinned"
    )]
    Versions {
        /// which project
        project: String,
        /// which table
        table: String,
        /// who
        changed: String,
    },
    /// The sum was given before.
    #[error("the masks of total {0} were summed before: nothing is answered twice. Run the statement again")]
    Answered(QueryId),
    /// A seed that was used before.
    #[error("the seed of '{0}' was used before: a spoke makes a new one for each answer. Tell its operator")]
    Seed(ControllerId),
    /// The project's day is over.
    #[error("project '{project}' has had {most} blind totals today, its limit; more are answered from {from} UTC")]
    Quota {
        /// which project
        project: String,
        /// how many a day
        most: u64,
        /// when more is allowed
        from: String,
    },
}

impl Register {
    /// Notes that a total is answered from these statements, which belong together and are one of each member. `most`: totals
    /// of one project in one day (UTC).
    ///
    /// # Errors
    /// The outer when the database fails; the inner when it must not be answered. Nothing is noted then.
    pub async fn total(
        &self,
        statements: &[SeedStatement],
        most: u64,
        now: DateTime<Utc>,
    ) -> Result<Result<(), NotAgain>, RegisterError> {
        let failed = |e| self.failed(e);
        let Some(first) = statements.first() else { return Ok(Ok(())) };
        // Taken before anything is read, so that nobody else answers from the same state.
        let mut work = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let noted = note(&mut work, first, statements, most, now).await.map_err(failed)?;
        if noted.is_ok() {
            work.commit().await.map_err(failed)?;
        }
        Ok(noted)
    }
}

type Work<'a> = Transaction<'a, Sqlite>;

async fn note(
    work: &mut Work<'_>,
    first: &SeedStatement,
    statements: &[SeedStatement],
    most: u64,
    now: DateTime<Utc>,
) -> Result<Result<(), NotAgain>, sqlx::Error> {
    let today = now.date_naive();
    let old = (today - REMEMBERED).to_string();
    for forget in ["DELETE FROM totals_answered WHERE day < ?1", "DELETE FROM seeds_used WHERE day < ?1"] {
        sqlx::query(forget).bind(&old).execute(&mut **work).await?;
    }
    if let Err(no) = set(work, first, now).await? {
        return Ok(Err(no));
    }
    let answered = sqlx::query("INSERT OR IGNORE INTO totals_answered (total, day) VALUES (?1, ?2)")
        .bind(first.total.to_string())
        .bind(today.to_string())
        .execute(&mut **work)
        .await?;
    if answered.rows_affected() == 0 {
        return Ok(Err(NotAgain::Answered(first.total)));
    }
    for statement in statements {
        let new = sqlx::query("INSERT OR IGNORE INTO seeds_used (digest, day) VALUES (?1, ?2)")
            .bind(Sha256::digest(statement.seed.bytes()).to_vec())
            .bind(today.to_string())
            .execute(&mut **work)
            .await?;
        if new.rows_affected() == 0 {
            return Ok(Err(NotAgain::Seed(statement.controller.clone())));
        }
    }
    if let Err(no) = versions(work, first, statements).await? {
        return Ok(Err(no));
    }
    count(work, first, most, today).await
}

/// Over whom the project's totals are: the first one's members.
async fn set(
    work: &mut Work<'_>,
    first: &SeedStatement,
    now: DateTime<Utc>,
) -> Result<Result<(), NotAgain>, sqlx::Error> {
    let asked = named(first.members.iter(), "\n");
    sqlx::query("INSERT OR IGNORE INTO total_sets (project, members, since) VALUES (?1, ?2, ?3)")
        .bind(first.project.as_ref())
        .bind(&asked)
        .bind(now.format("%Y-%m-%d").to_string())
        .execute(&mut **work)
        .await?;
    let row = sqlx::query("SELECT members, since FROM total_sets WHERE project = ?1")
        .bind(first.project.as_ref())
        .fetch_one(&mut **work)
        .await?;
    let fixed: String = row.try_get("members")?;
    if fixed == asked {
        return Ok(Ok(()));
    }
    Ok(Err(NotAgain::Set {
        project: first.project.to_string(),
        fixed: fixed.replace('\n', ", "),
        since: row.try_get("since")?,
        asked: asked.replace('\n', ", "),
    }))
}

/// No table has changed at one or two members only.
async fn versions(
    work: &mut Work<'_>,
    first: &SeedStatement,
    statements: &[SeedStatement],
) -> Result<Result<(), NotAgain>, sqlx::Error> {
    for table in first.snapshots.keys() {
        let mut changed = Vec::new();
        for statement in statements {
            let version = statement.snapshots.get(table).copied().unwrap_or_default();
            let key = (first.project.as_ref(), table.as_ref(), statement.controller.as_ref());
            let before: Option<i64> = sqlx::query_scalar(
                "SELECT version FROM total_versions WHERE project = ?1 AND tbl = ?2 AND controller = ?3",
            )
            .bind(key.0)
            .bind(key.1)
            .bind(key.2)
            .fetch_optional(&mut **work)
            .await?;
            if before.is_some_and(|before| before != version) {
                changed.push(&statement.controller);
            }
            sqlx::query(
                "INSERT INTO total_versions (project, tbl, controller, version) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (project, tbl, controller) DO UPDATE SET version = ?4",
            )
            .bind(key.0)
            .bind(key.1)
            .bind(key.2)
            .bind(version)
            .execute(&mut **work)
            .await?;
        }
        if (1..MIN_MEMBERS).contains(&changed.len()) {
            let changed = named(changed.into_iter(), ", ");
            return Ok(Err(NotAgain::Versions {
                project: first.project.to_string(),
                table: table.to_string(),
                changed,
            }));
        }
    }
    Ok(Ok(()))
}

async fn count(
    work: &mut Work<'_>,
    first: &SeedStatement,
    most: u64,
    today: NaiveDate,
) -> Result<Result<(), NotAgain>, sqlx::Error> {
    let row = sqlx::query("SELECT day, answered FROM total_days WHERE project = ?1")
        .bind(first.project.as_ref())
        .fetch_optional(&mut **work)
        .await?;
    let (mut day, mut answered) = (today, 0);
    if let Some(row) = row {
        let known: String = row.try_get("day")?;
        // a clock that goes back gives no second allowance
        if let Some(known) = known.parse::<NaiveDate>().ok().filter(|known| *known >= today) {
            (day, answered) = (known, from_db(row.try_get("answered")?));
        }
    }
    if answered >= most {
        let from = day.succ_opt().unwrap_or(day).to_string();
        return Ok(Err(NotAgain::Quota { project: first.project.to_string(), most, from }));
    }
    sqlx::query(
        "INSERT INTO total_days (project, day, answered) VALUES (?1, ?2, ?3) \
         ON CONFLICT (project) DO UPDATE SET day = ?2, answered = ?3",
    )
    .bind(first.project.as_ref())
    .bind(day.to_string())
    .bind(to_db(answered + 1))
    .execute(&mut **work)
    .await?;
    Ok(Ok(()))
}

fn named<'a>(members: impl Iterator<Item = &'a ControllerId>, between: &str) -> String {
    members.map(ControllerId::as_str).collect::<Vec<_>>().join(between)
}
