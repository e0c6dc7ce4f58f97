//! What members of a project sign about its key: that they accept one another ([`Acceptance`]), and which key counts from
//! when on ([`EpochRecord`]).
//!
//! Both carry the signer's full public keys. Whose they are is decided by the fingerprints in the reader's own permit.
//!
//! INVARIANT: nothing but the reader's own permit says whose signature counts; what the hub presents is compared with it.

use crate::permit::{Member, Permit};
use chrono::{DateTime, Duration, Utc};
use proto::ids::{ControllerId, PermitId, ProjectId};
use runtime::sign::{self, SigningKey, StatementError, VerifyingKey};
use std::collections::BTreeMap;

/// JWS type of an acceptance.
pub const ACCEPTANCE: &str = "eger-acceptance+jws";
/// JWS type of the record of an epoch.
pub const EPOCH: &str = "eger-epoch+jws";
/// An acceptance counts this long.
pub const FRESH: Duration = Duration::hours(24);
/// Clocks of two parties may differ by so much.
const SKEW: Duration = Duration::minutes(5);

/// A spoke's word that it has a live permit for a project and with whom it shares the project's key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// which project
    pub project: ProjectId,
    /// whose spoke says so
    pub controller: ControllerId,
    /// under which permit
    pub permit: PermitId,
    /// all members that this permit names, by controller
    pub members: Vec<Member>,
    /// who makes the key, says this permit
    pub lead: ControllerId,
    /// who makes it when the lead is away
    pub deputy: Option<ControllerId>,
    /// the spoke's public HPKE key, hex
    pub sealing: String,
    /// the spoke's public signing key
    pub signing: VerifyingKey,
    /// the key that it holds now
    pub holds: Option<Holds>,
    /// when
    pub at: DateTime<Utc>,
}

/// Which key a spoke holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// of which epoch
    pub epoch: u32,
    /// public id of the key
    pub key_id: String,
}

/// One epoch of a project's key, by the spoke that made it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// which project
    pub project: ProjectId,
    /// from 1; epochs only grow
    pub epoch: u32,
    /// public id of the key
    pub key_id: String,
    /// who has it, by controller; the maker too
    pub members: Vec<Member>,
    /// who made it: the lead or the deputy
    pub lead: ControllerId,
    /// the maker's public HPKE key, hex
    pub sealing: String,
    /// the maker's public signing key
    pub signing: VerifyingKey,
    /// when
    pub at: DateTime<Utc>,
}

/// Why an acceptance or a record is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// Not signed, or changed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Signed, but a field is unknown, missing or of another form.
    #[error("it can't be read: {0}")]
    Form(String),
    /// Of another project.
    #[error("it is of project '{found}', not of '{expected}'")]
    Project {
        /// which it is
        found: ProjectId,
        /// which is meant
        expected: ProjectId,
    },
    /// The own permit doesn't name that controller, or not in that part.
    #[error("this controller's own permit does not name '{0}' as {1}")]
    Stranger(ControllerId, &'static str),
    /// The keys are not those of the permit.
    #[error(
        "the {key} key that came for '{controller}' has fingerprint {found}, this controller's permit says {expected}. \
         Somebody between presents another key, or that controller changed its keys: ask it, not the hub"
    )]
    Fingerprint {
        /// whose
        controller: ControllerId,
        /// sealing or signing
        key: &'static str,
        /// what came
        found: String,
        /// what was signed
        expected: String,
    },
    /// Too old, or from a clock that is ahead.
    #[error("'{controller}' signed it at {at}, which is not within the last 24 hours. Check both clocks")]
    Stale {
        /// whose
        controller: ControllerId,
        /// when it says it was signed
        at: DateTime<Utc>,
    },
    /// The own permit and the statement disagree about somebody.
    #[error(
        "it names '{0}', whom this controller's own permit does not name so: the members were told different things"
    )]
    Disagree(ControllerId),
    /// The own permit names another lead or deputy.
    #[error("'{0}' was told of another lead or deputy than this controller's permit names")]
    Lead(ControllerId),
    /// This spoke gets nothing by it.
    #[error("it does not name this spoke as a member")]
    NotMember,
}

