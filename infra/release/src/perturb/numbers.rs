//! The numbers of a statistic, whatever type they have: whole numbers, decimals, floating point.

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, PrimitiveArray},
    datatypes::{
        ArrowNativeTypeOp, ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use datafusion::common::{Result, ScalarValue, exec_err, internal_datafusion_err, internal_err};
use std::{cell::RefCell, sync::Arc};

/// One value of a statistic; a decimal in its smallest units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Float(f64),
}

/// The same kind of numbers, each changed; one that doesn't fit any more is the largest or smallest that does: an error would tell of
/// the noise and of whoever makes the number so large.
pub(super) fn numbers(values: &ArrayRef, change: impl Fn(usize, Number) -> Option<Number>) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        DataType::Int8 => whole::<Int8Type>(values, change)?,
        DataType::Int16 => whole::<Int16Type>(values, change)?,
        DataType::Int32 => whole::<Int32Type>(values, change)?,
        DataType::Int64 => whole::<Int64Type>(values, change)?,
        DataType::UInt8 => whole::<UInt8Type>(values, change)?,
        DataType::UInt16 => whole::<UInt16Type>(values, change)?,
        DataType::UInt32 => whole::<UInt32Type>(values, change)?,
        DataType::UInt64 => whole::<UInt64Type>(values, change)?,
        DataType::Decimal128(..) => whole::<Decimal128Type>(values, change)?,
        DataType::Float64 => {
            let shown = values.as_primitive::<Float64Type>().iter().enumerate().map(|(row, value)| {
                let Some(value) = value else { return Ok(None) };
                match change(row, Number::Float(value)) {
                    Some(Number::Float(value)) => Ok(Some(value)),
                    _ => internal_err!("a statistic of another type"),
                }
            });
            Arc::new(shown.collect::<Result<Float64Array>>()?)
        }
        DataType::Null => Arc::clone(values),
        other => return exec_err!("a statistic of type {other} can't be released"),
    })
}

/// The least and the largest number of a type; of a decimal in its smallest units.
fn bounds<T: ArrowPrimitiveType>(kind: &DataType) -> (i128, i128)
where
    T::Native: Into<i128>,
{
    match kind {
        DataType::Decimal128(digits, _) => {
            let most = 10_i128.pow(u32::from(*digits)) - 1;
            (-most, most)
        }
        _ => (T::Native::MIN_TOTAL_ORDER.into(), T::Native::MAX_TOTAL_ORDER.into()),
    }
}

/// The largest number that a sum of this type can be, as an array of one and as a float; `None` of types that hold any.
pub(in crate::release) fn largest(kind: &DataType) -> Result<Option<(ArrayRef, f64)>> {
    let (most, scale) = match kind {
        DataType::Int64 => (bounds::<Int64Type>(kind).1, 0),
        DataType::UInt64 => (bounds::<UInt64Type>(kind).1, 0),
        DataType::Decimal128(_, scale) => (bounds::<Decimal128Type>(kind).1, *scale),
        _ => return Ok(None),
    };
    let one = match kind {
        DataType::Int64 => ScalarValue::Int64(i64::try_from(most).ok()),
        DataType::UInt64 => ScalarValue::UInt64(u64::try_from(most).ok()),
        DataType::Decimal128(digits, scale) => ScalarValue::Decimal128(Some(most), *digits, *scale),
        _ => return Ok(None),
    };
    Ok(Some((one.to_array()?, most as f64 / 10_f64.powi(i32::from(scale)))))
}

fn whole<T: ArrowPrimitiveType>(values: &ArrayRef, change: impl Fn(usize, Number) -> Option<Number>) -> Result<ArrayRef>
where
    T::Native: Into<i128> + TryFrom<i128>,
{
    let (least, most) = bounds::<T>(values.data_type());
    let values = values.as_primitive::<T>();
    let shown = values.iter().enumerate().map(|(row, value)| {
        let Some(value) = value else { return Ok(None) };
        match change(row, Number::Whole(value.into())) {
            Some(Number::Whole(shown)) => {
                let fits = T::Native::try_from(shown.clamp(least, most));
                fits.map(Some).map_err(|_| internal_datafusion_err!("a statistic that doesn't fit its type"))
            }
            _ => internal_err!("a statistic of another type"),
        }
    });
    let shown = shown.collect::<Result<PrimitiveArray<T>>>()?;
    Ok(Arc::new(shown.with_data_type(values.data_type().clone())))
}

