//! What a published table's rows are like, for planning: counted at ingest, kept with the table, merged when files are
//! added.
//!
//! INVARIANT: this is the controller's own knowledge; nobody else gets it but rounded (`admit::told`).

use super::sketch::Sketch;
use serde::{Deserialize, Serialize};

/// Of a whole table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// rows
    pub rows: u64,
    /// of each column, in the order of the schema
    pub columns: Vec<ColumnStatistics>,
}

/// Of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// rows without a value
    pub nulls: u64,
    /// its different values
    pub different: Sketch,
    /// values that so many people carry that none of them stands out, if values were few enough to be kept apart
    pub common: Option<Common>,
    /// of days and points in time: the first and last year in which so many people have something
    pub years: Option<(i32, i32)>,
}

/// Values that many people carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Common {
    /// how many different ones
    pub values: u64,
    /// rows that hold one
    pub rows: u64,
}

impl Statistics {
    /// Of these rows and those of `later`, whose columns are the same.
    #[must_use]
    pub(crate) fn and(mut self, later: &Self) -> Option<Self> {
        if self.columns.len() != later.columns.len() {
            return None;
        }
        self.rows += later.rows;
        for (own, other) in self.columns.iter_mut().zip(&later.columns) {
            own.nulls += other.nulls;
            own.different.merge(&other.different);
            own.common = match (own.common, other.common) {
                // Which values they share isn't known: it is a lower bound.
                (Some(a), Some(b)) => Some(Common { values: a.values.max(b.values), rows: a.rows + b.rows }),
                _ => None,
            };
            own.years = match (own.years, other.years) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            };
        }
        Some(self)
    }

    pub(super) fn to_text(&self) -> String {
        // Plain structs: this has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None`: the table was published by a spoke that counted nothing.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
