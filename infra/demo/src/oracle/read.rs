//! Reads one table's files into one batch, the person numbers as ten digits of text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};

use super::values::{self, Builder};
use crate::generate::letters;
use crate::registers::{Kind, TABLES, Table};

/// A table as read.
pub struct Contents {
    /// The rows that fit.
    pub batch: RecordBatch,
    /// How many did not.
    pub rejected: u64,
}

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system.
    #[error("cannot read {path}: {cause}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Not in the encoding it should be in.
    #[error("{path} is not in its encoding")]
    Encoding {
        /// Which file.
        path: PathBuf,
    },
    /// The header lacks a column.
    #[error("{path} has no column '{column}'")]
    Header {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: &'static str,
    },
    /// The csv reader or Arrow.
    #[error("{path}: {message}")]
    Other {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// Reads `table` from its controller's folder; `parents` is where the parent's files are (the same folder).
pub fn read(table: &'static Table, dir: &Path, parents: &Path) -> Result<Contents, ReadError> {
    let mut builders: Vec<Builder> = table.columns.iter().map(|c| Builder::new(c.kind)).collect();
    let mut rejected = 0;
    for path in files(&dir.join(table.files))? {
        let bytes = std::fs::read(&path).map_err(|cause| ReadError::Io { path: path.clone(), cause })?;
        let text =
            letters::decode(table.form.encoding, &bytes).ok_or_else(|| ReadError::Encoding { path: path.clone() })?;
        rejected += rows(table, &path, &text, &mut builders)?;
    }
    let mut fields: Vec<Field> =
        table.columns.iter().map(|c| Field::new(c.name, values::data_type(c.kind), true)).collect();
    let mut arrays: Vec<_> = builders.into_iter().map(Builder::finish).collect();
    if let Some((parent, key)) = table.via {
        let person = through_parent(table, (parent, key), parents, &arrays)?;
        fields.push(Field::new("pnr", values::data_type(Kind::Person), true));
        arrays.push(person);
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|e| ReadError::Other { path: dir.join(table.files), message: e.to_string() })?;
    Ok(Contents { batch, rejected })
}

fn rows(table: &Table, path: &Path, text: &str, builders: &mut [Builder]) -> Result<u64, ReadError> {
    let other = |e: csv::Error| ReadError::Other { path: path.to_path_buf(), message: e.to_string() };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(table.form.delimiter).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(other)?.clone();
    let mut places = Vec::new();
    for column in table.columns {
        let place = header.iter().position(|h| h == column.source);
        places.push(place.ok_or_else(|| ReadError::Header { path: path.to_path_buf(), column: column.source })?);
    }
    let mut rejected = 0;
    for record in reader.records() {
        let record = record.map_err(other)?;
        let values: Option<Vec<_>> = (record.len() == header.len())
            .then(|| {
                let fields = table.columns.iter().zip(&places);
                fields.map(|(column, place)| values::parse(column.kind, record.get(*place)?, &table.form)).collect()
            })
            .flatten();
        match values {
            Some(values) => builders.iter_mut().zip(values).for_each(|(builder, value)| builder.push(value)),
            None => rejected += 1,
        }
    }
    Ok(rejected)
}

/// The person of each row, looked up in the parent by the key.
fn through_parent(
    table: &Table,
    (parent, key): (&str, &str),
    dir: &Path,
    arrays: &[arrow::array::ArrayRef],
) -> Result<arrow::array::ArrayRef, ReadError> {
    let other = |message: &str| ReadError::Other { path: dir.join(table.files), message: message.to_owned() };
    let declared = TABLES.into_iter().find(|t| t.controller == table.controller && t.name == parent);
    let parent = read(declared.ok_or_else(|| other("its parent table is not declared"))?, dir, dir)?.batch;
    let own = table.columns.iter().position(|c| c.name == key).and_then(|i| arrays.get(i));
    let own = own.and_then(values::as_text).ok_or_else(|| other("the key is not text"))?;
    let keys =
        parent.column_by_name(key).and_then(values::as_text).ok_or_else(|| other("the parent's key is not text"))?;
    let people =
        parent.column_by_name("pnr").and_then(values::as_text).ok_or_else(|| other("the parent has no person"))?;
    Ok(values::look_up(own, keys, people))
}

/// Files that match a path whose last part may hold one `*`, in order.
fn files(pattern: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let name = pattern.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((before, after)) = name.split_once('*') else {
        return Ok(vec![pattern.to_path_buf()]);
    };
    let dir = pattern.parent().unwrap_or(Path::new("."));
    let io = |cause| ReadError::Io { path: dir.to_path_buf(), cause };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(before) && name.ends_with(after) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
