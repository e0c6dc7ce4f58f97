//! What spokes tell of their tables, for planning. It may be wrong or missing: no answer depends on it.

use proto::wire;
use std::collections::BTreeMap;

/// Years that a table can be about; a spoke that tells others is not believed.
const YEARS: std::ops::RangeInclusive<i32> = -9_999..=9_999;

/// Of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableStatistics {
    /// rows
    pub rows: u64,
    /// bytes on disk
    pub bytes: u64,
    /// different people; 0: not told
    pub persons: u64,
    /// by column; those of which nothing is told are missing
    pub columns: BTreeMap<String, ColumnFacts>,
}

/// Of one column.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ColumnFacts {
    /// different values; 0: not told
    pub distinct: f64,
    /// share of rows without a value
    pub nulls: f64,
    /// first and last year of its days, when told
    pub years: Option<(i32, i32)>,
}

impl TableStatistics {
    pub(super) fn told(entry: &wire::TableEntry) -> Self {
        let columns = entry.columns.iter().filter_map(|column| {
            let person = column.role() == wire::ColumnRole::Person;
            let distinct = if person && entry.persons > 0 { entry.persons } else { column.distinct };
            let years = column.first_year.zip(column.last_year);
            let facts = ColumnFacts {
                distinct: distinct.min(entry.rows) as f64,
                nulls: f64::from(column.nulls.min(100)) / 100.0,
                years: years.filter(|(first, last)| first <= last && YEARS.contains(first) && YEARS.contains(last)),
            };
            (facts != ColumnFacts::default()).then(|| (column.name.clone(), facts))
        });
        Self { rows: entry.rows, bytes: entry.bytes, persons: entry.persons, columns: columns.collect() }
    }
}
