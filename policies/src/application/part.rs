//! One controller's part of an application: everything that its approver decides on, and nothing of what is asked of
//! others beyond who they are.

use super::{Applicant, Change, Group, Terms};
use crate::{
    grant::TableGrant,
    permit::{Blind, Caps, Member, Output, Permit},
    purpose::Purpose,
};
use chrono::{DateTime, NaiveDate, Utc};
use proto::ids::{ControllerId, PartId, PermitId, ProjectId, TableName};

/// The longest part read, bytes.
pub const MAX_PART: usize = 1 << 20;
/// The only version of the form so far.
const VERSION: u32 = 1;

/// One column that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnAsked {
    /// which
    pub name: String,
    /// why it is needed
    pub reason: String,
}

/// One table that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableAsked {
    /// the published table
    pub name: TableName,
    /// its columns
    pub columns: Vec<ColumnAsked>,
    /// rows wanted: an SQL condition over the table's value columns
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_filter: Option<String>,
}

impl TableAsked {
    /// The table as a permit grants it.
    #[must_use]
    pub fn granted(&self) -> TableGrant {
        TableGrant {
            name: self.name.clone(),
            columns: self.columns.iter().map(|c| c.name.clone()).collect(),
            row_filter: self.row_filter.clone(),
        }
    }
}

/// What one controller decides on. It travels to the spoke as JSON.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// of the form: 1
    pub version: u32,
    /// its own id
    pub id: PartId,
    /// SHA-256 of the whole application, hex
    pub application: String,
    /// who decides
    pub controller: ControllerId,
    /// for which project
    pub project: ProjectId,
    /// the project's name for people
    pub title: String,
    /// who wants the data
    pub group: Group,
    /// who would ask
    pub users: Vec<Applicant>,
    /// what for
    pub purpose: Purpose,
    /// why anonymous data are not enough
    pub pseudonymised_because: String,
    /// whose data, in words
    pub population: String,
    /// what is wanted of this controller
    pub tables: Vec<TableAsked>,
    /// all controllers of the project, with their spokes' fingerprints
    pub members: Vec<Member>,
    /// whose spoke makes the project's key
    pub lead: ControllerId,
    /// whose spoke makes it when the lead's is away
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy: Option<ControllerId>,
    /// what would leave
    pub output: Output,
    /// the most that would be asked
    pub caps: Caps,
    /// each question carries the user's own signature
    #[serde(default)]
    pub client_signature: bool,
    /// first day
    pub valid_from: NaiveDate,
    /// last day
    pub valid_to: NaiveDate,
    /// whose spokes may learn which of this controller's people are in a cohort
    #[serde(default)]
    pub key_lists_to: Vec<ControllerId>,
    /// nothing would leave but shares of totals over these members
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Blind>,
    /// the permit that would be replaced; of an amendment
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<PermitId>,
    /// an earlier part, still undecided, that this one takes the place of
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<PartId>,
    /// of an amendment: what would change, in the hub's words. An approver is shown [`Part::changes_from`] of their own
    /// permit instead
    #[serde(default)]
    pub changes: Vec<Change>,
    /// when the application was complete
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_at: Option<DateTime<Utc>>,
    /// last day for the decision
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decide_by: Option<NaiveDate>,
}

/// What an approver adds to a part to make it a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// who decided, for people
    pub approver: String,
    /// why
    pub reason: String,
    /// when
    pub at: DateTime<Utc>,
    /// opt-outs up to this version of the controller's list are left out
    pub opt_out_version: u64,
    /// smallest group that may be shown, when larger than the platform's
    pub threshold: Option<u32>,
}

/// Bytes that are no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// Over the limit.
    #[error("the part is larger than {MAX_PART} bytes")]
    TooLarge,
    /// Not JSON, or a field is unknown, missing or of another form.
    #[error("the part can't be read: {0}")]
    Form(String),
    /// The fields contradict one another.
    #[error("the part, field {field}: {message}")]
    Field {
        /// which field
        field: String,
        /// what is wrong
        message: String,
    },
}

impl Part {
    pub(super) const VERSION: u32 = VERSION;

    /// Reads a part that came over a link.
    ///
    /// # Errors
    /// When it is too large, of another form, or could never become a permit.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PartError> {
        if bytes.len() > MAX_PART {
            return Err(PartError::TooLarge);
        }
        let part: Self = serde_json::from_slice(bytes).map_err(|e| PartError::Form(e.to_string()))?;
        part.check()?;
        Ok(part)
    }

    /// The part as it travels.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // A struct of texts, numbers and lists always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Checks that the part, granted as it is asked, would be a permit.
    ///
    /// # Errors
    /// The first field that can't be as it is.
    pub fn check(&self) -> Result<(), PartError> {
        if self.version != VERSION {
            return Err(PartError::Field {
                field: "version".to_owned(),
                message: format!("{} is not known here; this side reads version {VERSION}", self.version),
            });
        }
        let decision = Decision {
            approver: String::new(),
            reason: "as asked".to_owned(),
            at: DateTime::UNIX_EPOCH,
            opt_out_version: 0,
            threshold: None,
        };
        self.permit(decision).check().map_err(|p| PartError::Field { field: p.field, message: p.message })
    }

    /// The permit that grants exactly what is asked, with a new id. Whoever decides may narrow it before signing.
    #[must_use]
    pub fn permit(&self, decision: Decision) -> Permit {
        Permit {
            version: crate::permit::VERSION,
            id: PermitId::new(),
            controller: self.controller.clone(),
            project: self.project.clone(),
            title: self.title.clone(),
            part: self.id,
            replaces: self.replaces,
            purpose: self.purpose.clone(),
            members: self.members.clone(),
            lead: self.lead.clone(),
            deputy: self.deputy.clone(),
            users: self.users.iter().map(Applicant::permitted).collect(),
            tables: self.tables.iter().map(TableAsked::granted).collect(),
            output: self.output,
            caps: self.caps,
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            key_lists_to: self.key_lists_to.clone(),
            opt_out_version: decision.opt_out_version,
            client_signature: self.client_signature,
            threshold: decision.threshold,
            blind: self.blind.clone(),
            quick: None,
            approver: decision.approver,
            reason: decision.reason,
            decided_at: decision.at,
        }
    }

    /// What would be granted.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            title: self.title.clone(),
            purpose: self.purpose.clone(),
            members: self.members.clone(),
            lead: self.lead.clone(),
            deputy: self.deputy.clone(),
            users: self.users.iter().map(Applicant::permitted).collect(),
            tables: self.tables.iter().map(TableAsked::granted).collect(),
            output: self.output,
            caps: self.caps,
            client_signature: self.client_signature,
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            key_lists_to: self.key_lists_to.clone(),
            blind: self.blind.clone(),
        }
    }

    /// What would change against a permit that was granted, in words.
    #[must_use]
    pub fn changes_from(&self, granted: &Permit) -> Vec<Change> {
        super::difference(&Terms::from(granted), &self.terms())
    }
}
