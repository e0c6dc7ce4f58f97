//! One field at a time: from what stands in the file to what stands in the column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Float64Array, Int32Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime};

use crate::registers::{Dates, Form, Kind};

/// A field that fits its column.
pub(super) enum Value {
    Missing,
    Text(String),
    Int(i32),
    Float(f64),
    Date(i32),
    Timestamp(i64),
}

/// `None` when the field does not fit.
pub(super) fn parse(kind: Kind, field: &str, form: &Form) -> Option<Value> {
    if form.missing.contains(&field) {
        return Some(Value::Missing);
    }
    Some(match kind {
        Kind::Text | Kind::Key(_) => Value::Text(field.to_owned()),
        Kind::Person => {
            let digits: String = field.chars().filter(|c| *c != '-').collect();
            let fits = digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit());
            Value::Text(fits.then_some(digits)?)
        }
        Kind::Int32 => Value::Int(field.parse().ok()?),
        Kind::Float64 => {
            let point = if form.decimal == b',' { field.replace(',', ".") } else { field.to_owned() };
            Value::Float(point.parse().ok()?)
        }
        Kind::Date => {
            let epoch = NaiveDate::default();
            let days =
                NaiveDate::parse_from_str(field, pattern(form.dates)).ok()?.signed_duration_since(epoch).num_days();
            Value::Date(i32::try_from(days).ok()?)
        }
        Kind::Timestamp => {
            let pattern = format!("{} %H:%M:%S", pattern(form.dates));
            Value::Timestamp(NaiveDateTime::parse_from_str(field, &pattern).ok()?.and_utc().timestamp_micros())
        }
    })
}

fn pattern(dates: Dates) -> &'static str {
    match dates {
        Dates::Iso => "%Y-%m-%d",
        Dates::DayFirst => "%d-%m-%Y",
        Dates::Sas => "%d%b%Y",
    }
}

pub(super) fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Person | Kind::Key(_) | Kind::Text => DataType::Utf8,
        Kind::Int32 => DataType::Int32,
        Kind::Float64 => DataType::Float64,
        Kind::Date => DataType::Date32,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// A column being filled.
pub(super) struct Builder {
    kind: Kind,
    values: Vec<Value>,
}

impl Builder {
    pub(super) fn new(kind: Kind) -> Builder {
        Builder { kind, values: Vec::new() }
    }

    pub(super) fn push(&mut self, value: Value) {
        self.values.push(value);
    }

    pub(super) fn finish(self) -> ArrayRef {
        let values = self.values.into_iter();
        match self.kind {
            Kind::Person | Kind::Key(_) | Kind::Text => Arc::new(StringArray::from_iter(values.map(|v| match v {
                Value::Text(text) => Some(text),
                _ => None,
            }))),
            Kind::Int32 => Arc::new(Int32Array::from_iter(values.map(|v| match v {
                Value::Int(int) => Some(int),
                _ => None,
            }))),
            Kind::Float64 => Arc::new(Float64Array::from_iter(values.map(|v| match v {
                Value::Float(float) => Some(float),
                _ => None,
            }))),
            Kind::Date => Arc::new(Date32Array::from_iter(values.map(|v| match v {
                Value::Date(date) => Some(date),
                _ => None,
            }))),
            Kind::Timestamp => Arc::new(TimestampMicrosecondArray::from_iter(values.map(|v| match v {
                Value::Timestamp(micros) => Some(micros),
                _ => None,
            }))),
        }
    }
}

pub(super) fn as_text(array: &ArrayRef) -> Option<&StringArray> {
    array.as_any().downcast_ref()
}

/// For each of `own`, the person beside the same key among `keys`.
pub(super) fn look_up(own: &StringArray, keys: &StringArray, people: &StringArray) -> ArrayRef {
    let map: HashMap<&str, Option<&str>> =
        keys.iter().zip(people).filter_map(|(key, person)| Some((key?, person))).collect();
    Arc::new(StringArray::from_iter(own.iter().map(|key| map.get(key?).copied().flatten())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::{LAB_H, LMDB};

    #[test]
    fn fields_fit_or_do_not() {
        let date = |text| match parse(Kind::Date, text, &LMDB.form) {
            Some(Value::Date(days)) => Some(days),
            _ => None,
        };
        assert_eq!(date("02JAN1970"), Some(1));
        assert_eq!(date("60FEB2021"), None);
        assert!(matches!(parse(Kind::Float64, "7,5", &LMDB.form), Some(Value::Float(f)) if f == 7.5));
        assert!(parse(Kind::Float64, "<4", &LMDB.form).is_none());
        assert!(matches!(parse(Kind::Float64, ".", &LMDB.form), Some(Value::Missing)));
        assert!(matches!(parse(Kind::Person, "010203-1234", &LAB_H.form), Some(Value::Text(t)) if t == "0102031234"));
        assert!(parse(Kind::Person, "12345", &LAB_H.form).is_none());
    }
}
