//! What a spoke and a custodian hand to each other so that the spoke may ask: a request whose key the controller's
//! approver endorsed, and the reply with a certificate for exactly that key.
//!
//! INVARIANT: the private key is in neither; who may ask is decided by the approver's signature, never by a certificate
//! of the hub.

use crate::{
    ca::{CaError, CertRequest},
    peer::Peer,
    sign::{self, SigningKey, StatementError, VerifyingKey},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// JWS type of an endorsement.
pub const ENDORSEMENT: &str = "eger-endorsement+jws";
/// What the sealed file of an approver's key is for.
pub const APPROVER_CONTEXT: &str = "eger/approver/v1";
/// What the sealed file of a custodian's signing key is for.
pub const CUSTODIAN_SIGNING_CONTEXT: &str = "eger/custodian/signing/v1";
/// What the sealed file of a spoke's signing key is for.
pub const SPOKE_SIGNING_CONTEXT: &str = "eger/spoke/signing/v1";
/// Clocks of the two organisations may differ by so much.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// The approver's word that a key is its controller's spoke's, towards one custodian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endorsement {
    /// the controller, as registered at the custodian
    pub controller: String,
    /// the custodian that it is for
    pub custodian: String,
    /// SHA-256 of the request's public key (SubjectPublicKeyInfo), hex
    pub key: String,
    /// the key with which the spoke signs checkpoints of its audit log
    pub signing: VerifyingKey,
    /// when it was signed
    pub at: DateTime<Utc>,
    /// until when it may be used
    pub expires: DateTime<Utc>,
}

/// What the spoke sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// PKCS#10, PEM
    pub csr: String,
    /// the endorsement, compact JWS
    pub endorsement: String,
}

/// What the custodian sends back. Nothing in it is secret; the spoke compares `evaluation_key` by another way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// the controller that was enrolled
    pub controller: String,
    /// name of the custodian
    pub custodian: String,
    /// the spoke's certificate, PEM
    pub certificate: String,
    /// the custodian's authority, PEM
    pub authority: String,
    /// the custodian's public evaluation key, hex
    pub evaluation_key: String,
    /// the key with which the custodian signs checkpoints
    pub signing_key: VerifyingKey,
}

/// What the custodian hands to a hub that may ask for sums of masks of blind totals. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubReply {
    /// the hub that was enrolled
    pub hub: String,
    /// name of the custodian
    pub custodian: String,
    /// the hub's certificate, PEM
    pub certificate: String,
    /// the custodian's authority, PEM
    pub authority: String,
    /// the custodian's public sealing key, hex: permits name it
    pub sealing_key: String,
    /// SHA-256 of the public key that was certified, hex
    pub key: String,
}

/// Why a request isn't accepted.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// The certificate request.
    #[error(transparent)]
    Csr(#[from] CaError),
    /// Not signed by the approver that is registered.
    #[error("the endorsement isn't believed: {0}. It must be signed by the approver whose public key was registered")]
    Endorsement(#[from] StatementError),
    /// Signed, but of another form.
    #[error("the endorsement has another form than this version writes: {0}")]
    Form(String),
    /// Signed for something else.
    #[error("the endorsement is for {found}, not for {expected}. Make the request again: spoke custodian request")]
    Other {
        /// what it is for
        found: String,
        /// what was expected
        expected: String,
    },
    /// The request's key isn't the endorsed one.
    #[error(
        "the request's key is not the one that the approver endorsed: the request was changed or mixed up on its way. \
         Make it again: spoke custodian request"
    )]
    Key,
    /// Too late, or from a clock that is ahead.
    #[error("the endorsement counts from {from} until {until} (UTC). Make the request again, or set the clock")]
    Time {
        /// first moment
        from: String,
        /// last moment
        until: String,
    },
}

