//! What ingest needs of the pseudonymisation: stored pseudonyms for person numbers, and hashes for keys.
//!
//! The real one is [`Linker`]; the trait exists so that the rest of the ingest can be tested at its own speed.

use super::IngestError;
use crate::{
    config::SpokeConfig,
    pseudonym::{KeyHasher, LinkError, Linker, LinkerOptions},
};
use async_trait::async_trait;
use std::sync::Arc;

/// Hashes the keys of one domain.
pub(crate) trait KeyHash: Send + Sync {
    /// Stored form of a key.
    fn stored(&self, key: &[u8]) -> [u8; 16];
}

impl KeyHash for KeyHasher {
    fn stored(&self, key: &[u8]) -> [u8; 16] {
        KeyHasher::stored(self, key)
    }
}

/// Why there are no pseudonyms.
#[derive(Debug)]
pub(crate) enum NoPseudonyms {
    /// the custodian can't be reached or refuses
    Custodian(String),
    /// keys or configuration are not complete
    Setup(String),
    /// the local disk failed
    Storage(String),
}

impl std::fmt::Display for NoPseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Custodian(message) | Self::Setup(message) | Self::Storage(message)) = self;
        f.write_str(message)
    }
}

impl NoPseudonyms {
    pub(crate) fn of_table(self, table: &str) -> IngestError {
        match self {
            Self::Custodian(message) => IngestError::Link { table: table.to_owned(), message },
            Self::Setup(message) => IngestError::Setup(message),
            Self::Storage(message) => {
                IngestError::Disk { path: "person cache".into(), source: std::io::Error::other(message) }
            }
        }
    }
}

impl From<LinkError> for NoPseudonyms {
    fn from(error: LinkError) -> Self {
        let message = error.to_string();
        if error.is_custodian() {
            Self::Custodian(message)
        } else if error.is_storage() {
            Self::Storage(message)
        } else {
            Self::Setup(message)
        }
    }
}

/// Source of stored pseudonyms.
#[async_trait]
pub(crate) trait Pseudonyms: Send {
    /// Stored pseudonyms of person numbers, in their order.
    async fn persons(&mut self, numbers: &[u64]) -> Result<Vec<[u8; 16]>, NoPseudonyms>;
    /// The hash of a key domain.
    async fn key_domain(&mut self, domain: &str) -> Result<Arc<dyn KeyHash>, NoPseudonyms>;
    /// Id of the custodian's key.
    fn link_kid(&self) -> String;
    /// Id of the spoke's own key.
    fn store_kid(&self) -> String;
    /// People whose pseudonym is known without asking.
    fn known(&self) -> u64;
}

/// Opens the source of pseudonyms when it is first needed, and not before.
#[async_trait]
pub(crate) trait OpenPseudonyms: Send + Sync {
    /// Opens it.
    async fn open(&self) -> Result<Box<dyn Pseudonyms>, NoPseudonyms>;
}

struct Real {
    linker: Linker,
    store_kid: String,
}

#[async_trait]
impl Pseudonyms for Real {
    async fn persons(&mut self, numbers: &[u64]) -> Result<Vec<[u8; 16]>, NoPseudonyms> {
        Ok(self.linker.persons(numbers).await?)
    }

    async fn key_domain(&mut self, domain: &str) -> Result<Arc<dyn KeyHash>, NoPseudonyms> {
        Ok(Arc::new(self.linker.key_domain(domain).await?))
    }

    fn link_kid(&self) -> String {
        self.linker.link_kid().to_owned()
    }

    fn store_kid(&self) -> String {
        self.store_kid.clone()
    }

    fn known(&self) -> u64 {
        self.linker.known_people() as u64
    }
}

/// The custodian and the keys that `spoke.toml` names.
pub(crate) struct FromConfig(pub(crate) SpokeConfig);

#[async_trait]
impl OpenPseudonyms for FromConfig {
    async fn open(&self) -> Result<Box<dyn Pseudonyms>, NoPseudonyms> {
        let pass = self.0.ingest_passphrase().map_err(|error| NoPseudonyms::Setup(error.to_string()))?;
        let options = LinkerOptions::load(&self.0, &pass)?;
        let store_kid = options.store_key.kid().to_owned();
        let linker = Linker::open(options).await?;
        Ok(Box::new(Real { linker, store_kid }))
    }
}
