//! People whose data are left out: opt-outs (EHDS Article 71), withdrawn consent, erasure.
//!
//! An opt-out counts from the next permit on: a permit records the version of the lists that it was signed at. Withdrawn
//! consent and erasure count at once and always, over pinned snapshots and old permits too, and `serve` asks the hub to
//! remove what it holds ([`Unasked`]).
//!
//! INVARIANT: only stored pseudonyms are kept, and a person number is read from a file or standard input, never from
//! the command line. What is left out is taken out of the view itself, before any condition of a question can see it.

mod excluded;
mod list;
pub mod numbers;
mod unasked;

pub use excluded::{Except, Excluded};
pub use list::{Change, Kind, Overview};
pub use unasked::Unasked;

#[cfg(test)]
mod tests;
