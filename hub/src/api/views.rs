//! What the API sends and takes.

use crate::{
    apply::{EventRecord, PartRecord, PermitRecord, Published, PublishedRefusal, Record},
    decide::{Deadlines, PartState, PermitState, State},
};
use chrono::{DateTime, NaiveDate, Utc};
use policies::application::{Change, Form, Part};
use proto::ids::PartId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationView {
    /// its id
    pub id: String,
    /// the project
    pub project: String,
    /// from 1; amendments follow
    pub number: i64,
    /// how far it is
    pub state: State,
    /// what is asked
    pub application: Form,
    /// SHA-256 of what is asked
    pub digest: String,
    /// who handed it in
    pub submitted_by: String,
    /// when
    pub submitted_at: DateTime<Utc>,
    /// since when nothing is missing
    pub complete_at: Option<DateTime<Utc>>,
    /// when the last part was decided
    pub decided_at: Option<DateTime<Utc>>,
    /// whether the deadline was extended
    pub extended: bool,
    /// whether the decision is late
    pub overdue: bool,
    /// whether it ended because the applicant did not answer
    pub lapsed: bool,
    /// the days that count
    pub deadlines: Deadlines,
}

impl From<&Record> for ApplicationView {
    fn from(of: &Record) -> Self {
        Self {
            id: of.id.to_string(),
            project: of.project().to_string(),
            number: of.number,
            state: of.state,
            application: Form::from(&of.application),
            digest: of.digest.clone(),
            submitted_by: of.submitted_by.to_string(),
            submitted_at: of.submitted_at,
            complete_at: of.complete_at,
            decided_at: of.decided_at,
            extended: of.extended_at.is_some(),
            overdue: of.overdue,
            lapsed: of.lapsed,
            deadlines: of.deadlines(),
        }
    }
}

/// One controller's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartView {
    /// its id
    pub id: String,
    /// whose
    pub controller: String,
    /// how far it is
    pub state: PartState,
    /// when the spoke took it
    pub delivered_at: Option<DateTime<Utc>>,
    /// when it was decided
    pub decided_at: Option<DateTime<Utc>>,
    /// last day for the decision
    #[schema(value_type = Option<String>, format = Date)]
    pub decide_by: Option<NaiveDate>,
    /// why it could not be delivered yet
    pub trouble: Option<String>,
    /// why it was granted or refused, in the controller's words
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// of an amendment: what would change for this controller
    pub changes: Vec<Change>,
    /// the permit that would be replaced
    pub replaces: Option<String>,
}

impl PartView {
    /// A part, with the controllers' reasons by part.
    pub(super) fn of(of: &PartRecord, reasons: &BTreeMap<PartId, String>) -> Self {
        Self {
            id: of.id.to_string(),
            controller: of.controller.to_string(),
            state: of.state,
            delivered_at: of.delivered_at,
            decided_at: of.decided_at,
            decide_by: of.part.decide_by,
            trouble: of.trouble.clone(),
            reason: reasons.get(&of.id).cloned(),
            changes: of.part.changes.clone(),
            replaces: of.part.replaces.map(|permit| permit.to_string()),
        }
    }
}

/// What a controller would be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AmendmentView {
    /// whom
    pub controller: String,
    /// what would change for it; empty for a controller that has given nothing yet
    pub changes: Vec<Change>,
}

impl From<&Part> for AmendmentView {
    fn from(part: &Part) -> Self {
        Self { controller: part.controller.to_string(), changes: part.changes.clone() }
    }
}

/// A form without problems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    /// SHA-256 of what would be asked
    pub digest: String,
    /// who would be asked
    pub asked: Vec<AmendmentView>,
}

/// A page of applications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationList {
    /// in the order of their ids
    pub items: Vec<ApplicationView>,
    /// `after` of the next page, if there may be one
    pub next: Option<String>,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// oldest first
    pub items: Vec<EventRecord>,
    /// `after` of the next page, if there may be one
    pub next: Option<String>,
}

/// A permit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PermitView {
    /// its id
    pub id: String,
    /// who gave it
    pub controller: String,
    /// the project
    pub project: String,
    /// the project's name
    pub title: String,
    /// how far it is
    pub state: PermitState,
    /// first day
    #[schema(value_type = String, format = Date)]
    pub valid_from: NaiveDate,
    /// last day
    #[schema(value_type = String, format = Date)]
    pub valid_to: NaiveDate,
    /// the purpose, in words
    pub purpose: String,
    /// tables granted
    pub tables: Vec<String>,
    /// why it was given
    pub reason: String,
    /// when
    pub decided_at: DateTime<Utc>,
    /// as it was signed (compact JWS); for members alone
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

impl From<&PermitRecord> for PermitView {
    fn from(of: &PermitRecord) -> Self {
        let permit = &of.permit;
        Self {
            id: permit.id.to_string(),
            controller: permit.controller.to_string(),
            project: permit.project.to_string(),
            title: permit.title.clone(),
            state: of.state,
            valid_from: permit.valid_from,
            valid_to: permit.valid_to,
            purpose: permit.purpose.ehds.to_string(),
            tables: permit.tables.iter().map(|table| table.name.to_string()).collect(),
            reason: permit.reason.clone(),
            decided_at: permit.decided_at,
            statement: None,
        }
    }
}

/// A page of permits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PermitList {
    /// in the order of their ids
    pub items: Vec<PermitView>,
    /// `after` of the next page, if there may be one
    pub next: Option<String>,
}

/// A page of published applications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublishedList {
    /// in the order of their ids
    pub items: Vec<Published>,
    /// `after` of the next page, if there may be one
    pub next: Option<String>,
}

/// A page of refusals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusalList {
    /// in the order of their parts' ids
    pub items: Vec<PublishedRefusal>,
    /// `after` of the next page, if there may be one
    pub next: Option<String>,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceView {
    /// the project; the catalog's name in SQL
    pub project: String,
    /// its name
    pub title: String,
    /// id of its newest application that was not withdrawn
    pub application: String,
    /// `preparing`, `open` or `closed`
    pub state: String,
    /// why it isn't open
    pub reason: String,
    /// when it was first open
    pub opened_at: Option<DateTime<Utc>>,
    /// each controller's part that counts now
    pub parts: Vec<PartView>,
}

/// A longer time for the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// why
    pub reason: String,
}

/// A question to the applicant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// about which field
    pub field: String,
    /// what is asked
    pub text: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// what is answered
    pub text: String,
}

/// A new token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// how long it is good
    pub days: u32,
    /// the only project that it is good for
    #[serde(default)]
    pub project: Option<String>,
}

/// A token just made.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewTokenView {
    /// its id
    pub id: String,
    /// the token itself; shown this once
    pub token: String,
    /// until when it is good
    pub expires_at: DateTime<Utc>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// its id
    pub id: String,
    /// the only project that it is good for
    pub project: Option<String>,
    /// when it was made
    pub created_at: DateTime<Utc>,
    /// until when it is good
    pub expires_at: DateTime<Utc>,
    /// whether it was taken back
    pub revoked: bool,
}

/// A controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ControllerView {
    /// its id
    pub controller: String,
    /// fingerprints of its approvers' keys
    pub approvers: Vec<String>,
}
