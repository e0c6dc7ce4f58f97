//! The quota of a spoke: its population and 5 % once, then 2,000 a day. What is beyond is refused, and operators are told
//! before it comes to that.
//!
//! INVARIANT: an evaluation is counted on disk before it is sent; two streams never share the same rest.

use super::{Register, RegisterError, from_db, to_db};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::Row;

/// Evaluations a day beyond the quota.
pub const DAILY: u64 = 2_000;

/// What a controller may have, and has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// population x 1.05
    pub once: u64,
    /// evaluated, ever
    pub used: u64,
    /// of these, beyond the quota today
    pub today: u64,
}

impl Quota {
    /// The quota of a population.
    #[must_use]
    pub fn of(population: u64) -> u64 {
        population.saturating_add(population / 20)
    }

    /// What may still be asked today.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.once.saturating_sub(self.used).saturating_add(DAILY.saturating_sub(self.today))
    }

    /// With `elements` more, if they may be had.
    fn with(self, elements: u64) -> Option<Self> {
        let beyond = elements.saturating_sub(self.once.saturating_sub(self.used));
        let next = Self { used: self.used.checked_add(elements)?, today: self.today.checked_add(beyond)?, ..self };
        (beyond == 0 || next.today <= DAILY).then_some(next)
    }
}

/// How a batch was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charge {
    /// counted: it may be evaluated
    Counted,
    /// the same batch was counted lately, its answer must have been lost: it may be evaluated again
    Again,
    /// nothing was counted: it must not be evaluated
    Refused {
        /// where the controller stands
        quota: Quota,
        /// when more is allowed
        from: DateTime<Utc>,
    },
    /// the controller or its key may not ask (any more)
    Unknown,
}

/// What operators are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmKind {
    /// four fifths of the quota are used
    Near,
    /// the quota is used; 2,000 a day remain
    Spent,
    /// a batch was refused
    Refused,
}

impl AlarmKind {
    /// As it stands in the register and the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Spent => "spent",
            Self::Refused => "refused",
        }
    }

    /// For people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Near => "80 % of the quota are used",
            Self::Spent => "the quota is used, 2,000 a day remain",
            Self::Refused => "asked for more than its quota and was refused",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Near, Self::Spent, Self::Refused].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An alarm; one a day for a controller and a kind.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// when it came up
    pub at: DateTime<Utc>,
    /// whose spoke
    pub controller: String,
    /// what happened
    pub kind: AlarmKind,
    /// evaluated by then
    pub used: u64,
    /// population x 1.05
    pub quota: u64,
}

