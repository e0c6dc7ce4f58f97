//! What a controller signed, read with the keys of that controller's own approvers.
//!
//! INVARIANT: a statement counts for the controller whose spoke delivered it, and for no other; the keys tried are that
//! controller's alone.

use chrono::{DateTime, Utc};
use policies::permit::{Permit, PermitError, Refusal, Revocation, SignedPermit};
use proto::ids::{ControllerId, PartId, PermitId, ProjectId};
use runtime::sign::{StatementError, VerifyingKey};
use sha2::{Digest, Sha256};

/// The longest statement taken, bytes.
const LONGEST: usize = runtime::sign::MAX_STATEMENT;

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// yes
    Permit(Box<Permit>),
    /// no
    Refusal(Refusal),
    /// no longer
    Revocation(Revocation),
}

impl Said {
    /// What kind of statement.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Permit(_) => "permit",
            Self::Refusal(_) => "refusal",
            Self::Revocation(_) => "revocation",
        }
    }

    /// In which project.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        match self {
            Self::Permit(permit) => &permit.project,
            Self::Refusal(refusal) => &refusal.project,
            Self::Revocation(revocation) => &revocation.project,
        }
    }

    /// Whose it says it is.
    #[must_use]
    pub fn controller(&self) -> &ControllerId {
        match self {
            Self::Permit(permit) => &permit.controller,
            Self::Refusal(refusal) => &refusal.controller,
            Self::Revocation(revocation) => &revocation.controller,
        }
    }

    /// Whether it is about a standing permit, for which nobody applied.
    #[must_use]
    pub fn standing(&self) -> bool {
        self.project().is_quick_test()
    }

    /// About which part.
    #[must_use]
    pub fn part(&self) -> Option<PartId> {
        match self {
            Self::Permit(permit) if permit.quick.is_some() => None,
            Self::Permit(permit) => Some(permit.part),
            Self::Refusal(refusal) => Some(refusal.part),
            Self::Revocation(_) => None,
        }
    }

    /// About which permit.
    #[must_use]
    pub fn permit(&self) -> Option<PermitId> {
        match self {
            Self::Permit(permit) => Some(permit.id),
            Self::Refusal(_) => None,
            Self::Revocation(revocation) => Some(revocation.permit),
        }
    }

    /// When.
    #[must_use]
    pub fn decided_at(&self) -> DateTime<Utc> {
        match self {
            Self::Permit(permit) => permit.decided_at,
            Self::Refusal(refusal) => refusal.decided_at,
            Self::Revocation(revocation) => revocation.decided_at,
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Permit(permit) => &permit.reason,
            Self::Refusal(refusal) => &refusal.reason,
            Self::Revocation(revocation) => &revocation.reason,
        }
    }
}

