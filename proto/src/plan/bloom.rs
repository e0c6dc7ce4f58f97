//! A list of keys that is too long to be sent whole: a split-block Bloom filter, as Parquet has it.
//!
//! INVARIANT: what was put in is always found; how often something else is found too is bounded (see `Bloom::finish`), and
//! whoever joins checks it exactly.

use parquet::{bloom_filter::Sbbf, data_type::AsBytes};

/// Bytes of the largest filter: about 13 million keys with one stranger found in a hundred.
pub const MAX_BLOOM: usize = 16 << 20;
/// Share of strangers that is found, when there is room.
const STRANGERS: f64 = 0.01;
/// A filter that finds more strangers than this spares too little.
const MOST_STRANGERS: f64 = 0.2;

/// What the values of a filter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Ids,
    Numbers,
    Texts,
}

/// See the module.
#[derive(Clone)]
pub(super) struct Bloom {
    pub(super) of: Of,
    filter: Sbbf,
}

impl PartialEq for Bloom {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of && self.blocks() == other.blocks()
    }
}

impl Bloom {
    /// An empty filter with room for as many keys as are sent at all.
    pub(super) fn new(of: Of) -> Self {
        Self { of, filter: Sbbf::new_with_num_of_bytes(MAX_BLOOM) }
    }

    /// From the link; the length was checked.
    pub(super) fn from_blocks(of: Of, blocks: &[u8]) -> Self {
        Self { of, filter: Sbbf::new(blocks) }
    }

    pub(super) fn insert<T: AsBytes + ?Sized>(&mut self, value: &T) {
        self.filter.insert(value);
    }

    pub(super) fn finds<T: AsBytes + ?Sized>(&self, value: &T) -> bool {
        self.filter.check(value)
    }

    /// Bytes on the link.
    pub(super) fn bytes(&self) -> usize {
        self.filter.num_blocks() * 32
    }

    pub(super) fn blocks(&self) -> Vec<u8> {
        let mut blocks = Vec::with_capacity(self.bytes());
        // Writing to memory doesn't fail; a filter cut short would be refused by its receiver.
        let _ = self.filter.write_bitset(&mut blocks);
        blocks
    }

    /// As small as it can be, and no larger than `most` bytes; `None` when it would find too many strangers then.
    pub(super) fn finish(mut self, most: usize) -> Option<Self> {
        for target in [STRANGERS, 0.05, MOST_STRANGERS] {
            self.filter.fold_to_target_fpp(target);
            if self.bytes() <= most {
                break;
            }
        }
        (self.bytes() <= most && self.strangers() <= MOST_STRANGERS * 1.5).then_some(self)
    }

    /// The share of values not put in that is found all the same, estimated: eight bits of a block are looked at.
    fn strangers(&self) -> f64 {
        let blocks = self.blocks();
        let set: u64 = blocks.iter().map(|byte| u64::from(byte.count_ones())).sum();
        (set as f64 / (blocks.len().max(1) as f64 * 8.0)).powi(8)
    }
}
