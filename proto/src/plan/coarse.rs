//! Values at the resolution at which the open zone computes: three digits of a number, the day of a point in time.
//!
//! Whoever can compare a column with a limit of their own, and move it, finds the value at which an answer changes. So that this is no
//! person's value to the last digit, the hub puts [`coarse`] around the columns of people's tables before anything is made of them. Hub
//! and spokes compute it alike. The rule is in `rule`; what a comparison with a constant says of the value itself, in `edges`.
//!
//! INVARIANT: it grows with its argument, so that a limit on one is a limit on the other.
//! INVARIANT: what it gives depends on the step that a value is in and on nothing else of it, to the last bit.

mod edges;
mod rule;

pub use edges::{Edges, edges};
pub use rule::WHOLE;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray},
    datatypes::{
        DataType, Decimal128Type, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::ScalarFunction,
    },
};
use std::sync::{Arc, LazyLock};

/// The function's name, in fragments too.
pub const NAME: &str = "coarse";

/// What becomes of a type's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Nothing: they have few different values, or are names of things.
    AsIs,
    /// They have finer values than are computed with.
    Coarse,
    /// There is no rule for them.
    Unknown,
}

/// What becomes of values of this type.
#[must_use]
pub fn resolution(kind: &DataType) -> Resolution {
    match kind {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::UInt8
        | DataType::Date32
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Resolution::AsIs,
        DataType::Dictionary(_, values) if resolution(values) == Resolution::AsIs => Resolution::AsIs,
        DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64 => Resolution::Coarse,
        DataType::Decimal128(_, scale) if *scale >= 0 => Resolution::Coarse,
        // Days elsewhere begin at other moments.
        DataType::Timestamp(_, zone) if zone.as_deref().is_none_or(|zone| ["UTC", "+00:00", "Z"].contains(&zone)) => {
            Resolution::Coarse
        }
        _ => Resolution::Unknown,
    }
}

/// `expr` at its resolution. Its type must be one that has a coarser form.
#[must_use]
pub fn coarse(expr: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction { func: udf(), args: vec![expr] })
}

/// What an expression is the coarse form of, if it is one.
#[must_use]
pub fn coarsened(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == NAME => call.args.first(),
        _ => None,
    }
}

/// The function. No session has it under its name: statements can't call it.
#[must_use]
pub fn udf() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Coarse { signature }))
    });
    Arc::clone(&UDF)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Coarse {
    signature: Signature,
}

impl ScalarUDFImpl for Coarse {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [kind] if resolution(kind) == Resolution::Coarse => Ok(kind.clone()),
            _ => plan_err!("{NAME}() takes one number or point in time"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [field] if resolution(field.data_type()) == Resolution::Coarse => Ok(Arc::clone(field)),
            _ => plan_err!("{NAME}() takes one number or point in time"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(of(values)?)),
            [ColumnarValue::Scalar(value)] => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&of(&value.to_array()?)?, 0)?))
            }
            _ => exec_err!("{NAME}() takes one argument"),
        }
    }
}

fn of(values: &ArrayRef) -> Result<ArrayRef> {
    fn each<T: ArrowPrimitiveType>(values: &ArrayRef, rule: impl Fn(T::Native) -> T::Native) -> ArrayRef {
        // The type may say more than `T`: a time zone, the digits of a decimal.
        let coarse = values.as_primitive::<T>().unary::<_, T>(rule);
        Arc::new(coarse.with_data_type(values.data_type().clone()))
    }
    Ok(match values.data_type() {
        DataType::Int16 => each::<Int16Type>(values, rule::integer),
        DataType::Int32 => each::<Int32Type>(values, rule::integer),
        DataType::Int64 => each::<Int64Type>(values, rule::integer),
        DataType::UInt16 => each::<UInt16Type>(values, rule::unsigned),
        DataType::UInt32 => each::<UInt32Type>(values, rule::unsigned),
        DataType::UInt64 => each::<UInt64Type>(values, rule::unsigned),
        DataType::Float32 => each::<Float32Type>(values, |value| rule::float(f64::from(value)) as f32),
        DataType::Float64 => each::<Float64Type>(values, rule::float),
        DataType::Decimal128(digits, scale) if *scale >= 0 => {
            let (digits, scale) = (*digits, scale.unsigned_abs());
            each::<Decimal128Type>(values, |value| rule::decimal(value, digits, scale))
        }
        DataType::Timestamp(unit, _) => {
            let day = rule::day(*unit);
            let begins = move |at: i64| rule::begins(at, day);
            match unit {
                TimeUnit::Second => each::<TimestampSecondType>(values, begins),
                TimeUnit::Millisecond => each::<TimestampMillisecondType>(values, begins),
                TimeUnit::Microsecond => each::<TimestampMicrosecondType>(values, begins),
                TimeUnit::Nanosecond => each::<TimestampNanosecondType>(values, begins),
            }
        }
        _ => return exec_err!("{NAME}() takes one number or point in time"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{Decimal128Array, Float32Array, Int64Array, TimestampMicrosecondArray};

    #[test]
    fn types_and_missing_values_stay() {
        let decimals = Decimal128Array::from(vec![Some(52_345_625), None]).with_precision_and_scale(15, 2).unwrap();
        let coarser = Decimal128Array::from(vec![Some(52_300_000), None]).with_precision_and_scale(15, 2).unwrap();
        let times = TimestampMicrosecondArray::from(vec![Some(86_400_000_001), None]).with_timezone("UTC");
        let days = TimestampMicrosecondArray::from(vec![Some(86_400_000_000), None]).with_timezone("UTC");
        for (values, expected) in [
            (
                Arc::new(Int64Array::from(vec![Some(523_456), None])) as ArrayRef,
                Arc::new(Int64Array::from(vec![Some(523_000), None])) as ArrayRef,
            ),
            (
                Arc::new(Float32Array::from(vec![Some(5.374), None])),
                Arc::new(Float32Array::from(vec![Some(5.37), None])),
            ),
            (Arc::new(decimals), Arc::new(coarser)),
            (Arc::new(times), Arc::new(days)),
        ] {
            assert_eq!(&of(&values).unwrap(), &expected);
        }
    }

    #[test]
    fn every_type_has_a_rule_or_is_unknown() {
        let zone = |zone: &str| DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
        let texts = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let numbers = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Float64));
        for (kind, expected) in [
            (DataType::Int8, Resolution::AsIs),
            (DataType::Date32, Resolution::AsIs),
            (texts, Resolution::AsIs),
            (DataType::Int32, Resolution::Coarse),
            (DataType::Decimal128(15, 2), Resolution::Coarse),
            (zone("UTC"), Resolution::Coarse),
            (zone("Europe/Copenhagen"), Resolution::Unknown),
            (numbers, Resolution::Unknown),
            (DataType::Decimal128(15, -2), Resolution::Unknown),
            (DataType::Duration(TimeUnit::Second), Resolution::Unknown),
        ] {
            assert_eq!(resolution(&kind), expected, "{kind}");
        }
    }
}