impl Request {
    /// Makes a key and a request for it that the approver endorses for `days` days. The private key (PEM) comes beside it.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn make(
        controller: &Peer,
        custodian: &str,
        approver: &SigningKey,
        signing: VerifyingKey,
        days: u32,
    ) -> Result<(Self, Zeroizing<String>), EnrolmentError> {
        let (csr, key) = CertRequest::create()?;
        let at = Utc::now();
        let endorsement = Endorsement {
            controller: controller.name.clone(),
            custodian: custodian.to_owned(),
            key: CertRequest::from_pem(&csr)?.key_digest(),
            signing,
            at,
            expires: at + TimeDelta::days(i64::from(days)),
        };
        let payload = serde_json::to_vec(&endorsement).map_err(|e| EnrolmentError::Form(e.to_string()))?;
        Ok((Self { csr, endorsement: approver.sign(ENDORSEMENT, &payload) }, key))
    }

    /// The controller that the request claims to be of, unverified: to find the approver that decides.
    #[must_use]
    pub fn claimed_controller(&self) -> Option<String> {
        let bytes = sign::claimed_payload(&self.endorsement)?;
        serde_json::from_slice::<Endorsement>(&bytes).ok().map(|e| e.controller)
    }

    /// Checks the whole request: endorsed by `approver` for `controller` at `custodian`, now, and for the very key that
    /// the request is signed with.
    ///
    /// # Errors
    /// The first thing that doesn't hold.
    pub fn verify(
        &self,
        controller: &str,
        custodian: &str,
        approver: &VerifyingKey,
        now: DateTime<Utc>,
    ) -> Result<(CertRequest, Endorsement), EnrolmentError> {
        let statement = sign::verify(&self.endorsement, ENDORSEMENT, [approver])?;
        let endorsement: Endorsement =
            serde_json::from_slice(&statement.payload).map_err(|e| EnrolmentError::Form(e.to_string()))?;
        let other = |found: &str, expected: &str, what: &str| {
            Err(EnrolmentError::Other { found: format!("{what} '{found}'"), expected: format!("'{expected}'") })
        };
        if endorsement.controller != controller {
            return other(&endorsement.controller, controller, "controller");
        }
        if endorsement.custodian != custodian {
            return other(&endorsement.custodian, custodian, "custodian");
        }
        if now + SKEW < endorsement.at || now >= endorsement.expires {
            let show = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M").to_string();
            return Err(EnrolmentError::Time { from: show(endorsement.at), until: show(endorsement.expires) });
        }
        let csr = CertRequest::from_pem(&self.csr)?;
        if csr.key_digest() != endorsement.key {
            return Err(EnrolmentError::Key);
        }
        Ok((csr, endorsement))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_request_counts_only_for_its_controller_custodian_key_and_time() {
        let (approver, other, signing) =
            (SigningKey::generate().unwrap(), SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let spoke = Peer::spoke("region-h").unwrap();
        let (request, _) = Request::make(&spoke, "national", &approver, signing.public(), 7).unwrap();
        let (mixed, _) = Request::make(&spoke, "national", &approver, signing.public(), 7).unwrap();
        let now = Utc::now();
        let check = |request: &Request, controller: &str, custodian: &str, key: &SigningKey, at| {
            request.verify(controller, custodian, &key.public(), at).map(|(_, e)| e)
        };
        let good = check(&request, "region-h", "national", &approver, now).unwrap();
        assert_eq!((good.controller.as_str(), good.signing), ("region-h", signing.public()));
        assert_eq!(request.claimed_controller().as_deref(), Some("region-h"));
        let wrong = |result: Result<Endorsement, EnrolmentError>| result.unwrap_err().to_string();
        assert!(
            wrong(check(&request, "sds", "national", &approver, now)).contains("controller 'region-h', not for 'sds'")
        );
        assert!(wrong(check(&request, "region-h", "other", &approver, now)).contains("custodian 'national'"));
        assert!(wrong(check(&request, "region-h", "national", &other, now)).contains("isn't believed"));
        let late = now + TimeDelta::days(8);
        assert!(wrong(check(&request, "region-h", "national", &approver, late)).contains("Make the request again"));
        let early = now - TimeDelta::hours(1);
        assert!(wrong(check(&request, "region-h", "national", &approver, early)).contains("set the clock"));
        let swapped = Request { csr: mixed.csr, endorsement: request.endorsement };
        assert!(matches!(swapped.verify("region-h", "national", &approver.public(), now), Err(EnrolmentError::Key)));
    }
}
