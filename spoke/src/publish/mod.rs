//! Published tables: Parquet files under a Delta log in an object store, one folder a table.
//!
//! `ingest` writes files and commits them here; `serve` reads a [`Snapshot`] and scans its files. A commit is the
//! only thing that makes a file part of a table, so whatever happens before it leaves the previous snapshot served.
//!
//! INVARIANT: person and key columns hold stored pseudonyms only; nothing in this module ever sees a person number.

mod columns;
mod commit;
mod error;
mod files;
mod pins;
mod sketch;
mod snapshot;
mod state;
mod statistics;
mod store;
mod vacuum;

pub use commit::{Commit, NewFile, Published};
pub use error::PublishError;
pub use pins::Pin;
pub use sketch::Sketch;
pub use snapshot::{DataFile, Snapshot};
pub use state::State;
pub use statistics::{ColumnStatistics, Common, Statistics};
pub use store::Store;
pub use vacuum::Vacuumed;

pub(crate) use columns::ParquetObject;
pub(crate) use error::disk_full;
pub(crate) use sketch::hash as value_hash;
pub(crate) use store::with_environment;

#[cfg(test)]
mod tests;
