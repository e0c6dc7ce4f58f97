//! Types and constants: what may be said, and whether a constant is of its type.

use super::{FragmentError, Limits};
use crate::wire::literal::Value;
use crate::wire::{Literal, TimeUnit, Type, TypeKind};

/// Widest FixedSizeBinary that may be named; pseudonyms have 16 bytes.
const MAX_WIDTH: u32 = 1024;

/// Longest name of a time zone.
const MAX_TIMEZONE: usize = 64;

const fn invalid(what: &'static str, rule: &'static str) -> FragmentError {
    FragmentError::Invalid { what, rule }
}

/// Refuses an unknown type, and any parameter that does not belong to the type.
pub(super) fn check_type(t: &Type) -> Result<TypeKind, FragmentError> {
    let kind = match TypeKind::try_from(t.kind) {
        Ok(TypeKind::Unspecified) => return Err(FragmentError::Missing("Type.kind")),
        Ok(kind) => kind,
        Err(_) => {
            return Err(FragmentError::Unknown { what: "TypeKind", value: t.kind });
        }
    };
    let unit = match TimeUnit::try_from(t.unit) {
        Ok(unit) => unit,
        Err(_) => {
            return Err(FragmentError::Unknown { what: "TimeUnit", value: t.unit });
        }
    };
    let width_ok = match kind {
        TypeKind::FixedSizeBinary => (1..=MAX_WIDTH).contains(&t.width),
        _ => t.width == 0,
    };
    let unit_ok = match kind {
        TypeKind::Timestamp | TypeKind::Duration => unit != TimeUnit::Unspecified,
        _ => unit == TimeUnit::Unspecified,
    };
    let zone_ok = match kind {
        TypeKind::Timestamp => zone(&t.timezone),
        _ => t.timezone.is_empty(),
    };
    let digits_ok = match kind {
        TypeKind::Decimal128 => {
            (1..=38).contains(&t.precision) && u32::try_from(t.scale).is_ok_and(|scale| scale <= t.precision)
        }
        _ => t.precision == 0 && t.scale == 0,
    };
    match (width_ok, unit_ok, zone_ok, digits_ok) {
        (true, true, true, true) => Ok(kind),
        (false, ..) => Err(invalid("Type.width", "1 to 1024 for FIXED_SIZE_BINARY, else absent")),
        (_, false, ..) => Err(invalid("Type.unit", "must be given for TIMESTAMP and DURATION, else absent")),
        (_, _, false, _) => {
            Err(invalid("Type.timezone", "the name or offset of a time zone for TIMESTAMP, else absent"))
        }
        _ => Err(invalid("Type.precision", "1 to 38 with a scale from 0 to the precision for DECIMAL128, else absent")),
    }
}

fn zone(name: &str) -> bool {
    name.len() <= MAX_TIMEZONE && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-:".contains(&b))
}

/// Refuses a constant whose value is not of its type.
pub(super) fn check_literal(literal: &Literal, limits: &Limits) -> Result<(), FragmentError> {
    let t = literal.r#type.as_ref().ok_or(FragmentError::Missing("Literal.type"))?;
    let kind = check_type(t)?;
    let Some(value) = &literal.value else {
        return Ok(()); // a typed NULL
    };
    let fits = match (kind, value) {
        (TypeKind::Boolean, Value::Boolean(_)) => true,
        (TypeKind::Int8, Value::Integer(v)) => i8::try_from(*v).is_ok(),
        (TypeKind::Int16, Value::Integer(v)) => i16::try_from(*v).is_ok(),
        (TypeKind::Int32 | TypeKind::Date32, Value::Integer(v)) => i32::try_from(*v).is_ok(),
        (TypeKind::Int64 | TypeKind::Timestamp | TypeKind::Duration, Value::Integer(_)) => true,
        (TypeKind::Uint8, Value::Unsigned(v)) => u8::try_from(*v).is_ok(),
        (TypeKind::Uint16, Value::Unsigned(v)) => u16::try_from(*v).is_ok(),
        (TypeKind::Uint32, Value::Unsigned(v)) => u32::try_from(*v).is_ok(),
        (TypeKind::Uint64, Value::Unsigned(_)) => true,
        (TypeKind::Float32, Value::Real(v)) => v.is_nan() || f64::from(*v as f32) == *v,
        (TypeKind::Float64, Value::Real(_)) => true,
        (TypeKind::Utf8 | TypeKind::Utf8View | TypeKind::LargeUtf8, Value::Text(v)) => {
            return size("Literal.text", v.len(), limits);
        }
        (TypeKind::Binary, Value::Binary(v)) => return size("Literal.binary", v.len(), limits),
        (TypeKind::FixedSizeBinary, Value::Binary(v)) => u32::try_from(v.len()).is_ok_and(|width| width == t.width),
        (TypeKind::Decimal128, Value::Binary(v)) => <[u8; 16]>::try_from(v.as_slice())
            .is_ok_and(|bytes| fits_precision(i128::from_be_bytes(bytes), t.precision)),
        (TypeKind::IntervalMonthDayNano, Value::Interval(_)) => true,
        _ => false,
    };
    if fits { Ok(()) } else { Err(invalid("Literal.value", "is not a value of the constant's type")) }
}

/// Whether a decimal's digits fit its precision.
fn fits_precision(value: i128, precision: u32) -> bool {
    10_i128.checked_pow(precision).is_some_and(|limit| value.unsigned_abs() < limit.unsigned_abs())
}

/// Refuses a text that is too long.
pub(super) fn size(what: &'static str, length: usize, limits: &Limits) -> Result<(), FragmentError> {
    let limit = limits.max_text;
    if length > limit {
        return Err(FragmentError::TextTooLong { what, length, limit });
    }
    Ok(())
}
