//! Merging sorted runs.

use super::{
    BATCH,
    run::{Place, Run, internal, key_at, key_column},
};
use crate::ingest::IngestError;
use arrow::{
    array::{FixedSizeBinaryArray, RecordBatch},
    compute::interleave_record_batch,
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// Rows of several sorted runs in one order. Of equal keys, those of earlier runs come first.
pub(crate) struct Merged {
    key: usize,
    runs: Vec<Cursor>,
    heap: BinaryHeap<Reverse<(bool, u128, usize)>>,
}

struct Cursor {
    run: Run,
    batch: Option<RecordBatch>,
    keys: Option<FixedSizeBinaryArray>,
    row: usize,
    /// number of the batch among those that the next output takes rows from
    slot: Option<usize>,
}

impl Merged {
    pub(super) fn of(runs: Vec<Run>, key: usize) -> Result<Self, IngestError> {
        let mut merged =
            Self { key, runs: Vec::with_capacity(runs.len()), heap: BinaryHeap::with_capacity(runs.len()) };
        for run in runs {
            merged.runs.push(Cursor { run, batch: None, keys: None, row: 0, slot: None });
        }
        for index in 0..merged.runs.len() {
            merged.load(index)?;
        }
        Ok(merged)
    }

    /// Takes the next batch of a run and lets its first row compete.
    fn load(&mut self, index: usize) -> Result<(), IngestError> {
        let Some(cursor) = self.runs.get_mut(index) else { return Ok(()) };
        cursor.batch = None;
        cursor.keys = None;
        cursor.slot = None;
        cursor.row = 0;
        while let Some(batch) = cursor.run.next_batch() {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let keys = key_column(&batch, self.key)?.clone();
            let (keyless, key) = key_at(&keys, 0);
            cursor.batch = Some(batch);
            cursor.keys = Some(keys);
            self.heap.push(Reverse((keyless, key, index)));
            break;
        }
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, IngestError> {
        // A single run is in order already.
        if let [only] = self.runs.as_mut_slice() {
            return match only.batch.take() {
                Some(batch) => Ok(Some(batch)),
                None => only.run.next_batch().transpose(),
            };
        }
        let mut used: Vec<RecordBatch> = Vec::new();
        let mut places: Vec<Place> = Vec::with_capacity(BATCH);
        for cursor in &mut self.runs {
            cursor.slot = None;
        }
        while places.len() < BATCH {
            let Some(Reverse((_, _, index))) = self.heap.pop() else { break };
            let Some(cursor) = self.runs.get_mut(index) else { continue };
            let Some(batch) = &cursor.batch else { continue };
            let slot = *cursor.slot.get_or_insert_with(|| {
                used.push(batch.clone());
                used.len() - 1
            });
            places.push((slot, cursor.row));
            cursor.row += 1;
            match &cursor.keys {
                Some(keys) if cursor.row < batch.num_rows() => {
                    let (keyless, key) = key_at(keys, cursor.row);
                    self.heap.push(Reverse((keyless, key, index)));
                }
                _ => self.load(index)?,
            }
        }
        if places.is_empty() {
            return Ok(None);
        }
        let used: Vec<&RecordBatch> = used.iter().collect();
        interleave_record_batch(&used, &places).map(Some).map_err(internal)
    }
}

impl Iterator for Merged {
    type Item = Result<RecordBatch, IngestError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
