//! Linking keys (contact ids and the like) -> S: HMAC under the domain's key, then the store key. Equal keys of one domain
//! match across spokes within a project; without the custodian nobody outside the spokes can compute the hash.
//!
//! The state of the HMAC is not wiped (its library has no way to): it can make hashes of keys, never a person's pseudonym, and
//! is held by the ingest alone, which ends.

use crate::pseudonym::keys::StoreKey;
use aes::{Aes256, Block, cipher::BlockCipherEncrypt};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Hashes the keys of one domain (such as contact ids) to their stored form.
#[derive(Clone)]
pub struct KeyHasher {
    mac: Hmac<Sha256>,
    store: Aes256,
}

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher(..)")
    }
}

impl KeyHasher {
    pub(super) fn new(p: &[u8; 16], store: &StoreKey) -> Self {
        // HMAC takes keys of any length; an empty one is never reached.
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(p).unwrap_or_else(|_| Mac::new(&Default::default()));
        Self { mac, store: store.key.clone() }
    }

    /// The stored form of a key's bytes, exactly as given: trim and normalise before.
    #[must_use]
    pub fn stored(&self, value: &[u8]) -> [u8; 16] {
        let digest = self.mac.clone().chain_update(value).finalize().into_bytes();
        let mut block = Block::default();
        block.copy_from_slice(digest.get(..16).unwrap_or(&[0; 16]));
        self.store.encrypt_block(&mut block);
        block.into()
    }
}
