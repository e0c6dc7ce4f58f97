//! The order in which rows and row groups leave, keyed by project, so that two projects' answers can't be
//! lined up by position.

use hmac::{Hmac, Mac};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A project's key of row order.
#[derive(Clone, ZeroizeOnDrop)]
pub struct OrderKey {
    key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OrderKey(..)")
    }
}

impl OrderKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self { key: Zeroizing::new(*key) }
    }

    /// Where the thing called `label` (such as file and row group) stands in this project's order.
    #[must_use]
    pub fn rank(&self, label: &[u8]) -> u64 {
        let mac = self.mac(b"rank", label);
        let mut first = [0; 8];
        first.copy_from_slice(mac.get(..8).unwrap_or(&[0; 8]));
        u64::from_be_bytes(first)
    }

    /// A generator for shuffling the thing called `label`; the same label gives the same sequence.
    #[must_use]
    pub fn rng(&self, label: &[u8]) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(*self.mac(b"rng ", label))
    }

    fn mac(&self, purpose: &[u8; 4], label: &[u8]) -> Zeroizing<[u8; 32]> {
        // HMAC takes keys of any length; the fallback is never reached.
        let Ok(mac) = <Hmac<Sha256> as Mac>::new_from_slice(self.key.as_ref()) else {
            return Zeroizing::new([0; 32]);
        };
        Zeroizing::new(mac.chain_update(purpose).chain_update(label).finalize().into_bytes().into())
    }
}
