//! How many different values a column has, without keeping them: HyperLogLog of 512 registers, off by about 5 %.
//!
//! Sketches of two files merge into that of both, which counts of different values don't.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// Bits of a hash that choose a register.
const BITS: u32 = 9;
const REGISTERS: usize = 1 << BITS;
/// Of the hash; the same for ever, so that sketches of different ingests merge.
const SEED: u64 = 0x6567_6572;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sketch(Vec<u8>);

impl Default for Sketch {
    fn default() -> Self {
        Self(vec![0; REGISTERS])
    }
}

/// The hash that [`Sketch::add`] takes.
pub(crate) fn hash(value: &[u8]) -> u64 {
    twox_hash::XxHash64::oneshot(SEED, value)
}

impl Sketch {
    /// Counts a value, by its [`hash`].
    pub(crate) fn add(&mut self, hash: u64) {
        let place = usize::try_from(hash >> (u64::BITS - BITS)).unwrap_or_default();
        // At most 56, since the shifted-in bit is one.
        let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() + 1;
        if let Some(register) = self.0.get_mut(place) {
            *register = (*register).max(u8::try_from(rank).unwrap_or(u8::MAX));
        }
    }

    /// Counts what another has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own = (*own).max(*other));
    }

    /// About how many different values were counted.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        let m = REGISTERS as f64;
        let sum: f64 = self.0.iter().map(|rank| 0.5_f64.powi(i32::from(*rank))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = self.0.iter().filter(|rank| **rank == 0).count();
        let counted = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
        // never negative, and far below 2^64
        counted.round() as u64
    }
}

impl From<Sketch> for String {
    fn from(sketch: Sketch) -> Self {
        BASE64_STANDARD.encode(sketch.0)
    }
}

impl TryFrom<String> for Sketch {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let registers = BASE64_STANDARD.decode(text).map_err(|_| "a sketch is Base64")?;
        if registers.len() == REGISTERS { Ok(Self(registers)) } else { Err("a sketch has 512 registers") }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(range: std::ops::Range<u64>) -> Sketch {
        let mut sketch = Sketch::default();
        range.for_each(|n| sketch.add(hash(&n.to_le_bytes())));
        sketch
    }

    #[test]
    fn it_counts_different_values_about_right_and_merges() {
        for n in [0, 1, 10, 100, 1_000, 10_000, 1_000_000] {
            let estimate = of(0..n).estimate() as f64;
            assert!((estimate - n as f64).abs() <= n as f64 * 0.15, "{n}: {estimate}");
        }
        let mut both = of(0..60_000);
        both.merge(&of(40_000..100_000));
        assert_eq!(both, of(0..100_000));
        let text = String::from(both.clone());
        assert_eq!(Sketch::try_from(text).unwrap(), both);
        assert!(Sketch::try_from("AAAA".to_owned()).is_err() && Sketch::try_from("?".to_owned()).is_err());
    }
}