/// The same for statistics that aren't whole numbers; a decimal keeps its digits.
pub(super) fn floats(values: &ArrayRef, change: impl Fn(usize, f64) -> f64) -> Result<ArrayRef> {
    let scale = match values.data_type() {
        DataType::Decimal128(_, scale) => 10_f64.powi(i32::from(*scale)),
        _ => 1.0,
    };
    numbers(values, |row, value| match value {
        Number::Float(value) => Some(Number::Float(change(row, value))),
        Number::Whole(value) => {
            // what is larger than any whole number becomes the largest
            Some(Number::Whole((change(row, value as f64 / scale) * scale).round() as i128))
        }
    })
}

/// The numbers with their digits behind the point.
pub(super) fn read(values: &ArrayRef) -> Result<Vec<Option<f64>>> {
    let scale = scale(values);
    let read = RefCell::new(vec![None; values.len()]);
    numbers(values, |row, value| {
        if let Some(place) = read.borrow_mut().get_mut(row) {
            *place = Some(match value {
                Number::Float(value) => value,
                Number::Whole(value) => value as f64 / 10_f64.powi(scale),
            });
        }
        Some(value)
    })?;
    Ok(read.into_inner())
}

/// Numbers in place of those of the same type; where there is none, `values` stay.
pub(super) fn replaced(values: &ArrayRef, by: &[Option<f64>]) -> Result<ArrayRef> {
    let scale = scale(values);
    numbers(values, |row, value| {
        let Some(shown) = by.get(row).copied().flatten() else { return Some(value) };
        Some(match value {
            Number::Float(_) => Number::Float(shown),
            Number::Whole(_) => Number::Whole(whole_of(shown, scale)),
        })
    })
}

/// Digits behind the point of a decimal.
pub(super) fn scale(values: &ArrayRef) -> i32 {
    match values.data_type() {
        DataType::Decimal128(_, scale) => i32::from(*scale),
        _ => 0,
    }
}

/// `value` in units of its `scale`-th digit behind the point, the nearest whole number. Through its shortest digits, so that a number of more than 53
/// bits ends in zeros and not in what a power of two leaves.
fn whole_of(value: f64, scale: i32) -> i128 {
    let largest = if value < 0.0 { i128::MIN } else { i128::MAX };
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return 0 };
    let behind = digits.split_once('.').map_or(0, |(_, behind)| behind.len());
    let digits: String = digits.chars().filter(|c| *c != '.').collect();
    let (Ok(digits), Ok(exponent), Ok(behind)) =
        (digits.parse::<i128>(), exponent.parse::<i32>(), i32::try_from(behind))
    else {
        return 0;
    };
    let power = exponent - behind + scale;
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    match (factor, power >= 0) {
        (Some(factor), true) => digits.checked_mul(factor).unwrap_or(largest),
        (None, true) => largest,
        (Some(factor), false) => (digits + digits.signum() * (factor / 2)) / factor,
        (None, false) => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{Decimal128Array, Int64Array};

    #[test]
    fn whole_numbers_keep_their_shortest_digits() {
        for (value, scale, whole) in [
            (12.0, 0, 12),
            (12.5, 0, 13),
            (-12.5, 0, -13),
            (12.34, 0, 12),
            (54.3, 2, 5_430),
            (-54.3, 2, -5_430),
            (0.0, 5, 0),
            (1.23e25, 0, 12_300_000_000_000_000_000_000_000),
            (1e300, 0, i128::MAX),
            (-1e300, 0, i128::MIN),
            (1e-300, 2, 0),
            (f64::NAN, 0, 0),
        ] {
            assert_eq!(whole_of(value, scale), whole, "{value} {scale}");
        }
    }

    #[test]
    fn numbers_are_replaced_in_their_type() {
        let decimals = Decimal128Array::from(vec![Some(1_250), None, Some(-3)]);
        let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
        let whole = Int64Array::from(vec![Some(7), None, Some(-9)]);
        let columns: [ArrayRef; 2] = [Arc::new(decimals), Arc::new(whole)];
        for (column, first) in columns.iter().zip([12.5, 7.0]) {
            let there = read(column).unwrap();
            assert_eq!((there.len(), there[0], there[1]), (3, Some(first), None));
            assert_eq!(&replaced(column, &there).unwrap(), column);
            assert_eq!(&replaced(column, &[None, None, None]).unwrap(), column);
        }
    }
}
