//! Answers on a terminal or in a file.
//!
//! A cell that the release rules hide is NULL; the table shows a mark and says what it means, so that nobody takes it
//! for a zero or for a missing value.

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{DataType, Schema, SchemaRef},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use policies::disclosure::{STATUS_COLUMN, noise_and_hidden};
use std::{
    collections::BTreeSet,
    io::{self, Write},
};

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// aligned columns
    Table,
    /// comma-separated, with a header
    Csv,
    /// one JSON object a line
    Json,
    /// an Arrow IPC stream
    Arrow,
}

/// Rows that column widths are taken from.
const MEASURED: usize = 1000;
/// A cell is cut at this width.
const WIDEST: usize = 120;
/// Stands for a hidden cell.
pub(super) const MARK: &str = "·";
const NOISE: &str = "perturbed: counts, and what is made of them, are shown with a little noise (docs/release.md)";

/// Writes one answer.
pub(super) struct Printer<W: Write> {
    sink: Sink<W>,
}

enum Sink<W: Write> {
    Table(Table<W>),
    Csv(Box<arrow::csv::Writer<W>>),
    Json(Box<arrow::json::LineDelimitedWriter<W>>),
    Arrow(Box<arrow::ipc::writer::StreamWriter<W>>),
}

fn io_error(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}

impl<W: Write> Printer<W> {
    pub(super) fn new(out: W, format: Format, schema: &SchemaRef) -> io::Result<Self> {
        let sink = match format {
            Format::Table => Sink::Table(Table::new(out, schema)),
            Format::Csv => Sink::Csv(Box::new(arrow::csv::WriterBuilder::new().with_header(true).build(out))),
            Format::Json => Sink::Json(Box::new(
                arrow::json::WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .build::<_, arrow::json::writer::LineDelimited>(out),
            )),
            Format::Arrow => {
                Sink::Arrow(Box::new(arrow::ipc::writer::StreamWriter::try_new(out, schema).map_err(io_error)?))
            }
        };
        let mut printer = Self { sink };
        if matches!(printer.sink, Sink::Csv(_)) {
            // A header also for an answer without rows.
            printer.write(&RecordBatch::new_empty(schema.clone()))?;
        }
        Ok(printer)
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match &mut self.sink {
            Sink::Table(table) => table.write(batch),
            Sink::Csv(writer) => writer.write(batch).map_err(io_error),
            Sink::Json(writer) => writer.write(batch).map_err(io_error),
            Sink::Arrow(writer) => writer.write(batch).map_err(io_error),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Table(table) => table.finish(),
            Sink::Csv(writer) => writer.into_inner().flush(),
            Sink::Json(mut writer) => {
                writer.finish().map_err(io_error)?;
                writer.into_inner().flush()
            }
            Sink::Arrow(mut writer) => {
                writer.finish().map_err(io_error)?;
                writer.get_mut().flush()
            }
        }
    }
}

struct Table<W: Write> {
    out: W,
    names: Vec<String>,
    right: Vec<bool>,
    status: Option<usize>,
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    hidden: BTreeSet<String>,
    /// some numbers have noise
    noisy: bool,
}

