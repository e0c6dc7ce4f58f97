//! Building the columns of one piece, value by value and without an allocation a value.

use super::{NO_PERSON, Seen, Task};
use crate::{
    declare::{ColumnKind, DateForm, TableDecl, ValueType},
    ingest::{
        pseudonyms::KeyHash,
        value::{self, Misfit},
    },
};
use arrow::{
    array::{
        ArrayRef, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array,
        Int32Array, Int64Array, NullBufferBuilder, StringArray, TimestampMicrosecondArray,
    },
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    error::ArrowError,
};
use std::sync::Arc;
use zeroize::Zeroizing;

const NOT_IN_RANGE: Misfit = Misfit::new("a whole number too large for the column's type");
const NOT_TEXT: Misfit = Misfit::new("not text in the declared encoding");

/// Longest key that is hashed.
const MAX_KEY: usize = 1024;
const LONG_KEY: Misfit = Misfit::new("a key longer than 1,024 bytes");

/// The columns of one piece under construction.
pub(super) struct Columns {
    columns: Vec<Column>,
    pub(super) seen: Seen,
    rows: usize,
    /// rows of which a value did not fit
    misfits: Vec<usize>,
}

struct Column {
    missing: Missing,
    /// watched for person numbers
    watched: bool,
    nulls: NullBufferBuilder,
    values: Values,
}

enum Values {
    Person(Zeroizing<Vec<u64>>),
    Key { bytes: Vec<u8>, hash: Arc<dyn KeyHash> },
    Text { bytes: Vec<u8>, offsets: Vec<i32> },
    Int32 { values: Vec<i32>, decimal: u8 },
    Int64 { values: Vec<i64>, decimal: u8 },
    Float64 { values: Vec<f64>, decimal: u8 },
    Decimal { values: Vec<i128>, decimal: u8, precision: u8, scale: i8 },
    Date { values: Vec<i32>, form: DateForm },
    Timestamp { values: Vec<i64>, form: DateForm },
    Boolean(BooleanBufferBuilder),
}

/// What stands for a missing value.
#[derive(Clone)]
struct Missing {
    longest: usize,
    empty: bool,
    spellings: Arc<[Vec<u8>]>,
}

impl Missing {
    fn of(decl: &TableDecl) -> Self {
        let spellings: Vec<Vec<u8>> = decl.source.missing.iter().map(|text| text.trim().as_bytes().to_vec()).collect();
        Self {
            longest: spellings.iter().map(Vec::len).max().unwrap_or(0),
            empty: spellings.iter().any(Vec::is_empty),
            spellings: spellings.into(),
        }
    }

    fn is(&self, trimmed: &[u8]) -> bool {
        if trimmed.is_empty() {
            return self.empty;
        }
        trimmed.len() <= self.longest && self.spellings.iter().any(|spelling| spelling == trimmed)
    }
}

impl Columns {
    /// For a piece of about `rows` rows.
    pub(super) fn new(task: &Task, rows: usize) -> Self {
        Self::with_native(task, rows, &[])
    }

