//! Arrow types <-> types of the wire.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

use super::Unsayable;
use crate::fragment::FragmentError;
use crate::wire::{self, Type, TypeKind};

const WRONG: FragmentError = FragmentError::Invalid { what: "Type", rule: "is not a known type" };

/// The type on the wire.
pub(crate) fn encode_type(data_type: &DataType) -> Result<Type, Unsayable> {
    let plain = |kind: TypeKind| Type { kind: kind.into(), ..Type::default() };
    Ok(match data_type {
        DataType::Null => plain(TypeKind::Null),
        DataType::Boolean => plain(TypeKind::Boolean),
        DataType::Int8 => plain(TypeKind::Int8),
        DataType::Int16 => plain(TypeKind::Int16),
        DataType::Int32 => plain(TypeKind::Int32),
        DataType::Int64 => plain(TypeKind::Int64),
        DataType::UInt8 => plain(TypeKind::Uint8),
        DataType::UInt16 => plain(TypeKind::Uint16),
        DataType::UInt32 => plain(TypeKind::Uint32),
        DataType::UInt64 => plain(TypeKind::Uint64),
        DataType::Float32 => plain(TypeKind::Float32),
        DataType::Float64 => plain(TypeKind::Float64),
        DataType::Utf8 => plain(TypeKind::Utf8),
        DataType::Utf8View => plain(TypeKind::Utf8View),
        DataType::LargeUtf8 => plain(TypeKind::LargeUtf8),
        DataType::Binary => plain(TypeKind::Binary),
        DataType::FixedSizeBinary(width) if *width > 0 => {
            Type { width: width.unsigned_abs(), ..plain(TypeKind::FixedSizeBinary) }
        }
        DataType::Date32 => plain(TypeKind::Date32),
        DataType::Timestamp(unit, zone) => Type {
            unit: encode_unit(*unit).into(),
            timezone: zone.as_deref().unwrap_or_default().to_owned(),
            ..plain(TypeKind::Timestamp)
        },
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            Type { precision: u32::from(*precision), scale: i32::from(*scale), ..plain(TypeKind::Decimal128) }
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => plain(TypeKind::IntervalMonthDayNano),
        DataType::Duration(unit) => Type { unit: encode_unit(*unit).into(), ..plain(TypeKind::Duration) },
        other => return Err(Unsayable::new(format!("type {other}"))),
    })
}

/// The Arrow type of a type that was checked.
pub(super) fn decode_type(t: &Type) -> Result<DataType, FragmentError> {
    Ok(match TypeKind::try_from(t.kind).map_err(|_| WRONG)? {
        TypeKind::Unspecified => return Err(WRONG),
        TypeKind::Null => DataType::Null,
        TypeKind::Boolean => DataType::Boolean,
        TypeKind::Int8 => DataType::Int8,
        TypeKind::Int16 => DataType::Int16,
        TypeKind::Int32 => DataType::Int32,
        TypeKind::Int64 => DataType::Int64,
        TypeKind::Uint8 => DataType::UInt8,
        TypeKind::Uint16 => DataType::UInt16,
        TypeKind::Uint32 => DataType::UInt32,
        TypeKind::Uint64 => DataType::UInt64,
        TypeKind::Float32 => DataType::Float32,
        TypeKind::Float64 => DataType::Float64,
        TypeKind::Utf8 => DataType::Utf8,
        TypeKind::Utf8View => DataType::Utf8View,
        TypeKind::LargeUtf8 => DataType::LargeUtf8,
        TypeKind::Binary => DataType::Binary,
        TypeKind::FixedSizeBinary => DataType::FixedSizeBinary(i32::try_from(t.width).map_err(|_| WRONG)?),
        TypeKind::Date32 => DataType::Date32,
        TypeKind::Timestamp => DataType::Timestamp(decode_unit(t.unit)?, zone(t)),
        TypeKind::Decimal128 => DataType::Decimal128(
            u8::try_from(t.precision).map_err(|_| WRONG)?,
            i8::try_from(t.scale).map_err(|_| WRONG)?,
        ),
        TypeKind::IntervalMonthDayNano => DataType::Interval(IntervalUnit::MonthDayNano),
        TypeKind::Duration => DataType::Duration(decode_unit(t.unit)?),
    })
}

fn zone(t: &Type) -> Option<Arc<str>> {
    (!t.timezone.is_empty()).then(|| Arc::from(t.timezone.as_str()))
}

fn decode_unit(unit: i32) -> Result<TimeUnit, FragmentError> {
    match wire::TimeUnit::try_from(unit).map_err(|_| WRONG)? {
        wire::TimeUnit::Unspecified => Err(WRONG),
        wire::TimeUnit::Second => Ok(TimeUnit::Second),
        wire::TimeUnit::Millisecond => Ok(TimeUnit::Millisecond),
        wire::TimeUnit::Microsecond => Ok(TimeUnit::Microsecond),
        wire::TimeUnit::Nanosecond => Ok(TimeUnit::Nanosecond),
    }
}

fn encode_unit(unit: TimeUnit) -> wire::TimeUnit {
    match unit {
        TimeUnit::Second => wire::TimeUnit::Second,
        TimeUnit::Millisecond => wire::TimeUnit::Millisecond,
        TimeUnit::Microsecond => wire::TimeUnit::Microsecond,
        TimeUnit::Nanosecond => wire::TimeUnit::Nanosecond,
    }
}
