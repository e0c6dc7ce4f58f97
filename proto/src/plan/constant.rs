//! The engine's constants <-> constants of the wire.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use super::Unsayable;
use super::types::{decode_type, encode_type};
use crate::fragment::FragmentError;
use crate::wire::literal::Value;
use crate::wire::{Interval, Literal, TypeKind};

const WRONG: FragmentError =
    FragmentError::Invalid { what: "Literal.value", rule: "is not a value of the constant's type" };

/// The constant that an expression is, whatever casts the analyser has put around it.
pub(super) fn constant(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Alias(alias) => constant(&alias.expr),
        Expr::Negative(inner) => constant(inner)?.arithmetic_negate().ok(),
        Expr::Cast(cast) => {
            let to = cast.field.data_type();
            let value = constant(&cast.expr)?.cast_to(to).ok()?;
            (value.data_type() == *to).then_some(value)
        }
        _ => None,
    }
}

/// The constant on the wire.
pub(super) fn encode_literal(value: &ScalarValue) -> Result<Literal, Unsayable> {
    let data_type = value.data_type();
    let t = encode_type(&data_type)?;
    let integer = |v: i64| Some(Value::Integer(v));
    let unsigned = |v: u64| Some(Value::Unsigned(v));
    let text = |v: &Option<String>| v.clone().map(Value::Text);
    let encoded = match value {
        ScalarValue::Null => None,
        ScalarValue::Boolean(v) => v.map(Value::Boolean),
        ScalarValue::Int8(v) => v.and_then(|v| integer(v.into())),
        ScalarValue::Int16(v) => v.and_then(|v| integer(v.into())),
        ScalarValue::Int32(v) | ScalarValue::Date32(v) => v.and_then(|v| integer(v.into())),
        ScalarValue::Int64(v)
        | ScalarValue::TimestampSecond(v, _)
        | ScalarValue::TimestampMillisecond(v, _)
        | ScalarValue::TimestampMicrosecond(v, _)
        | ScalarValue::TimestampNanosecond(v, _)
        | ScalarValue::DurationSecond(v)
        | ScalarValue::DurationMillisecond(v)
        | ScalarValue::DurationMicrosecond(v)
        | ScalarValue::DurationNanosecond(v) => v.and_then(integer),
        ScalarValue::UInt8(v) => v.and_then(|v| unsigned(v.into())),
        ScalarValue::UInt16(v) => v.and_then(|v| unsigned(v.into())),
        ScalarValue::UInt32(v) => v.and_then(|v| unsigned(v.into())),
        ScalarValue::UInt64(v) => v.and_then(unsigned),
        ScalarValue::Float32(v) => v.map(|v| Value::Real(v.into())),
        ScalarValue::Float64(v) => v.map(Value::Real),
        ScalarValue::Utf8(v) | ScalarValue::Utf8View(v) | ScalarValue::LargeUtf8(v) => text(v),
        ScalarValue::Binary(v) | ScalarValue::FixedSizeBinary(_, v) => v.clone().map(Value::Binary),
        ScalarValue::Decimal128(v, _, _) => v.map(|v| Value::Binary(v.to_be_bytes().to_vec())),
        ScalarValue::IntervalMonthDayNano(v) => {
            v.map(|v| Value::Interval(Interval { months: v.months, days: v.days, nanoseconds: v.nanoseconds }))
        }
        _ => return Err(Unsayable::new(format!("a constant of type {data_type}"))),
    };
    Ok(Literal { r#type: Some(t), value: encoded })
}

/// The engine's constant of a constant that was checked.
pub(super) fn decode_literal(literal: &Literal) -> Result<ScalarValue, FragmentError> {
    let t = literal.r#type.as_ref().ok_or(FragmentError::Missing("Literal.type"))?;
    let data_type = decode_type(t)?;
    let Some(value) = &literal.value else {
        return ScalarValue::try_from(&data_type).map_err(|_| WRONG);
    };
    let kind = TypeKind::try_from(t.kind).map_err(|_| WRONG)?;
    Ok(match (kind, value) {
        (TypeKind::Boolean, Value::Boolean(v)) => ScalarValue::Boolean(Some(*v)),
        (_, Value::Integer(v)) => integer(*v, &data_type).ok_or(WRONG)?,
        (TypeKind::Uint8, Value::Unsigned(v)) => ScalarValue::UInt8(Some(u8::try_from(*v).map_err(|_| WRONG)?)),
        (TypeKind::Uint16, Value::Unsigned(v)) => ScalarValue::UInt16(Some(u16::try_from(*v).map_err(|_| WRONG)?)),
        (TypeKind::Uint32, Value::Unsigned(v)) => ScalarValue::UInt32(Some(u32::try_from(*v).map_err(|_| WRONG)?)),
        (TypeKind::Uint64, Value::Unsigned(v)) => ScalarValue::UInt64(Some(*v)),
        (TypeKind::Float32, Value::Real(v)) => ScalarValue::Float32(Some(*v as f32)),
        (TypeKind::Float64, Value::Real(v)) => ScalarValue::Float64(Some(*v)),
        (TypeKind::Utf8, Value::Text(v)) => ScalarValue::Utf8(Some(v.clone())),
        (TypeKind::Utf8View, Value::Text(v)) => ScalarValue::Utf8View(Some(v.clone())),
        (TypeKind::LargeUtf8, Value::Text(v)) => ScalarValue::LargeUtf8(Some(v.clone())),
        (TypeKind::Binary, Value::Binary(v)) => ScalarValue::Binary(Some(v.clone())),
        (TypeKind::FixedSizeBinary, Value::Binary(v)) => {
            let width = i32::try_from(v.len()).map_err(|_| WRONG)?;
            ScalarValue::FixedSizeBinary(width, Some(v.clone()))
        }
        (TypeKind::Decimal128, Value::Binary(v)) => {
            let bytes = <[u8; 16]>::try_from(v.as_slice()).map_err(|_| WRONG)?;
            let DataType::Decimal128(precision, scale) = data_type else {
                return Err(WRONG);
            };
            ScalarValue::Decimal128(Some(i128::from_be_bytes(bytes)), precision, scale)
        }
        (TypeKind::IntervalMonthDayNano, Value::Interval(v)) => {
            let interval = IntervalMonthDayNano::new(v.months, v.days, v.nanoseconds);
            ScalarValue::IntervalMonthDayNano(Some(interval))
        }
        _ => return Err(WRONG),
    })
}

fn integer(v: i64, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int8 => ScalarValue::Int8(Some(v.try_into().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(v.try_into().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(v.try_into().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(v)),
        DataType::Date32 => ScalarValue::Date32(Some(v.try_into().ok()?)),
        DataType::Timestamp(TimeUnit::Second, z) => ScalarValue::TimestampSecond(Some(v), z.clone()),
        DataType::Timestamp(TimeUnit::Millisecond, z) => ScalarValue::TimestampMillisecond(Some(v), z.clone()),
        DataType::Timestamp(TimeUnit::Microsecond, z) => ScalarValue::TimestampMicrosecond(Some(v), z.clone()),
        DataType::Timestamp(TimeUnit::Nanosecond, z) => ScalarValue::TimestampNanosecond(Some(v), z.clone()),
        DataType::Duration(TimeUnit::Second) => ScalarValue::DurationSecond(Some(v)),
        DataType::Duration(TimeUnit::Millisecond) => ScalarValue::DurationMillisecond(Some(v)),
        DataType::Duration(TimeUnit::Microsecond) => ScalarValue::DurationMicrosecond(Some(v)),
        DataType::Duration(TimeUnit::Nanosecond) => ScalarValue::DurationNanosecond(Some(v)),
        _ => return None,
    })
}
