//! Writes one table's files in the form that its controller has them in.
//!
//! Every so often a line that does not fit the declaration is added, the way real deliveries have them: always
//! fewer than one in a thousand, always beside the good row, so that dropping it loses nothing.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::day::Day;
use super::letters;
use crate::registers::{Dates, Encoding, Kind, Table};

/// Good lines between two that do not fit.
const PACE: u64 = 2_000;
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// A table being written: one file, or several of which each row chooses one.
pub(crate) struct Sheet {
    table: &'static Table,
    files: Vec<(PathBuf, BufWriter<File>)>,
    /// The line so far, encoded, and where its fields end.
    line: Vec<u8>,
    ends: Vec<usize>,
    pub(crate) rows: u64,
    pub(crate) malformed: u64,
    pub(crate) bytes: u64,
    /// Which spelling of missing comes next.
    spelling: usize,
}

impl Sheet {
    /// Creates the files, header included.
    pub(crate) fn create(table: &'static Table, paths: &[PathBuf]) -> io::Result<Sheet> {
        let mut sheet = Sheet {
            table,
            files: Vec::new(),
            line: Vec::with_capacity(512),
            ends: Vec::with_capacity(table.columns.len()),
            rows: 0,
            malformed: 0,
            bytes: 0,
            spelling: 0,
        };
        for path in paths {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
            if table.form.encoding == Encoding::Utf8Bom {
                file.write_all(b"\xef\xbb\xbf")?;
                sheet.bytes += 3;
            }
            sheet.files.push((path.clone(), file));
            for column in table.columns {
                sheet.text(column.source);
            }
            sheet.finish_line(sheet.files.len() - 1)?;
        }
        Ok(sheet)
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    pub(crate) fn text(&mut self, text: &str) {
        let form = &self.table.form;
        let special = |b: u8| b == form.delimiter || b == b'"' || b == b'\n' || b == b'\r';
        if form.quote_all || text.bytes().any(special) {
            self.line.push(b'"');
            for (i, part) in text.split('"').enumerate() {
                if i > 0 {
                    self.line.extend_from_slice(b"\"\"");
                }
                letters::encode(form.encoding, part, &mut self.line);
            }
            self.line.push(b'"');
        } else {
            letters::encode(form.encoding, text, &mut self.line);
        }
        self.end_field();
    }

    /// A field that needs no quotes in any form, unless the form quotes everything.
    fn plain(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let quote = self.table.form.quote_all;
        if quote {
            self.line.push(b'"');
        }
        write(&mut self.line);
        if quote {
            self.line.push(b'"');
        }
        self.end_field();
    }

    fn end_field(&mut self) {
        self.ends.push(self.line.len());
        self.line.push(self.table.form.delimiter);
    }

    pub(crate) fn missing(&mut self) {
        let spellings = self.table.form.missing;
        self.spelling += 1;
        self.text(spellings[self.spelling % spellings.len()]);
    }

    pub(crate) fn person(&mut self, number: u64) {
        let dashed = self.table.form.dashed;
        self.plain(|line| {
            digits(line, number / 10_000, 6);
            if dashed {
                line.push(b'-');
            }
            digits(line, number % 10_000, 4);
        });
    }

    pub(crate) fn int(&mut self, value: u64) {
        self.plain(|line| digits(line, value, 1));
    }

    /// A number with decimals, given as a whole number of its last digit: `(74, 1)` is 7.4.
    pub(crate) fn decimal(&mut self, value: u64, places: u32) {
        let mark = self.table.form.decimal;
        let scale = 10_u64.pow(places);
        let write = move |line: &mut Vec<u8>| {
            digits(line, value / scale, 1);
            if places > 0 {
                line.push(mark);
                digits(line, value % scale, places as usize);
            }
        };
        // a decimal comma in a comma-separated file would need quotes
        if places > 0 && mark == self.table.form.delimiter && !self.table.form.quote_all {
            self.line.push(b'"');
            write(&mut self.line);
            self.line.push(b'"');
            self.end_field();
        } else {
            self.plain(write);
        }
    }

    pub(crate) fn date(&mut self, day: Day) {
        let dates = self.table.form.dates;
        self.plain(|line| date(line, day, dates));
    }

    /// `minute` counts from midnight.
    pub(crate) fn timestamp(&mut self, day: Day, minute: u64) {
        let dates = self.table.form.dates;
        self.plain(|line| {
            date(line, day, dates);
            line.push(b' ');
            digits(line, minute / 60, 2);
            line.push(b':');
            digits(line, minute % 60, 2);
            line.extend_from_slice(b":00");
        });
    }

    /// Ends the row, into the file of that number.
    pub(crate) fn end(&mut self, file: usize) -> io::Result<()> {
        self.rows += 1;
        if self.rows.is_multiple_of(PACE) {
            self.malform(file)?;
            self.malformed += 1;
        }
        self.finish_line(file)
    }

    fn finish_line(&mut self, file: usize) -> io::Result<()> {
        // the last field's delimiter gives way to the line's end
        self.line.pop();
        self.line.extend_from_slice(if self.table.form.crlf { b"\r\n" } else { b"\n" });
        self.bytes += self.line.len() as u64;
        if let Some((_, out)) = self.files.get_mut(file) {
            out.write_all(&self.line)?;
        }
        self.line.clear();
        self.ends.clear();
        Ok(())
    }

    /// Writes a spoiled copy of the current line.
    fn malform(&mut self, file: usize) -> io::Result<()> {
        let mut fields: Vec<Vec<u8>> = Vec::with_capacity(self.ends.len() + 1);
        let mut start = 0;
        for end in &self.ends {
            fields.push(self.line[start..*end].to_vec());
            start = end + 1;
        }
        let date = self.table.columns.iter().position(|c| matches!(c.kind, Kind::Date | Kind::Timestamp));
        let number = self.table.columns.iter().position(|c| matches!(c.kind, Kind::Int32 | Kind::Float64));
        match (self.malformed % 4, date, number) {
            (1, Some(date), _) => {
                let bad: &[u8] = match self.table.form.dates {
                    Dates::Iso => b"2021-02-60",
                    Dates::DayFirst => b"60-02-2021",
                    Dates::Sas => b"60FEB2021",
                };
                fields[date] = bad.to_vec();
            }
            (2, _, Some(number)) => fields[number] = b"<4".to_vec(),
            (3, ..) => fields.push(b"forskudt".to_vec()),
            _ => {
                fields.pop();
            }
        }
        let mut line = fields.join(&self.table.form.delimiter);
        line.extend_from_slice(if self.table.form.crlf { b"\r\n" } else { b"\n" });
        self.bytes += line.len() as u64;
        match self.files.get_mut(file) {
            Some((_, out)) => out.write_all(&line),
            None => Ok(()),
        }
    }

    /// Writes what is buffered; says which file did not take it.
    pub(crate) fn finish(&mut self) -> Result<(), (PathBuf, io::Error)> {
        for (path, file) in &mut self.files {
            file.flush().map_err(|e| (path.clone(), e))?;
        }
        Ok(())
    }
}

/// `value` with at least `width` digits.
fn digits(line: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut rest = value;
    let mut at = buffer.len();
    while rest > 0 || buffer.len() - at < width {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    line.extend_from_slice(&buffer[at..]);
}

fn date(line: &mut Vec<u8>, day: Day, dates: Dates) {
    let (year, month, day) = day.ymd();
    let (year, month, day) = (year.unsigned_abs().into(), u64::from(month), u64::from(day));
    match dates {
        Dates::Iso => {
            digits(line, year, 4);
            line.push(b'-');
            digits(line, month, 2);
            line.push(b'-');
            digits(line, day, 2);
        }
        Dates::DayFirst => {
            digits(line, day, 2);
            line.push(b'-');
            digits(line, month, 2);
            line.push(b'-');
            digits(line, year, 4);
        }
        Dates::Sas => {
            digits(line, day, 2);
            line.extend_from_slice(MONTHS[(month as usize - 1) % 12].as_bytes());
            digits(line, year, 4);
        }
    }
}
