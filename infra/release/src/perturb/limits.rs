//! Statistics within the limits of what one person may add, in place of exact ones, before they get noise.
//!
//! Where no limit changes anything the exact number stays, to its last digit.

use super::{
    numbers::{self, Number},
    unread,
};
use crate::release::limited::{self, Limited};
use arrow::array::{ArrayRef, BinaryArray};
use datafusion::common::Result;
use proto::plan::contributions::Contributions;

/// What each cell comes to; `None` of blind totals, and where there are no rows.
pub(super) fn of(contributions: &BinaryArray) -> Result<Vec<Option<Limited>>> {
    let limited = contributions.iter().map(|said| match said {
        Some(said) => Limited::of(&Contributions::read(said).map_err(unread)?),
        None => Ok(None),
    });
    limited.collect()
}

pub(super) fn at(limited: &[Option<Limited>], row: usize) -> Option<Limited> {
    limited.get(row).copied().flatten()
}

/// Sums.
pub(super) fn sums(values: &ArrayRef, limited: &[Option<Limited>]) -> Result<ArrayRef> {
    let sum = |limited: &Option<Limited>| limited.filter(|limited| limited.sum_changed).map(|limited| limited.sum);
    numbers::replaced(values, &limited.iter().map(sum).collect::<Vec<_>>())
}

/// Counts of rows, and sums of a constant for each: `limited` is of the rows, or of the constants.
pub(super) fn counts(values: &ArrayRef, limited: &[Option<Limited>]) -> Result<ArrayRef> {
    numbers::numbers(values, |row, value| {
        let Some(limited) = at(limited, row).filter(|limited| limited.sum_changed && limited.exact != 0.0) else {
            return Some(value);
        };
        let part = limited.sum / limited.exact;
        Some(match value {
            Number::Whole(value) => Number::Whole((value as f64 * part).round() as i128),
            Number::Float(value) => Number::Float(value * part),
        })
    })
}

/// Means.
pub(super) fn means(values: &ArrayRef, limited: &[Option<Limited>]) -> Result<ArrayRef> {
    let mean = |limited: &Option<Limited>| limited.and_then(|limited| limited.mean);
    let changed = |mean: limited::Mean| mean.changed.then_some(mean.mean);
    numbers::replaced(values, &limited.iter().map(|limited| mean(limited).and_then(changed)).collect::<Vec<_>>())
}

/// Variances and standard deviations.
pub(super) fn spreads(values: &ArrayRef, limited: &[Option<Limited>], of: super::Spread) -> Result<ArrayRef> {
    let spread = |limited: &Option<Limited>| {
        let mean = limited.and_then(|limited| limited.mean).filter(|mean| mean.spread_changed)?;
        let variance = mean.variance(of.sample);
        Some(if of.squared { variance } else { variance.sqrt() })
    };
    numbers::replaced(values, &limited.iter().map(spread).collect::<Vec<_>>())
}
