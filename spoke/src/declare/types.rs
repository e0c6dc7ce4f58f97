//! Types of value columns and forms of dates.

use arrow::datatypes::{DataType, TimeUnit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Type of a value column, written in a declaration as `text`, `int32`, `decimal(10,2)` ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// any text
    Text,
    /// whole number, 32 bits
    Int32,
    /// whole number, 64 bits
    Int64,
    /// floating point
    Float64,
    /// fixed point: digits in all, digits after the point
    Decimal(u8, i8),
    /// a day
    Date,
    /// a day and a time of day, without time zone
    Timestamp,
    /// yes or no
    Boolean,
}

impl ValueType {
    /// Type in the published file.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Boolean => DataType::Boolean,
        }
    }
}

impl FromStr for ValueType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "'{text}' is not a type; write text, int32, int64, float64, decimal(DIGITS,DECIMALS), date, timestamp or boolean"
            )
        };
        Ok(match text {
            "text" => Self::Text,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "boolean" => Self::Boolean,
            other => {
                let inner =
                    other.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unknown)?;
                let (precision, scale) = inner.split_once(',').ok_or_else(unknown)?;
                let precision: u8 = precision.trim().parse().map_err(|_| unknown())?;
                let scale: i8 = scale.trim().parse().map_err(|_| unknown())?;
                if !(1..=38).contains(&precision) || scale < 0 || i16::from(scale) > i16::from(precision) {
                    return Err(format!("'{text}': decimal takes 1 to 38 digits, and no more decimals than digits"));
                }
                Self::Decimal(precision, scale)
            }
        })
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Boolean => f.write_str("boolean"),
        }
    }
}

impl<'de> Deserialize<'de> for ValueType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ValueType {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// How days are written in a source. Timestamps are a day in this form and a time after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum DateForm {
    /// `31-12-2020`; `/` and `.` are taken as separators too
    #[serde(rename = "dd-mm-yyyy")]
    DayFirst,
    /// `2020-12-31`
    #[serde(rename = "yyyy-mm-dd")]
    Iso,
    /// `31122020`
    #[serde(rename = "ddmmyyyy")]
    DayFirstDigits,
    /// `20201231`
    #[serde(rename = "yyyymmdd")]
    IsoDigits,
    /// SAS DATE9: `31DEC2020`, with a time `31DEC2020:23:59:00`
    #[serde(rename = "date9")]
    Date9,
}

impl DateForm {
    /// As written in a declaration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DayFirst => "dd-mm-yyyy",
            Self::Iso => "yyyy-mm-dd",
            Self::DayFirstDigits => "ddmmyyyy",
            Self::IsoDigits => "yyyymmdd",
            Self::Date9 => "date9",
        }
    }
}
