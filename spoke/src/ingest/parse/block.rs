//! Parsing one piece of CSV text.

use super::{
    Parsed, Reject, Task,
    column::{Columns, Piece},
    encoding::Letters,
    header::{self, Layout},
    split::{self, MAX_ROW},
};
use crate::ingest::{
    source::SourceError,
    value::{Misfit, class_of},
};
use csv_core::{ReadRecordResult, Reader};
use std::{borrow::Cow, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;

/// A piece of a file that starts and ends with a row.
pub(super) struct Block {
    pub(super) index: u64,
    pub(super) file: Arc<str>,
    pub(super) layout: Arc<Layout>,
    pub(super) line: u64,
    pub(super) text: Vec<u8>,
    pub(super) letters: Letters,
    /// the file ends here, without a line end
    pub(super) cut_off: bool,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Parses blocks, one after the other, with buffers that it keeps.
pub(super) struct BlockParser {
    task: Task,
    names: Vec<Arc<str>>,
    reader: Option<(Reader, u8, Option<u8>)>,
    row: Vec<u8>,
    ends: Vec<usize>,
    rows: usize,
}

/// Most fields of a row.
const MAX_FIELDS: usize = 100_000;

impl BlockParser {
    pub(super) fn new(task: Task) -> Self {
        let names = task.decl.columns.iter().map(|column| Arc::from(column.name.as_str())).collect();
        Self { task, names, reader: None, row: vec![0; 1 << 12], ends: vec![0; 64], rows: 1024 }
    }

    pub(super) fn parse(&mut self, mut block: Block) -> Result<Parsed, SourceError> {
        if let Err(bad) = block.letters.to_utf8(&mut block.text) {
            let before = block.text.get(..bad.at).unwrap_or_default();
            return Err(SourceError::Encoding {
                file: block.file.to_string(),
                line: block.line + split::line_ends(before),
                byte: bad.byte,
                encoding: bad.encoding,
                advice: bad.advice,
            });
        }
        let layout = Arc::clone(&block.layout);
        let mut reader = match self.reader.take() {
            Some((mut reader, delimiter, quote)) if delimiter == layout.delimiter && quote == layout.quote => {
                reader.reset();
                reader
            }
            _ => header::reader(layout.delimiter, layout.quote),
        };
        let mut columns = Columns::new(&self.task, self.rows);
        let mut rejects = Vec::new();
        let mut lines = Lines { at: 0, line: block.line };
        let mut start = 0;
        loop {
            let (end, fields) = match self.read_row(&mut reader, &block.text, start) {
                Row::Done => break,
                Row::TooWide => {
                    return Err(SourceError::LongRow {
                        file: block.file.to_string(),
                        line: lines.of(&block.text, start),
                    });
                }
                Row::Fields { end, fields } => (end, fields),
            };
            let row_start = start;
            start = end;
            if fields != layout.fields.len() {
                let last = end == block.text.len();
                // The mark that old programs set at the end of a text file.
                if last && fields == 1 && self.row.first() == Some(&0x1A) {
                    break;
                }
                let line = lines.of(&block.text, row_start);
                if last && block.cut_off && fields < layout.fields.len() {
                    return Err(SourceError::Truncated {
                        file: block.file.to_string(),
                        line,
                        found: fields,
                        expected: layout.fields.len(),
                    });
                }
                columns.skip_row();
                rejects.push(Reject {
                    line,
                    column: None,
                    class: format!("row of {fields} fields"),
                    reason: Misfit(Cow::Owned(format!("the header has {} fields", layout.fields.len()))),
                });
                continue;
            }
            let mut fits = true;
            let mut from = 0;
            for (target, to) in layout.fields.iter().zip(&self.ends) {
                let field = self.row.get(from..*to).unwrap_or_default();
                from = *to;
                let Some(column) = *target else { continue };
                if let Err(reason) = columns.append(column, field) {
                    fits = false;
                    rejects.push(Reject {
                        line: lines.of(&block.text, row_start),
                        column: self.names.get(column).cloned(),
                        class: class_of(field),
                        reason,
                    });
                }
            }
            columns.end_row(fits);
        }
        self.reader = Some((reader, layout.delimiter, layout.quote));
        let Piece { columns, persons, rows, seen } = columns.finish().map_err(|error| SourceError::Unreadable {
            file: block.file.to_string(),
            message: format!("its columns can't be built: {error}"),
        })?;
        self.rows = rows + rows / 16 + 16;
        Ok(Parsed {
            index: block.index,
            file: block.file,
            columns,
            rows,
            persons,
            rejects,
            seen,
            permit: Some(block.permit),
        })
    }

    fn read_row(&mut self, reader: &mut Reader, text: &[u8], start: usize) -> Row {
        let (mut read, mut written, mut fields) = (start, 0, 0);
        loop {
            let (Some(rest), Some(row), Some(ends)) =
                (text.get(read..), self.row.get_mut(written..), self.ends.get_mut(fields..))
            else {
                return Row::Done;
            };
            let (result, took, wrote, ended) = reader.read_record(rest, row, ends);
            read += took;
            written += wrote;
            fields += ended;
            match result {
                ReadRecordResult::Record => return Row::Fields { end: read, fields },
                ReadRecordResult::End => return Row::Done,
                // In the middle of a row: the next call, with nothing, ends it.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    if self.row.len() > 2 * MAX_ROW {
                        return Row::TooWide;
                    }
                    self.row.resize(self.row.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    if self.ends.len() > MAX_FIELDS {
                        return Row::TooWide;
                    }
                    self.ends.resize(self.ends.len() * 2, 0);
                }
            }
        }
    }
}

enum Row {
    Fields { end: usize, fields: usize },
    TooWide,
    Done,
}

/// Line numbers, counted only as far as somebody asks.
struct Lines {
    at: usize,
    line: u64,
}

impl Lines {
    /// Line on which the row starts whose parsing began at `position`; empty lines before it are skipped.
    fn of(&mut self, text: &[u8], position: usize) -> u64 {
        let skipped =
            text.get(position..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let position = position + skipped;
        if position > self.at {
            self.line += split::line_ends(text.get(self.at..position).unwrap_or_default());
            self.at = position;
        }
        self.line
    }
}

impl Drop for BlockParser {
    fn drop(&mut self) {
        // The last row's text may hold a person number.
        zeroize::Zeroize::zeroize(&mut self.row);
    }
}
