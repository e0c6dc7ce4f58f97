//! Handing in an application or an amendment.

use super::{
    Actor, Applications, ApplyError, PartRecord, Record, Screening,
    event::{NewEvent, write},
    record::stamp,
};
use crate::decide::{Event, PartEvent, PartState, State, settle};
use chrono::{DateTime, Utc};
use policies::application::{Application, Asked, Part, amend};
use proto::ids::{ApplicationId, ControllerId, ProjectId, UserId};
use serde_json::json;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

/// Who hands in, and under which key, so that a repeated call makes no second application.
struct Submitter<'a> {
    user: &'a UserId,
    issuer: Option<&'a str>,
    key: Option<&'a str>,
}

impl Applications {
    /// Takes an application. The same key of the same person again gives the application that it made; the answer says
    /// whether it is new.
    ///
    /// # Errors
    /// When the project's id is taken, the key was used for another application, or it can't be written.
    pub async fn submit(
        &self,
        application: &Application,
        actor: &Actor,
        key: Option<&str>,
        screening: Screening,
        now: DateTime<Utc>,
    ) -> Result<(Record, bool), ApplyError> {
        let by = submitter(actor, key)?;
        let mut tx = self.begin().await?;
        if let Some(before) = repeated(&mut tx, &by, application).await? {
            return Ok((before, false));
        }
        let others = records(&mut tx, &application.project).await?;
        let taken = others.iter().any(|r| r.state != State::Withdrawn)
            || others.iter().any(|r| r.submitted_by != *by.user || r.issuer.as_deref() != by.issuer);
        if taken {
            return Err(ApplyError::Conflict(format!(
                "the project id '{}' is taken. Choose another; if the project is yours, hand in an amendment (hub project amend)",
                application.project
            )));
        }
        let id = insert(&mut tx, application, &by, next_number(&others), now).await?;
        log(&mut tx, application, &id, actor, "submitted", json!({"digest": application.digest()}), now).await?;
        for part in application.split() {
            insert_part(&mut tx, &id, &part).await?;
        }
        start(&mut tx, &id, actor, screening, now).await?;
        let record = super::read::record(&mut tx, &id).await?;
        tx.commit().await?;
        Ok((record, true))
    }

    /// Takes an amendment of the project's application: asks only the controllers that it concerns.
    ///
    /// # Errors
    /// When there is nothing to amend, or as [`Applications::submit`].
    pub async fn amend(
        &self,
        application: &Application,
        actor: &Actor,
        key: Option<&str>,
        screening: Screening,
        now: DateTime<Utc>,
    ) -> Result<(Record, bool), ApplyError> {
        let by = submitter(actor, key)?;
        let mut tx = self.begin().await?;
        if let Some(before) = repeated(&mut tx, &by, application).await? {
            return Ok((before, false));
        }
        let all = records(&mut tx, &application.project).await?;
        let latest = all.iter().rfind(|r| r.state != State::Withdrawn).ok_or(ApplyError::NotFound("project"))?;
        if latest.digest == application.digest() {
            return Err(ApplyError::Conflict("nothing is different from the project's application".to_owned()));
        }
        let before = asked(&mut tx, &application.project, now).await?;
        let parts = amend(application, &before);
        let id = insert(&mut tx, application, &by, next_number(&all), now).await?;
        let concerned: Vec<&ControllerId> = parts.iter().map(|part| &part.controller).collect();
        let detail = json!({"digest": application.digest(), "amends": latest.id, "concerns": concerned});
        log(&mut tx, application, &id, actor, "amended", detail, now).await?;
        for part in &parts {
            if let Some(old) = part.supersedes {
                move_part(&mut tx, &old.to_string(), PartEvent::Supersede, now).await?;
            }
            insert_part(&mut tx, &id, part).await?;
        }
        start(&mut tx, &id, actor, screening, now).await?;
        for record in all {
            super::moves::decide_if_done(&mut tx, &record.id, now).await?;
        }
        let record = super::read::record(&mut tx, &id).await?;
        tx.commit().await?;
        Ok((record, true))
    }

    /// What an amendment would ask of whom, without handing it in.
    ///
    /// # Errors
    /// When there is nothing to amend, or the database can't be read.
    pub async fn preview(&self, application: &Application, now: DateTime<Utc>) -> Result<Vec<Part>, ApplyError> {
        let mut connection = self.pool.acquire().await?;
        Ok(amend(application, &asked(&mut connection, &application.project, now).await?))
    }
}

fn submitter<'a>(actor: &'a Actor, key: Option<&'a str>) -> Result<Submitter<'a>, ApplyError> {
    match actor {
        Actor::Person { user, issuer } => Ok(Submitter { user, issuer: issuer.as_deref(), key }),
        Actor::Controller(_) | Actor::Hub | Actor::Operator => {
            Err(ApplyError::Conflict("an application is handed in by a person".to_owned()))
        }
    }
}

async fn repeated(
    connection: &mut SqliteConnection,
    by: &Submitter<'_>,
    application: &Application,
) -> Result<Option<Record>, ApplyError> {
    let Some(key) = by.key else { return Ok(None) };
    let row = sqlx::query("SELECT * FROM application WHERE submitted_by = ? AND idempotency = ?")
        .bind(by.user.to_string())
        .bind(key)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let record = Record::read(&row)?;
    if record.digest != application.digest() {
        return Err(ApplyError::Conflict(
            "this idempotency key was used for another application: make a new key for each".to_owned(),
        ));
    }
    Ok(Some(record))
}

