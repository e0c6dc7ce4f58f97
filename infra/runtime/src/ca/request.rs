//! Requests for certificates (PKCS#10): the key stays where it was made, its public half travels.

use super::CaError;
use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair, PublicKey, PublicKeyData};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A request whose own signature holds: whoever sent it has the private key.
#[derive(Debug, Clone)]
pub struct CertRequest {
    key: PublicKey,
}

impl CertRequest {
    /// Makes a key and a request for it, both PEM. Write the key with [`crate::seal::write_private`].
    ///
    /// # Errors
    /// When no key can be made.
    pub fn create() -> Result<(String, Zeroizing<String>), CaError> {
        let key = KeyPair::generate().map_err(CaError::Failed)?;
        let request = CertificateParams::default().serialize_request(&key).map_err(CaError::Failed)?;
        Ok((request.pem().map_err(CaError::Failed)?, key.serialize_pem().into()))
    }

    /// The same with the request in DER, as it travels in a call.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn create_der() -> Result<(Vec<u8>, Zeroizing<String>), CaError> {
        let key = KeyPair::generate().map_err(CaError::Failed)?;
        let request = CertificateParams::default().serialize_request(&key).map_err(CaError::Failed)?;
        Ok((request.der().to_vec(), key.serialize_pem().into()))
    }

    /// Reads a PEM request and checks that it is signed with the key that it names.
    ///
    /// # Errors
    /// When it is no request, or the signature doesn't hold.
    pub fn from_pem(text: &str) -> Result<Self, CaError> {
        CertificateSigningRequestParams::from_pem(text)
            .map(|request| Self { key: request.public_key })
            .map_err(CaError::Request)
    }

    /// Reads a DER request and checks that it is signed with the key that it names.
    ///
    /// # Errors
    /// When it is no request, or the signature doesn't hold.
    pub fn from_der(bytes: &[u8]) -> Result<Self, CaError> {
        CertificateSigningRequestParams::from_der(&bytes.into())
            .map(|request| Self { key: request.public_key })
            .map_err(CaError::Request)
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo), hex.
    #[must_use]
    pub fn key_digest(&self) -> String {
        hex::encode(Sha256::digest(self.key.subject_public_key_info()))
    }
}

/// SHA-256 (hex) of the public half of a PEM private key.
///
/// # Errors
/// When it is no private key.
pub(super) fn digest_of_private(key_pem: &str) -> Result<String, CaError> {
    let key = KeyPair::from_pem(key_pem).map_err(CaError::Unusable)?;
    Ok(hex::encode(Sha256::digest(key.subject_public_key_info())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Authority, CertFacts};
    use super::*;
    use crate::peer::Peer;

    #[test]
    fn a_certificate_is_for_the_key_of_the_request_and_the_name_of_the_authority() {
        let authority = Authority::create("test").unwrap();
        let (request, key) = CertRequest::create().unwrap();
        let request = CertRequest::from_pem(&request).unwrap();
        let who = Peer::spoke("region-h").unwrap();
        let facts = CertFacts::read(&authority.issue_for(&who, &request, 30).unwrap()).unwrap();
        assert_eq!(facts.peer, Some(who));
        assert_eq!(facts.key_digest, request.key_digest());
        assert!(facts.belongs_to(&key).unwrap());
        let (_, other) = CertRequest::create().unwrap();
        assert!(!facts.belongs_to(&other).unwrap());
        let day = chrono::TimeDelta::days(1);
        assert!(facts.not_after > chrono::Utc::now() + day * 29 && facts.not_after < chrono::Utc::now() + day * 31);
        assert!(facts.issued_by(authority.cert_pem()));
        assert!(!facts.issued_by(Authority::create("test").unwrap().cert_pem()));
    }

    #[test]
    fn a_hostile_request_naming_another_controller_gets_the_authoritys_name() {
        use rcgen::{BasicConstraints, DnType, IsCa, SanType};
        let authority = Authority::create("links").unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "eger://spoke/region-m");
        let uri = |text: &str| SanType::URI(text.try_into().unwrap());
        params.subject_alt_names = vec![uri("eger://spoke/region-m"), uri("eger://hub/main")];
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let request = params.serialize_request(&key).unwrap();
        let who = Peer::spoke("region-h").unwrap();
        let pem = authority.issue_for(&who, &CertRequest::from_der(request.der()).unwrap(), 90).unwrap();
        assert_eq!(CertFacts::read(&pem).unwrap().peer, Some(who));
        let body: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
        for other in [b"region-m".as_slice(), b"hub/main".as_slice()] {
            assert!(!der.windows(other.len()).any(|part| part == other), "the other name stands somewhere in it");
        }
        let (_, cert) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert!(!cert.is_ca());
    }

    #[test]
    fn two_thirds_of_a_life() {
        let issued = Authority::create("links").unwrap().issue(&Peer::spoke("region-h").unwrap(), 90).unwrap();
        let left = CertFacts::read(&issued.cert_pem).unwrap().renew_at() - chrono::Utc::now();
        assert!((59..=60).contains(&left.num_days()), "{left}");
    }

    #[test]
    fn a_request_that_somebody_changed_is_refused() {
        let (pem, _) = CertRequest::create().unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
        let mut der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
        assert!(CertRequest::from_der(&der).is_ok());
        // the last byte belongs to the signature
        *der.last_mut().unwrap() ^= 1;
        assert!(matches!(CertRequest::from_der(&der), Err(CaError::Request(_))));
        assert!(CertRequest::from_pem("nothing").is_err());
    }
}