impl Acceptance {
    /// Signs it with the spoke's signing key.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn sign(&self, key: &SigningKey) -> Result<String, EpochError> {
        signed(self, ACCEPTANCE, key)
    }

    /// What a text claims to say. Nothing is verified; for whoever only passes it on.
    #[must_use]
    pub fn claimed(compact: &str) -> Option<Self> {
        serde_json::from_slice(&sign::claimed_payload(compact)?).ok()
    }

    /// Reads an acceptance as the holder of `own`: signed by the key that `own` names for that controller, with the
    /// sealing key that `own` names, of the same project, fresh at `now`, and naming nobody whom `own` doesn't.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn verify(compact: &str, own: &Permit, now: DateTime<Utc>) -> Result<Self, EpochError> {
        let claimed = Self::claimed(compact).ok_or(StatementError::Malformed)?;
        let member = own
            .member(&claimed.controller)
            .ok_or_else(|| EpochError::Stranger(claimed.controller.clone(), "a member"))?;
        let acceptance: Self = read(compact, ACCEPTANCE, &claimed.signing, &claimed.sealing, member)?;
        same_project(&acceptance.project, &own.project)?;
        if acceptance.at > now + SKEW || acceptance.at < now - FRESH {
            return Err(EpochError::Stale { controller: acceptance.controller, at: acceptance.at });
        }
        known(&acceptance.members, own)?;
        if acceptance.lead != own.lead || acceptance.deputy != own.deputy {
            return Err(EpochError::Lead(acceptance.controller));
        }
        Ok(acceptance)
    }

    /// Whether it names this member, with just these keys.
    #[must_use]
    pub fn lists(&self, member: &Member) -> bool {
        self.members.contains(member)
    }
}

impl EpochRecord {
    /// Signs it with the maker's signing key.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn sign(&self, key: &SigningKey) -> Result<String, EpochError> {
        signed(self, EPOCH, key)
    }

    /// What a text claims to say. Nothing is verified; for whoever only passes it on.
    #[must_use]
    pub fn claimed(compact: &str) -> Option<Self> {
        serde_json::from_slice(&sign::claimed_payload(compact)?).ok()
    }

    /// Reads a record as the holder of `own`: signed by the lead or deputy that `own` names, of the same project,
    /// naming this spoke and nobody whom `own` doesn't.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn verify(compact: &str, own: &Permit) -> Result<Self, EpochError> {
        let claimed = Self::claimed(compact).ok_or(StatementError::Malformed)?;
        let stranger = || EpochError::Stranger(claimed.lead.clone(), "its lead or deputy");
        if claimed.lead != own.lead && own.deputy.as_ref() != Some(&claimed.lead) {
            return Err(stranger());
        }
        let maker = own.member(&claimed.lead).ok_or_else(stranger)?;
        let record: Self = read(compact, EPOCH, &claimed.signing, &claimed.sealing, maker)?;
        same_project(&record.project, &own.project)?;
        known(&record.members, own)?;
        let me = own.member(&own.controller).ok_or(EpochError::NotMember)?;
        if !record.members.contains(me) {
            return Err(EpochError::NotMember);
        }
        Ok(record)
    }
}

fn signed(statement: &impl serde::Serialize, typ: &str, key: &SigningKey) -> Result<String, EpochError> {
    let payload = serde_json::to_vec(statement).map_err(|e| EpochError::Form(e.to_string()))?;
    Ok(key.sign(typ, &payload))
}

/// The statement, when `signing` signed it and both keys have `member`'s fingerprints.
fn read<T: serde::de::DeserializeOwned>(
    compact: &str,
    typ: &str,
    signing: &VerifyingKey,
    sealing: &str,
    member: &Member,
) -> Result<T, EpochError> {
    let sealing = hex::decode(sealing).map_err(|_| EpochError::Form("the sealing key is no hex text".to_owned()))?;
    for (key, found, expected) in
        [("signing", signing.fingerprint(), &member.signing), ("sealing", sign::fingerprint(&sealing), &member.sealing)]
    {
        if found != *expected {
            let expected = expected.clone();
            return Err(EpochError::Fingerprint { controller: member.controller.clone(), key, found, expected });
        }
    }
    let statement = sign::verify(compact, typ, [signing])?;
    serde_json::from_slice(&statement.payload).map_err(|e| EpochError::Form(e.to_string()))
}

fn same_project(found: &ProjectId, expected: &ProjectId) -> Result<(), EpochError> {
    if found == expected {
        Ok(())
    } else {
        Err(EpochError::Project { found: found.clone(), expected: expected.clone() })
    }
}

/// Everybody in `members` stands in `own` with the same keys, and once.
fn known(members: &[Member], own: &Permit) -> Result<(), EpochError> {
    let mut seen = BTreeMap::new();
    for member in members {
        if seen.insert(&member.controller, ()).is_some() || own.member(&member.controller) != Some(member) {
            return Err(EpochError::Disagree(member.controller.clone()));
        }
    }
    Ok(())
}
