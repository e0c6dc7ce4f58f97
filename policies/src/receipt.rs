//! The hub's signed word that it has removed what it held of one controller in one project.

use chrono::{DateTime, Utc};
use proto::ids::{ControllerId, ProjectId};
use runtime::sign::{self, SigningKey, StatementError, VerifyingKey};

/// JWS type of a receipt.
pub const RECEIPT: &str = "eger-receipt+jws";

/// Why a controller's data have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// the controller took its permit back
    Revoked,
    /// the permit's last day is over
    Expired,
    /// people withdrew their consent
    Withdrawn,
    /// people asked to be erased
    Erased,
}

impl Reason {
    /// As it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Erased => "erased",
        }
    }

    /// From the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Revoked, Self::Expired, Self::Withdrawn, Self::Erased].into_iter().find(|r| r.as_str() == text)
    }
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// which hub
    pub hub: String,
    /// whose data
    pub controller: ControllerId,
    /// of which project
    pub project: ProjectId,
    /// why
    pub reason: Reason,
    /// catalogue answers forgotten
    pub catalogues: u64,
    /// sealed project keys removed
    pub sealed_keys: u64,
    /// files of extracts removed
    pub files: u64,
    /// their bytes
    pub bytes: u64,
    /// when
    pub at: DateTime<Utc>,
}

/// Why a receipt is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not signed by the hub, or changed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Signed, but it can't be read.
    #[error("the receipt can't be read: {0}")]
    Form(String),
    /// Signed, but for something else.
    #[error("the receipt is for another controller, project or reason, or from before it was asked for")]
    Other,
}

impl Receipt {
    /// Signs it with the hub's signing key.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn sign(&self, key: &SigningKey) -> Result<String, ReceiptError> {
        let payload = serde_json::to_vec(self).map_err(|e| ReceiptError::Form(e.to_string()))?;
        Ok(key.sign(RECEIPT, &payload))
    }

    /// Reads a receipt by the hub's key `key`, for what was asked at `since`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn verify(
        compact: &str,
        key: &VerifyingKey,
        controller: &ControllerId,
        project: &ProjectId,
        reason: Reason,
        since: DateTime<Utc>,
    ) -> Result<Self, ReceiptError> {
        let statement = sign::verify(compact, RECEIPT, [key])?;
        let receipt: Self =
            serde_json::from_slice(&statement.payload).map_err(|e| ReceiptError::Form(e.to_string()))?;
        // Five minutes for clocks that differ.
        let fresh = receipt.at >= since - chrono::Duration::minutes(5);
        if receipt.controller == *controller && receipt.project == *project && receipt.reason == reason && fresh {
            Ok(receipt)
        } else {
            Err(ReceiptError::Other)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hostile_a_receipt_counts_only_for_what_was_asked_and_from_the_hub() {
        let (hub, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (dst, project): (ControllerId, ProjectId) = ("dst".parse().unwrap(), "diabetes".parse().unwrap());
        let now = Utc::now();
        let receipt = Receipt {
            hub: "main".to_owned(),
            controller: dst.clone(),
            project: project.clone(),
            reason: Reason::Revoked,
            catalogues: 1,
            sealed_keys: 1,
            files: 2,
            bytes: 10,
            at: now,
        };
        let check = |text: &str, since| Receipt::verify(text, &hub.public(), &dst, &project, Reason::Revoked, since);
        let good = receipt.sign(&hub).unwrap();
        assert_eq!(check(&good, now).unwrap(), receipt);
        assert!(check(&receipt.sign(&other).unwrap(), now).is_err());
        assert_eq!(check(&good, now + chrono::Duration::hours(1)), Err(ReceiptError::Other));
        for change in [
            (|r: &mut Receipt| r.controller = "sds".parse().unwrap()) as fn(&mut Receipt),
            |r| r.project = "cancer".parse().unwrap(),
            |r| r.reason = Reason::Withdrawn,
        ] {
            let mut changed = receipt.clone();
            change(&mut changed);
            assert_eq!(check(&changed.sign(&hub).unwrap(), now), Err(ReceiptError::Other));
        }
        assert_eq!(Reason::parse("revoked"), Some(Reason::Revoked));
        assert_eq!(Reason::parse("tired"), None);
    }
}
