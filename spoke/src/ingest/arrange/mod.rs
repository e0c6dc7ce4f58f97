//! Putting rows in order with bounded memory: sorted runs on disk, merged while they are read back.
//!
//! INVARIANT: what is spilled holds stored pseudonyms only, as published files do, and lies in the spoke's own folder.

mod join;
mod merge;
mod run;
mod sort;

pub(crate) use join::{JoinCounts, join_people};
pub(crate) use merge::Merged;
pub(crate) use sort::Sorter;

/// Rows of the batches that come out.
pub(crate) const BATCH: usize = 8192;
