//! A small certificate authority for links: the hub's for hub-spoke links, the custodian's own for its clients.
//!
//! A certificate of a link says one thing, who the peer is ([`Peer`]), and serves both ends of TLS.

mod facts;
mod request;

pub use facts::CertFacts;
pub use request::CertRequest;

use crate::peer::Peer;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The authority's files don't fit together or can't be parsed.
    #[error("the certificate authority's certificate or key can't be used: {0}. Make a new one or restore the files")]
    Unusable(rcgen::Error),
    /// The certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Failed(rcgen::Error),
    /// Not a request for a certificate, or not signed with the key that it names.
    #[error("the certificate request can't be used: {0}. Make it again")]
    Request(rcgen::Error),
    /// Not a certificate.
    #[error("no PEM certificate: {0}")]
    Certificate(String),
}

/// An authority: its certificate and private key, which is wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct Authority {
    #[zeroize(skip)]
    cert_pem: String,
    key_pem: Zeroizing<String>,
}

/// A certificate with its private key, both PEM. The key is wiped when dropped.
pub struct IssuedCert {
    /// the certificate
    pub cert_pem: String,
    /// its private key; write it with [`crate::seal::write_private`]
    pub key_pem: Zeroizing<String>,
}

impl Authority {
    /// Makes a new authority, valid ten years. `name` is for people.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn create(name: &str) -> Result<Self, CaError> {
        let key = KeyPair::generate().map_err(CaError::Failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(3650);
        let cert = params.self_signed(&key).map_err(CaError::Failed)?;
        Ok(Self { cert_pem: cert.pem(), key_pem: key.serialize_pem().into() })
    }

    /// An authority from its two files' texts.
    ///
    /// # Errors
    /// When they are not a certificate and its key.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self, CaError> {
        let key = KeyPair::from_pem(key_pem).map_err(CaError::Unusable)?;
        Issuer::from_ca_cert_pem(cert_pem, &key).map_err(CaError::Unusable)?;
        Ok(Self { cert_pem: cert_pem.to_owned(), key_pem: key_pem.to_owned().into() })
    }

    /// The certificate that the parties pin.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The private key; write it with [`crate::seal::write_private`].
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// SHA-256 of the certificate (DER): what a newcomer is told beforehand.
    ///
    /// # Errors
    /// When the certificate can't be parsed.
    pub fn fingerprint(&self) -> Result<[u8; 32], CaError> {
        let der = CertificateDer::from_pem_slice(self.cert_pem.as_bytes())
            .map_err(|error| CaError::Certificate(error.to_string()))?;
        Ok(Sha256::digest(&der).into())
    }

    /// A certificate for `who`, valid `days` days from an hour ago (clocks differ), with a key made here.
    ///
    /// # Errors
    /// When no key or certificate can be made.
    pub fn issue(&self, who: &Peer, days: u32) -> Result<IssuedCert, CaError> {
        let key = KeyPair::generate().map_err(CaError::Failed)?;
        let cert_pem = self.certify(who, &key, days)?;
        Ok(IssuedCert { cert_pem, key_pem: key.serialize_pem().into() })
    }

    /// A certificate (PEM) for `who`, for exactly the key of `request`. Nothing else in the request is looked at.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn issue_for(&self, who: &Peer, request: &CertRequest, days: u32) -> Result<String, CaError> {
        self.certify(who, request.key(), days)
    }

    fn certify(&self, who: &Peer, key: &impl PublicKeyData, days: u32) -> Result<String, CaError> {
        let own_key = KeyPair::from_pem(&self.key_pem).map_err(CaError::Unusable)?;
        let issuer = Issuer::from_ca_cert_pem(&self.cert_pem, &own_key).map_err(CaError::Unusable)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, who.to_string());
        params.subject_alt_names = vec![SanType::URI(who.to_string().try_into().map_err(CaError::Failed)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(i64::from(days));
        params.signed_by(key, &issuer).map(|cert| cert.pem()).map_err(CaError::Failed)
    }
}