impl Register {
    /// Counts a batch of `elements` for the spoke with this key, if it may have them: on disk when this returns. The second
    /// value is what operators have to be told.
    ///
    /// # Errors
    /// When the database fails; then nothing may be evaluated.
    pub async fn charge(
        &self,
        controller: &str,
        key: &str,
        digest: &[u8; 32],
        elements: u64,
        now: DateTime<Utc>,
    ) -> Result<(Charge, Vec<Alarm>), RegisterError> {
        let failed = |e| self.failed(e);
        // Taken before anything is read, so that nobody else counts from the same numbers.
        let mut work = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let today = now.date_naive();
        let row = sqlx::query(
            "SELECT population, used, day, day_used FROM controllers WHERE name = ?1 AND key = ?2 AND removed IS NULL",
        )
        .bind(controller)
        .bind(key)
        .fetch_optional(&mut *work)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok((Charge::Unknown, Vec::new())) };
        let number = |column: &str| row.try_get::<i64, _>(column).map(from_db).map_err(failed);
        let day: String = row.try_get("day").map_err(failed)?;
        let before = Quota {
            once: Quota::of(number("population")?),
            used: number("used")?,
            // a clock that goes back gives no second allowance
            today: if day.as_str() >= today.to_string().as_str() { number("day_used")? } else { 0 },
        };
        let day = day.parse::<NaiveDate>().map_or(today, |day| day.max(today));
        let again: Option<i64> = sqlx::query_scalar("SELECT 1 FROM counted WHERE controller = ?1 AND digest = ?2")
            .bind(controller)
            .bind(digest.as_slice())
            .fetch_optional(&mut *work)
            .await
            .map_err(failed)?;
        if again.is_some() {
            return Ok((Charge::Again, Vec::new()));
        }
        let mut alarms = Vec::new();
        let Some(after) = before.with(elements) else {
            alarms.extend(alarm(&mut work, controller, AlarmKind::Refused, before, day, now).await.map_err(failed)?);
            work.commit().await.map_err(failed)?;
            return Ok((Charge::Refused { quota: before, from: next_day(day) }, alarms));
        };
        for (kind, mark) in [(AlarmKind::Near, after.once / 5 * 4), (AlarmKind::Spent, after.once)] {
            if before.used < mark && after.used >= mark {
                alarms.extend(alarm(&mut work, controller, kind, after, day, now).await.map_err(failed)?);
            }
        }
        sqlx::query("INSERT INTO counted (controller, digest, day) VALUES (?1, ?2, ?3)")
            .bind(controller)
            .bind(digest.as_slice())
            .bind(day.to_string())
            .execute(&mut *work)
            .await
            .map_err(failed)?;
        sqlx::query("UPDATE controllers SET used = ?2, day = ?3, day_used = ?4 WHERE name = ?1")
            .bind(controller)
            .bind(to_db(after.used))
            .bind(day.to_string())
            .bind(to_db(after.today))
            .execute(&mut *work)
            .await
            .map_err(failed)?;
        sqlx::query("DELETE FROM counted WHERE day < ?1")
            .bind((day - TimeDelta::days(1)).to_string())
            .execute(&mut *work)
            .await
            .map_err(failed)?;
        work.commit().await.map_err(failed)?;
        Ok((Charge::Counted, alarms))
    }

    /// Where a controller stands.
    ///
    /// # Errors
    /// When it isn't registered or the database fails.
    pub async fn quota(&self, controller: &str, now: DateTime<Utc>) -> Result<Quota, RegisterError> {
        let row = sqlx::query("SELECT population, used, day, day_used FROM controllers WHERE name = ?1")
            .bind(controller)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.failed(e))?
            .ok_or_else(|| RegisterError::Unknown(controller.to_owned()))?;
        let number = |column: &str| row.try_get::<i64, _>(column).map(from_db).map_err(|e| self.failed(e));
        let day: String = row.try_get("day").map_err(|e| self.failed(e))?;
        let today = if day.as_str() >= now.date_naive().to_string().as_str() { number("day_used")? } else { 0 };
        Ok(Quota { once: Quota::of(number("population")?), used: number("used")?, today })
    }

    /// The latest alarms, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn alarms(&self, most: u32) -> Result<Vec<Alarm>, RegisterError> {
        let rows = sqlx::query("SELECT at, controller, kind, used, quota FROM alarms ORDER BY id DESC LIMIT ?1")
            .bind(most)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed(e))?;
        let bad = || sqlx::Error::Decode("an alarm of another form".into());
        let read = |row: sqlx::sqlite::SqliteRow| -> Result<Alarm, sqlx::Error> {
            Ok(Alarm {
                at: row.try_get::<String, _>("at")?.parse().map_err(|_| bad())?,
                controller: row.try_get("controller")?,
                kind: AlarmKind::parse(row.try_get("kind")?).ok_or_else(bad)?,
                used: from_db(row.try_get("used")?),
                quota: from_db(row.try_get("quota")?),
            })
        };
        rows.into_iter().map(|row| read(row).map_err(|e| self.failed(e))).collect()
    }
}

/// Notes an alarm; none when there is one of its kind today already.
async fn alarm(
    work: &mut sqlx::SqliteConnection,
    controller: &str,
    kind: AlarmKind,
    at: Quota,
    day: NaiveDate,
    now: DateTime<Utc>,
) -> Result<Option<Alarm>, sqlx::Error> {
    let done = sqlx::query(
        "INSERT OR IGNORE INTO alarms (at, day, controller, kind, used, quota) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(now.to_rfc3339())
    .bind(day.to_string())
    .bind(controller)
    .bind(kind.as_str())
    .bind(to_db(at.used))
    .bind(to_db(at.once))
    .execute(work)
    .await?;
    let new = Alarm { at: now, controller: controller.to_owned(), kind, used: at.used, quota: at.once };
    Ok((done.rows_affected() == 1).then_some(new))
}

/// Midnight (UTC) after `day`.
fn next_day(day: NaiveDate) -> DateTime<Utc> {
    day.succ_opt().unwrap_or(day).and_time(chrono::NaiveTime::MIN).and_utc()
}
