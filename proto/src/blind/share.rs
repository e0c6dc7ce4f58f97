//! Numbers to shares, and shares back to totals.
//!
//! A statistic is two words. The first tells whether there is a value (SQL's NULL): 0 where there is none, else a random number,
//! so that the sum is 0 where no member has one, and else tells neither who has one nor how many. (The random numbers add up to
//! 0 by chance once in 2^64.) The second is the number itself, two's complement; 0 where there is none.

use super::{Of, Seed};

/// Words of one statistic.
pub const WORDS: usize = 2;

/// A number with which the total could leave the 64 bits. Holds its place, never the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("statistic {statistic} (from 0) is too large to be added exactly with {members} members' in 64 bits")]
pub struct TooLarge {
    /// which statistic
    pub statistic: usize,
    /// how many members add to it
    pub members: usize,
}

/// The words of one cell's statistics under their masks. `members`: how many will be added up.
///
/// # Errors
/// When a number is so large that as many of them could leave the 64 bits.
pub fn shares(
    seed: &Seed,
    of: Of<'_>,
    cell: u32,
    values: &[Option<i128>],
    members: usize,
) -> Result<Vec<u64>, TooLarge> {
    let most = i64::MAX / i64::try_from(members.max(1)).unwrap_or(i64::MAX);
    let mut words = Vec::with_capacity(values.len() * WORDS);
    for ((statistic, value), here) in values.iter().enumerate().zip(seed.presences(of, cell)) {
        let number = i64::try_from(value.unwrap_or(0)).ok().filter(|number| (-most..=most).contains(number));
        words.push(value.map_or(0, |_| here));
        words.push(number.ok_or(TooLarge { statistic, members })?.cast_unsigned());
    }
    for (word, mask) in words.iter_mut().zip(seed.masks(of, cell)) {
        *word = word.wrapping_sub(mask);
    }
    Ok(words)
}

/// Adds words to words, mod 2^64. `false`: they are not equally many, and nothing was added.
#[must_use]
pub fn add(sum: &mut [u64], words: &[u64]) -> bool {
    let fits = sum.len() == words.len();
    if fits {
        sum.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
    }
    fits
}

/// The totals of all members' shares and masks added up; `None` where no member has a value.
#[must_use]
pub fn totals(sum: &[u64]) -> Vec<Option<i64>> {
    let statistics = sum.chunks_exact(WORDS);
    let total = |words: &[u64]| match words {
        [0, _] => None,
        [_, number] => Some(number.cast_signed()),
        _ => None,
    };
    statistics.map(total).collect()
}
