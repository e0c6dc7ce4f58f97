//! What a spoke tells the custodian about its seed, signed and sealed.

use super::{MAX_MEMBERS, MAX_WORDS, MIN_MEMBERS, Of, Seed};
use crate::{
    ids::{ControllerId, ProjectId, QueryId, TableName},
    wire,
};
use chrono::{DateTime, Duration, Utc};
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// JWS type of a signed seed.
pub const SEED: &str = "eger-blind-seed+jws";
/// Bound into the seal's key schedule, so that nothing else sealed to the custodian opens as a seed.
pub const SEED_INFO: &[u8] = b"eger/blind-seed/v1";
/// The only version of the form so far.
const VERSION: u32 = 1;
/// A statement counts this long.
const FRESH: Duration = Duration::hours(1);
/// Clocks of two parties may differ by so much.
const SKEW: Duration = Duration::minutes(5);

/// A seed and all that it belongs to, by the spoke that made it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedStatement {
    /// of the form: 1
    pub version: u32,
    /// whose numbers its masks hide
    pub controller: ControllerId,
    /// which project, by this controller's own permit
    pub project: ProjectId,
    /// over whom the project's totals are, by this controller's own permit; ascending
    pub members: Vec<ControllerId>,
    /// the custodian's public sealing key, by this controller's own permit
    pub custodian: [u8; 32],
    /// which total
    pub total: QueryId,
    /// SHA-256 of the fragment that was answered
    pub fragment: [u8; 32],
    /// versions of the tables that were read
    pub snapshots: BTreeMap<TableName, i64>,
    /// how many words have masks
    pub words: u32,
    /// the seed
    pub seed: Seed,
    /// when
    pub at: DateTime<Utc>,
}

/// A statement that says what no spoke of this version says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementProblem {
    /// Another version.
    #[error("version {0} of a signed seed is not known here; this side reads version {VERSION}")]
    Version(u32),
    /// Not a set of so many.
    #[error("the members are {0}; a blind total needs {MIN_MEMBERS} to {MAX_MEMBERS} different ones, in order")]
    Members(usize),
    /// The signer isn't among them.
    #[error("'{0}' is not among the members that it names itself")]
    NoMember(ControllerId),
    /// None, or too many.
    #[error("the total has {0} words; 1 to {MAX_WORDS} are allowed")]
    Words(u32),
    /// Too old, or from a clock that is ahead.
    #[error(
        "'{controller}' signed its seed at {at}, which is not within the last hour. Ask again, and check both clocks"
    )]
    Stale {
        /// whose
        controller: ControllerId,
        /// when it says it was signed
        at: DateTime<Utc>,
    },
}

impl SeedStatement {
    /// A statement of this version.
    pub const VERSION: u32 = VERSION;

    /// What the seed's masks are for.
    #[must_use]
    pub fn of(&self) -> Of<'_> {
        Of { total: &self.total, fragment: &self.fragment }
    }

    /// Checks the fields that need nothing else to be compared with.
    ///
    /// # Errors
    /// The first that can't be as it is.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), StatementProblem> {
        if self.version != VERSION {
            return Err(StatementProblem::Version(self.version));
        }
        let ascending = self.members.windows(2).all(|pair| pair.first() < pair.last());
        if !ascending || !(MIN_MEMBERS..=MAX_MEMBERS).contains(&self.members.len()) {
            return Err(StatementProblem::Members(self.members.len()));
        }
        if !self.members.contains(&self.controller) {
            return Err(StatementProblem::NoMember(self.controller.clone()));
        }
        if self.words == 0 || self.words > u32::try_from(MAX_WORDS).unwrap_or(u32::MAX) {
            return Err(StatementProblem::Words(self.words));
        }
        if self.at > now + SKEW || self.at < now - FRESH {
            return Err(StatementProblem::Stale { controller: self.controller.clone(), at: self.at });
        }
        Ok(())
    }
}

/// SHA-256 of a fragment as it travels.
#[must_use]
pub fn fragment_digest(fragment: &wire::Fragment) -> [u8; 32] {
    Sha256::new_with_prefix(b"eger/blind-fragment/v1\0").chain_update(fragment.encode_to_vec()).finalize().into()
}
