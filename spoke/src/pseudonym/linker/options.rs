//! What a linker needs, by hand or from `spoke.toml`.

use super::LinkError;
use crate::{
    config::SpokeConfig,
    pseudonym::{
        blind::LinkPublicKey,
        custodian::Retry,
        keys::{CacheKey, StoreKey},
    },
};
use runtime::{
    seal::Passphrase,
    tls::{Peer, Tls, TlsFiles},
};
use std::path::PathBuf;

/// What [`super::Linker::open`] needs.
pub struct LinkerOptions {
    /// the custodian's `host:port`
    pub address: String,
    /// who it must be
    pub custodian: Peer,
    /// this spoke's identity towards it
    pub tls: Tls,
    /// its key, pinned
    pub public_key: LinkPublicKey,
    /// the cache file; made when missing
    pub cache: PathBuf,
    /// opens the cache
    pub cache_key: CacheKey,
    /// makes S of P
    pub store_key: StoreKey,
    /// what happens when the connection is lost
    pub retry: Retry,
}

impl LinkerOptions {
    /// Everything from `spoke.toml` and the files that it names, opened with the passphrase of `ingest`.
    ///
    /// # Errors
    /// When there is no `[custodian]`, or a certificate, key or public key can't be used; the error names the file.
    pub fn load(config: &SpokeConfig, pass: &Passphrase) -> Result<Self, LinkError> {
        let setting = |path: PathBuf, reason: String| LinkError::Setting { path, reason };
        let section = config.custodian.as_ref().ok_or_else(|| {
            setting(
                config.folder.join("spoke.toml"),
                "there is no [custodian]: without one no person can be pseudonymised. Ask the custodian for its address \
                 and for a certificate (`spoke custodian request`)"
                    .to_owned(),
            )
        })?;
        let files = TlsFiles { cert: section.cert.clone(), key: section.key.clone(), ca: section.ca.clone() };
        let tls = Tls::load(&files).map_err(|e| setting(section.cert.clone(), e.to_string()))?;
        let public_key = std::fs::read_to_string(&section.public_key)
            .map_err(|e| setting(section.public_key.clone(), e.to_string()))?
            .parse()
            .map_err(|e: super::super::LinkPublicKeyError| setting(section.public_key.clone(), e.to_string()))?;
        let custodian =
            Peer::custodian(&section.name).map_err(|e| setting(config.folder.join("spoke.toml"), e.to_string()))?;
        let keys = config.ingest_keys_dir();
        Ok(Self {
            address: section.address.clone(),
            custodian,
            tls,
            public_key,
            cache: config.cache_file(),
            cache_key: CacheKey::load(&config.cache_key(), pass)?,
            store_key: StoreKey::load(&keys.join("store.key"), pass)?,
            retry: Retry::default(),
        })
    }
}
