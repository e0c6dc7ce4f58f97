//! Reading Parquet files. Values go through the same checks as those of CSV, so that both mean the same.

use super::{
    Parsed, Pieces, Reject, Task,
    column::{Columns, Piece},
};
use crate::{
    declare::{ColumnKind, TableDecl, ValueType},
    ingest::{
        source::{Place, SourceError, SourceFile, digest_of},
        value::class_of,
    },
    publish::ParquetObject,
};
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask},
    errors::ParquetError,
};
use std::{fmt::Write, sync::Arc};
use tokio::sync::{Semaphore, mpsc};

const BATCH: usize = 16_384;

/// Starts reading; pieces arrive in order.
pub(crate) fn start(files: Vec<SourceFile>, task: &Task) -> Pieces {
    let places = task.threads * 3 + 2;
    let (results, pieces) = mpsc::channel(places);
    let mut reading = Reading { task: task.clone(), semaphore: Arc::new(Semaphore::new(places)), results, next: 0 };
    tokio::spawn(async move {
        for file in files {
            match reading.file(&file).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // Nobody listens any more when the ingest failed elsewhere first.
                    let _ = reading.results.send(Err(error)).await;
                    return;
                }
            }
        }
    });
    pieces
}

struct Reading {
    task: Task,
    semaphore: Arc<Semaphore>,
    results: mpsc::Sender<Result<Parsed, SourceError>>,
    next: u64,
}

impl Reading {
    /// Says whether to go on.
    async fn file(&mut self, file: &SourceFile) -> Result<bool, SourceError> {
        let unreadable = |message: String| SourceError::Unreadable { file: file.name.to_string(), message };
        let broken =
            |error: ParquetError| SourceError::Parquet { file: file.name.to_string(), message: error.to_string() };
        if file.size == 0 {
            return Err(SourceError::Empty { file: file.name.to_string() });
        }
        let digest = digest_of(file).await?;
        let (store, path) = match &file.place {
            Place::Object(store, path) => (Arc::clone(store), path.clone()),
            Place::Local(path) => {
                let path = Path::from_absolute_path(path).map_err(|error| unreadable(error.to_string()))?;
                (Arc::new(LocalFileSystem::new()) as Arc<dyn ObjectStore>, path)
            }
        };
        let start = store.get_range(&path, 0..file.size.min(4)).await.map_err(|error| unreadable(error.to_string()))?;
        if start.as_ref() != b"PAR1" {
            return Err(SourceError::Kind {
                file: file.name.to_string(),
                found: "something else",
                expected: "a Parquet file",
                advice: "Check source.path and source.format",
            });
        }
        let object = ParquetObject { store, path, size: file.size };
        let builder = ParquetRecordBatchStreamBuilder::new(object).await.map_err(broken)?;
        let columns = columns_of(&self.task.decl, &file.name, builder.schema())?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().map(|(_, at)| *at));
        let rows = builder.metadata().file_metadata().num_rows().max(1);
        let mut batches = builder.with_projection(mask).with_batch_size(BATCH).build().map_err(broken)?;
        let mut row = 1;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(broken)?;
            let Ok(permit) = Arc::clone(&self.semaphore).acquire_owned().await else { return Ok(false) };
            let mut parsed = self.piece(file, &columns, &batch, row).map_err(|error| unreadable(error.to_string()))?;
            parsed.permit = Some(permit);
            row += batch.num_rows() as u64;
            self.next += 1;
            let share = batch.num_rows() as f64 / rows as f64;
            self.task.meter.advance((file.size as f64 * share) as u64);
            if self.results.send(Ok(parsed)).await.is_err() || self.task.cancel.is_cancelled() {
                return Ok(false);
            }
        }
        self.task.meter.finished(&file.name, file.size, digest);
        Ok(true)
    }

    fn piece(
        &self,
        file: &SourceFile,
        places: &[(usize, usize)],
        batch: &RecordBatch,
        first: u64,
    ) -> Result<Parsed, arrow::error::ArrowError> {
        let schema = batch.schema();
        let mut sources: Vec<Option<Cells>> = Vec::new();
        let mut native = vec![false; self.task.decl.columns.len()];
        for (index, column) in self.task.decl.columns.iter().enumerate() {
            let at = schema.fields().iter().position(|field| field.name().eq_ignore_ascii_case(&column.source));
            let wanted = places.iter().any(|(declared, _)| *declared == index);
            let cells = match at.filter(|_| wanted).and_then(|at| batch.columns().get(at)) {
                None => None,
                Some(array) => Some(Cells::of(array)?),
            };
            if let (Some(native), Some(cells)) = (native.get_mut(index), &cells) {
                *native = matches!(cells, Cells::Typed(_));
            }
            sources.push(cells);
        }
        let mut columns = Columns::with_native(&self.task, batch.num_rows(), &native);
        let mut rejects = Vec::new();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            let mut fits = true;
            for (index, cells) in sources.iter().enumerate() {
                let Some(cells) = cells.as_ref().filter(|cells| cells.read(row, &mut text)) else {
                    columns.append_missing(index);
                    continue;
                };
                let _ = cells;
                if let Err(reason) = columns.append(index, text.as_bytes()) {
                    fits = false;
                    let name = self.task.decl.columns.get(index).map(|column| Arc::from(column.name.as_str()));
                    rejects.push(Reject {
                        line: first + row as u64,
                        column: name,
                        class: class_of(text.as_bytes()),
                        reason,
                    });
                }
            }
            columns.end_row(fits);
        }
        let Piece { columns, persons, rows, seen } = columns.finish()?;
        Ok(Parsed {
            index: self.next,
            file: Arc::clone(&file.name),
            columns,
            rows,
            persons,
            rejects,
            seen,
            permit: None,
        })
    }
}

