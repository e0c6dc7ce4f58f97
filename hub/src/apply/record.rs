//! Rows of the database as values.

use super::ApplyError;
use crate::decide::{Deadlines, PartState, State};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use policies::application::{Application, Part};
use proto::ids::{ApplicationId, ControllerId, PartId, ProjectId, UserId};
use sqlx::{Row as _, sqlite::SqliteRow};
use std::str::FromStr;

/// A moment as it stands in the database: RFC 3339, UTC, milliseconds; sorts as text.
pub(crate) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A row whose errors name table and column.
pub(crate) struct Row<'a> {
    row: &'a SqliteRow,
    table: &'static str,
}

impl<'a> Row<'a> {
    pub(crate) fn of(row: &'a SqliteRow, table: &'static str) -> Self {
        Self { row, table }
    }

    pub(crate) fn corrupt(&self, field: &'static str) -> ApplyError {
        ApplyError::Corrupt { table: self.table, field }
    }

    pub(crate) fn text(&self, field: &'static str) -> Result<String, ApplyError> {
        Ok(self.row.try_get(field)?)
    }

    pub(crate) fn maybe(&self, field: &'static str) -> Result<Option<String>, ApplyError> {
        Ok(self.row.try_get(field)?)
    }

    pub(crate) fn number(&self, field: &'static str) -> Result<i64, ApplyError> {
        Ok(self.row.try_get(field)?)
    }

    pub(crate) fn parse<T: FromStr>(&self, field: &'static str) -> Result<T, ApplyError> {
        self.text(field)?.parse().map_err(|_| self.corrupt(field))
    }

    pub(crate) fn parse_maybe<T: FromStr>(&self, field: &'static str) -> Result<Option<T>, ApplyError> {
        self.maybe(field)?.map(|text| text.parse().map_err(|_| self.corrupt(field))).transpose()
    }

    pub(crate) fn time(&self, field: &'static str) -> Result<DateTime<Utc>, ApplyError> {
        self.parse(field)
    }

    pub(crate) fn time_maybe(&self, field: &'static str) -> Result<Option<DateTime<Utc>>, ApplyError> {
        self.parse_maybe(field)
    }
}

/// One application as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// its id
    pub id: ApplicationId,
    /// from 1; an amendment has the next one
    pub number: i64,
    /// how far it is
    pub state: State,
    /// what is asked
    pub application: Application,
    /// SHA-256 of it
    pub digest: String,
    /// who handed it in
    pub submitted_by: UserId,
    /// who vouches for that person; none with a personal access token
    pub issuer: Option<String>,
    /// when
    pub submitted_at: DateTime<Utc>,
    /// since when nothing is missing
    pub complete_at: Option<DateTime<Utc>>,
    /// when the time for the decision was lengthened
    pub extended_at: Option<DateTime<Utc>>,
    /// when the last part was decided
    pub decided_at: Option<DateTime<Utc>>,
    /// last day for the applicant's answer
    pub answer_by: Option<NaiveDate>,
    /// whether the decision is late
    pub overdue: bool,
    /// whether it ended because the applicant did not answer
    pub lapsed: bool,
    /// counts changes
    pub revision: i64,
}

impl Record {
    pub(crate) fn read(row: &SqliteRow) -> Result<Self, ApplyError> {
        let row = Row::of(row, "application");
        Ok(Self {
            id: row.parse("id")?,
            number: row.number("number")?,
            state: State::named(&row.text("state")?).ok_or_else(|| row.corrupt("state"))?,
            application: serde_json::from_str(&row.text("content")?).map_err(|_| row.corrupt("content"))?,
            digest: row.text("digest")?,
            submitted_by: row.parse("submitted_by")?,
            issuer: row.maybe("issuer")?,
            submitted_at: row.time("submitted_at")?,
            complete_at: row.time_maybe("complete_at")?,
            extended_at: row.time_maybe("extended_at")?,
            decided_at: row.time_maybe("decided_at")?,
            answer_by: row.parse_maybe("answer_by")?,
            overdue: row.number("overdue")? != 0,
            lapsed: row.number("lapsed")? != 0,
            revision: row.number("revision")?,
        })
    }

    /// Of which project.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.application.project
    }

    /// The days that count.
    #[must_use]
    pub fn deadlines(&self) -> Deadlines {
        Deadlines::of(&self.application, self.complete_at, self.extended_at.is_some(), self.decided_at, self.answer_by)
    }

    /// Everybody whose application it is: who handed it in, and the users it names.
    #[must_use]
    pub fn owners(&self) -> Vec<(UserId, Option<String>)> {
        let mut all = vec![(self.submitted_by.clone(), self.issuer.clone())];
        all.extend(self.application.users.iter().map(|u| (u.user.clone(), Some(u.issuer.clone()))));
        all
    }
}

/// One part as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct PartRecord {
    /// its id
    pub id: PartId,
    /// of which application
    pub application: ApplicationId,
    /// whose
    pub controller: ControllerId,
    /// how far it is
    pub state: PartState,
    /// what is asked
    pub part: Part,
    /// when the spoke took it
    pub delivered_at: Option<DateTime<Utc>>,
    /// when it was decided
    pub decided_at: Option<DateTime<Utc>>,
    /// why it could not be delivered yet
    pub trouble: Option<String>,
}

impl PartRecord {
    pub(crate) fn read(row: &SqliteRow) -> Result<Self, ApplyError> {
        let row = Row::of(row, "part");
        Ok(Self {
            id: row.parse("id")?,
            application: row.parse("application")?,
            controller: row.parse("controller")?,
            state: PartState::named(&row.text("state")?).ok_or_else(|| row.corrupt("state"))?,
            part: serde_json::from_str(&row.text("content")?).map_err(|_| row.corrupt("content"))?,
            delivered_at: row.time_maybe("delivered_at")?,
            decided_at: row.time_maybe("decided_at")?,
            trouble: row.maybe("trouble")?,
        })
    }
}

/// A question to the applicant.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Question {
    /// its number
    pub id: i64,
    /// about which field
    pub field: String,
    /// what is asked
    pub text: String,
    /// by whom
    pub asked_by: String,
    /// when
    pub asked_at: DateTime<Utc>,
    /// what was answered
    pub answer: Option<String>,
    /// when
    pub answered_at: Option<DateTime<Utc>>,
}

impl Question {
    pub(crate) fn read(row: &SqliteRow) -> Result<Self, ApplyError> {
        let row = Row::of(row, "question");
        Ok(Self {
            id: row.number("id")?,
            field: row.text("field")?,
            text: row.text("text")?,
            asked_by: row.text("asked_by")?,
            asked_at: row.time("asked_at")?,
            answer: row.maybe("answer")?,
            answered_at: row.time_maybe("answered_at")?,
        })
    }
}
