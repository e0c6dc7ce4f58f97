//! Sorting more rows than fit into memory.

use super::{
    merge::Merged,
    run::{Run, Sorted, internal},
};
use crate::ingest::IngestError;
use arrow::array::RecordBatch;
use std::{path::PathBuf, thread::JoinHandle};

/// Runs that are merged at a time; more are merged in several rounds.
const FAN_IN: usize = 64;

/// Takes rows in any order and gives them back sorted by one column.
pub(crate) struct Sorter {
    folder: PathBuf,
    key: usize,
    /// memory of rows that wait to be sorted
    budget: usize,
    waiting: Vec<RecordBatch>,
    bytes: usize,
    runs: Vec<Run>,
    /// one run is sorted and written while the next one fills
    writing: Option<JoinHandle<Result<Option<Run>, IngestError>>>,
    number: usize,
}

impl Sorter {
    /// Sorts by the fixed-size binary column `key`, using `memory` bytes and files in `folder`, which must be there
    /// and be this sorter's own.
    pub(crate) fn new(folder: PathBuf, key: usize, memory: usize) -> Self {
        // Half for the run that fills, half for the one that is written.
        Self {
            folder,
            key,
            budget: memory / 2,
            waiting: Vec::new(),
            bytes: 0,
            runs: Vec::new(),
            writing: None,
            number: 0,
        }
    }

    /// Takes rows. May block while a run is written.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), IngestError> {
        // The order of a row takes 16 bytes while its run is sorted.
        self.bytes += batch.get_array_memory_size() + batch.num_rows() * 32;
        self.waiting.push(batch);
        if self.bytes > self.budget { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), IngestError> {
        self.settle()?;
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let (folder, key, number) = (self.folder.clone(), self.key, self.number);
        self.number += 1;
        self.writing = Some(std::thread::spawn(move || {
            let mut sorted = Run::Memory(Sorted::of(waiting, key)?);
            Run::write(&folder, number, || sorted.next_batch())
        }));
        Ok(())
    }

    fn settle(&mut self) -> Result<(), IngestError> {
        if let Some(writing) = self.writing.take() {
            let run = writing.join().map_err(|_| internal("sorting stopped"))??;
            self.runs.extend(run);
        }
        Ok(())
    }

    /// All rows, sorted. What is left in memory is not written any more when there is no other run.
    pub(crate) fn finish(mut self) -> Result<Merged, IngestError> {
        self.settle()?;
        let last = Run::Memory(Sorted::of(std::mem::take(&mut self.waiting), self.key)?);
        let mut runs = std::mem::take(&mut self.runs);
        runs.push(last);
        while runs.len() > FAN_IN {
            // The oldest runs become one run in their place, so that equal keys keep their order.
            let rest = runs.split_off(FAN_IN);
            let mut merged = Merged::of(runs, self.key)?;
            let run = Run::write(&self.folder, self.number, || merged.next())?;
            self.number += 1;
            runs = run.into_iter().chain(rest).collect();
        }
        Merged::of(runs, self.key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::{
        array::{Array, FixedSizeBinaryBuilder, Int64Array},
        datatypes::{DataType, Field, Schema},
    };
    use proptest::prelude::*;
    use std::sync::Arc;

    fn batch(rows: &[(Option<u8>, i64)]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("k", DataType::FixedSizeBinary(16), true),
            Field::new("n", DataType::Int64, true),
        ]);
        let mut keys = FixedSizeBinaryBuilder::new(16);
        for (key, _) in rows {
            match key {
                // three keys share their first half
                Some(key) => keys.append_value([[*key / 3; 8], [*key; 8]].concat()).unwrap(),
                None => keys.append_null(),
            }
        }
        let numbers = Int64Array::from_iter_values(rows.iter().map(|(_, n)| *n));
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(keys.finish()), Arc::new(numbers)]).unwrap()
    }

    fn sorted(parts: &[Vec<(Option<u8>, i64)>], memory: usize) -> Vec<(Option<u8>, i64)> {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(dir.path().to_owned(), 0, memory);
        for part in parts {
            sorter.push(batch(part)).unwrap();
        }
        let mut out = Vec::new();
        for batch in sorter.finish().unwrap() {
            let batch = batch.unwrap();
            let keys = super::super::run::key_column(&batch, 0).unwrap();
            let numbers = batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
            for row in 0..batch.num_rows() {
                out.push(((!keys.is_null(row)).then(|| keys.value(row)[15]), numbers.value(row)));
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "runs are removed");
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Spilled after every batch, or never: the same rows, sorted, equal keys in the order in which they came.
        #[test]
        fn sorting_is_stable_with_and_without_spilling(
            parts in prop::collection::vec(prop::collection::vec((prop::option::of(0_u8..9), 0_i64..1000), 1..30), 0..90)
        ) {
            let mut expected: Vec<(Option<u8>, i64)> = parts.iter().flatten().copied().collect();
            expected.sort_by_key(|(key, _)| key.map_or(256, u16::from));
            prop_assert_eq!(&sorted(&parts, 1 << 30), &expected);
            prop_assert_eq!(&sorted(&parts, 0), &expected);
        }
    }
}
