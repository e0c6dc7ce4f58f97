//! Handing in: a draft, its files one by one, the automatic checks, and off to the checkers.

use super::{
    Airlock, AirlockError, FileRecord, SubmissionRecord, Who,
    found::{TRIES, moving},
    kind,
    read::{self, blocking},
    told,
};
use crate::apply::{ApplyError, stamp};
use chrono::{DateTime, Utc};
use policies::airlock::{Event, FileName, State, Submission};
use proto::ids::SubmissionId;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use std::{collections::BTreeMap, sync::Arc};

/// The largest file, bytes.
pub const MOST_FILE: usize = 8 << 20;
/// All files of a submission together, bytes.
pub const MOST_BYTES: u64 = 32 << 20;
/// Submissions of a project that are neither decided nor withdrawn, at most.
const MOST_OPEN: i64 = 20;

/// Moves a submission and writes down that it moved.
pub(super) async fn step(
    connection: &mut SqliteConnection,
    id: &SubmissionId,
    event: Event,
    now: DateTime<Utc>,
) -> Result<State, AirlockError> {
    let record = read::record(connection, id).await?;
    let next = record.state.next(event)?;
    let at = |wanted: State| (next == wanted && record.state != wanted).then(|| stamp(now));
    let decided = if next == State::Approved { at(State::Approved) } else { at(State::ChangesRequested) };
    sqlx::query(
        "UPDATE submission SET state = ?, changed_at = ?, sent_at = COALESCE(sent_at, ?), \
         decided_at = COALESCE(decided_at, ?), released_at = COALESCE(released_at, ?) WHERE id = ?",
    )
    .bind(next.name())
    .bind(stamp(now))
    .bind((event == Event::Send).then(|| stamp(now)))
    .bind(decided)
    .bind(at(State::Released))
    .bind(id.to_string())
    .execute(connection)
    .await?;
    Ok(next)
}

