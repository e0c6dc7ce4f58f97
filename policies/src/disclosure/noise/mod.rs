//! Cell-key perturbation of counts: noise that is the same whenever the same people are counted.
//!
//! A person's key is one byte of the project's pseudonym, a cell's key the sum of its people's keys modulo 256. Key and count
//! look up the noise in a published table, `policies/disclosure/noise.csv`. So a count of the same people is the same, however it is
//! asked, and asking again gives nothing to average. The method is the Australian Bureau of Statistics': Fraser and Wooton
//! (2005), Thompson, Broadfoot and Elazar (2013). The table is made as Marley and Leaver (2011) propose and R's `ptable` does: the
//! distribution of most entropy with mean 0, variance [`VARIANCE`], no noise beyond [`BOUND`], and no count below the threshold
//! ([`generate`]).
//!
//! **Why 5 and 3.** With variance 3 a shown count is off by 1.3 people on average, where rounding to the nearest ten is off by 2.5. Whoever
//! wants the true count has to average independent noise: over some `15 k V` partitions of the group into `k` cells, 90 into two
//! at V = 3 (the tests try it), or over 46 projects with their own keys; the caps on queries and the differencing ledger
//! stand before that. The bound is where one key of 256 still falls: a smaller one has more keys at its ends, and both ends
//! together tell a count exactly. Figures and alternatives are in ADR 9.
//!
//! **Where we differ from `ptable`**, and why:
//! - People never become zero. `ptable` lets a count below [`BOUND`] become 0; a false zero is worse for whoever reads about
//!   side effects than noise that is smaller there. So the noise of a count depends only on how far it is above the threshold, and one
//!   table serves every threshold. A count at the threshold can only stay: its variance is 0 where all others have 3.
//! - The order of keys is shuffled in each row (a hash, published). With noise that grows with the key, as in `ptable`'s
//!   intervals, the noise of two cells says a good part of the noise of their union, whose key is the sum
//!   (`noise_of_two_cells_says_little_of_their_union` measures it).
//!
//! INVARIANT: zero people stay zero, and nobody else is shown as zero or as fewer than the threshold.
//! INVARIANT: the table's mean is exactly 0 in each row, so that sums and means of many shown counts are not pulled one way.

pub mod generate;
mod table;

use super::threshold::Threshold;
use std::iter::Sum;

/// No count is changed by more people than this.
pub const BOUND: i64 = 5;
/// Variance of the noise, in people squared, of every count above the threshold.
pub const VARIANCE: i64 = 3;
/// How many keys there are.
pub const KEYS: usize = 256;
/// How many kinds of counts: 0, 1, .. people above the threshold, the last for all that are further above it.
pub const ROWS: usize = 6;

/// The table as it is published, CSV.
pub const TABLE: &[u8] = include_bytes!("../../../disclosure/noise.csv");

/// The key of a person, or of a cell: the sum of its people's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CellKey(u8);

impl CellKey {
    /// A key as it was computed elsewhere, for example where the people are.
    #[must_use]
    pub const fn new(key: u8) -> Self {
        Self(key)
    }

    /// The key of one person: the last byte of the project's pseudonym. Pseudonyms are a cipher's output, so any byte is as good.
    #[must_use]
    pub const fn of_person(pseudonym: &[u8; 16]) -> Self {
        let [.., last] = pseudonym;
        Self(*last)
    }

    /// The key of the people of two cells that have nobody in common.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// The number, 0 to 255.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Sum for CellKey {
    fn sum<I: Iterator<Item = Self>>(keys: I) -> Self {
        keys.fold(Self::default(), Self::and)
    }
}

/// The noise of a count that is so far `above` its threshold, in people, [`BOUND`] at most.
#[must_use]
pub fn noise(above: u64, key: CellKey) -> i64 {
    looked_up(&table::PUBLISHED, above, key)
}

/// The noise that a table gives: one line for each key, one column for each distance to the threshold, the last for all that are further.
fn looked_up(table: &[[i8; ROWS]; KEYS], above: u64, key: CellKey) -> i64 {
    let row = usize::try_from(above).unwrap_or(usize::MAX).min(ROWS - 1);
    table.get(usize::from(key.get())).and_then(|rows| rows.get(row)).copied().unwrap_or_default().into()
}

/// A count with its noise. A count under the threshold has to be hidden before; here it stays what it is.
#[must_use]
pub fn perturbed(people: u64, key: CellKey, threshold: Threshold) -> u64 {
    match people.checked_sub(threshold.least()) {
        Some(above) => people.saturating_add_signed(noise(above, key)),
        None => people,
    }
}

#[cfg(test)]
mod tests;
