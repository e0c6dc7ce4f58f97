//! Shuffling: rows are collected into a window of keyed size, permuted, and let out in batches of keyed size.
//!
//! INVARIANT: sizes and permutation come from the project's key alone, never from the data.

use arrow::{
    array::{Array, RecordBatchOptions, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::SchemaRef,
    error::ArrowError,
    record_batch::RecordBatch,
};
use rand::{Rng, seq::SliceRandom};
use rand_chacha::ChaCha20Rng;
use std::collections::VecDeque;

/// The fewest rows that a window waits for.
const WINDOW_MIN: usize = 16_384;
/// The most rows that a window waits for.
const WINDOW_MAX: usize = 32_768;
/// A window is closed early when its rows take so much memory.
const WINDOW_BYTES: usize = 16 << 20;
/// The smallest batch, except at a window's end.
const BATCH_MIN: usize = 4_096;
/// The largest batch.
const BATCH_MAX: usize = 8_192;

/// Collects rows until the window is full.
pub(crate) struct Window {
    schema: SchemaRef,
    rng: ChaCha20Rng,
    target: usize,
    held: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Window {
    pub(crate) fn new(schema: SchemaRef, mut rng: ChaCha20Rng) -> Self {
        let target = rng.random_range(WINDOW_MIN..=WINDOW_MAX);
        Self { schema, rng, target, held: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Adds rows; gives back what goes into the next window.
    pub(crate) fn add(&mut self, batch: RecordBatch) -> Option<RecordBatch> {
        let room = self.target - self.rows;
        let (here, rest) = if batch.num_rows() > room {
            (batch.slice(0, room), Some(batch.slice(room, batch.num_rows() - room)))
        } else {
            (batch, None)
        };
        self.rows += here.num_rows();
        self.bytes += bytes_of(&here);
        if here.num_rows() > 0 {
            self.held.push(here);
        }
        rest
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= self.target || self.bytes >= WINDOW_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Memory that a full window of rows like these takes: what is held, joined, and the permuted copy.
    ///
    /// Set aside at once: an operator above that takes all it can get would leave nothing to grow into later.
    pub(crate) fn memory(&self) -> usize {
        let full = (self.bytes / self.rows.max(1)).saturating_mul(WINDOW_MAX).min(WINDOW_BYTES);
        self.bytes.max(full).saturating_mul(3)
    }

    /// The rows in one batch, still in the order in which they came. The window is empty afterwards.
    pub(crate) fn join(&mut self) -> Result<RecordBatch, ArrowError> {
        let held = std::mem::take(&mut self.held);
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        self.target = self.rng.random_range(WINDOW_MIN..=WINDOW_MAX);
        if self.schema.fields().is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            return RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), Vec::new(), &options);
        }
        concat_batches(&self.schema, &held)
    }

    /// Permutes `rows` and cuts them into batches.
    pub(crate) fn shuffle(&mut self, rows: &RecordBatch) -> Result<VecDeque<RecordBatch>, ArrowError> {
        let count = u32::try_from(rows.num_rows())
            .map_err(|_| ArrowError::InvalidArgumentError("a window holds too many rows".to_owned()))?;
        let mut order: Vec<u32> = (0..count).collect();
        order.shuffle(&mut self.rng);
        let mut out = VecDeque::new();
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let size = self.rng.random_range(BATCH_MIN..=BATCH_MAX).min(rest.len());
            let (now, later) = rest.split_at(size);
            rest = later;
            out.push_back(if self.schema.fields().is_empty() {
                rows.slice(0, now.len())
            } else {
                take_record_batch(rows, &UInt32Array::from(now.to_vec()))?
            });
        }
        Ok(out)
    }
}

/// Bytes of a batch's own rows: a slice keeps its whole buffers alive, but they are counted where they came from.
pub(crate) fn bytes_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::{
        array::{AsArray, Int64Array},
        datatypes::{DataType, Field, Int64Type, Schema},
    };
    use rand::SeedableRng;
    use std::sync::Arc;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
    }

    /// All batches of a table that is read in parts of `size` rows.
    fn run(rows: i64, size: i64, seed: u64) -> Vec<RecordBatch> {
        let mut window = Window::new(schema(), ChaCha20Rng::seed_from_u64(seed));
        let mut out = Vec::new();
        let mut next = 0;
        while next < rows {
            let end = rows.min(next + size);
            let part = Int64Array::from_iter_values(next..end);
            let mut carried = Some(RecordBatch::try_new(schema(), vec![Arc::new(part)]).unwrap());
            while let Some(batch) = carried.take() {
                carried = window.add(batch);
                if window.is_full() {
                    let joined = window.join().unwrap();
                    out.extend(window.shuffle(&joined).unwrap());
                }
            }
            next = end;
        }
        let joined = window.join().unwrap();
        out.extend(window.shuffle(&joined).unwrap());
        out
    }

    fn values(batches: &[RecordBatch]) -> Vec<i64> {
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn every_row_leaves_once_whatever_the_parts_are() {
        for (rows, size) in [(0, 1), (1, 1), (5_000, 17), (100_000, 8_192), (100_000, 50_000), (33_000, 33_000)] {
            let batches = run(rows, size, 1);
            assert!(batches.iter().all(|batch| (1..=BATCH_MAX).contains(&batch.num_rows())));
            let mut seen = values(&batches);
            seen.sort_unstable();
            assert_eq!(seen, (0..rows).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_seed_alone_decides() {
        let one = run(60_000, 8_192, 1);
        assert_eq!(values(&one), values(&run(60_000, 1_000, 1)), "how rows arrive does not matter");
        let other = run(60_000, 8_192, 2);
        let same = values(&one).iter().zip(values(&other)).filter(|(a, b)| **a == *b).count();
        assert!(same < 60, "{same}");
        let sizes = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
        assert_ne!(sizes(&one), sizes(&other));
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let empty = Arc::new(Schema::empty());
        let mut window = Window::new(Arc::clone(&empty), ChaCha20Rng::seed_from_u64(1));
        let options = RecordBatchOptions::new().with_row_count(Some(10_000));
        assert!(window.add(RecordBatch::try_new_with_options(empty, Vec::new(), &options).unwrap()).is_none());
        let joined = window.join().unwrap();
        let batches = window.shuffle(&joined).unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10_000);
    }
}
