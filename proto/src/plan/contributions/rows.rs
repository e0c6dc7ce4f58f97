//! What rows add, as they come from a table or as they were added up elsewhere.

use super::MOST;
use crate::plan::{gathered::BYTES, persons::groups::pseudonyms};
use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float64Array},
    datatypes::Float64Type,
};
use datafusion::common::{Result, exec_err, internal_datafusion_err};

/// The sum of zeros, and of nothing.
pub(super) const NOTHING: f64 = -0.0;

/// What values add up to: their sum, their number, the sum of their squares. Of these the first are kept, as many as were asked for.
pub(super) type Sums = [f64; MOST];

/// Who adds what, row by row.
pub(super) struct Rows<'a> {
    pub(super) people: &'a FixedSizeBinaryArray,
    /// the same, each in its bytes
    pseudonyms: &'a [[u8; BYTES]],
    values: &'a Float64Array,
    /// numbers that were added up elsewhere; else each row is one value
    more: Vec<&'a Float64Array>,
}

impl<'a> Rows<'a> {
    /// Of which so many numbers are asked for.
    pub(super) fn of(arguments: &'a [ArrayRef], asked: usize) -> Result<Self> {
        let [people, numbers @ ..] = arguments else { return exec_err!("contributions: arguments are missing") };
        let numbers = numbers.iter().map(|numbers| {
            let numbers = numbers.as_primitive_opt::<Float64Type>();
            numbers.ok_or_else(|| internal_datafusion_err!("contributions: values are not Float64"))
        });
        let numbers = numbers.collect::<Result<Vec<_>>>()?;
        match numbers.as_slice() {
            [values, more @ ..] if more.is_empty() || more.len() + 1 == asked => {
                let people = pseudonyms(people)?;
                Ok(Self { people, pseudonyms: people.value_data().as_chunks().0, values, more: more.to_vec() })
            }
            _ => exec_err!("contributions: a value is needed, or what values add up to"),
        }
    }

    #[inline]
    pub(super) fn person(&self, row: usize) -> Option<&'a [u8; BYTES]> {
        self.pseudonyms.get(row).filter(|_| self.people.is_valid(row))
    }

    /// What a row adds; none where it has no value.
    #[inline]
    pub(super) fn sums(&self, row: usize) -> Option<Sums> {
        if self.values.is_null(row) {
            return None;
        }
        let value = self.values.value(row);
        let mut sums = [if value == 0.0 { NOTHING } else { value }, 1.0, value * value];
        for (sum, more) in sums.iter_mut().skip(1).zip(&self.more) {
            *sum = if more.is_valid(row) { more.value(row) } else { NOTHING };
        }
        Some(sums)
    }
}
