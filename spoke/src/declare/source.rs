//! Where a table's rows come from and how they are written there.

use super::types::DateForm;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// The `[source]` part of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// File, folder, glob or object-store URL; relative paths start at the spoke's folder.
    pub path: String,
    /// Options of an object-store URL, such as `aws_endpoint`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// What the files are.
    pub format: Format,
    /// What separates fields.
    #[serde(default)]
    pub delimiter: Delimiter,
    /// How letters are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What stands before the decimals of a number.
    #[serde(default)]
    pub decimal: Decimal,
    /// How days are written, unless a column says otherwise.
    #[serde(default = "iso")]
    pub date: DateForm,
    /// Whether the first line names the columns.
    #[serde(default = "yes")]
    pub header: bool,
    /// What stands for a missing value.
    #[serde(default = "missing")]
    pub missing: Vec<String>,
    /// What fields may be quoted with; "" when quotes are ordinary characters.
    #[serde(default = "quote", deserialize_with = "one_quote")]
    pub quote: String,
}

impl Source {
    /// The quote as a byte, if there is one.
    #[must_use]
    pub fn quote_byte(&self) -> Option<u8> {
        self.quote.as_bytes().first().copied()
    }
}

/// What the files of a source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text with separated fields
    Csv,
    /// Apache Parquet
    Parquet,
}

/// What separates fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Delimiter {
    /// Found from the header line.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// `;`
    #[serde(rename = ";")]
    Semicolon,
    /// `,`
    #[serde(rename = ",")]
    Comma,
    /// a tab
    #[serde(rename = "tab", alias = "\t")]
    Tab,
    /// `|`
    #[serde(rename = "|")]
    Bar,
}

impl Delimiter {
    /// The delimiters that `auto` looks for.
    pub const KNOWN: [u8; 4] = [b';', b',', b'\t', b'|'];

    /// The byte, unless it is to be found.
    #[must_use]
    pub fn byte(self) -> Option<u8> {
        match self {
            Self::Auto => None,
            Self::Semicolon => Some(b';'),
            Self::Comma => Some(b','),
            Self::Tab => Some(b'\t'),
            Self::Bar => Some(b'|'),
        }
    }

    /// How a delimiter is written in a declaration.
    #[must_use]
    pub fn name_of(byte: u8) -> &'static str {
        match byte {
            b';' => ";",
            b',' => ",",
            b'\t' => "tab",
            b'|' => "|",
            _ => "?",
        }
    }
}

/// How letters are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Encoding {
    /// UTF-8 when the bytes are, else Windows-1252; decided at the first byte that is not ASCII.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// With or without byte order mark.
    #[serde(rename = "utf-8", alias = "utf8", alias = "UTF-8")]
    Utf8,
    /// Latin-1. Bytes 0x80 to 0x9F are control characters there and are refused: such files are Windows-1252.
    #[serde(rename = "iso-8859-1", alias = "latin1", alias = "ISO-8859-1")]
    Latin1,
    /// The Windows code page of western Europe.
    #[serde(rename = "windows-1252", alias = "cp1252", alias = "Windows-1252")]
    Windows1252,
}

/// What stands before the decimals of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Decimal {
    /// `1,5`
    #[default]
    #[serde(rename = ",")]
    Comma,
    /// `1.5`
    #[serde(rename = ".")]
    Point,
}

impl Decimal {
    /// The byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Point => b'.',
        }
    }
}

fn iso() -> DateForm {
    DateForm::Iso
}

fn yes() -> bool {
    true
}

fn missing() -> Vec<String> {
    vec![String::new(), ".".to_owned()]
}

fn quote() -> String {
    "\"".to_owned()
}

fn one_quote<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.as_str() {
        "" | "\"" | "'" => Ok(text),
        _ => Err(serde::de::Error::custom("quote must be \"\\\"\", \"'\" or \"\" (no quotes)")),
    }
}
