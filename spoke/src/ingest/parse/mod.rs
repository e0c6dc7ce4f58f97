//! From bytes to typed columns: rows of CSV or Parquet, each value checked against its declaration.
//!
//! One thread reads and cuts the text at row ends, several parse the pieces, and the pieces come out in order.
//!
//! INVARIANT: person numbers leave this module only in [`Parsed::persons`], which is wiped when it is dropped.

mod block;
mod column;
mod csv;
mod encoding;
mod header;
mod parquet;
mod split;

pub(crate) use csv::start as start_csv;
pub(crate) use parquet::start as start_parquet;

use super::{pseudonyms::KeyHash, record::Source, source::SourceError, value::Misfit};
use crate::declare::TableDecl;
use arrow::array::ArrayRef;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Stands for a missing person number among the others.
pub(crate) const NO_PERSON: u64 = u64::MAX;

/// A piece of a source, parsed.
pub(crate) struct Parsed {
    /// its place among the pieces
    pub(crate) index: u64,
    /// file that it is from
    pub(crate) file: Arc<str>,
    /// rows that fit their declaration, column by column as declared; nothing in the place of the person column
    pub(crate) columns: Vec<Option<ArrayRef>>,
    /// rows that fit
    pub(crate) rows: usize,
    /// their person numbers, [`NO_PERSON`] where there is none; empty when the table has no such column
    pub(crate) persons: Zeroizing<Vec<u64>>,
    /// rows that do not fit
    pub(crate) rejects: Vec<Reject>,
    /// what was seen on the way
    pub(crate) seen: Seen,
    /// holds a place among the pieces under way
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// A row that does not fit its declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) line: u64,
    /// the column, or nothing when the row as a whole is wrong
    pub(crate) column: Option<Arc<str>>,
    /// kind of value, never the value
    pub(crate) class: String,
    pub(crate) reason: Misfit,
}

/// Counts that end up in the summary.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) numbers: u64,
    pub(crate) missing: u64,
    pub(crate) modulus_11: u64,
    pub(crate) impossible_date: u64,
    /// per declared column: values, and how many of them have the form of a person number
    pub(crate) look_alikes: Vec<(u64, u64)>,
}

impl Seen {
    pub(crate) fn of(columns: usize) -> Self {
        Self { look_alikes: vec![(0, 0); columns], ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.rejected += other.rejected;
        self.numbers += other.numbers;
        self.missing += other.missing;
        self.modulus_11 += other.modulus_11;
        self.impossible_date += other.impossible_date;
        for (own, other) in self.look_alikes.iter_mut().zip(&other.look_alikes) {
            own.0 += other.0;
            own.1 += other.1;
        }
    }
}

/// What every part of the parsing needs to know.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) decl: Arc<TableDecl>,
    /// per declared column, the hash of a key column
    pub(crate) hashes: Arc<Vec<Option<Arc<dyn KeyHash>>>>,
    pub(crate) threads: usize,
    pub(crate) meter: Arc<Meter>,
    pub(crate) cancel: CancellationToken,
}

/// How far the reading is, and digests of the files that were read to their end.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: AtomicU64,
    done: Mutex<Vec<Source>>,
}

impl Meter {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn finished(&self, file: &Arc<str>, size: u64, digest: [u8; 32]) {
        let source = Source { location: file.to_string(), size, sha256: digest };
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    pub(crate) fn done(&self) -> Vec<Source> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Pieces as they come, not yet in order.
pub(crate) type Pieces = tokio::sync::mpsc::Receiver<Result<Parsed, SourceError>>;