/// Why a statement is not believed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StatementProblem {
    /// Not signed by an approver that this controller registered here, or changed, or of another form.
    #[error("{0}")]
    Permit(#[from] PermitError),
    /// Signed by an approver of the controller that delivered it, about another controller.
    #[error("is about controller '{0}', and was delivered by another")]
    Controller(ControllerId),
    /// About something that this hub never asked.
    #[error("is about {0} that this hub doesn't know of")]
    Unknown(&'static str),
    /// The rules.
    #[error("is about an application that this controller doesn't decide on")]
    Denied,
    /// Too long.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
}

/// Reads a statement that `controller`'s spoke delivered, with the keys that this controller registered.
///
/// # Errors
/// When it is not believed.
pub fn read(
    compact: &str,
    controller: &ControllerId,
    keys: &[VerifyingKey],
) -> Result<(Said, VerifyingKey), StatementProblem> {
    if compact.len() > LONGEST {
        return Err(StatementProblem::TooLong);
    }
    let (said, signer) = match SignedPermit::verify(compact, keys) {
        Ok(signed) => (Said::Permit(Box::new(signed.permit().clone())), *signed.signer()),
        Err(PermitError::Statement(StatementError::Kind { .. })) => {
            let said = match Refusal::verify(compact, keys) {
                Ok(refusal) => Said::Refusal(refusal),
                Err(PermitError::Statement(StatementError::Kind { .. })) => {
                    Said::Revocation(Revocation::verify(compact, keys)?)
                }
                Err(error) => return Err(error.into()),
            };
            (said, signer(compact, keys)?)
        }
        Err(error) => return Err(error.into()),
    };
    if said.controller() != controller {
        return Err(StatementProblem::Controller(said.controller().clone()));
    }
    Ok((said, signer))
}

/// The key that signed what was just verified.
fn signer(compact: &str, keys: &[VerifyingKey]) -> Result<VerifyingKey, StatementProblem> {
    let claimed = runtime::sign::claimed_signer(compact).unwrap_or_default();
    keys.iter()
        .find(|key| key.fingerprint() == claimed)
        .copied()
        .ok_or(StatementProblem::Permit(PermitError::Statement(StatementError::Malformed)))
}

/// A statement's name between hub and spoke: SHA-256 of its text, hex.
#[must_use]
pub fn digest(compact: &str) -> String {
    hex::encode(Sha256::digest(compact))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use runtime::sign::SigningKey;

    #[test]
    fn hostile_spokes_statements_of_others_and_of_unregistered_keys_are_not_believed() {
        let (own, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let permit = crate::decide::permit::tests::permit();
        let dst: ControllerId = "dst".parse().unwrap();
        let region: ControllerId = "region-h".parse().unwrap();
        let compact = SignedPermit::sign(permit.clone(), &own).unwrap().compact().to_owned();
        let (said, signer) = read(&compact, &dst, &[other.public(), own.public()]).unwrap();
        assert_eq!((said.kind(), said.permit(), signer), ("permit", Some(permit.id), own.public()));
        // delivered by another spoke, whose approvers didn't sign it
        assert!(matches!(read(&compact, &region, &[other.public()]), Err(StatementProblem::Permit(_))));
        // even when that controller registered the same key
        assert_eq!(read(&compact, &region, &[own.public()]), Err(StatementProblem::Controller(dst.clone())));
        // signed by nobody who is registered
        assert!(matches!(read(&compact, &dst, &[other.public()]), Err(StatementProblem::Permit(_))));
        assert!(matches!(read(&compact, &dst, &[]), Err(StatementProblem::Permit(_))));
        // changed
        let mut changed = compact.clone();
        changed.replace_range(
            compact.len() / 2..=compact.len() / 2,
            if compact.as_bytes()[compact.len() / 2] == b'A' { "B" } else { "A" },
        );
        assert!(read(&changed, &dst, &[own.public()]).is_err());
    }

    #[test]
    fn refusals_and_revocations_are_told_apart() {
        let key = SigningKey::generate().unwrap();
        let permit = crate::decide::permit::tests::permit();
        let refusal = Refusal {
            part: permit.part,
            controller: permit.controller.clone(),
            project: permit.project.clone(),
            approver: "Bente".to_owned(),
            reason: "too many columns".to_owned(),
            decided_at: permit.decided_at,
        };
        let (said, signer) = read(&refusal.sign(&key).unwrap(), &permit.controller, &[key.public()]).unwrap();
        assert_eq!(
            (said.kind(), said.part(), said.reason(), signer),
            ("refusal", Some(permit.part), "too many columns", key.public())
        );
        let revocation = Revocation {
            permit: permit.id,
            controller: permit.controller.clone(),
            project: permit.project.clone(),
            approver: "Bente".to_owned(),
            reason: "consent was withdrawn".to_owned(),
            decided_at: permit.decided_at,
        };
        let (said, _) = read(&revocation.sign(&key).unwrap(), &permit.controller, &[key.public()]).unwrap();
        assert_eq!((said.kind(), said.permit(), said.part()), ("revocation", Some(permit.id), None));
    }
}
