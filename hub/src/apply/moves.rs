//! What happens to an application after it was handed in.

use super::{
    Actor, Applications, ApplyError, PartRecord, Question, Record,
    event::{NewEvent, write},
    read,
    record::stamp,
    submit::move_part,
};
use crate::decide::{Event, PartEvent, PartState, State, track};
use chrono::{DateTime, NaiveDate, Utc};
use policies::calendar;
use proto::ids::ApplicationId;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

/// Who says that an application is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Screening {
    /// the form's own checks: the controllers are asked at once
    #[default]
    Automatic,
    /// a coordinator
    Manual,
}

/// Moves the application and writes down that it moved.
pub(super) async fn step(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
    event: Event,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<Record, ApplyError> {
    noted(connection, id, event, actor, json!({}), now).await
}

async fn noted(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
    event: Event,
    actor: &Actor,
    mut detail: Value,
    now: DateTime<Utc>,
) -> Result<Record, ApplyError> {
    let record = read::record(connection, id).await?;
    let next = record.state.next(event)?;
    let decided = (next == State::DecisionIssued).then(|| stamp(now));
    sqlx::query(
        "UPDATE application SET state = ?, revision = revision + 1, decided_at = COALESCE(decided_at, ?) WHERE id = ?",
    )
    .bind(next.name())
    .bind(decided)
    .bind(id.to_string())
    .execute(&mut *connection)
    .await?;
    if let Some(map) = detail.as_object_mut() {
        map.insert("from".to_owned(), record.state.name().into());
        map.insert("to".to_owned(), next.name().into());
    }
    let kind = event.name();
    let project = record.project().clone();
    let event = NewEvent { project: project.as_ref(), application: Some(id), controller: None, actor, kind, detail };
    write(connection, now, event).await?;
    Ok(record)
}

/// The application is complete: time runs, and the parts go out.
pub(super) async fn complete(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    let record = step(connection, id, Event::Complete, actor, now).await?;
    let decide_by = calendar::decide_by(now.date_naive(), track(&record.application), false);
    sqlx::query("UPDATE application SET complete_at = ?, decide_by = ? WHERE id = ?")
        .bind(stamp(now))
        .bind(decide_by.to_string())
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    for part in parts(connection, id).await? {
        if part.state != PartState::Held {
            continue;
        }
        let due = part.part.due(now, decide_by);
        sqlx::query("UPDATE part SET content = ? WHERE id = ?")
            .bind(String::from_utf8_lossy(&due.to_json()).into_owned())
            .bind(part.id.to_string())
            .execute(&mut *connection)
            .await?;
        move_part(connection, &part.id.to_string(), PartEvent::Release, now).await?;
    }
    decide_if_done(connection, id, now).await
}

async fn parts(connection: &mut SqliteConnection, id: &ApplicationId) -> Result<Vec<PartRecord>, ApplyError> {
    let rows = sqlx::query("SELECT * FROM part WHERE application = ? ORDER BY controller")
        .bind(id.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(PartRecord::read).collect()
}

/// Ends an application whose last part was decided (or that nobody has to decide on).
pub(super) async fn decide_if_done(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    let record = read::record(connection, id).await?;
    if record.complete_at.is_none() || record.state.is_final() {
        return Ok(());
    }
    let parts = parts(connection, id).await?;
    if parts.iter().any(|part| part.state.is_open()) {
        return Ok(());
    }
    let count = |state| parts.iter().filter(|part| part.state == state).count();
    let detail =
        json!({"granted": count(PartState::Granted), "refused": count(PartState::Refused), "parts": parts.len()});
    noted(connection, id, Event::Decide, &Actor::Hub, detail, now).await?;
    Ok(())
}

async fn end_parts(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    for part in parts(connection, id).await? {
        move_part(connection, &part.id.to_string(), PartEvent::Withdraw, now).await?;
    }
    Ok(())
}

/// Refuses to change what somebody else changed since the caller read it.
async fn fresh(connection: &mut SqliteConnection, id: &ApplicationId, read_at: Option<i64>) -> Result<(), ApplyError> {
    let record = read::record(connection, id).await?;
    if read_at.is_some_and(|revision| revision != record.revision) { Err(ApplyError::Stale) } else { Ok(()) }
}

impl Applications {
    /// A coordinator says that nothing is missing.
    ///
    /// # Errors
    /// When the application is not being screened, or changed since revision `read_at`.
    pub async fn complete(
        &self,
        id: &ApplicationId,
        actor: &Actor,
        read_at: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<Record, ApplyError> {
        let mut tx = self.begin().await?;
        fresh(&mut tx, id, read_at).await?;
        complete(&mut tx, id, actor, now).await?;
        let record = read::record(&mut tx, id).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// Takes an application back. Permits that were given are not touched: only their controllers end them; but the
    /// workspace doesn't use them any longer.
    ///
    /// # Errors
    /// When it is decided or withdrawn already, or changed since revision `read_at`.
    pub async fn withdraw(
        &self,
        id: &ApplicationId,
        actor: &Actor,
        read_at: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<Record, ApplyError> {
        let mut tx = self.begin().await?;
        fresh(&mut tx, id, read_at).await?;
        step(&mut tx, id, Event::Withdraw, actor, now).await?;
        end_parts(&mut tx, id, now).await?;
        let record = read::record(&mut tx, id).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// Lengthens the time for the decision, once.
    ///
    /// # Errors
    /// When it was lengthened before, nothing is being decided, or it changed since revision `read_at`.
    pub async fn extend(
        &self,
        id: &ApplicationId,
        actor: &Actor,
        reason: &str,
        read_at: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<Record, ApplyError> {
        let mut tx = self.begin().await?;
        fresh(&mut tx, id, read_at).await?;
        let record = read::record(&mut tx, id).await?;
        if record.extended_at.is_some() {
            return Err(ApplyError::Conflict(
                "the deadline was extended before; it is extended once (EHDS Article 68)".to_owned(),
            ));
        }
        let complete = record.complete_at.unwrap_or(now).date_naive();
        let decide_by = calendar::decide_by(complete, track(&record.application), true);
        let detail = json!({"decide_by": decide_by.to_string(), "reason": reason});
        noted(&mut tx, id, Event::Extend, actor, detail, now).await?;
        sqlx::query("UPDATE application SET extended_at = ?, decide_by = ?, overdue = 0 WHERE id = ?")
            .bind(stamp(now))
            .bind(decide_by.to_string())
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        let record = read::record(&mut tx, id).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// Asks the applicant about a field.
    ///
    /// # Errors
    /// When the application is decided or withdrawn.
    pub async fn ask(
        &self,
        id: &ApplicationId,
        actor: &Actor,
        field: &str,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<Question, ApplyError> {
        let mut tx = self.begin().await?;
        let answer_by = calendar::answer_by(now.date_naive());
        let detail = json!({"field": field, "answer_by": answer_by.to_string()});
        noted(&mut tx, id, Event::Ask, actor, detail, now).await?;
        sqlx::query("UPDATE application SET answer_by = ? WHERE id = ?")
            .bind(answer_by.to_string())
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query(
            "INSERT INTO question (application, field, text, asked_by, asked_at) VALUES (?, ?, ?, ?, ?) RETURNING *",
        )
        .bind(id.to_string())
        .bind(field)
        .bind(text)
        .bind(actor.to_string())
        .bind(stamp(now))
        .fetch_one(&mut *tx)
        .await?;
        let question = Question::read(&row)?;
        tx.commit().await?;
        Ok(question)
    }

    /// Answers a question. With the last one answered, the application goes on where it was.
    ///
    /// # Errors
    /// When there is no such open question.
    pub async fn answer(
        &self,
        id: &ApplicationId,
        question: i64,
        actor: &Actor,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<Record, ApplyError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE question SET answer = ?, answered_at = ? WHERE id = ? AND application = ? AND answer IS NULL",
        )
        .bind(text)
        .bind(stamp(now))
        .bind(question)
        .bind(id.to_string())
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Err(ApplyError::NotFound("open question"));
        }
        let open: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM question WHERE application = ? AND answer IS NULL")
            .bind(id.to_string())
            .fetch_one(&mut *tx)
            .await?;
        let record = read::record(&mut tx, id).await?;
        if open > 0 {
            let event = NewEvent {
                project: record.project().as_ref(),
                application: Some(id),
                controller: None,
                actor,
                kind: "answer",
                detail: json!({"question": question, "open": open}),
            };
            write(&mut tx, now, event).await?;
        } else {
            let event = if record.complete_at.is_some() { Event::AnswerComplete } else { Event::AnswerScreened };
            noted(&mut tx, id, event, actor, json!({"question": question}), now).await?;
            sqlx::query("UPDATE application SET answer_by = NULL WHERE id = ?")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            decide_if_done(&mut tx, id, now).await?;
        }
        let record = read::record(&mut tx, id).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// What time alone brings: applications that were not completed end, decisions that are late are marked so.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub async fn pass_time(&self, now: DateTime<Utc>) -> Result<(), ApplyError> {
        let today = now.date_naive();
        let mut tx = self.begin().await?;
        for record in due(&mut tx, "AWAITING_ADDITIONAL_INFORMATION").await? {
            if record.answer_by.is_some_and(|day| day < today) {
                noted(&mut tx, &record.id, Event::Lapse, &Actor::Hub, json!({"answer_by": record.answer_by}), now)
                    .await?;
                end_parts(&mut tx, &record.id, now).await?;
                sqlx::query("UPDATE application SET lapsed = 1 WHERE id = ?")
                    .bind(record.id.to_string())
                    .execute(&mut *tx)
                    .await?;
            }
        }
        for record in due(&mut tx, "PROCESSING").await? {
            let late = |day: NaiveDate| day < today;
            if !record.overdue && record.deadlines().decide_by.is_some_and(late) {
                sqlx::query("UPDATE application SET overdue = 1 WHERE id = ?")
                    .bind(record.id.to_string())
                    .execute(&mut *tx)
                    .await?;
                let event = NewEvent {
                    project: record.project().as_ref(),
                    application: Some(&record.id),
                    controller: None,
                    actor: &Actor::Hub,
                    kind: "overdue",
                    detail: json!({"decide_by": record.deadlines().decide_by}),
                };
                write(&mut tx, now, event).await?;
                tracing::warn!(application = %record.id, project = %record.project(), "the decision is late");
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn due(connection: &mut SqliteConnection, state: &str) -> Result<Vec<Record>, ApplyError> {
    let rows = sqlx::query("SELECT * FROM application WHERE state = ?").bind(state).fetch_all(connection).await?;
    rows.iter().map(Record::read).collect()
}