impl<W: Write> Table<W> {
    fn new(out: W, schema: &Schema) -> Self {
        let status = schema
            .fields()
            .last()
            .filter(|f| f.name() == STATUS_COLUMN && f.data_type().is_string())
            .map(|_| schema.fields().len() - 1);
        Self {
            out,
            names: schema.fields().iter().map(|f| f.name().clone()).collect(),
            right: schema.fields().iter().map(|f| f.data_type().is_numeric()).collect(),
            status,
            waiting: Vec::new(),
            widths: None,
            hidden: BTreeSet::new(),
            noisy: false,
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let options = FormatOptions::default().with_null("NULL").with_display_error(true);
        let cells = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(io_error)?;
        for row in 0..batch.num_rows() {
            let status = self.status.and_then(|s| cells.get(s)).map(|cell| cell.value(row).to_string());
            let (noisy, hides) = status.as_deref().map_or((false, None), noise_and_hidden);
            self.noisy |= noisy;
            let mut line = Vec::with_capacity(cells.len());
            for (number, (cell, column)) in cells.iter().zip(batch.columns()).enumerate() {
                let null = column.is_null(row);
                line.push(match &hides {
                    Some(why) if null && Some(number) != self.status => {
                        self.hidden.insert((*why).to_owned());
                        MARK.to_owned()
                    }
                    _ => shown(cell.value(row).to_string(), column.data_type()),
                });
            }
            match &self.widths {
                Some(widths) => row_line(&mut self.out, &line, widths, &self.right)?,
                None => self.waiting.push(line),
            }
        }
        if self.widths.is_none() && self.waiting.len() >= MEASURED {
            self.head()?;
        }
        Ok(())
    }

    /// Column widths are settled, the head and the rows so far written.
    fn head(&mut self) -> io::Result<()> {
        let mut widths: Vec<usize> = self.names.iter().map(|n| width(n)).collect();
        for line in &self.waiting {
            for (most, cell) in widths.iter_mut().zip(line) {
                *most = (*most).max(width(cell));
            }
        }
        let names = std::mem::take(&mut self.names);
        row_line(&mut self.out, &names, &widths, &self.right)?;
        let rule: Vec<String> = widths.iter().map(|w| "─".repeat(*w)).collect();
        writeln!(self.out, "{}", rule.join("──"))?;
        for line in std::mem::take(&mut self.waiting) {
            row_line(&mut self.out, &line, &widths, &self.right)?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if self.widths.is_none() {
            self.head()?;
        }
        if !self.hidden.is_empty() {
            let why: Vec<&str> = self.hidden.iter().map(String::as_str).collect();
            writeln!(self.out, "{MARK} {}", why.join("; "))?;
        }
        if self.noisy {
            writeln!(self.out, "{NOISE}")?;
        }
        self.out.flush()
    }
}

fn shown(text: String, kind: &DataType) -> String {
    let text: String = if text.contains(|c: char| c.is_control()) {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    } else {
        text
    };
    if matches!(kind, DataType::Utf8 | DataType::LargeUtf8) || width(&text) <= WIDEST {
        return text;
    }
    text.chars().take(WIDEST - 1).chain(['…']).collect()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn row_line(out: &mut impl Write, cells: &[String], widths: &[usize], right: &[bool]) -> io::Result<()> {
    let mut line = String::new();
    for (number, (cell, most)) in cells.iter().zip(widths).enumerate() {
        if number > 0 {
            line.push_str("  ");
        }
        let gap = " ".repeat(most.saturating_sub(width(cell)));
        if right.get(number).copied().unwrap_or(false) {
            line.push_str(&gap);
            line.push_str(cell);
        } else {
            line.push_str(cell);
            line.push_str(&gap);
        }
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use arrow::{
        array::{FixedSizeBinaryArray, Int64Array, StringArray},
        datatypes::Field,
    };
    use policies::disclosure::{PERTURBED, RELEASED, SUPPRESSED};
    use std::sync::Arc;

    fn printed(format: Format, batch: &RecordBatch) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, format, &batch.schema()).unwrap();
        printer.write(batch).unwrap();
        printer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn released() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("kom", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
            Field::new(STATUS_COLUMN, DataType::Utf8, false),
        ]);
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(StringArray::from(vec![Some("Århus"), None, None])),
                Arc::new(Int64Array::from(vec![Some(12345), Some(7), None])),
                Arc::new(StringArray::from(vec![PERTURBED, RELEASED, SUPPRESSED])),
            ],
        )
        .unwrap()
    }

    #[test]
    fn hidden_cells_are_marked_and_explained_and_missing_ones_are_not() {
        insta::assert_snapshot!(printed(Format::Table, &released()), @r"
        kom        n  release_status
        ─────────────────────────────────────────────
        Århus  12345  perturbed
        NULL       7  released
        ·          ·  suppressed: fewer than 5 people
        · suppressed: fewer than 5 people
        perturbed: counts, and what is made of them, are shown with a little noise (docs/release.md)
        ");
    }

    #[test]
    fn a_row_of_which_a_part_is_hidden_says_that_the_rest_has_noise() {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("s", DataType::Int64, true),
            Field::new(STATUS_COLUMN, DataType::Utf8, false),
        ]);
        let told = "perturbed; suppressed: fewer than 10 contributors in s";
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![7])),
            Arc::new(Int64Array::from(vec![None])),
            Arc::new(StringArray::from(vec![told])),
        ];
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        insta::assert_snapshot!(printed(Format::Table, &batch), @r"
        n  s  release_status
        ────────────────────────────────────────────────────────────
        7  ·  perturbed; suppressed: fewer than 10 contributors in s
        · suppressed: fewer than 10 contributors in s
        perturbed: counts, and what is made of them, are shown with a little noise (docs/release.md)
        ");
    }

    #[test]
    fn files_for_machines() {
        insta::assert_snapshot!(printed(Format::Csv, &released()), @r"
        kom,n,release_status
        Århus,12345,perturbed
        ,7,released
        ,,suppressed: fewer than 5 people
        ");
        assert!(printed(Format::Json, &released()).starts_with("{\"kom\":\"Århus\",\"n\":12345,"));
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, Format::Arrow, &released().schema()).unwrap();
        printer.write(&released()).unwrap();
        printer.finish().unwrap();
        let read: Vec<_> =
            arrow::ipc::reader::StreamReader::try_new(out.as_slice(), None).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [released()]);
    }

    #[test]
    fn pseudonyms_are_hexadecimal_and_an_empty_answer_has_its_head() {
        let ids = FixedSizeBinaryArray::try_from_iter([[0xab_u8; 16]].iter()).unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("pnr", DataType::FixedSizeBinary(16), true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(ids)]).unwrap();
        assert!(printed(Format::Table, &batch).contains(&"ab".repeat(16)));
        assert!(printed(Format::Csv, &batch).contains(&"ab".repeat(16)));
        let empty = RecordBatch::new_empty(released().schema());
        assert!(printed(Format::Table, &empty).starts_with("kom  n  release_status"));
        assert_eq!(printed(Format::Csv, &empty).trim(), "kom,n,release_status");
    }
}
