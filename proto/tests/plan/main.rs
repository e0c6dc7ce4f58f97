//! Plan -> fragment -> bytes -> fragment -> plan gives the same rows; what cannot be said is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod bench;
mod coverage;
mod golden;
mod hostile;
mod random;
mod schema;
mod unsayable;