    /// The same, with columns whose values come from typed ones: they have decimal points and ISO dates, whatever
    /// was declared for text.
    pub(super) fn with_native(task: &Task, rows: usize, native: &[bool]) -> Self {
        let decl = &task.decl;
        let missing = Missing::of(decl);
        let columns = decl
            .columns
            .iter()
            .zip(task.hashes.iter())
            .enumerate()
            .map(|(index, (column, hash))| {
                let native = native.get(index).copied().unwrap_or(false);
                let decimal = if native { b'.' } else { decl.source.decimal.byte() };
                let form = if native { DateForm::Iso } else { column.date.unwrap_or(decl.source.date) };
                let values = match (&column.kind, hash) {
                    (ColumnKind::Key { .. }, Some(hash)) => {
                        Values::Key { bytes: Vec::with_capacity(rows * 16), hash: Arc::clone(hash) }
                    }
                    // A key column always has its hash; the person column is the only other kind without a type.
                    (ColumnKind::Person | ColumnKind::Key { .. }, _) => {
                        Values::Person(Zeroizing::new(Vec::with_capacity(rows)))
                    }
                    (ColumnKind::Value(value_type), _) => match *value_type {
                        ValueType::Text => {
                            let mut offsets = Vec::with_capacity(rows + 1);
                            offsets.push(0);
                            Values::Text { bytes: Vec::with_capacity(rows * 8), offsets }
                        }
                        ValueType::Int32 => Values::Int32 { values: Vec::with_capacity(rows), decimal },
                        ValueType::Int64 => Values::Int64 { values: Vec::with_capacity(rows), decimal },
                        ValueType::Float64 => Values::Float64 { values: Vec::with_capacity(rows), decimal },
                        ValueType::Decimal(precision, scale) => {
                            Values::Decimal { values: Vec::with_capacity(rows), decimal, precision, scale }
                        }
                        ValueType::Date => Values::Date { values: Vec::with_capacity(rows), form },
                        ValueType::Timestamp => Values::Timestamp { values: Vec::with_capacity(rows), form },
                        ValueType::Boolean => Values::Boolean(BooleanBufferBuilder::new(rows)),
                    },
                };
                let watched = !matches!(
                    values,
                    Values::Person(_) | Values::Date { .. } | Values::Timestamp { .. } | Values::Boolean(_)
                );
                Column { missing: missing.clone(), watched, nulls: NullBufferBuilder::new(rows), values }
            })
            .collect();
        Self { columns, seen: Seen::of(decl.columns.len()), rows: 0, misfits: Vec::new() }
    }

    /// Appends a value to one column. Whatever the answer, the column is one longer afterwards.
    pub(super) fn append(&mut self, index: usize, field: &[u8]) -> Result<(), Misfit> {
        let Some(column) = self.columns.get_mut(index) else { return Ok(()) };
        column.append(field, index, &mut self.seen)
    }

    /// Appends a missing value.
    pub(super) fn append_missing(&mut self, index: usize) {
        if let Some(column) = self.columns.get_mut(index) {
            column.append_missing(&mut self.seen);
        }
    }

    /// Ends a row that every column got its value of.
    pub(super) fn end_row(&mut self, fits: bool) {
        self.seen.rows += 1;
        if !fits {
            self.misfits.push(self.rows);
            self.seen.rejected += 1;
        }
        self.rows += 1;
    }

    /// Counts a row that no column got a value of.
    pub(super) fn skip_row(&mut self) {
        self.seen.rows += 1;
        self.seen.rejected += 1;
    }

    /// The finished columns, without the rows that do not fit.
    pub(super) fn finish(self) -> Result<Piece, ArrowError> {
        let keep = (!self.misfits.is_empty()).then(|| {
            let mut keep = vec![true; self.rows];
            for row in &self.misfits {
                if let Some(keep) = keep.get_mut(*row) {
                    *keep = false;
                }
            }
            BooleanArray::from(keep)
        });
        let mut persons = Zeroizing::new(Vec::new());
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            match column.finish()? {
                Finished::Persons(numbers) => {
                    persons = match &keep {
                        None => numbers,
                        Some(keep) => Zeroizing::new(
                            numbers
                                .iter()
                                .zip(keep.values().iter())
                                .filter(|(_, keep)| *keep)
                                .map(|(number, _)| *number)
                                .collect(),
                        ),
                    };
                    arrays.push(None);
                }
                Finished::Array(array) => arrays.push(Some(match &keep {
                    None => array,
                    Some(keep) => arrow::compute::filter(&array, keep)?,
                })),
            }
        }
        Ok(Piece { columns: arrays, persons, rows: self.rows - self.misfits.len(), seen: self.seen })
    }
}

/// The columns of one piece.
pub(super) struct Piece {
    /// nothing in the place of the person column
    pub(super) columns: Vec<Option<ArrayRef>>,
    pub(super) persons: Zeroizing<Vec<u64>>,
    pub(super) rows: usize,
    pub(super) seen: Seen,
}

enum Finished {
    Persons(Zeroizing<Vec<u64>>),
    Array(ArrayRef),
}