/// All applications of a project, oldest first.
pub(super) async fn records(connection: &mut SqliteConnection, project: &ProjectId) -> Result<Vec<Record>, ApplyError> {
    let rows = sqlx::query("SELECT * FROM application WHERE project = ? ORDER BY number")
        .bind(project.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(Record::read).collect()
}

fn next_number(all: &[Record]) -> i64 {
    all.iter().map(|r| r.number).max().unwrap_or(0) + 1
}

async fn insert(
    connection: &mut SqliteConnection,
    application: &Application,
    by: &Submitter<'_>,
    number: i64,
    now: DateTime<Utc>,
) -> Result<ApplicationId, ApplyError> {
    let id = ApplicationId::new();
    let content = serde_json::to_string(application)
        .map_err(|_| ApplyError::Corrupt { table: "application", field: "content" })?;
    sqlx::query(
        "INSERT INTO application (id, project, number, state, content, digest, submitted_by, issuer, submitted_at, \
         idempotency) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id.to_string())
    .bind(application.project.to_string())
    .bind(number)
    .bind(State::Submitted.name())
    .bind(content)
    .bind(application.digest())
    .bind(by.user.to_string())
    .bind(by.issuer)
    .bind(stamp(now))
    .bind(by.key)
    .execute(connection)
    .await?;
    Ok(id)
}

async fn insert_part(connection: &mut SqliteConnection, id: &ApplicationId, part: &Part) -> Result<(), ApplyError> {
    sqlx::query("INSERT INTO part (id, application, project, controller, state, content) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(part.id.to_string())
        .bind(id.to_string())
        .bind(part.project.to_string())
        .bind(part.controller.to_string())
        .bind(PartState::Held.name())
        .bind(String::from_utf8_lossy(&part.to_json()).into_owned())
        .execute(connection)
        .await?;
    Ok(())
}

/// Screening begins; where the form's own checks are all there is, it ends at once.
async fn start(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
    actor: &Actor,
    screening: Screening,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    super::moves::step(connection, id, Event::Screen, &Actor::Hub, now).await?;
    if screening == Screening::Automatic {
        super::moves::complete(connection, id, &Actor::Hub, now).await?;
    }
    tracing::info!(application = %id, %actor, "application taken");
    Ok(())
}

async fn log(
    connection: &mut SqliteConnection,
    application: &Application,
    id: &ApplicationId,
    actor: &Actor,
    kind: &'static str,
    detail: serde_json::Value,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    let event = NewEvent {
        project: application.project.as_ref(),
        application: Some(id),
        controller: None,
        actor,
        kind,
        detail,
    };
    write(connection, now, event).await
}

/// Moves a part, if the event changes anything.
pub(super) async fn move_part(
    connection: &mut SqliteConnection,
    id: &str,
    event: PartEvent,
    now: DateTime<Utc>,
) -> Result<bool, ApplyError> {
    let row = sqlx::query("SELECT * FROM part WHERE id = ?").bind(id).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(false) };
    let record = PartRecord::read(&row)?;
    let Some(next) = record.state.next(event) else { return Ok(false) };
    let decided = matches!(event, PartEvent::Grant | PartEvent::Refuse).then(|| stamp(now));
    let delivered = (event == PartEvent::Deliver).then(|| stamp(now));
    sqlx::query(
        "UPDATE part SET state = ?, decided_at = COALESCE(?, decided_at), delivered_at = COALESCE(?, delivered_at), \
         trouble = NULL WHERE id = ?",
    )
    .bind(next.name())
    .bind(decided)
    .bind(delivered)
    .bind(id)
    .execute(&mut *connection)
    .await?;
    let (kind, actor) = match event {
        PartEvent::Deliver => ("part_delivered", Actor::Hub),
        PartEvent::Grant => ("part_granted", Actor::Controller(record.controller.clone())),
        PartEvent::Refuse => ("part_refused", Actor::Controller(record.controller.clone())),
        PartEvent::Supersede => ("part_superseded", Actor::Hub),
        PartEvent::Withdraw => ("part_withdrawn", Actor::Hub),
        PartEvent::Release => return Ok(true),
    };
    let event = NewEvent {
        project: record.part.project.as_ref(),
        application: Some(&record.application),
        controller: Some(&record.controller),
        actor: &actor,
        kind,
        detail: json!({"part": record.id}),
    };
    write(connection, now, event).await?;
    Ok(true)
}

/// What each controller of a project was asked last, and gave.
async fn asked(
    connection: &mut SqliteConnection,
    project: &ProjectId,
    now: DateTime<Utc>,
) -> Result<BTreeMap<ControllerId, Asked>, ApplyError> {
    let rows =
        sqlx::query("SELECT * FROM part WHERE project = ? AND state NOT IN ('WITHDRAWN', 'SUPERSEDED') ORDER BY rowid")
            .bind(project.to_string())
            .fetch_all(&mut *connection)
            .await?;
    let mut all = BTreeMap::new();
    for row in &rows {
        let record = PartRecord::read(row)?;
        let asked = Asked { open: record.state.is_open(), part: record.part, permit: None };
        all.insert(record.controller, asked);
    }
    let believed = super::statements::believed(connection, project).await?;
    let today = now.date_naive();
    for (controller, asked) in &mut all {
        if let Some(of) = believed.get(controller) {
            asked.permit = settle(&of.permits, &of.revoked, today).newest(&of.permits).cloned();
        }
    }
    Ok(all)
}
