//! What controllers signed, and the keys of those who may sign.
//!
//! INVARIANT: a statement counts as long as a key that its controller has registered now signed it; a key that is taken
//! away takes its permits along.

use super::{
    Actor, Applications, ApplyError,
    event::{NewEvent, write},
    moves, read,
    record::{Record, Row, stamp},
    submit::move_part,
};
use crate::decide::{PartEvent, PermitState, Said, StatementProblem, digest, read as read_statement, settle};
use chrono::{DateTime, Duration, Utc};
use policies::{
    authorize::{self, Action, Actor::Signer, Request, Resource},
    permit::Permit,
};
use proto::ids::{ApplicationId, ControllerId, PermitId, ProjectId};
use runtime::sign::VerifyingKey;
use serde_json::json;
use sqlx::SqliteConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Statements of one controller that are kept though they are not believed, at most.
const MOST_PROBLEMS: i64 = 200;
/// Statements taken from one reply.
const MOST_AT_ONCE: usize = 1000;
/// After this, what was not believed is looked at again.
const AGAIN: Duration = Duration::seconds(60);

/// A key that speaks for a controller.
#[derive(Debug, Clone, PartialEq)]
pub struct Approver {
    /// for whom
    pub controller: ControllerId,
    /// the key
    pub key: VerifyingKey,
    /// for people
    pub name: String,
    /// since when
    pub added_at: DateTime<Utc>,
}

type Read = Result<(Said, VerifyingKey), StatementProblem>;

/// What one controller said about one project, as far as it is believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Believed {
    pub(crate) permits: Vec<Permit>,
    pub(crate) revoked: BTreeSet<PermitId>,
}

async fn keys(connection: &mut SqliteConnection, controller: &ControllerId) -> Result<Vec<VerifyingKey>, ApplyError> {
    let rows = sqlx::query("SELECT * FROM approver WHERE controller = ?")
        .bind(controller.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Row::of(row, "approver").parse("key")).collect()
}

/// What is believed in a project, by controller: verified again with the keys that are registered now.
pub(crate) async fn believed(
    connection: &mut SqliteConnection,
    project: &ProjectId,
) -> Result<BTreeMap<ControllerId, Believed>, ApplyError> {
    let rows = sqlx::query("SELECT * FROM statement WHERE project = ? AND problem IS NULL ORDER BY rowid")
        .bind(project.to_string())
        .fetch_all(&mut *connection)
        .await?;
    let mut all: BTreeMap<ControllerId, Believed> = BTreeMap::new();
    let mut known: BTreeMap<ControllerId, Vec<VerifyingKey>> = BTreeMap::new();
    for row in &rows {
        let row = Row::of(row, "statement");
        let controller: ControllerId = row.parse("controller")?;
        if !known.contains_key(&controller) {
            known.insert(controller.clone(), keys(connection, &controller).await?);
        }
        let trusted = known.get(&controller).map(Vec::as_slice).unwrap_or_default();
        let Ok((said, _)) = read_statement(&row.text("compact")?, &controller, trusted) else { continue };
        let of = all.entry(controller).or_default();
        match said {
            Said::Permit(permit) => of.permits.push(*permit),
            Said::Revocation(revocation) => {
                of.revoked.insert(revocation.permit);
            }
            Said::Refusal(_) => {}
        }
    }
    Ok(all)
}

