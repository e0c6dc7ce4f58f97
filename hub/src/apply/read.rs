//! Reading applications back: for those whose they are, and what everybody may read.

use super::{
    Applications, ApplyError, PartRecord, Question, Record,
    record::{Row, stamp},
};
use crate::decide::{PermitState, Said, State, read as read_statement, settle};
use chrono::{DateTime, NaiveDate, Utc};
use policies::{disclosure::Threshold, permit::Permit};
use proto::ids::{ApplicationId, ControllerId, PartId, PermitId, ProjectId, UserId};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use std::collections::{BTreeMap, BTreeSet};

/// Which applications to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// only those of this user; of any issuer
    pub owner: Option<UserId>,
    /// only those of this project
    pub project: Option<ProjectId>,
    /// only those after this one
    pub after: Option<ApplicationId>,
}

/// A permit as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct PermitRecord {
    /// how far it is
    pub state: PermitState,
    /// what was granted
    pub permit: Permit,
    /// as it was signed
    pub compact: String,
}

/// What everybody may read of an application (EHDS Article 57).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Published {
    /// its id
    pub id: String,
    /// the project
    pub project: String,
    /// from 1; amendments follow
    pub number: i64,
    /// how far it is
    pub state: State,
    /// the project's name
    pub title: String,
    /// who applied
    pub organisation: String,
    /// the purpose of EHDS Article 53(1), in words
    pub purpose: String,
    /// what for
    pub summary: String,
    /// whose data
    pub population: String,
    /// whom it asks
    pub controllers: Vec<String>,
    /// when it was handed in
    pub submitted_at: DateTime<Utc>,
    /// when it was decided
    pub decided_at: Option<DateTime<Utc>>,
}

/// A refusal with its reasons.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct PublishedRefusal {
    /// the part that was refused
    pub part: String,
    /// by whom
    pub controller: String,
    /// the project
    pub project: String,
    /// why
    pub reason: String,
    /// when
    pub decided_at: DateTime<Utc>,
}

/// A workspace as it was last computed.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkspaceRecord {
    /// `preparing`, `open` or `closed`
    pub state: String,
    /// why
    pub reason: String,
    /// when it was first open
    pub opened_at: Option<DateTime<Utc>>,
    /// when it was closed last
    pub closed_at: Option<DateTime<Utc>>,
}

/// One application.
pub(super) async fn record(connection: &mut SqliteConnection, id: &ApplicationId) -> Result<Record, ApplyError> {
    let row =
        sqlx::query("SELECT * FROM application WHERE id = ?").bind(id.to_string()).fetch_optional(connection).await?;
    Record::read(&row.ok_or(ApplyError::NotFound("application"))?)
}

fn rows<T>(rows: &[SqliteRow], read: impl Fn(&SqliteRow) -> Result<T, ApplyError>) -> Result<Vec<T>, ApplyError> {
    rows.iter().map(read).collect()
}

