//! Numbers to shares, and shares back to totals.
//!
//! A statistic is two words. The first tells whether there is a value (SQL's NULL): 0 where there is none, else a random number,
//! so that the sum is 0 where no member has one, and else tells neither who has one nor how many. (The random numbers add up to
//! 0 by chance once in 2^64.) The second is the number itself, two's complement; 0 where there is none.

use super::{Of, Seed};

/// Words of one statistic.
pub const WORDS: usize = 2;

/// The largest number that each of so many members may add, so that their total stays within 64 bits.
#[must_use]
pub fn most(members: usize) -> i64 {
    i64::MAX / i64::try_from(members.max(1)).unwrap_or(i64::MAX)
}

/// The words of one cell's statistics under their masks. `members`: how many will be added up. A number that is larger than [`most`] counts
/// as that, in either direction: a refusal would tell that there is one.
#[must_use]
pub fn shares(seed: &Seed, of: Of<'_>, cell: u32, values: &[Option<i128>], members: usize) -> Vec<u64> {
    let most = i128::from(most(members));
    let mut words = Vec::with_capacity(values.len() * WORDS);
    for (value, here) in values.iter().zip(seed.presences(of, cell)) {
        let number = value.unwrap_or(0).clamp(-most, most);
        words.push(value.map_or(0, |_| here));
        // within 64 bits since it was clamped
        words.push((number as i64).cast_unsigned());
    }
    for (word, mask) in words.iter_mut().zip(seed.masks(of, cell)) {
        *word = word.wrapping_sub(mask);
    }
    words
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
