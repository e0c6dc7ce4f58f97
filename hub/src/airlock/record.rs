//! Rows of the database as values.

use super::{Finding, Kind};
use crate::apply::{ApplyError, Row};
use chrono::{DateTime, Utc};
use policies::airlock::{Review, State, Submission};
use proto::ids::{OrganisationId, ProjectId, SubmissionId, UserId};
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeMap;

/// One submission as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmissionRecord {
    /// its id
    pub id: SubmissionId,
    /// how far it is
    pub state: State,
    /// what it is
    pub submission: Submission,
    /// who handed it in
    pub submitted_by: UserId,
    /// who vouches for that person
    pub issuer: String,
    /// versions of the tables when it was sent, by `controller.table`
    pub snapshots: BTreeMap<String, i64>,
    /// whether the platform has computed it itself, so that no people reviewed it
    pub computed: bool,
    /// when it was begun
    pub begun_at: DateTime<Utc>,
    /// when a file was added, it was checked, or it moved otherwise; the last of these
    pub changed_at: DateTime<Utc>,
    /// when it went to the checkers
    pub sent_at: Option<DateTime<Utc>>,
    /// when they were done
    pub decided_at: Option<DateTime<Utc>>,
    /// when it left
    pub released_at: Option<DateTime<Utc>>,
}

impl SubmissionRecord {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, ApplyError> {
        let row = Row::of(row, "submission");
        Ok(Self {
            id: row.parse("id")?,
            state: State::named(&row.text("state")?).ok_or_else(|| row.corrupt("state"))?,
            submission: serde_json::from_str(&row.text("content")?).map_err(|_| row.corrupt("content"))?,
            submitted_by: row.parse("submitted_by")?,
            issuer: row.text("issuer")?,
            snapshots: serde_json::from_str(&row.text("snapshots")?).map_err(|_| row.corrupt("snapshots"))?,
            computed: row.number("computed")? != 0,
            begun_at: row.time("begun_at")?,
            changed_at: row.time("changed_at")?,
            sent_at: row.time_maybe("sent_at")?,
            decided_at: row.time_maybe("decided_at")?,
            released_at: row.time_maybe("released_at")?,
        })
    }

    /// Of which project.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.submission.project
    }
}

/// One frozen file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRecord {
    /// its name
    pub name: String,
    /// what it is
    pub kind: Kind,
    /// its length
    pub bytes: u64,
    /// its SHA-256, hex
    pub sha256: String,
    /// what the automatic checks found
    pub findings: Vec<Finding>,
}

impl FileRecord {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, ApplyError> {
        let row = Row::of(row, "submission_file");
        Ok(Self {
            name: row.text("name")?,
            kind: Kind::named(&row.text("kind")?).ok_or_else(|| row.corrupt("kind"))?,
            bytes: u64::try_from(row.number("bytes")?).map_err(|_| row.corrupt("bytes"))?,
            sha256: row.text("sha256")?,
            findings: serde_json::from_str(&row.text("findings")?).map_err(|_| row.corrupt("findings"))?,
        })
    }
}

/// One organisation's review.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewRecord {
    /// whose
    pub organisation: OrganisationId,
    /// what was said
    pub review: Review,
    /// when
    pub at: DateTime<Utc>,
}

impl ReviewRecord {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, ApplyError> {
        let row = Row::of(row, "submission_review");
        Ok(Self {
            organisation: row.parse("organisation")?,
            review: serde_json::from_str(&row.text("content")?).map_err(|_| row.corrupt("content"))?,
            at: row.time("at")?,
        })
    }
}
