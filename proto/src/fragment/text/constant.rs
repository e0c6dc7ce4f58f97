//! Constants and types as SQL text.

use std::fmt::Write as _;

use chrono::{DateTime, Duration, NaiveDate};

use crate::wire::literal::Value;
use crate::wire::{Literal, TimeUnit, Type, TypeKind};

/// A constant as SQL.
pub(super) fn literal(literal: &Literal) -> String {
    let Some(value) = &literal.value else {
        return "NULL".to_owned();
    };
    let default = Type::default();
    let t = literal.r#type.as_ref().unwrap_or(&default);
    match (TypeKind::try_from(t.kind), value) {
        (_, Value::Boolean(v)) => v.to_string(),
        (Ok(TypeKind::Date32), Value::Integer(v)) => match date(*v) {
            Some(date) => format!("DATE '{date}'"),
            None => format!("DATE {v}"),
        },
        (Ok(TypeKind::Timestamp), Value::Integer(v)) => timestamp(*v, t),
        (Ok(TypeKind::Duration), Value::Integer(v)) => format!("DURATION {v} {}", unit(t.unit)),
        (_, Value::Integer(v)) => v.to_string(),
        (_, Value::Unsigned(v)) => v.to_string(),
        (_, Value::Real(v)) => format!("{v:?}"),
        (_, Value::Text(v)) => format!("'{}'", escaped(v, '\'')),
        (Ok(TypeKind::Decimal128), Value::Binary(v)) => decimal(v, t.scale),
        (_, Value::Binary(v)) => {
            let mut hex = String::with_capacity(v.len() * 2 + 3);
            hex.push_str("X'");
            for byte in v {
                let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
            }
            hex + "'"
        }
        (_, Value::Interval(v)) => {
            let parts = [(i64::from(v.months), "months"), (i64::from(v.days), "days"), (v.nanoseconds, "ns")];
            let parts = parts.iter().filter(|(n, _)| *n != 0);
            let parts: Vec<_> = parts.map(|(n, unit)| format!("{n} {unit}")).collect();
            match parts.is_empty() {
                true => "INTERVAL '0 days'".to_owned(),
                false => format!("INTERVAL '{}'", parts.join(" ")),
            }
        }
    }
}

/// A type as SQL.
pub(super) fn type_name(t: &Type) -> String {
    let kind = match TypeKind::try_from(t.kind) {
        Err(_) | Ok(TypeKind::Unspecified) => return "(unknown)".to_owned(),
        Ok(kind) => kind,
    };
    let name = kind.as_str_name();
    match kind {
        TypeKind::FixedSizeBinary => format!("{name}({})", t.width),
        TypeKind::Decimal128 => format!("DECIMAL({}, {})", t.precision, t.scale),
        TypeKind::Duration => format!("{name}({})", unit(t.unit)),
        TypeKind::Timestamp if t.timezone.is_empty() => format!("{name}({})", unit(t.unit)),
        TypeKind::Timestamp => {
            format!("{name}({}, '{}')", unit(t.unit), escaped(&t.timezone, '\''))
        }
        _ => name.to_owned(),
    }
}

/// Text for between quotes, on one line.
pub(super) fn escaped(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == quote {
            out.push(quote);
            out.push(quote);
        } else if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

fn date(days: i64) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(Duration::try_days(days)?)
}

fn timestamp(value: i64, t: &Type) -> String {
    let at = match TimeUnit::try_from(t.unit) {
        Ok(TimeUnit::Second) => DateTime::from_timestamp(value, 0),
        Ok(TimeUnit::Millisecond) => DateTime::from_timestamp_millis(value),
        Ok(TimeUnit::Microsecond) => DateTime::from_timestamp_micros(value),
        Ok(TimeUnit::Nanosecond) => Some(DateTime::from_timestamp_nanos(value)),
        Ok(TimeUnit::Unspecified) | Err(_) => None,
    };
    // with a time zone the number counts from 1970 in UTC, whatever the zone
    let zone = if t.timezone.is_empty() { "" } else { "Z" };
    match at {
        Some(at) => format!("TIMESTAMP '{}{zone}'", at.naive_utc()),
        None => format!("TIMESTAMP {value} {}", unit(t.unit)),
    }
}

fn unit(value: i32) -> &'static str {
    match TimeUnit::try_from(value) {
        Ok(TimeUnit::Second) => "s",
        Ok(TimeUnit::Millisecond) => "ms",
        Ok(TimeUnit::Microsecond) => "us",
        Ok(TimeUnit::Nanosecond) => "ns",
        Ok(TimeUnit::Unspecified) | Err(_) => "?",
    }
}

fn decimal(bytes: &[u8], scale: i32) -> String {
    let Ok(bytes) = <[u8; 16]>::try_from(bytes) else {
        return "(not a decimal)".to_owned();
    };
    let value = i128::from_be_bytes(bytes);
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    let scale = usize::try_from(scale).unwrap_or(0).min(38);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{part}")
}
