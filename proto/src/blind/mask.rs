//! Masks that follow from a seed: the ChaCha20 key stream (RFC 8439) under a key for each purpose, total, fragment and cell.

use crate::ids::QueryId;
use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit, StreamCipher},
};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// What a key stream is for; all equally long.
const MASK: &[u8; 18] = b"eger/blind-mask/v1";
const PRESENCE: &[u8; 18] = b"eger/blind-here/v1";

/// What a spoke's masks of one answer follow from: 32 random bytes. Wiped when dropped, never printed; equality is for
/// tests.
#[derive(Clone, PartialEq, Eq, zeroize::ZeroizeOnDrop, serde::Serialize, serde::Deserialize)]
pub struct Seed(#[serde(with = "hex_of_32")] [u8; 32]);

/// 64 hex digits: the length of what is sealed must not follow from the bytes.
mod hex_of_32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Zeroizing::new(hex::encode(bytes)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(|_| D::Error::custom("a seed is 64 hex digits"))?;
        Ok(bytes)
    }
}

/// The total and the fragment that masks are for: those of others are different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Of<'a> {
    /// the total
    pub total: &'a QueryId,
    /// SHA-256 of the fragment
    pub fragment: &'a [u8; 32],
}

impl Seed {
    /// A seed of 32 bytes, which must come from the operating system's randomness and be used once.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever remembers that the seed was used.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The masks of a cell, word by word, for ever.
    pub fn masks(&self, of: Of<'_>, cell: u32) -> impl Iterator<Item = u64> + use<> {
        self.stream(MASK, of, cell)
    }

    /// What stands for "there is a value" in a cell's statistics, one after the other: anything but 0, and told by nobody who
    /// doesn't have the seed.
    pub(super) fn presences(&self, of: Of<'_>, cell: u32) -> impl Iterator<Item = u64> + use<> {
        self.stream(PRESENCE, of, cell).map(|word| word.max(1))
    }

    fn stream(&self, purpose: &[u8; 18], of: Of<'_>, cell: u32) -> impl Iterator<Item = u64> + use<> {
        // Each part has one length, so that no two different lists have the same bytes.
        let key = Sha256::new_with_prefix(purpose)
            .chain_update(self.0)
            .chain_update(of.total.to_string())
            .chain_update(of.fragment)
            .chain_update(cell.to_le_bytes());
        // One key for one stream: the nonce has nothing to tell apart. Cipher and key are wiped with the iterator.
        let key = Zeroizing::new(<[u8; 32]>::from(key.finalize()));
        let mut stream = ChaCha20::new((&*key).into(), &[0; 12].into());
        std::iter::repeat_with(move || {
            let mut word = [0; 8];
            stream.apply_keystream(&mut word);
            u64::from_le_bytes(word)
        })
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}