/// A new draft.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    submission: &Submission,
    who: &Who,
    now: DateTime<Utc>,
) -> Result<SubmissionId, AirlockError> {
    let id = SubmissionId::of_day(now.date_naive());
    let content =
        serde_json::to_string(submission).map_err(|_| ApplyError::Corrupt { table: "submission", field: "content" })?;
    sqlx::query(
        "INSERT INTO submission (id, project, state, content, earlier, submitted_by, issuer, begun_at, changed_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id.to_string())
    .bind(submission.project.to_string())
    .bind(State::Draft.name())
    .bind(content)
    .bind(submission.earlier.map(|earlier| earlier.to_string()))
    .bind(who.user.to_string())
    .bind(&who.issuer)
    .bind(stamp(now))
    .bind(stamp(now))
    .execute(connection)
    .await?;
    Ok(id)
}

impl Airlock {
    /// Begins a submission.
    ///
    /// # Errors
    /// When the project has too many that are open, what it follows is not of the same project and reviewed, or it can't
    /// be written.
    pub async fn begin(
        &self,
        submission: &Submission,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<SubmissionRecord, AirlockError> {
        // Drafts that are over don't take places.
        self.expire(now).await?;
        let mut tx = self.begin_write().await?;
        let project = &submission.project;
        let open: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM submission WHERE project = ? AND state IN ('DRAFT', 'CHECKED', 'UNDER_REVIEW', 'CONFLICT')",
        )
        .bind(project.to_string())
        .fetch_one(&mut *tx)
        .await?;
        if open >= MOST_OPEN {
            return Err(AirlockError::Conflict(format!(
                "the project has {MOST_OPEN} submissions that are not decided: withdraw one (hub airlock withdraw) or wait"
            )));
        }
        if let Some(earlier) = &submission.earlier {
            let known = read::record(&mut tx, earlier).await;
            if !known.is_ok_and(|known| known.project() == project && known.state != State::Draft) {
                return Err(AirlockError::Conflict(
                    "'earlier' names no submission of this project that was handed in".to_owned(),
                ));
            }
        }
        let id = insert(&mut tx, submission, who, now).await?;
        told(&mut tx, project, &id, &who.member(), "airlock_begun", json!({}), now).await?;
        let record = read::record(&mut tx, &id).await?;
        self.log(&record, who, "begun", json!({ "files": submission.files.len() })).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// Takes a file: from here on it is these bytes.
    ///
    /// # Errors
    /// When the form doesn't name it, it was added before, it is too large or of no kind that may leave, or it can't be kept.
    pub async fn add(
        &self,
        id: &SubmissionId,
        name: &FileName,
        bytes: Vec<u8>,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<FileRecord, AirlockError> {
        if bytes.is_empty() || bytes.len() > MOST_FILE {
            return Err(AirlockError::File(format!("a file has from 1 to {MOST_FILE} bytes")));
        }
        let (kind, bytes) = {
            let name = name.clone();
            blocking(move || kind::recognise(&name, &bytes).map(|kind| (kind, bytes))).await??
        };
        let mut tx = self.begin_write().await?;
        let record = read::record(&mut tx, id).await?;
        if record.submission.file(name.as_str()).is_none() {
            return Err(ApplyError::NotFound("file in the form").into());
        }
        let before = read::files(&mut tx, id).await?;
        if before.iter().any(|file| file.name == name.as_str()) {
            return Err(AirlockError::Conflict(format!(
                "'{name}' was added before, and is frozen: withdraw the submission to hand in another one"
            )));
        }
        let length = bytes.len() as u64;
        if before.iter().map(|file| file.bytes).sum::<u64>() + length > MOST_BYTES {
            return Err(AirlockError::File(format!("all files together have {MOST_BYTES} bytes at most")));
        }
        step(&mut tx, id, Event::Add, now).await?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        self.log(&record, who, "added", json!({ "file": name, "bytes": length, "sha256": sha256 })).await?;
        let (vault, at, of) = (Arc::clone(&self.vault), *id, name.to_string());
        // What an earlier attempt left behind, before its row was written.
        blocking(move || vault.remove(&at, &of).and_then(|_| vault.put(&at, &of, &bytes))).await??;
        sqlx::query("INSERT INTO submission_file (submission, name, kind, bytes, sha256) VALUES (?, ?, ?, ?, ?)")
            .bind(id.to_string())
            .bind(name.as_str())
            .bind(kind.name())
            .bind(i64::try_from(length).unwrap_or(i64::MAX))
            .bind(&sha256)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(FileRecord { name: name.to_string(), kind, bytes: length, sha256, findings: Vec::new() })
    }

    /// Runs the automatic checks over all files. What refuses it leaves it a draft.
    ///
    /// # Errors
    /// When a file is missing, the state doesn't allow it, or something can't be read.
    pub async fn check(
        &self,
        id: &SubmissionId,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<SubmissionRecord, AirlockError> {
        let record = self.get(id).await?;
        record.state.next(Event::Pass)?;
        let files = self.files(id).await?;
        let missing: Vec<&str> = record
            .submission
            .files
            .iter()
            .map(|file| file.name.as_str())
            .filter(|name| !files.iter().any(|file| file.name == *name))
            .collect();
        if !missing.is_empty() {
            return Err(AirlockError::Conflict(format!("these files are missing: {}", missing.join(", "))));
        }
        let found = self.found(&record, &files, now).await?;
        let refused = found.refuses();
        let mut tx = self.begin_write().await?;
        let next = step(&mut tx, id, if refused { Event::Fail } else { Event::Pass }, now).await?;
        found.keep(&mut tx, id).await?;
        // What was found would tell outside what is in the files, and so would how often somebody looked.
        if next != record.state {
            told(&mut tx, record.project(), id, &who.member(), "airlock_checked", json!({}), now).await?;
        }
        self.log(&record, who, "checked", json!({ "refused": refused, "findings": found.rules() })).await?;
        tx.commit().await?;
        self.get(id).await
    }

    /// Sends it to the checkers, when the checks, which run again, still let it pass. `snapshots` are the versions of the
    /// project's tables now, by `controller.table`.
    ///
    /// # Errors
    /// When it was not checked, the checks refuse it now (then it is a draft again), or that can't be written.
    pub async fn send(
        &self,
        id: &SubmissionId,
        snapshots: &BTreeMap<String, i64>,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<SubmissionRecord, AirlockError> {
        let snapshots = serde_json::to_string(snapshots)
            .map_err(|_| ApplyError::Corrupt { table: "submission", field: "snapshots" })?;
        for _ in 0..TRIES {
            let before = self.get(id).await?;
            before.state.next(Event::Send)?;
            let files = self.files(id).await?;
            let found = self.found(&before, &files, now).await?;
            let mut tx = self.begin_write().await?;
            if !found.holds(&mut tx, &before).await? {
                continue;
            }
            found.keep(&mut tx, id).await?;
            if found.refuses() {
                step(&mut tx, id, Event::Fail, now).await?;
                self.log(&before, who, "checked", json!({ "refused": true, "findings": found.rules() })).await?;
                tx.commit().await?;
                return Err(AirlockError::Conflict(format!(
                    "the checks ran again and refuse it now, for what left the project since, or what a permit asks for: hub airlock \
                     show {id} says where. Mend that, and submit anew"
                )));
            }
            step(&mut tx, id, Event::Send, now).await?;
            sqlx::query("UPDATE submission SET snapshots = ? WHERE id = ?")
                .bind(&snapshots)
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            let record = read::record(&mut tx, id).await?;
            told(&mut tx, record.project(), id, &who.member(), "airlock_sent", json!({}), now).await?;
            self.log(&record, who, "sent", json!({ "findings": found.rules() })).await?;
            tx.commit().await?;
            return Ok(record);
        }
        Err(moving())
    }

    /// Takes a submission back. Its files are removed; what happened to it stays in the logs.
    ///
    /// # Errors
    /// When it has left, or that can't be written.
    pub async fn withdraw(
        &self,
        id: &SubmissionId,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<SubmissionRecord, AirlockError> {
        let mut tx = self.begin_write().await?;
        step(&mut tx, id, Event::Withdraw, now).await?;
        let record = read::record(&mut tx, id).await?;
        told(&mut tx, record.project(), id, &who.member(), "airlock_withdrawn", json!({}), now).await?;
        self.log(&record, who, "withdrawn", json!({})).await?;
        tx.commit().await?;
        let (vault, at) = (Arc::clone(&self.vault), *id);
        blocking(move || vault.clear(&at)).await??;
        Ok(record)
    }
}
