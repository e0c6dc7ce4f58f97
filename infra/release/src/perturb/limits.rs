//! Statistics within the limits of what one person may add, in place of exact ones, before they get noise.
//!
//! Where no limit changes anything the exact number stays, to its last digit.

use super::{
    numbers::{self, Number},
    unread,
};
use crate::release::limited::{self, Limited};
use arrow::{
    array::{ArrayRef, AsArray, BinaryArray},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, exec_datafusion_err},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
    },
};
use proto::plan::contributions::Contributions;
use std::sync::{Arc, LazyLock};

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

static WITHIN: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Within { signature: Signature::any(2, Volatility::Immutable) }))
});

/// A sum within the limits of what `contributions` say, without noise: to be compared, never shown.
pub(in crate::release) fn within(sum: Expr, contributions: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction { func: Arc::clone(&WITHIN), args: vec![sum, contributions] })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Within {
    signature: Signature,
}

impl ScalarUDFImpl for Within {
    fn name(&self) -> &str {
        "within"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().ok_or_else(|| exec_datafusion_err!("within: a sum is missing"))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (Some(values), Some(said)) = (arrays.first(), arrays.get(1).and_then(|said| said.as_binary_opt::<i32>()))
        else {
            return Err(exec_datafusion_err!("within: what a sum is made of is missing"));
        };
        Ok(ColumnarValue::Array(sums(values, &of(said)?)?))
    }
}