impl Applications {
    /// Registers a key that speaks for a controller.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn add_approver(
        &self,
        controller: &ControllerId,
        key: &VerifyingKey,
        name: &str,
        now: DateTime<Utc>,
    ) -> Result<(), ApplyError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO approver (controller, key, name, added_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT (controller, key) DO UPDATE SET name = excluded.name",
        )
        .bind(controller.to_string())
        .bind(key.to_string())
        .bind(name)
        .bind(stamp(now))
        .execute(&mut *tx)
        .await?;
        // What was not believed may be believed with it.
        sqlx::query("DELETE FROM statement WHERE controller = ? AND problem IS NOT NULL")
            .bind(controller.to_string())
            .execute(&mut *tx)
            .await?;
        approver_event(&mut tx, controller, key, "approver_added", now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes a key away; permits that it signed count no longer. False when there was none.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn remove_approver(
        &self,
        controller: &ControllerId,
        key: &VerifyingKey,
        now: DateTime<Utc>,
    ) -> Result<bool, ApplyError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query("DELETE FROM approver WHERE controller = ? AND key = ?")
            .bind(controller.to_string())
            .bind(key.to_string())
            .execute(&mut *tx)
            .await?;
        approver_event(&mut tx, controller, key, "approver_removed", now).await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// All registered keys.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn approvers(&self) -> Result<Vec<Approver>, ApplyError> {
        let rows = sqlx::query("SELECT * FROM approver ORDER BY controller, added_at").fetch_all(&self.pool).await?;
        let read = |row| {
            let row = Row::of(row, "approver");
            Ok(Approver {
                controller: row.parse("controller")?,
                key: row.parse("key")?,
                name: row.text("name")?,
                added_at: row.time("added_at")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Controllers that were ever asked something, or may have signed something unasked.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn controllers(&self) -> Result<BTreeSet<ControllerId>, ApplyError> {
        // Whose approvers are registered may have signed a standing permit, for which nobody applied.
        let rows = sqlx::query("SELECT controller FROM part UNION SELECT controller FROM approver");
        let rows = rows.fetch_all(&self.pool).await?;
        rows.iter().map(|row| Row::of(row, "part").parse("controller")).collect()
    }

    /// Digests of the statements that `controller` need not send again.
    ///
    /// # Errors
    /// When they can't be read or written.
    pub async fn seen(&self, controller: &ControllerId, now: DateTime<Utc>) -> Result<Vec<String>, ApplyError> {
        sqlx::query("DELETE FROM statement WHERE controller = ? AND problem IS NOT NULL AND received_at < ?")
            .bind(controller.to_string())
            .bind(stamp(now - AGAIN))
            .execute(&self.pool)
            .await?;
        Ok(sqlx::query_scalar("SELECT digest FROM statement WHERE controller = ? ORDER BY rowid")
            .bind(controller.to_string())
            .fetch_all(&self.pool)
            .await?)
    }

    /// Takes what `controller`'s spoke delivered. Says how many of them are believed and new.
    ///
    /// # Errors
    /// When the database can't be used. A statement that is not believed is no error; it is kept with the reason.
    pub async fn take(
        &self,
        controller: &ControllerId,
        statements: &[String],
        now: DateTime<Utc>,
    ) -> Result<usize, ApplyError> {
        let mut tx = self.begin().await?;
        let keys = keys(&mut tx, controller).await?;
        let mut read: Vec<(&String, Read)> = statements
            .iter()
            .take(MOST_AT_ONCE)
            .map(|compact| (compact, read_statement(compact, controller, &keys)))
            .collect();
        // A revocation counts only of a permit that is known.
        read.sort_by_key(|(_, said)| !matches!(said, Ok((Said::Permit(_), _))));
        let mut new = 0;
        for (compact, said) in read {
            let digest = digest(compact);
            let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM statement WHERE digest = ? AND controller = ?")
                .bind(&digest)
                .bind(controller.to_string())
                .fetch_one(&mut *tx)
                .await?;
            if there > 0 {
                continue;
            }
            let said = match said {
                Ok((said, signer)) if said.standing() => standing(&mut tx, &said).await?.map(|()| (said, signer)),
                Ok((said, signer)) => match known(&mut tx, &said).await? {
                    Ok(application) => {
                        let record = read::record(&mut tx, &application).await?;
                        may_decide(controller, &record).map(|()| (said, signer))
                    }
                    Err(problem) => Err(problem),
                },
                Err(problem) => Err(problem),
            };
            match said {
                Ok((said, signer)) => {
                    if keep(&mut tx, controller, &digest, compact, &said, &signer, now).await? {
                        new += 1;
                    }
                }
                Err(problem) => {
                    tracing::warn!(%controller, %problem, "a statement is not believed");
                    doubt(&mut tx, controller, &digest, &problem, now).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(new)
    }

    /// Brings every permit's state up to date and writes down what changed.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn settle(&self, project: &ProjectId, now: DateTime<Utc>) -> Result<(), ApplyError> {
        let mut tx = self.begin().await?;
        let today = now.date_naive();
        for (controller, of) in believed(&mut tx, project).await? {
            for (permit, state) in settle(&of.permits, &of.revoked, today).0 {
                let before: Option<String> = sqlx::query_scalar(
                    "SELECT state FROM statement WHERE controller = ? AND permit = ? AND kind = 'permit' AND problem IS NULL",
                )
                .bind(controller.to_string())
                .bind(permit.to_string())
                .fetch_one(&mut *tx)
                .await?;
                if before.as_deref() == Some(state.name()) {
                    continue;
                }
                sqlx::query("UPDATE statement SET state = ? WHERE controller = ? AND permit = ? AND kind = 'permit'")
                    .bind(state.name())
                    .bind(controller.to_string())
                    .bind(permit.to_string())
                    .execute(&mut *tx)
                    .await?;
                let kind = match state {
                    PermitState::Granted => "permit_granted",
                    PermitState::Amended => "permit_amended",
                    PermitState::Renewed => "permit_renewed",
                    PermitState::Revoked => "permit_revoked",
                    PermitState::Expired => "permit_expired",
                };
                let by_time = Actor::Hub;
                let by_controller = Actor::Controller(controller.clone());
                let actor = if state == PermitState::Expired { &by_time } else { &by_controller };
                let event = NewEvent {
                    project: project.as_ref(),
                    application: None,
                    controller: Some(&controller),
                    actor,
                    kind,
                    detail: json!({"permit": permit}),
                };
                write(&mut tx, now, event).await?;
                tracing::info!(%project, %controller, %permit, %state, "permit");
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn approver_event(
    connection: &mut SqliteConnection,
    controller: &ControllerId,
    key: &VerifyingKey,
    kind: &'static str,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    let event = NewEvent {
        project: "",
        application: None,
        controller: Some(controller),
        actor: &Actor::Operator,
        kind,
        detail: json!({"fingerprint": key.fingerprint()}),
    };
    write(connection, now, event).await
}

/// May what `controller`'s registered key has signed decide on this application?
fn may_decide(controller: &ControllerId, record: &Record) -> Result<(), StatementProblem> {
    let owners = record.owners();
    let owners = owners.iter().map(|(user, issuer)| (user, issuer.as_deref().unwrap_or_default())).collect();
    let controllers: Vec<_> = record.application.controllers.iter().map(|asked| asked.controller.clone()).collect();
    let id = record.id.to_string();
    let resource = Resource::Application { id: &id, owners, controllers: &controllers, state: record.state.into() };
    let request = Request::new(Signer { controller }, Action::ApplicationDecide, resource);
    authorize::decide(&request).or_denied().map_err(|denial| {
        tracing::warn!(%controller, application = %record.id, %denial, "a statement is not taken in");
        StatementProblem::Denied
    })
}

/// On which application was decided, if the hub asked for it.
async fn known(
    connection: &mut SqliteConnection,
    said: &Said,
) -> Result<Result<ApplicationId, StatementProblem>, ApplyError> {
    let (controller, project) = (said.controller().to_string(), said.project().to_string());
    let (found, what): (Option<String>, _) = match (said, said.part()) {
        (_, Some(part)) => {
            let found =
                sqlx::query_scalar("SELECT application FROM part WHERE id = ? AND controller = ? AND project = ?")
                    .bind(part.to_string())
                    .bind(controller)
                    .bind(project)
                    .fetch_optional(connection)
                    .await?;
            (found, "a part")
        }
        (_, None) => {
            let permit = said.permit().map(|p| p.to_string()).unwrap_or_default();
            let found = sqlx::query_scalar(
                "SELECT part.application FROM statement JOIN part ON part.id = statement.part WHERE statement.permit = ? \
                 AND statement.controller = ? AND statement.project = ? AND statement.kind = 'permit' \
                 AND statement.problem IS NULL",
            )
            .bind(permit)
            .bind(controller)
            .bind(project)
            .fetch_optional(connection)
            .await?;
            (found, "a permit")
        }
    };
    let corrupt = |_| ApplyError::Corrupt { table: "part", field: "application" };
    Ok(match found {
        Some(application) => Ok(application.parse().map_err(corrupt)?),
        None => Err(StatementProblem::Unknown(what)),
    })
}

/// Whether a statement about quick tests can be taken: a permit as it is, a revocation of one that is there.
async fn standing(connection: &mut SqliteConnection, said: &Said) -> Result<Result<(), StatementProblem>, ApplyError> {
    match said {
        Said::Permit(_) => Ok(Ok(())),
        Said::Refusal(_) => Ok(Err(StatementProblem::Unknown("a part"))),
        Said::Revocation(revocation) => {
            let there: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM statement WHERE permit = ? AND controller = ? AND project = ? AND kind = 'permit' \
                 AND problem IS NULL",
            )
            .bind(revocation.permit.to_string())
            .bind(revocation.controller.to_string())
            .bind(revocation.project.to_string())
            .fetch_one(connection)
            .await?;
            Ok(if there > 0 { Ok(()) } else { Err(StatementProblem::Unknown("a permit")) })
        }
    }
}

/// Keeps a statement that is believed, and moves what it decides. False when another with the same id is there.
async fn keep(
    connection: &mut SqliteConnection,
    controller: &ControllerId,
    digest: &str,
    compact: &str,
    said: &Said,
    signer: &VerifyingKey,
    now: DateTime<Utc>,
) -> Result<bool, ApplyError> {
    let done = sqlx::query(
        "INSERT INTO statement (digest, controller, kind, compact, signer, project, part, permit, decided_at, received_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(digest)
    .bind(controller.to_string())
    .bind(said.kind())
    .bind(compact)
    .bind(signer.to_string())
    .bind(said.project().to_string())
    .bind(said.part().map(|p| p.to_string()))
    .bind(said.permit().map(|p| p.to_string()))
    .bind(stamp(said.decided_at()))
    .bind(stamp(now))
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let taken = NewEvent {
        project: said.project().as_ref(),
        application: None,
        controller: Some(controller),
        actor: &Actor::Controller(controller.clone()),
        kind: "statement_taken",
        detail: json!({"kind": said.kind(), "digest": digest, "reason": said.reason()}),
    };
    write(connection, now, taken).await?;
    let event = match said {
        Said::Permit(_) => PartEvent::Grant,
        Said::Refusal(_) => PartEvent::Refuse,
        Said::Revocation(_) => return Ok(true),
    };
    if let Some(part) = said.part() {
        move_part(connection, &part.to_string(), event, now).await?;
        let row = sqlx::query("SELECT application FROM part WHERE id = ?")
            .bind(part.to_string())
            .fetch_one(&mut *connection)
            .await?;
        let application = Row::of(&row, "part").parse("application")?;
        let record = read::record(connection, &application).await?;
        if !record.state.is_final() {
            moves::decide_if_done(connection, &application, now).await?;
        }
    }
    Ok(true)
}

/// Keeps a statement that is not believed, so that it isn't fetched again every time.
async fn doubt(
    connection: &mut SqliteConnection,
    controller: &ControllerId,
    digest: &str,
    problem: &StatementProblem,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM statement WHERE controller = ? AND problem IS NOT NULL")
        .bind(controller.to_string())
        .fetch_one(&mut *connection)
        .await?;
    if kept >= MOST_PROBLEMS {
        return Ok(());
    }
    // Only its name is kept: the text proves nothing to anybody.
    sqlx::query(
        "INSERT INTO statement (digest, controller, kind, compact, received_at, problem) VALUES (?, ?, 'unknown', '', ?, ?) \
         ON CONFLICT DO NOTHING",
    )
    .bind(digest)
    .bind(controller.to_string())
    .bind(stamp(now))
    .bind(problem.to_string())
    .execute(connection)
    .await?;
    Ok(())
}
