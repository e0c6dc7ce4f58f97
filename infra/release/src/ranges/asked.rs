//! What one call asks for, or what to write instead.
//!
//! INVARIANT: fraction and step are constants, so that the range of one group doesn't depend on another's values.

use super::Gives;
use crate::release::scope::bare;
use arrow::datatypes::DataType;
use datafusion::{
    common::DFSchema,
    logical_expr::{Cast, Expr, ExprSchemable, expr::AggregateFunction},
};
use proto::plan::interval::Grid;

/// Of which values in which intervals.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counted {
    /// the value, as it was written
    pub(super) value: Expr,
    pub(super) filter: Option<Expr>,
    pub(super) grid: Grid,
}

/// A quantile of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Wanted {
    pub(super) gives: Gives,
    /// the fraction's bits
    fraction: u64,
}

impl Wanted {
    pub(super) fn fraction(self) -> f64 {
        f64::from_bits(self.fraction)
    }
}

/// What `call` asks for, over rows of `schema`; or why it can't be asked so.
pub(super) fn asked(call: &AggregateFunction, gives: Gives, schema: &DFSchema) -> Result<(Counted, Wanted), String> {
    let name = gives.name();
    let params = &call.params;
    if params.distinct {
        return Err(format!(
            "{name}() counts people, each once in each interval, so that DISTINCT changes nothing. Leave it out."
        ));
    }
    if !params.order_by.is_empty() || params.null_treatment.is_some() {
        return Err(format!("{name}() takes no ORDER BY, WITHIN GROUP or IGNORE NULLS. Write {name}(x, 0.5)."));
    }
    let (value, fraction, step) = match params.args.as_slice() {
        [value, fraction] => (value, fraction, None),
        [value, fraction, step] => (value, fraction, Some(step)),
        _ => {
            return Err(format!(
                "{name}() takes a number, the part of the people that is below, and perhaps a step: {name}(x, 0.5) or \
                 {name}(x, 0.5, 10)."
            ));
        }
    };
    let kind = value.get_type(schema).unwrap_or(DataType::Null);
    if !kind.is_numeric() {
        return Err(format!(
            "{name}() takes a column of numbers or what is computed from numbers, and this is none. Of days, take \
             the year, {name}(extract(year FROM day), 0.5, 1), or how many there are from one of somebody's own days to another: \
             {name}(CAST(last_day AS int) - CAST(first_day AS int), 0.5)."
        ));
    }
    let fraction = constant(fraction).filter(|part| *part > 0.0 && *part < 1.0).ok_or_else(|| {
        format!(
            "The second argument of {name}() is the part of the people that is below the value, a constant above 0 and below 1: \
             0.5 for the median, 0.25 and 0.75 for quartiles. The smallest and the largest value are single people's."
        )
    })?;
    let grid = match step {
        None => Grid::digit(),
        Some(step) => constant(step).and_then(Grid::of).ok_or_else(|| {
            format!(
                "The third argument of {name}() is the width of the intervals, a constant above 0: {name}(x, 0.5, 10) for 0 to 10, \
                 10 to 20. Without it they are as wide as the first digit: 20 to 30, 300 to 400."
            )
        })?,
    };
    let counted = Counted { value: bare(value).clone(), filter: params.filter.as_deref().cloned(), grid };
    Ok((counted, Wanted { gives, fraction: fraction.to_bits() }))
}

/// The number that a constant is.
fn constant(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::Literal(value, _) if value.data_type().is_numeric() => {
            value.cast_to(&DataType::Float64).ok().and_then(|value| match value {
                datafusion::common::ScalarValue::Float64(number) => number.filter(|number| number.is_finite()),
                _ => None,
            })
        }
        Expr::Cast(Cast { expr, .. }) => constant(expr),
        Expr::Negative(inner) => constant(inner).map(|number| -number),
        _ => None,
    }
}