impl Applications {
    /// One application.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub async fn get(&self, id: &ApplicationId) -> Result<Record, ApplyError> {
        record(&mut *self.pool.acquire().await?, id).await
    }

    /// The project's newest application that was not withdrawn; if all were, the newest.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub async fn latest(&self, project: &ProjectId) -> Result<Record, ApplyError> {
        let row = sqlx::query(
            "SELECT * FROM application WHERE project = ? ORDER BY state = 'WITHDRAWN', number DESC LIMIT 1",
        )
        .bind(project.to_string())
        .fetch_optional(&self.pool)
        .await?;
        Record::read(&row.ok_or(ApplyError::NotFound("project"))?)
    }

    /// Applications in the order of their ids.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Record>, ApplyError> {
        let found = sqlx::query(
            "SELECT * FROM application a WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR id > ?2) AND (?3 IS NULL \
             OR submitted_by = ?3 OR EXISTS (SELECT 1 FROM json_each(a.content, '$.users') u \
             WHERE json_extract(u.value, '$.user') = ?3)) ORDER BY id LIMIT ?4",
        )
        .bind(filter.project.as_ref().map(ToString::to_string))
        .bind(filter.after.as_ref().map(ToString::to_string))
        .bind(filter.owner.as_ref().map(ToString::to_string))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows(&found, Record::read)
    }

    /// All projects that were ever applied for.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn projects(&self) -> Result<Vec<ProjectId>, ApplyError> {
        let found =
            sqlx::query("SELECT DISTINCT project FROM application ORDER BY project").fetch_all(&self.pool).await?;
        rows(&found, |row| Row::of(row, "application").parse("project"))
    }

    /// The parts of an application.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn parts(&self, id: &ApplicationId) -> Result<Vec<PartRecord>, ApplyError> {
        let found = sqlx::query("SELECT * FROM part WHERE application = ? ORDER BY controller")
            .bind(id.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows(&found, PartRecord::read)
    }

    /// Why controllers decided as they did, by part; as far as their statements are believed.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn reasons(&self, project: &ProjectId) -> Result<BTreeMap<PartId, String>, ApplyError> {
        let found = sqlx::query(
            "SELECT * FROM statement WHERE project = ? AND part IS NOT NULL AND problem IS NULL ORDER BY rowid",
        )
        .bind(project.to_string())
        .fetch_all(&self.pool)
        .await?;
        let mut all = BTreeMap::new();
        for row in &found {
            let row = Row::of(row, "statement");
            all.insert(row.parse("part")?, reread(&row, &row.text("compact")?)?.reason().to_owned());
        }
        Ok(all)
    }

    /// All parts of a project that count: those of applications that were not withdrawn, oldest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn project_parts(&self, project: &ProjectId) -> Result<Vec<PartRecord>, ApplyError> {
        let found = sqlx::query(
            "SELECT p.* FROM part p JOIN application a ON a.id = p.application WHERE p.project = ? \
             AND a.state <> 'WITHDRAWN' ORDER BY p.rowid",
        )
        .bind(project.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows(&found, PartRecord::read)
    }

    /// Parts that wait to be delivered to a controller.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn waiting(&self, controller: &ControllerId) -> Result<Vec<PartRecord>, ApplyError> {
        let found =
            sqlx::query("SELECT * FROM part WHERE controller = ? AND state = 'WAITING' ORDER BY rowid LIMIT 100")
                .bind(controller.to_string())
                .fetch_all(&self.pool)
                .await?;
        rows(&found, PartRecord::read)
    }

    /// A part was taken by its controller's spoke.
    ///
    /// # Errors
    /// When that can't be written.
    pub async fn delivered(&self, part: &PartId, now: DateTime<Utc>) -> Result<(), ApplyError> {
        let mut tx = self.begin().await?;
        super::submit::move_part(&mut tx, &part.to_string(), crate::decide::PartEvent::Deliver, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Why a controller's parts could not be delivered.
    ///
    /// # Errors
    /// When that can't be written.
    pub async fn undelivered(&self, controller: &ControllerId, why: &str) -> Result<(), ApplyError> {
        sqlx::query("UPDATE part SET trouble = ? WHERE controller = ? AND state = 'WAITING' AND trouble IS NOT ?")
            .bind(why)
            .bind(controller.to_string())
            .bind(why)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The questions about an application.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn questions(&self, id: &ApplicationId) -> Result<Vec<Question>, ApplyError> {
        let found = sqlx::query("SELECT * FROM question WHERE application = ? ORDER BY id")
            .bind(id.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows(&found, Question::read)
    }

    /// Permits that are believed, of one project or of all, newest last, after the one named.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn permits(
        &self,
        project: Option<&ProjectId>,
        after: Option<&PermitId>,
        limit: u32,
    ) -> Result<Vec<PermitRecord>, ApplyError> {
        let found = sqlx::query(
            "SELECT * FROM statement WHERE kind = 'permit' AND problem IS NULL AND state IS NOT NULL \
             AND (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR permit > ?2) ORDER BY permit LIMIT ?3",
        )
        .bind(project.map(ToString::to_string))
        .bind(after.map(ToString::to_string))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let mut all = Vec::new();
        for row in &found {
            let row = Row::of(row, "statement");
            let state = PermitState::named(&row.text("state")?).ok_or_else(|| row.corrupt("state"))?;
            let compact = row.text("compact")?;
            let Said::Permit(permit) = reread(&row, &compact)? else { continue };
            all.push(PermitRecord { state, permit: *permit, compact });
        }
        Ok(all)
    }

    /// Refusals that are believed, newest last.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn refusals(&self, after: Option<&PartId>, limit: u32) -> Result<Vec<PublishedRefusal>, ApplyError> {
        let found = sqlx::query(
            "SELECT * FROM statement WHERE kind = 'refusal' AND problem IS NULL AND (?1 IS NULL OR part > ?1) \
             ORDER BY part LIMIT ?2",
        )
        .bind(after.map(ToString::to_string))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows(&found, |row| {
            let row = Row::of(row, "statement");
            let said = reread(&row, &row.text("compact")?)?;
            Ok(PublishedRefusal {
                part: row.text("part")?,
                controller: row.text("controller")?,
                project: row.text("project")?,
                reason: said.reason().to_owned(),
                decided_at: said.decided_at(),
            })
        })
    }

    /// What everybody may read of applications.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn published(&self, after: Option<&ApplicationId>, limit: u32) -> Result<Vec<Published>, ApplyError> {
        let filter = Filter { after: after.copied(), ..Filter::default() };
        let records = self.list(&filter, limit).await?;
        Ok(records.into_iter().map(published).collect())
    }

    /// What each controller has signed for a project, as far as it is believed.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn given(
        &self,
        project: &ProjectId,
    ) -> Result<BTreeMap<ControllerId, crate::assemble::Given>, ApplyError> {
        let mut of = super::statements::believed(&mut *self.pool.acquire().await?, project).await?;
        let parts = self.project_parts(project).await?;
        let ids: BTreeSet<PartId> = parts.iter().map(|part| part.id).collect();
        let granted: BTreeSet<ControllerId> = parts
            .into_iter()
            .filter(|part| part.state == crate::decide::PartState::Granted)
            .map(|part| part.controller)
            .collect();
        for controller in &granted {
            of.entry(controller.clone()).or_default();
        }
        let given = of.into_iter().map(|(controller, of)| {
            // Permits of applications that were withdrawn count no longer.
            let permits = of.permits.into_iter().filter(|permit| ids.contains(&permit.part)).collect();
            let ever = granted.contains(&controller);
            (controller, crate::assemble::Given { permits, revoked: of.revoked, ever })
        });
        Ok(given.collect())
    }

    /// The least people that a number of a project may be about: what the strictest of its permits asks for, of those that no other has
    /// replaced. One that is over or was taken back still counts for what was made under it.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn least(&self, project: &ProjectId, today: NaiveDate) -> Result<Threshold, ApplyError> {
        let of = super::statements::believed(&mut *self.pool.acquire().await?, project).await?;
        let mut least = Threshold::DEFAULT;
        for of in of.values() {
            let settled = settle(&of.permits, &of.revoked, today);
            let replaced = |permit: &Permit| {
                matches!(settled.0.get(&permit.id), Some(PermitState::Amended | PermitState::Renewed))
            };
            for permit in of.permits.iter().filter(|permit| !replaced(permit)) {
                least = least.raised_to(permit.threshold.unwrap_or_default().into());
            }
        }
        Ok(least)
    }

    /// What controllers have signed for which nobody applied: each one's permits, and those of them that it took back.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn standing(
        &self,
        group: &ProjectId,
    ) -> Result<Vec<(ControllerId, Vec<Permit>, BTreeSet<PermitId>)>, ApplyError> {
        let of = super::statements::believed(&mut *self.pool.acquire().await?, group).await?;
        Ok(of.into_iter().map(|(controller, of)| (controller, of.permits, of.revoked)).collect())
    }

    /// How a project's workspace was when it was last computed.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn workspace(&self, project: &ProjectId) -> Result<Option<WorkspaceRecord>, ApplyError> {
        let row = sqlx::query("SELECT * FROM workspace WHERE project = ?")
            .bind(project.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            let row = Row::of(&row, "workspace");
            Ok(WorkspaceRecord {
                state: row.text("state")?,
                reason: row.text("reason")?,
                opened_at: row.time_maybe("opened_at")?,
                closed_at: row.time_maybe("closed_at")?,
            })
        })
        .transpose()
    }

    /// Remembers how a workspace is now. Says whether that is new.
    ///
    /// # Errors
    /// When that can't be written.
    pub async fn remember_workspace(
        &self,
        project: &ProjectId,
        state: &str,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, ApplyError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "INSERT INTO workspace (project, state, reason, opened_at, closed_at) VALUES (?1, ?2, ?3, \
             CASE WHEN ?2 = 'open' THEN ?4 END, NULL) ON CONFLICT (project) DO UPDATE SET state = ?2, reason = ?3, \
             opened_at = COALESCE(opened_at, excluded.opened_at), closed_at = CASE WHEN ?2 = 'closed' THEN ?4 END \
             WHERE state <> ?2 OR reason <> ?3",
        )
        .bind(project.to_string())
        .bind(state)
        .bind(reason)
        .bind(stamp(now))
        .execute(&mut *tx)
        .await?;
        let new = done.rows_affected() == 1;
        if new {
            let kind = match state {
                "open" => "workspace_open",
                "closed" => "workspace_closed",
                _ => "workspace_preparing",
            };
            let event = super::event::NewEvent {
                project: project.as_ref(),
                application: None,
                controller: None,
                actor: &super::Actor::Hub,
                kind,
                detail: serde_json::json!({"reason": reason}),
            };
            super::event::write(&mut tx, now, event).await?;
        }
        tx.commit().await?;
        Ok(new)
    }
}

/// A statement that was verified when it was taken, read again with the key that had signed it.
fn reread(row: &Row<'_>, compact: &str) -> Result<Said, ApplyError> {
    let controller: ControllerId = row.parse("controller")?;
    let signer = row.parse("signer")?;
    read_statement(compact, &controller, &[signer]).map(|(said, _)| said).map_err(|_| row.corrupt("compact"))
}

fn published(record: Record) -> Published {
    let of = &record.application;
    Published {
        id: record.id.to_string(),
        project: of.project.to_string(),
        number: record.number,
        state: record.state,
        title: of.title.clone(),
        organisation: of.group.organisation.clone(),
        purpose: of.purpose.ehds.to_string(),
        summary: of.purpose.summary.clone(),
        population: of.population.clone(),
        controllers: of.controllers.iter().map(|c| c.controller.to_string()).collect(),
        submitted_at: record.submitted_at,
        decided_at: record.decided_at,
    }
}
