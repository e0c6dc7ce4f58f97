//! What the checks find in a submission now: in its files, and beside what has left the project or may leave it.
//!
//! They run when a member asks, again when it is sent, and again when it leaves, since others leave in between.
//!
//! INVARIANT: everything that has left is compared with, however much that is; one table of it is held at a time.
//! INVARIANT: what a submission is moved by was found beside what stands there at that moment, and nothing else.

use super::{
    Airlock, AirlockError, Applied, FileRecord, Finding, SubmissionRecord, Weight,
    check::{
        self, Checked, Earlier,
        differences::{Beside, How},
        table,
    },
    read::blocking,
};
use crate::apply::ApplyError;
use chrono::{DateTime, Utc};
use policies::airlock::State;
use proto::ids::SubmissionId;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

/// How often the checks run again when others of the project move while they run.
pub(super) const TRIES: usize = 3;

/// What the checks found, and beside what.
pub(super) struct Found {
    by_file: BTreeMap<String, Vec<Finding>>,
    beside: Others,
}

/// The project's other submissions that count, in the order of their ids.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Others(Vec<(SubmissionId, How)>);

impl Others {
    /// Those that have left, are with the checkers, or may leave. Drafts can't leave before they were sent, and then they are
    /// compared with these.
    pub(super) async fn of(connection: &mut SqliteConnection, of: &SubmissionRecord) -> Result<Self, AirlockError> {
        let rows: Vec<(String, String, bool)> = sqlx::query_as(
            "SELECT id, state, computed FROM submission WHERE project = ? AND id <> ? \
             AND (state = 'RELEASED' OR state IN ('UNDER_REVIEW', 'CONFLICT', 'APPROVED') AND computed = 0) ORDER BY id",
        )
        .bind(of.project().to_string())
        .bind(of.id.to_string())
        .fetch_all(connection)
        .await?;
        let read = |(id, state, computed): (String, String, bool)| {
            let id = id.parse().map_err(|_| ApplyError::Corrupt { table: "submission", field: "id" })?;
            let how = match (State::named(&state), computed) {
                (_, true) => How::Answered,
                (Some(State::Released), false) => How::Left,
                _ => How::Standing,
            };
            Ok((id, how))
        };
        Ok(Self(rows.into_iter().map(read).collect::<Result<_, ApplyError>>()?))
    }
}

impl Found {
    /// Whether something in it refuses the submission.
    pub(super) fn refuses(&self) -> bool {
        self.by_file.values().flatten().any(|finding| finding.weight == Weight::Refused)
    }

    /// Whether the project's others are still those that it was compared with.
    pub(super) async fn holds(
        &self,
        connection: &mut SqliteConnection,
        of: &SubmissionRecord,
    ) -> Result<bool, AirlockError> {
        Ok(Others::of(connection, of).await? == self.beside)
    }

    /// How many findings each rule has, for the log.
    pub(super) fn rules(&self) -> BTreeMap<&'static str, usize> {
        self.by_file.values().flatten().fold(BTreeMap::new(), |mut all, finding| {
            *all.entry(finding.rule.name()).or_default() += 1;
            all
        })
    }

    /// Writes it down, for members and checkers.
    pub(super) async fn keep(&self, connection: &mut SqliteConnection, id: &SubmissionId) -> Result<(), AirlockError> {
        for (name, findings) in &self.by_file {
            let text = serde_json::to_string(findings)
                .map_err(|_| ApplyError::Corrupt { table: "submission_file", field: "findings" })?;
            sqlx::query("UPDATE submission_file SET findings = ? WHERE submission = ? AND name = ?")
                .bind(text)
                .bind(id.to_string())
                .bind(name)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

impl Airlock {
    /// Runs all checks. Waits for a place.
    pub(super) async fn found(
        &self,
        record: &SubmissionRecord,
        files: &[FileRecord],
        now: DateTime<Utc>,
    ) -> Result<Found, AirlockError> {
        let _place = self.place().await?;
        let others = {
            let mut connection = self.pool.acquire().await?;
            Others::of(&mut connection, record).await?
        };
        let mut contents = Vec::new();
        for file in files {
            contents.push((file.name.clone(), file.kind, self.frozen(&record.id, file).await?));
        }
        let least = self.applications.least(record.project(), now.date_naive()).await?;
        self.applied(&record.id, &Applied::checked(least)).await?;
        let submission = record.submission.clone();
        let (mut by_file, mut beside) = blocking(move || {
            let checked: Vec<Checked<'_>> = contents
                .iter()
                .filter_map(|(name, kind, bytes)| Some(Checked { output: submission.file(name)?, kind: *kind, bytes }))
                .collect();
            let leaving = checked.iter().filter(|file| !file.output.inside);
            let tables =
                leaving.filter_map(|file| Some((file.output.clone(), table::read(file.kind, file.bytes).ok()?)));
            let beside = Beside::new(tables.collect(), least);
            (check::run(&submission, &checked, &[], least), beside)
        })
        .await?;
        let compared: &[_] = if beside.is_empty() { &[] } else { &others.0 };
        for (id, how) in compared {
            beside = self.seen(beside, id, *how).await?;
        }
        for (name, found) in beside.found() {
            by_file.entry(name).or_default().extend(found);
        }
        Ok(Found { by_file, beside: others })
    }

    /// Compares with the tables of one other submission, one after the other.
    async fn seen(&self, mut beside: Beside, id: &SubmissionId, how: How) -> Result<Beside, AirlockError> {
        let submission = self.get(id).await?.submission;
        for file in self.files(id).await? {
            let Some(output) = submission.file(&file.name).filter(|output| !output.inside).cloned() else { continue };
            if !file.kind.is_table() {
                continue;
            }
            let bytes = match self.frozen(id, &file).await {
                // Taken back at this moment: whoever asks finds other others.
                Err(AirlockError::Vault(error)) if how == How::Standing && error.is_missing() => continue,
                bytes => bytes?,
            };
            let label = format!("'{}' of {id}", file.name);
            beside = blocking(move || {
                if let Ok(table) = table::read(file.kind, &bytes) {
                    beside.see(&Earlier { label, output, table }, how);
                }
                beside
            })
            .await?;
        }
        Ok(beside)
    }
}

/// Others of the project moved whenever the checks had run.
pub(super) fn moving() -> AirlockError {
    AirlockError::Conflict(
        "others of the project are sent or leave at this moment, and this one is compared with them: try again"
            .to_owned(),
    )
}
