//! Blind totals: numbers of three or more controllers of which the hub sees the total and nothing else.
//!
//! Each spoke adds a mask to each of its numbers, mod 2^64, and sends the hub what comes of it (its *share*). The mask follows
//! from a seed that it makes for this one answer, signs together with what it belongs to ([`SeedStatement`]) and seals to the
//! custodian. The custodian checks all seeds of a total and gives the sum of the masks, once. Shares and masks added up are the
//! total; a share alone is a uniformly random number (docs/blind-totals.md).
//!
//! INVARIANT: a mask is used for one number: it follows from the seed, the total, the fragment, the cell and the word.
//! INVARIANT: totals are exact sums of what members give. What can't be added exactly mod 2^64 (floating point) is refused by name; a number
//! that could overflow counts as the largest that can't. No refusal depends on a number.

#[cfg(feature = "plan")]
pub mod columns;
mod mask;
mod shape;
mod share;
mod statement;

pub use mask::{Of, Seed};
pub use shape::{Unshareable, statistics};
pub use share::{WORDS, add, most, shares, totals};
pub use statement::{SEED, SEED_INFO, SeedStatement, StatementProblem, fragment_digest};

/// With fewer members the total tells a member that knows its own number the only other one's.
pub const MIN_MEMBERS: usize = 3;
/// Members that one total may have.
pub const MAX_MEMBERS: usize = 256;
/// Words that one total may have.
pub const MAX_WORDS: usize = 4096;

#[cfg(test)]
mod tests;
