//! What the two engines have in common: values as text, types as letters, a connection for the runner.

use arrow::{
    array::{Array, RecordBatch},
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use async_trait::async_trait;
use sqllogictest::{AsyncDB, ColumnType, DBOutput};

/// An engine that answers a statement.
#[async_trait]
pub(super) trait Engine: Send {
    /// As `onlyif` and `skipif` name it.
    const NAME: &'static str;
    async fn ask(&mut self, sql: &str) -> Result<RecordBatch, Failed>;
}

/// Why there is no answer; the engine's own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failed(pub(super) String);

/// The type of a column; the widths of numbers count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column(char);

impl ColumnType for Column {
    fn from_char(value: char) -> Option<Self> {
        "BbhiIuvwUfRTYDPNVLZ".contains(value).then_some(Self(value))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

impl Column {
    fn of(kind: &DataType) -> Result<Self, Failed> {
        Ok(Self(match kind {
            DataType::Boolean => 'B',
            DataType::Int8 => 'b',
            DataType::Int16 => 'h',
            DataType::Int32 => 'i',
            DataType::Int64 => 'I',
            DataType::UInt8 => 'u',
            DataType::UInt16 => 'v',
            DataType::UInt32 => 'w',
            DataType::UInt64 => 'U',
            DataType::Float32 => 'f',
            DataType::Float64 => 'R',
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => 'T',
            DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => 'Y',
            DataType::Date32 => 'D',
            DataType::Timestamp(_, _) => 'P',
            DataType::Decimal128(_, _) => 'N',
            DataType::Interval(_) => 'V',
            DataType::Duration(_) => 'L',
            DataType::Null => 'Z',
            other => return Err(Failed(format!("a column of type {other} has no letter"))),
        }))
    }
}

/// A connection of the runner.
pub(super) struct Db<E>(pub(super) E);

#[async_trait]
impl<E: Engine> AsyncDB for Db<E> {
    type Error = Failed;
    type ColumnType = Column;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Column>, Failed> {
        let explained = sql.trim_start().starts_with("EXPLAIN");
        let batch = self.0.ask(sql).await?;
        let types = batch.schema().fields().iter().map(|f| Column::of(f.data_type())).collect::<Result<Vec<_>, _>>()?;
        let mut rows = cells(&batch, !explained).map_err(|error| Failed(error.to_string()))?;
        if explained {
            // The hub's own operators are DataFusion's business; what travels, and why something stays, is ours.
            rows.retain(|row| row[0] != "hub" || row[1].starts_with("(stays here"));
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        E::NAME
    }
}

/// Cells as text: floats to twelve digits (a sum's last ones depend on its order), blanks of a text visible.
fn cells(batch: &RecordBatch, visible: bool) -> Result<Vec<Vec<String>>, arrow::error::ArrowError> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter();
    let formats = columns.map(|c| ArrayFormatter::try_new(c.as_ref(), &options)).collect::<Result<Vec<_>, _>>()?;
    let cell = |row: usize, column: usize| {
        let array = batch.column(column);
        let text = formats[column].value(row).to_string();
        match array.data_type() {
            _ if array.is_null(row) => text,
            DataType::Float32 | DataType::Float64 => text.parse().map_or(text, float),
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 if visible => match text.as_str() {
                "" => "(empty)".to_owned(),
                text => text.replace(' ', "␣").replace('\n', "⏎"),
            },
            DataType::Binary | DataType::FixedSizeBinary(_) if text.is_empty() => "(empty)".to_owned(),
            _ => text,
        }
    };
    let width = batch.num_columns();
    Ok((0..batch.num_rows()).map(|row| (0..width).map(|column| cell(row, column)).collect()).collect())
}

fn float(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    if (1e-5..1e15).contains(&rounded.abs()) { rounded.to_string() } else { format!("{rounded:e}") }
}

/// Compares whole lines, each cell at its place.
pub(super) fn same(_: sqllogictest::Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    actual.len() == expected.len() && actual.iter().zip(expected).all(|(row, line)| row.join(" | ") == line.trim_end())
}

/// As it is: blanks count.
#[allow(clippy::ptr_arg, reason = "the runner asks for this form")]
pub(super) fn plain_text(text: &String) -> String {
    text.clone()
}
