//! Numbers of a record batch to values of shares, and totals to a record batch.
//!
//! Of people summarised by `persons` their number and the sum of their keys are shared, as one word: nobody's marks are. A
//! total of them has no marks, so that it counts as near to every other one with nearly as many people. Of what `contributions`
//! says, those who add something are shared the same way, and how much they do is not: the total then reads as one of which that
//! isn't known.

use crate::plan::{
    contributions::Contributions,
    persons::{Summary, head},
};
use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Int64Array, RecordBatch, UInt64Array},
    datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, SchemaRef, UInt64Type},
    error::ArrowError,
};
use std::sync::Arc;

/// Column of an answer with shares: the words, 8 bytes each, little-endian.
pub const SHARES: &str = "words";
/// Column of an answer with shares: a `SealedSeed`.
pub const SEALED: &str = "sealed";

/// A column that can't be added exactly. Names it and its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "column '{column}' is {kind}, which can't be added exactly in a blind total: use whole numbers or decimals (CAST(x AS decimal(15, 2)))"
)]
pub struct Inexact {
    /// which column
    pub column: String,
    /// its type
    pub kind: DataType,
}

/// What an answer with shares looks like: one row.
#[must_use]
pub fn answer_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(SHARES, DataType::Binary, false),
        Field::new(SEALED, DataType::Binary, false),
    ]))
}

/// Where the number of people stands in the word of a summary; below it the sum of their keys, which many members' don't fill.
const PEOPLE: u32 = 32;

/// Whether all columns can be added exactly mod 2^64. The only bytes of an aggregate are those of `persons`
/// and `contributions`.
///
/// # Errors
/// The first that can't.
pub fn check(schema: &Schema) -> Result<(), Inexact> {
    let exact = |kind: &DataType| {
        matches!(kind, DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..) | DataType::Binary)
    };
    match schema.fields().iter().find(|field| !exact(field.data_type())) {
        Some(field) => Err(Inexact { column: field.name().clone(), kind: field.data_type().clone() }),
        None => Ok(()),
    }
}

/// The numbers of row `row`, decimals in units of their last digit; `None` where a value is NULL.
///
/// # Errors
/// As [`check`].
pub fn values(batch: &RecordBatch, row: usize) -> Result<Vec<Option<i128>>, Inexact> {
    check(&batch.schema())?;
    let value = |column: &ArrayRef| {
        if column.is_null(row) {
            return None;
        }
        match column.data_type() {
            DataType::Int64 => column.as_primitive_opt::<Int64Type>().map(|c| i128::from(c.value(row))),
            DataType::UInt64 => column.as_primitive_opt::<UInt64Type>().map(|c| i128::from(c.value(row))),
            DataType::Binary => {
                let said = Contributions::read(column.as_binary_opt::<i32>()?.value(row)).ok()?;
                let (people, key) = head(said.adding?).ok()?;
                Some((i128::from(people) << PEOPLE) | i128::from(key))
            }
            _ => column.as_primitive_opt::<Decimal128Type>().map(|c| c.value(row)),
        }
    };
    Ok(batch.columns().iter().map(value).collect())
}

/// Totals as one row of `schema`.
///
/// # Errors
/// When they don't fit the schema.
pub fn row(schema: &SchemaRef, totals: &[Option<i64>]) -> Result<RecordBatch, ArrowError> {
    let misfit = || ArrowError::InvalidArgumentError("a total doesn't fit its column".to_owned());
    if totals.len() != schema.fields().len() {
        return Err(misfit());
    }
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(totals.len());
    for (field, total) in schema.fields().iter().zip(totals) {
        columns.push(match field.data_type() {
            DataType::Int64 => Arc::new(Int64Array::from(vec![*total])),
            DataType::UInt64 => {
                let total = total.map(u64::try_from).transpose().map_err(|_| misfit())?;
                Arc::new(UInt64Array::from(vec![total]))
            }
            DataType::Decimal128(precision, scale) => {
                let one = Decimal128Array::from(vec![total.map(i128::from)]);
                Arc::new(one.with_precision_and_scale(*precision, *scale)?)
            }
            DataType::Binary => {
                let summary = total.map(|total| {
                    let total = u64::try_from(total).map_err(|_| misfit())?;
                    let [key, ..] = total.to_le_bytes();
                    let people = Summary { people: total >> PEOPLE, key, ..Summary::default() };
                    people.write().map_err(|_| misfit())
                });
                Arc::new(BinaryArray::from_iter([summary.transpose()?]))
            }
            _ => return Err(misfit()),
        });
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}
