//! What of a table's statistics is told: so coarse that no person shows. `docs/statistics.md` says why it is so.
//!
//! - Sizes are told in classes, each 1.41 times the one before. Where a class begins is moved by a secret of the spoke, another for
//!   each table, column and number, and always the same one: asking again tells nothing new, and a class that changes tells
//!   that somebody came, not how many there are.
//! - A table about fewer than about a thousand people is told as one of a thousand rows, and nothing of its columns.
//! - Values and years count only when a crowd has them (`ingest::survey`). No value is ever told.
//!
//! Tables without people have no secret: their numbers are told as they are.
//!
//! INVARIANT: nothing that is told depends on one person, unless a class begins just there.

use crate::{
    pseudonym::OrderKey,
    publish::{ColumnStatistics, Snapshot},
};
use arrow::datatypes::Schema;
use proto::schema::{PERSON, REFERENCE, ROLE, TABLE_ROLE};

/// Fewer people, rows or keys than this are told as this many.
const FEW: u64 = 1_000;
/// The same of common values.
const FEW_VALUES: u64 = 16;
/// Classes in which a size doubles.
const STEPS: f64 = 2.0;
/// Classes of the share of NULLs.
const SHARES: f64 = 10.0;

/// Of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) persons: u64,
    /// by place in the stored schema; none when nothing is told of them
    pub(crate) columns: Vec<ToldColumn>,
}

/// Of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ToldColumn {
    pub(crate) distinct: u64,
    pub(crate) nulls: u32,
    pub(crate) years: Option<(i32, i32)>,
}

/// What is told of a snapshot.
pub(crate) fn told(snapshot: &Snapshot, secret: &OrderKey) -> Told {
    let reference = snapshot.schema.metadata().get(TABLE_ROLE).is_some_and(|role| role == REFERENCE);
    let coarse = Coarse { table: snapshot.table.as_str(), secret: (!reference).then_some(secret) };
    let rows = coarse.size("", "rows", snapshot.rows, FEW);
    let bytes = coarse.size("", "bytes", snapshot.bytes, FEW);
    let Some(statistics) = snapshot.statistics.as_deref() else {
        return Told { rows, bytes, ..Told::default() };
    };
    let person = person(&snapshot.schema).and_then(|place| statistics.columns.get(place));
    let people = person.map(|column| column.different.estimate());
    let persons = people.map_or(0, |people| coarse.size("", "persons", people, FEW));
    if !reference && people.is_none_or(|_| persons <= FEW) {
        return Told { rows: FEW, bytes: FEW, persons, columns: Vec::new() };
    }
    let columns = snapshot.schema.fields().iter().zip(&statistics.columns);
    let columns = columns.map(|(field, column)| {
        let linking = field.metadata().contains_key(ROLE);
        coarse.column(field.name(), column, statistics.rows, linking)
    });
    Told { rows, bytes, persons, columns: columns.collect() }
}

/// The first column of people.
fn person(schema: &Schema) -> Option<usize> {
    schema.fields().iter().position(|field| field.metadata().get(ROLE).is_some_and(|role| role == PERSON))
}

struct Coarse<'a> {
    table: &'a str,
    /// none: nothing has to be made coarse
    secret: Option<&'a OrderKey>,
}

impl Coarse<'_> {
    /// A number from 0 to 1 that nobody else knows, the same for ever.
    fn offset(&self, secret: &OrderKey, column: &str, what: &str) -> f64 {
        let rank = secret.rank(format!("{}\0{column}\0{what}", self.table).as_bytes());
        rank as f64 / u64::MAX as f64
    }

    fn size(&self, column: &str, what: &str, size: u64, few: u64) -> u64 {
        let Some(secret) = self.secret else { return size };
        // Where a thousand ends is a secret too: between one and two thousand.
        let bound = few as f64 * self.offset(secret, column, &format!("{what} bound")).exp2();
        if (size as f64) < bound {
            return few;
        }
        let class = (STEPS * (size as f64).log2() + self.offset(secret, column, what)).floor();
        two_digits((class / STEPS).exp2()).max(few + 1)
    }

    fn column(&self, name: &str, column: &ColumnStatistics, rows: u64, linking: bool) -> ToldColumn {
        let different = column.different.estimate();
        let values = rows.saturating_sub(column.nulls);
        // Where most rows hold common values, those are what a condition names.
        let distinct = match column.common.filter(|common| !linking && common.rows * 2 > values) {
            Some(common) => self.size(name, "common", common.values, FEW_VALUES),
            None => self.size(name, "different", different, FEW),
        };
        let share = if rows == 0 { 0.0 } else { column.nulls as f64 / rows as f64 };
        let offset = self.secret.map_or(0.5, |secret| self.offset(secret, name, "nulls"));
        let nulls = ((share * SHARES + offset).floor() * 100.0 / SHARES).min(100.0);
        // from 0 to 100
        ToldColumn { distinct, nulls: nulls as u32, years: column.years }
    }
}

fn two_digits(size: f64) -> u64 {
    let unit = 10_f64.powf((size.max(1.0).log10().floor() - 1.0).max(0.0));
    // far below 2^64
    ((size / unit).round() * unit) as u64
}

#[cfg(test)]
mod tests;
