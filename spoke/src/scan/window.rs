//! Shuffling: rows are collected into a window of keyed size, permuted, and let out in batches of keyed size.
//!
//! INVARIANT: sizes and permutation come from the project's key alone, never from the data.

use arrow::{
    array::{RecordBatchOptions, UInt32Array},
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
const WINDOW_BYTES: usize = 64 << 20;
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
        self.bytes += here.get_array_memory_size();
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

    /// Memory that emptying the window takes at most: what is held, joined, and the permuted copy.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.saturating_mul(3)
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