impl Column {
    fn append(&mut self, field: &[u8], index: usize, seen: &mut Seen) -> Result<(), Misfit> {
        let trimmed = value::trimmed(field);
        if self.missing.is(trimmed) {
            self.append_missing(seen);
            return Ok(());
        }
        if self.watched
            && let Some((values, alike)) = seen.look_alikes.get_mut(index)
        {
            *values += 1;
            *alike += u64::from(value::looks_like_person_number(trimmed));
        }
        let appended = self.append_value(field, trimmed, seen);
        match appended {
            Ok(()) => self.nulls.append_non_null(),
            Err(_) => self.append_null(),
        }
        appended
    }

    fn append_value(&mut self, field: &[u8], trimmed: &[u8], seen: &mut Seen) -> Result<(), Misfit> {
        match &mut self.values {
            Values::Person(numbers) => {
                let number = value::person(trimmed)?;
                seen.numbers += 1;
                seen.modulus_11 += u64::from(!number.modulus_11);
                seen.impossible_date += u64::from(!number.possible_date);
                numbers.push(number.digits);
            }
            Values::Key { bytes, hash } => {
                if trimmed.len() > MAX_KEY {
                    return Err(LONG_KEY);
                }
                bytes.extend_from_slice(&hash.stored(trimmed));
            }
            Values::Text { bytes, offsets } => {
                let end = i32::try_from(bytes.len() + field.len()).map_err(|_| NOT_TEXT)?;
                bytes.extend_from_slice(field);
                offsets.push(end);
            }
            Values::Int32 { values, decimal } => {
                values.push(i32::try_from(value::integer(trimmed, *decimal)?).map_err(|_| NOT_IN_RANGE)?);
            }
            Values::Int64 { values, decimal } => values.push(value::integer(trimmed, *decimal)?),
            Values::Float64 { values, decimal } => values.push(value::float(trimmed, *decimal)?),
            Values::Decimal { values, decimal, precision, scale } => {
                values.push(value::decimal(trimmed, *decimal, *precision, *scale)?);
            }
            Values::Date { values, form } => values.push(value::day(trimmed, *form)?),
            Values::Timestamp { values, form } => values.push(value::timestamp(trimmed, *form)?),
            Values::Boolean(values) => values.append(value::boolean(trimmed)?),
        }
        Ok(())
    }

    fn append_missing(&mut self, seen: &mut Seen) {
        if matches!(self.values, Values::Person(_)) {
            seen.missing += 1;
        }
        self.append_null();
    }

    fn append_null(&mut self) {
        self.nulls.append_null();
        match &mut self.values {
            Values::Person(numbers) => numbers.push(NO_PERSON),
            Values::Key { bytes, .. } => bytes.extend_from_slice(&[0; 16]),
            Values::Text { bytes, offsets } => offsets.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX)),
            Values::Int32 { values, .. } | Values::Date { values, .. } => values.push(0),
            Values::Int64 { values, .. } | Values::Timestamp { values, .. } => values.push(0),
            Values::Float64 { values, .. } => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Boolean(values) => values.append(false),
        }
    }

    fn finish(mut self) -> Result<Finished, ArrowError> {
        let nulls: Option<NullBuffer> = self.nulls.finish();
        let array: ArrayRef = match self.values {
            Values::Person(numbers) => return Ok(Finished::Persons(numbers)),
            Values::Key { bytes, .. } => Arc::new(FixedSizeBinaryArray::try_new(16, Buffer::from_vec(bytes), nulls)?),
            Values::Text { bytes, offsets } => Arc::new(StringArray::try_new(
                OffsetBuffer::new(ScalarBuffer::from(offsets)),
                Buffer::from_vec(bytes),
                nulls,
            )?),
            Values::Int32 { values, .. } => Arc::new(Int32Array::try_new(values.into(), nulls)?),
            Values::Int64 { values, .. } => Arc::new(Int64Array::try_new(values.into(), nulls)?),
            Values::Float64 { values, .. } => Arc::new(Float64Array::try_new(values.into(), nulls)?),
            Values::Decimal { values, precision, scale, .. } => {
                Arc::new(Decimal128Array::try_new(values.into(), nulls)?.with_precision_and_scale(precision, scale)?)
            }
            Values::Date { values, .. } => Arc::new(Date32Array::try_new(values.into(), nulls)?),
            Values::Timestamp { values, .. } => Arc::new(TimestampMicrosecondArray::try_new(values.into(), nulls)?),
            Values::Boolean(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
        };
        Ok(Finished::Array(array))
    }
}