/// A column's values as text: as they stand, or typed ones in one known form (decimal point, ISO dates).
enum Cells {
    Text(ArrayRef),
    Typed(ArrayRef),
}

impl Cells {
    fn of(array: &ArrayRef) -> Result<Self, arrow::error::ArrowError> {
        if is_text(array.data_type()) {
            return Ok(Self::Text(arrow::compute::cast(array, &DataType::Utf8)?));
        }
        match array.data_type() {
            DataType::Dictionary(_, values) => Self::of(&arrow::compute::cast(array, values)?),
            _ => Ok(Self::Typed(Arc::clone(array))),
        }
    }

    /// Writes a value into `text`; false when it is null.
    fn read(&self, row: usize, text: &mut String) -> bool {
        text.clear();
        match self {
            Self::Text(array) => {
                if array.is_null(row) {
                    return false;
                }
                if let Some(array) = array.as_string_opt::<i32>() {
                    text.push_str(array.value(row));
                }
                true
            }
            Self::Typed(array) => {
                if array.is_null(row) {
                    return false;
                }
                let options = FormatOptions::default();
                // What can't be written is no value of any declared type either.
                let _ = ArrayFormatter::try_new(array.as_ref(), &options)
                    .map(|format| write!(text, "{}", format.value(row)));
                true
            }
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// For each declared column, its place in the file.
fn columns_of(decl: &TableDecl, file: &str, schema: &Schema) -> Result<Vec<(usize, usize)>, SourceError> {
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().to_lowercase()).collect();
    let mut found = Vec::with_capacity(decl.columns.len());
    for (index, column) in decl.columns.iter().enumerate() {
        let wanted = column.source.to_lowercase();
        let mut places = names.iter().enumerate().filter(|(_, name)| **name == wanted).map(|(at, _)| at);
        let Some(at) = places.next() else {
            let mut header = names.iter().take(30).cloned().collect::<Vec<_>>().join(", ");
            if names.len() > 30 {
                header.push_str(", ...");
            }
            return Err(SourceError::MissingColumn {
                file: file.to_owned(),
                column: column.source.clone(),
                header,
                advice: "Give the name in the file as source = \"...\" of the column".to_owned(),
            });
        };
        if places.next().is_some() {
            return Err(SourceError::DuplicateHeader { file: file.to_owned(), column: column.source.clone() });
        }
        let data_type = schema.field(at).data_type();
        if !accepts(&column.kind, data_type) {
            return Err(SourceError::Type {
                file: file.to_owned(),
                column: column.source.clone(),
                found: data_type.to_string(),
                expected: match &column.kind {
                    ColumnKind::Person => "person number".to_owned(),
                    ColumnKind::Key { .. } => "key".to_owned(),
                    ColumnKind::Value(value_type) => value_type.to_string(),
                },
            });
        }
        found.push((index, at));
    }
    Ok(found)
}

fn accepts(kind: &ColumnKind, data_type: &DataType) -> bool {
    if let DataType::Dictionary(_, values) = data_type {
        return accepts(kind, values);
    }
    if is_text(data_type) {
        return true;
    }
    let integer = data_type.is_integer();
    let local_time = matches!(data_type, DataType::Timestamp(_, None));
    match kind {
        ColumnKind::Person | ColumnKind::Key { .. } | ColumnKind::Value(ValueType::Text) => integer,
        ColumnKind::Value(ValueType::Int32 | ValueType::Int64 | ValueType::Float64) => {
            integer || data_type.is_floating() || data_type.is_decimal()
        }
        ColumnKind::Value(ValueType::Decimal(..)) => integer || data_type.is_decimal(),
        ColumnKind::Value(ValueType::Date | ValueType::Timestamp) => {
            local_time || matches!(data_type, DataType::Date32 | DataType::Date64)
        }
        ColumnKind::Value(ValueType::Boolean) => integer || *data_type == DataType::Boolean,
    }
}
