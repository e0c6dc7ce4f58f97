//! The report of rows that did not fit: `rejects/<table>-<time>.csv` with file, line, column, kind of value and reason.
//!
//! INVARIANT: no value stands in it, least of all a person number.

use super::{IngestError, parse::Reject};
use chrono::{DateTime, Utc};
use proto::ids::TableName;
use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

/// Lines of a report; further rejects are only counted.
const MOST: u64 = 100_000;
/// Different reasons that are counted apart.
const REASONS: usize = 1000;

/// Writes the report once there is something to report.
pub(crate) struct RejectReport {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    lines: u64,
    reasons: HashMap<String, u64>,
}

impl RejectReport {
    pub(crate) fn new(folder: &Path, table: &TableName, at: DateTime<Utc>) -> Self {
        let path = folder.join(format!("{table}-{}.csv", at.format("%Y%m%dT%H%M%S%3fZ")));
        Self { path, file: None, lines: 0, reasons: HashMap::new() }
    }

    pub(crate) fn add(&mut self, file: &str, rejects: &[Reject]) -> Result<(), IngestError> {
        for reject in rejects {
            let column = reject.column.as_deref().unwrap_or_default();
            let key = if column.is_empty() {
                reject.reason.0.to_string()
            } else {
                format!("column '{column}': {}", reject.reason.0)
            };
            if self.reasons.len() < REASONS || self.reasons.contains_key(&key) {
                *self.reasons.entry(key).or_default() += 1;
            }
            self.lines += 1;
            if self.lines > MOST {
                continue;
            }
            let line = format!(
                "{},{},{},{},{}\n",
                quoted(file),
                reject.line,
                quoted(column),
                quoted(&reject.class),
                quoted(&reject.reason.0)
            );
            self.write(&line)?;
            if self.lines == MOST {
                self.write("further rejects are counted only,,,,\n")?;
            }
        }
        Ok(())
    }

    fn write(&mut self, line: &str) -> Result<(), IngestError> {
        let failed = |error| IngestError::disk(&self.path, error);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder).map_err(failed)?;
                }
                let mut file = BufWriter::new(File::create(&self.path).map_err(failed)?);
                file.write_all(b"file,line,column,value,reason\n").map_err(failed)?;
                none.insert(file)
            }
        };
        file.write_all(line.as_bytes()).map_err(failed)
    }

    /// Completes the report; its path when there is one.
    pub(crate) fn finish(&mut self) -> Result<Option<PathBuf>, IngestError> {
        let failed = |error| IngestError::disk(&self.path, error);
        match &mut self.file {
            None => Ok(None),
            Some(file) => {
                file.flush().map_err(failed)?;
                Ok(Some(self.path.clone()))
            }
        }
    }

    /// The most frequent reason, as a sentence.
    pub(crate) fn most(&self) -> String {
        let most = self.reasons.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        most.map_or_else(String::new, |(reason, count)| format!("Most often ({count} times): {reason}."))
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
