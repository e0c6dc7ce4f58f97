//! Pseudonyms in three layers of 16 bytes: P, the same at every spoke and never written into a table; S = AES(K_store, P),
//! the form on disk; and the project's own pseudonym, AES(K_project, P).
//!
//! Ingest: [`Linker`] (number -> S) and [`KeyHasher`] (key -> S). Serve: [`Recoder`] (S -> pseudonym) and [`OrderKey`].
//! Administration: [`init_keys`], [`identity`], [`project_key`].
//!
//! INVARIANT: a P is in memory only while it is worked on and on disk only in the encrypted cache. What `serve`
//! uses from here ([`StoreKey`], [`ProjectKey`], [`Recoder`], [`OrderKey`]) never touches cache, cache key or custodian.

mod blind;
mod cache;
mod custodian;
pub mod enrol;
pub mod identity;
mod keys;
mod linker;
mod map;
mod order;
pub mod project_key;
mod recode;

pub use blind::{LinkPublicKey, LinkPublicKeyError};
pub use cache::CacheError;
pub use custodian::{Retry, WitnessTrouble, witness};
pub use keys::{CacheKey, GroupSecret, KeyError, ProjectKey, StoreKey};
pub use linker::{KeyHasher, LinkError, Linker, LinkerOptions};
pub use order::OrderKey;
pub use recode::{RecodeError, Recoder, Role, WIDTH};

use runtime::seal::Passphrase;
use std::path::Path;

/// Makes a new spoke's own keys in its `keys/` folder: `store.key`, `cache.key` and `identity.key`, all sealed.
/// Keys that are there already are kept, so that an interrupted `spoke init` can be run again.
///
/// # Errors
/// When a file can't be written, or one that is there does not open with this passphrase.
pub fn init_keys(keys: &Path, pass: &Passphrase) -> Result<identity::Identity, KeyError> {
    let (store, cache, own) = (keys.join("store.key"), keys.join("cache.key"), keys.join("identity.key"));
    if store.exists() { StoreKey::load(&store, pass) } else { StoreKey::create(&store, pass) }?;
    if cache.exists() { CacheKey::load(&cache, pass) } else { CacheKey::create(&cache, pass) }?;
    if own.exists() { identity::Identity::load(&own, pass) } else { identity::Identity::create(&own, pass) }
}

/// The id of a linkage key: 16 hex digits of its public key's SHA-256; the custodian counts it likewise.
pub(crate) fn link_kid(public_key: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(public_key).get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wiped;
