//! What a certificate says, for people and for checks before it is used.

use super::{CaError, request};
use crate::peer::Peer;
use chrono::{DateTime, Utc};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate says. Whether an authority signed it is another question ([`CertFacts::issued_by`]).
#[derive(Debug, Clone)]
pub struct CertFacts {
    /// whom it names, if a party of this platform
    pub peer: Option<Peer>,
    /// SHA-256 of all its bytes (DER), hex
    pub fingerprint: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo), hex
    pub key_digest: String,
    /// good from
    pub not_before: DateTime<Utc>,
    /// good until
    pub not_after: DateTime<Utc>,
    der: Vec<u8>,
}

impl CertFacts {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(pem: &str) -> Result<Self, CaError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| CaError::Certificate(e.to_string()))?;
        Self::of(&der)
    }

    /// What a DER certificate says.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(der: &[u8]) -> Result<Self, CaError> {
        let (_, cert) = X509Certificate::from_der(der).map_err(|e| CaError::Certificate(e.to_string()))?;
        let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let validity = cert.validity();
        Ok(Self {
            peer: crate::tls::peer_in(der),
            fingerprint: hex::encode(Sha256::digest(der)),
            key_digest: hex::encode(Sha256::digest(cert.public_key().raw)),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            der: der.to_vec(),
        })
    }

    /// When it should be replaced: after two thirds of its life.
    #[must_use]
    pub fn renew_at(&self) -> DateTime<Utc> {
        self.not_before + (self.not_after - self.not_before) / 3 * 2
    }

    /// Whether this PEM private key is the certificate's.
    ///
    /// # Errors
    /// When it is no private key.
    pub fn belongs_to(&self, key_pem: &str) -> Result<bool, CaError> {
        Ok(request::digest_of_private(key_pem)? == self.key_digest)
    }

    /// Whether the authority of this PEM certificate signed it.
    #[must_use]
    pub fn issued_by(&self, authority_pem: &str) -> bool {
        let Ok(authority) = CertificateDer::from_pem_slice(authority_pem.as_bytes()) else { return false };
        match (X509Certificate::from_der(&self.der), X509Certificate::from_der(&authority)) {
            (Ok((_, own)), Ok((_, authority))) => own.verify_signature(Some(authority.public_key())).is_ok(),
            _ => false,
        }
    }
}
