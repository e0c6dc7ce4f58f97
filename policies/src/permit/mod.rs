//! The data permit: what one controller lets one project do, signed by that controller's approver.
//!
//! A permit is a JWS over the exact bytes of its JSON form ([`SignedPermit`]). The controller's own spoke believes only
//! its own approvers' keys; the hub keeps permits to know what to ask for, and can't change a byte.
//!
//! INVARIANT: a [`Permit`] is read from verified bytes, field by field, with nothing unknown in it.

mod blind;
mod check;
mod quick;
mod revocation;

pub use blind::Blind;
pub use check::PermitProblem;
pub use quick::{CountedTable, Quick, QuickDecision, QuickForm};
pub use revocation::{Refusal, Revocation};

use crate::{grant::TableGrant, purpose::Purpose, zone::Zone};
use chrono::{DateTime, NaiveDate, Utc};
use proto::ids::{ControllerId, PartId, PermitId, ProjectId, TableName, UserId};
use runtime::sign::{SigningKey, StatementError, VerifyingKey};

/// The only version of the form so far.
pub const VERSION: u32 = 1;
/// JWS type of a permit.
pub const PERMIT: &str = "eger-permit+jws";
/// JWS type of a refusal of a part.
pub const REFUSAL: &str = "eger-refusal+jws";
/// JWS type of a revocation of a permit.
pub const REVOCATION: &str = "eger-revocation+jws";

/// What leaves the controller, and how far it gets. `SpokeAggregates < HubAggregates < EnclaveRows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// only cells that the spoke itself has checked
    SpokeAggregates,
    /// pseudonymised rows reach the hub's memory; only released results leave it
    HubAggregates,
    /// people named in the permit see pseudonymised rows inside the secure processing environment
    EnclaveRows,
}

impl Output {
    /// The most that may be shown.
    #[must_use]
    pub fn zone(self) -> Zone {
        match self {
            Self::SpokeAggregates | Self::HubAggregates => Zone::Open,
            Self::EnclaveRows => Zone::Enclave,
        }
    }
}

/// One controller of the project, with the keys that its spoke must prove: controllers exchange them themselves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// whose spoke
    pub controller: ControllerId,
    /// fingerprint of the spoke's HPKE key, to which project keys are sealed
    pub sealing: String,
    /// fingerprint of the spoke's signing identity
    pub signing: String,
}

/// One person who may ask.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// the internal person id that the issuer's claims map to
    pub user: UserId,
    /// who vouches for the person: the issuer's URL, exactly
    pub issuer: String,
}

/// The most that may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// rows in one answer
    pub rows: u64,
    /// bytes in one answer, in memory form
    pub bytes: u64,
    /// questions in one day (UTC), over all users
    pub queries_per_day: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self { rows: 100_000_000, bytes: 16 << 30, queries_per_day: 10_000 }
    }
}

/// A permit's content.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// of the form: 1
    pub version: u32,
    /// its own id
    pub id: PermitId,
    /// whose data
    pub controller: ControllerId,
    /// for which project
    pub project: ProjectId,
    /// the project's name for people
    pub title: String,
    /// the part of the application that was decided on
    pub part: PartId,
    /// the permit that this one takes the place of
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<PermitId>,
    /// what for
    pub purpose: Purpose,
    /// all controllers of the project; this one too
    pub members: Vec<Member>,
    /// whose spoke makes the project's key
    pub lead: ControllerId,
    /// whose spoke makes it when the lead's is away
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy: Option<ControllerId>,
    /// who may ask
    pub users: Vec<User>,
    /// what may be read
    pub tables: Vec<TableGrant>,
    /// what leaves
    pub output: Output,
    /// the most that may be asked
    #[serde(default)]
    pub caps: Caps,
    /// first day (UTC) on which questions are answered
    pub valid_from: NaiveDate,
    /// last day on which questions are answered
    pub valid_to: NaiveDate,
    /// controllers that may learn which people are in a cohort (key lists that go to their spokes)
    #[serde(default)]
    pub key_lists_to: Vec<ControllerId>,
    /// opt-outs up to this version of the controller's list are left out
    #[serde(default)]
    pub opt_out_version: u64,
    /// each question must carry the user's own signature over it
    #[serde(default)]
    pub client_signature: bool,
    /// smallest group that may be shown, when larger than the platform's
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// nothing leaves but this controller's share of totals over these members
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Blind>,
    /// a standing permit to count people without a project, and what by
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick: Option<Quick>,
    /// who decided, for people
    pub approver: String,
    /// why
    pub reason: String,
    /// when
    pub decided_at: DateTime<Utc>,
}

/// No permit covers the question: unknown project, other user, wrong zone, not the time. One sentence for all, so that a
/// caller can't find out which projects exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such project for this user here, or its time is over")]
pub struct Denied;

/// Why a text is no permit that counts here.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PermitError {
    /// Not signed by a trusted approver, or changed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Signed, but a field is unknown, missing or of another form.
    #[error("the permit can't be read: {0}")]
    Form(String),
    /// The fields contradict one another, or promise what can't be.
    #[error(transparent)]
    Problem(#[from] PermitProblem),
}

/// A permit together with the exact bytes that were signed.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedPermit {
    compact: String,
    permit: Permit,
    signer: VerifyingKey,
}

impl SignedPermit {
    /// Signs a permit.
    ///
    /// # Errors
    /// When its fields contradict one another.
    pub fn sign(permit: Permit, key: &SigningKey) -> Result<Self, PermitError> {
        permit.check()?;
        let payload = serde_json::to_vec(&permit).map_err(|e| PermitError::Form(e.to_string()))?;
        Ok(Self { compact: key.sign(PERMIT, &payload), permit, signer: key.public() })
    }

    /// Reads a permit that one of `trusted` signed.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn verify<'a>(compact: &str, trusted: impl IntoIterator<Item = &'a VerifyingKey>) -> Result<Self, PermitError> {
        let statement = runtime::sign::verify(compact, PERMIT, trusted)?;
        let permit: Permit =
            serde_json::from_slice(&statement.payload).map_err(|e| PermitError::Form(e.to_string()))?;
        permit.check()?;
        Ok(Self { compact: compact.to_owned(), permit, signer: statement.signer })
    }

    /// The signed text.
    #[must_use]
    pub fn compact(&self) -> &str {
        &self.compact
    }

    /// The content.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Who signed.
    #[must_use]
    pub fn signer(&self) -> &VerifyingKey {
        &self.signer
    }
}

impl Permit {
    /// The part about `table`.
    #[must_use]
    pub fn table(&self, table: &TableName) -> Option<&TableGrant> {
        self.tables.iter().find(|granted| granted.name == *table)
    }

    /// The project's controller `controller`, with its keys.
    #[must_use]
    pub fn member(&self, controller: &ControllerId) -> Option<&Member> {
        self.members.iter().find(|member| member.controller == *controller)
    }

    /// Whether `user`, for whom `issuer` vouches, may ask.
    #[must_use]
    pub fn names(&self, user: &UserId, issuer: &str) -> bool {
        self.users.iter().any(|named| named.user == *user && named.issuer == issuer)
    }

    /// Whether questions are answered on the day `today` (UTC).
    #[must_use]
    pub fn valid_on(&self, today: NaiveDate) -> bool {
        (self.valid_from..=self.valid_to).contains(&today)
    }

    /// Whether key lists about this controller's people may go to `receiver`.
    #[must_use]
    pub fn key_lists_may_go_to(&self, receiver: &ControllerId) -> bool {
        *receiver == self.controller || self.key_lists_to.contains(receiver)
    }
}

#[cfg(test)]
pub(crate) mod tests;
