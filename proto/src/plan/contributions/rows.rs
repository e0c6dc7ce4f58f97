//! What rows add, as they come from a table or as they were added up elsewhere.

use crate::plan::persons::groups::pseudonyms;
use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float64Array},
    datatypes::Float64Type,
};
use datafusion::common::{Result, exec_err, internal_datafusion_err};

/// The sum of zeros, and of nothing.
pub(super) const NOTHING: f64 = -0.0;

/// What somebody's values add up to: their sum, their number, the sum of their squares, as many of these as there are.
pub(super) type Sums<const N: usize> = [f64; N];

/// The sum of somebody's values.
pub(super) const fn value<const N: usize>(sums: &Sums<N>) -> f64 {
    match sums.as_slice() {
        [value, ..] => *value,
        [] => NOTHING,
    }
}

pub(super) fn add_up<const N: usize>(so_far: &mut Sums<N>, sums: &Sums<N>) {
    so_far.iter_mut().zip(sums).for_each(|(so_far, sum)| *so_far += sum);
}

/// Who adds what, row by row.
pub(super) struct Rows<'a, const N: usize> {
    pub(super) people: &'a FixedSizeBinaryArray,
    values: &'a Float64Array,
    /// numbers that were added up elsewhere; else each row is one value
    more: Vec<&'a Float64Array>,
}

impl<'a, const N: usize> Rows<'a, N> {
    pub(super) fn of(arguments: &'a [ArrayRef]) -> Result<Self> {
        let [people, numbers @ ..] = arguments else { return exec_err!("contributions: arguments are missing") };
        let numbers = numbers.iter().map(|numbers| {
            let numbers = numbers.as_primitive_opt::<Float64Type>();
            numbers.ok_or_else(|| internal_datafusion_err!("contributions: values are not Float64"))
        });
        let numbers = numbers.collect::<Result<Vec<_>>>()?;
        match numbers.as_slice() {
            [values, more @ ..] if more.is_empty() || more.len() + 1 == N => {
                Ok(Self { people: pseudonyms(people)?, values, more: more.to_vec() })
            }
            _ => exec_err!("contributions: a value is needed, or what values add up to"),
        }
    }

    pub(super) fn person(&self, row: usize) -> Option<&'a [u8]> {
        self.people.is_valid(row).then(|| self.people.value(row))
    }

    /// What a row adds; none where it has no value.
    pub(super) fn sums(&self, row: usize) -> Option<Sums<N>> {
        if self.values.is_null(row) {
            return None;
        }
        let value = self.values.value(row);
        let mut sums = [if value == 0.0 { NOTHING } else { value }, 1.0, value * value].into_iter();
        let mut own = [NOTHING; N];
        own.iter_mut().zip(&mut sums).for_each(|(own, sum)| *own = sum);
        for (own, more) in own.iter_mut().skip(1).zip(&self.more) {
            *own = if more.is_valid(row) { more.value(row) } else { NOTHING };
        }
        Some(own)
    }
}
