//! One sorted run, in memory or in a file of its own that goes away with it.

use super::BATCH;
use crate::ingest::IngestError;
use arrow::{
    array::{Array, FixedSizeBinaryArray, RecordBatch},
    compute::interleave_record_batch,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

/// Where a row is: its batch and its place in it.
pub(super) type Place = (usize, usize);

/// Rows by key, ready to be taken in order. Rows without key come last.
pub(super) struct Sorted {
    batches: Vec<RecordBatch>,
    order: Vec<Place>,
    next: usize,
}

impl Sorted {
    /// Sorts batches by the fixed-size binary column `key`; equal keys keep their order.
    pub(super) fn of(batches: Vec<RecordBatch>, key: usize) -> Result<Self, IngestError> {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let mut keyed: Vec<(u64, u32, u32)> = Vec::with_capacity(rows);
        let mut keyless: Vec<Place> = Vec::new();
        let mut columns = Vec::with_capacity(batches.len());
        for (index, batch) in batches.iter().enumerate() {
            let column = key_column(batch, key)?;
            for row in 0..batch.num_rows() {
                match (column.is_null(row), u32::try_from(index), u32::try_from(row)) {
                    (false, Ok(index), Ok(row_number)) => keyed.push((prefix(column.value(row)), index, row_number)),
                    _ => keyless.push((index, row)),
                }
            }
            columns.push(column);
        }
        keyed.sort_unstable();
        // Pseudonyms are as good as random: equal starts are equal keys, nearly always.
        let full = |row: &(u64, u32, u32)| columns.get(row.1 as usize).map(|column| column.value(row.2 as usize));
        for same in keyed.chunk_by_mut(|a, b| a.0 == b.0) {
            if same.windows(2).any(|pair| matches!(pair, [a, b] if full(a) != full(b))) {
                same.sort_unstable_by(|a, b| full(a).cmp(&full(b)).then(a.cmp(b)));
            }
        }
        let mut order: Vec<Place> = Vec::with_capacity(rows);
        order.extend(keyed.into_iter().map(|(_, batch, row)| (batch as usize, row as usize)));
        order.append(&mut keyless);
        Ok(Self { batches, order, next: 0 })
    }

    fn next_batch(&mut self) -> Option<Result<RecordBatch, IngestError>> {
        let end = (self.next + BATCH).min(self.order.len());
        let places = self.order.get(self.next..end).filter(|places| !places.is_empty())?;
        self.next = end;
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Some(interleave_record_batch(&batches, places).map_err(internal))
    }
}

/// The first eight bytes of a key.
fn prefix(key: &[u8]) -> u64 {
    key.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// A sorted run that is read once, batch by batch.
pub(super) enum Run {
    Memory(Sorted),
    File { reader: Box<StreamReader<BufReader<File>>>, _path: Removed },
}

impl Run {
    pub(super) fn next_batch(&mut self) -> Option<Result<RecordBatch, IngestError>> {
        match self {
            Self::Memory(sorted) => sorted.next_batch(),
            Self::File { reader, _path } => Some(reader.next()?.map_err(internal)),
        }
    }

    /// Writes batches, sorted already, to a file in `folder`.
    pub(super) fn write(
        folder: &Path,
        number: usize,
        mut batches: impl FnMut() -> Option<Result<RecordBatch, IngestError>>,
    ) -> Result<Option<Self>, IngestError> {
        let Some(first) = batches() else { return Ok(None) };
        let first = first?;
        let path = Removed(folder.join(format!("run-{number}.arrow")));
        let failed = |error| spill_failed(&path.0, error);
        let file = File::create(&path.0).map_err(|error| IngestError::disk(&path.0, error))?;
        let mut writer =
            StreamWriter::try_new(BufWriter::with_capacity(1 << 20, file), &first.schema()).map_err(failed)?;
        writer.write(&first).map_err(failed)?;
        while let Some(batch) = batches() {
            writer.write(&batch?).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        // Flushing here, not on drop, is what shows a full disk.
        let buffered = writer.into_inner().map_err(failed)?;
        buffered.into_inner().map_err(|error| IngestError::disk(&path.0, error.into_error()))?;
        let file = File::open(&path.0).map_err(|error| IngestError::disk(&path.0, error))?;
        let reader = StreamReader::try_new(BufReader::with_capacity(1 << 18, file), None).map_err(failed)?;
        Ok(Some(Self::File { reader: Box::new(reader), _path: path }))
    }
}

/// A file that is removed when nobody reads it any more.
pub(super) struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // The folder goes away with the ingest, and is cleared by the next one at the latest.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn spill_failed(path: &Path, error: arrow::error::ArrowError) -> IngestError {
    match error {
        arrow::error::ArrowError::IoError(_, error) => IngestError::disk(path, error),
        error => internal(error),
    }
}

pub(super) fn internal(error: impl std::fmt::Display) -> IngestError {
    IngestError::Internal { table: String::new(), message: error.to_string() }
}

pub(super) fn key_column(batch: &RecordBatch, key: usize) -> Result<&FixedSizeBinaryArray, IngestError> {
    batch
        .columns()
        .get(key)
        .and_then(|column| column.as_any().downcast_ref::<FixedSizeBinaryArray>())
        .ok_or_else(|| internal("rows to sort have no key column"))
}

/// A row's key as it sorts: rows without one last.
pub(super) fn key_at(column: &FixedSizeBinaryArray, row: usize) -> (bool, u128) {
    if column.is_null(row) {
        return (true, 0);
    }
    (false, column.value(row).first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes)))
}
