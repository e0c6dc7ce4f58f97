//! How a controller says no: to a part of an application, and to a permit that it gave.

use super::{PermitError, REFUSAL, REVOCATION};
use chrono::{DateTime, Utc};
use proto::ids::{ControllerId, PartId, PermitId, ProjectId};
use runtime::sign::{SigningKey, VerifyingKey};

/// A controller's no to its part of an application (EHDS Article 57: with reasons).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// which part
    pub part: PartId,
    /// of which controller
    pub controller: ControllerId,
    /// of which project
    pub project: ProjectId,
    /// who decided, for people
    pub approver: String,
    /// why
    pub reason: String,
    /// when
    pub decided_at: DateTime<Utc>,
}

/// A permit ends, at once.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// which permit
    pub permit: PermitId,
    /// of which controller
    pub controller: ControllerId,
    /// of which project
    pub project: ProjectId,
    /// who decided, for people
    pub approver: String,
    /// why
    pub reason: String,
    /// when
    pub decided_at: DateTime<Utc>,
}

macro_rules! signed {
    ($name:ident, $typ:expr, $what:literal) => {
        impl $name {
            #[doc = concat!("Signs the ", $what, ".")]
            ///
            /// # Errors
            /// When it has no JSON form.
            pub fn sign(&self, key: &SigningKey) -> Result<String, PermitError> {
                let payload = serde_json::to_vec(self).map_err(|e| PermitError::Form(e.to_string()))?;
                Ok(key.sign($typ, &payload))
            }

            #[doc = concat!("Reads a ", $what, " that one of `trusted` signed.")]
            ///
            /// # Errors
            /// When it is anything else.
            pub fn verify<'a>(
                compact: &str,
                trusted: impl IntoIterator<Item = &'a VerifyingKey>,
            ) -> Result<Self, PermitError> {
                let statement = runtime::sign::verify(compact, $typ, trusted)?;
                serde_json::from_slice(&statement.payload).map_err(|e| PermitError::Form(e.to_string()))
            }
        }
    };
}

signed!(Refusal, REFUSAL, "refusal");
signed!(Revocation, REVOCATION, "revocation");
