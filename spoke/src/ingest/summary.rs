//! What an ingest tells at its end.

use policies::disclosure::thousands;
use serde::Serialize;
use std::{fmt, path::PathBuf};

/// What became of one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// the table
    pub table: String,
    /// whether something was published
    pub outcome: Outcome,
    /// version of the table that is served now
    pub snapshot: i64,
    /// rows of that version
    pub rows_in_table: u64,
    /// files that were read
    pub files: u64,
    /// rows that were read
    pub rows_read: u64,
    /// rows that were published
    pub rows_published: u64,
    /// rows that did not fit
    pub rows_rejected: u64,
    /// report of the rejected rows
    pub rejects: Option<PathBuf>,
    /// person numbers that were read
    pub person_numbers: u64,
    /// different people among them
    pub people: u64,
    /// rows without a person number
    pub missing_persons: u64,
    /// person numbers that fail modulus 11; numbers since October 2007 may
    pub modulus_11_failures: u64,
    /// person numbers that start with no possible date
    pub impossible_dates: u64,
    /// rows whose key the parent table does not have
    pub rows_without_parent: u64,
    /// rows whose key stands for several people in the parent table; they are published without a person
    pub ambiguous_keys: u64,
    /// people that the custodian had to be asked about
    pub new_evaluations: u64,
    /// person numbers that were known already
    pub cache_hits: u64,
    /// files of crashed or replaced ingests that were removed
    pub files_removed: u64,
    /// how long it took
    pub seconds: f64,
}

/// Whether something was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// a new snapshot
    Published,
    /// sources and declaration are those that were published already
    NothingNew,
}

impl Summary {
    pub(super) fn nothing_new(table: impl ToString, snapshot: i64, rows: u64) -> Self {
        Self {
            table: table.to_string(),
            outcome: Outcome::NothingNew,
            snapshot,
            rows_in_table: rows,
            files: 0,
            rows_read: 0,
            rows_published: 0,
            rows_rejected: 0,
            rejects: None,
            person_numbers: 0,
            people: 0,
            missing_persons: 0,
            modulus_11_failures: 0,
            impossible_dates: 0,
            rows_without_parent: 0,
            ambiguous_keys: 0,
            new_evaluations: 0,
            cache_hits: 0,
            files_removed: 0,
            seconds: 0.0,
        }
    }

    /// As one JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain numbers and text: there is nothing that could fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Rows read a second.
    #[must_use]
    pub fn rows_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.rows_read as f64 / self.seconds } else { 0.0 }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |count: u64| thousands(count);
        if self.outcome == Outcome::NothingNew {
            return write!(
                f,
                "{}: nothing new; snapshot {} with {} rows stays",
                self.table,
                self.snapshot,
                n(self.rows_in_table)
            );
        }
        writeln!(f, "{}: published as snapshot {} with {} rows", self.table, self.snapshot, n(self.rows_in_table))?;
        writeln!(
            f,
            "  rows        {} read from {} files, {} published, {} rejected",
            n(self.rows_read),
            n(self.files),
            n(self.rows_published),
            n(self.rows_rejected)
        )?;
        if let Some(rejects) = &self.rejects {
            writeln!(f, "  rejects     {}", rejects.display())?;
        }
        if self.person_numbers + self.missing_persons > 0 {
            writeln!(
                f,
                "  people      {} in {} person numbers; {} rows without; modulus 11 fails for {}, impossible date in {}",
                n(self.people),
                n(self.person_numbers),
                n(self.missing_persons),
                n(self.modulus_11_failures),
                n(self.impossible_dates)
            )?;
            writeln!(f, "  pseudonyms  {} new, {} known already", n(self.new_evaluations), n(self.cache_hits))?;
        } else if self.people + self.rows_without_parent + self.ambiguous_keys > 0 {
            writeln!(
                f,
                "  people      {} found through the parent; {} rows without parent, {} with a key of several people",
                n(self.people),
                n(self.rows_without_parent),
                n(self.ambiguous_keys)
            )?;
        }
        write!(f, "  time        {:.1} s, {} rows/s", self.seconds, n(self.rows_per_second() as u64))
    }
}
