//! The rows of one table on their way: read and linked, sorted or joined, written.

use super::{ReadRows, Work};
use crate::{
    declare::Format,
    ingest::{
        IngestError, Linking, SpillDir, Stage,
        arrange::{JoinCounts, Merged, Sorter, join_people},
        link::{PersonLink, refuse_person_numbers},
        parse::{Meter, Parsed, Pieces, Seen, Task, start_csv, start_parquet},
        progress::Progress,
        reject::RejectReport,
        source::SourceFile,
        write::TableWriter,
    },
};
use arrow::array::RecordBatch;
use futures::StreamExt;
use std::{collections::BTreeMap, sync::Arc};

/// Rows after which an ingest that rejects more than half of them is not carried on.
const HOPELESS: u64 = 200_000;

impl Work<'_> {
    /// Reads everything, links people, and hands batches on in the order of the source.
    pub(super) async fn read(
        &self,
        files: Vec<SourceFile>,
        linking: &mut Linking<'_>,
        progress: &mut Progress,
        mut sink: Sink<'_>,
    ) -> Result<ReadRows, IngestError> {
        let meter = Arc::new(Meter::default());
        let task = Task {
            decl: Arc::new(self.decl.clone()),
            hashes: Arc::clone(&self.hashes),
            threads: self.run.threads(),
            meter: Arc::clone(&meter),
            cancel: self.run.options.cancel.clone(),
        };
        let known_before = match self.decl.links() {
            true => linking.get(&self.decl.name).await?.known(),
            false => 0,
        };
        let expected = files.len();
        let mut pieces: Pieces = match self.decl.source.format {
            Format::Csv => start_csv(files, &task),
            Format::Parquet => start_parquet(files, &task),
        };
        let mut link = PersonLink::new(self.decl);
        let mut rejects = RejectReport::new(&self.run.config.rejects_dir(), &self.decl.name, self.run.started);
        let mut seen = Seen::of(self.decl.columns.len());
        let mut early: BTreeMap<u64, Parsed> = BTreeMap::new();
        let mut next = 0;
        loop {
            let received = tokio::select! {
                biased;
                () = self.run.options.cancel.cancelled() => return Err(self.cancelled()),
                received = pieces.recv() => received,
            };
            let Some(piece) = received else { break };
            let piece = piece?;
            early.insert(piece.index, piece);
            while let Some(mut piece) = early.remove(&next) {
                next += 1;
                rejects.add(&piece.file, &std::mem::take(&mut piece.rejects))?;
                seen.add(&piece.seen);
                let permit = piece.permit.take();
                let linker = match self.decl.links() {
                    true => Some(linking.get(&self.decl.name).await?),
                    false => None,
                };
                let batch = tokio::select! {
                    biased;
                    () = self.run.options.cancel.cancelled() => return Err(self.cancelled()),
                    batch = link.link(piece, linker) => batch?,
                };
                if batch.num_rows() > 0 {
                    sink.take(batch).await?;
                }
                drop(permit);
                progress.read(meter.bytes(), seen.rows);
                if next == 1 {
                    self.reach(Stage::Read)?;
                }
                if seen.look_alikes.iter().any(|(values, _)| *values >= 1000) {
                    refuse_person_numbers(self.decl, &seen)?;
                }
                if seen.rows >= HOPELESS && seen.rejected * 2 > seen.rows {
                    self.check_rejects(&seen, &mut rejects)?;
                }
            }
        }
        refuse_person_numbers(self.decl, &seen)?;
        let sources = meter.done();
        if sources.len() != expected || !early.is_empty() {
            return Err(if self.run.options.cancel.is_cancelled() {
                self.cancelled()
            } else {
                IngestError::Internal { table: self.decl.name.to_string(), message: "reading stopped early".to_owned() }
            });
        }
        self.check_rejects(&seen, &mut rejects)?;
        let known = match self.decl.links() {
            true => linking.get(&self.decl.name).await?.known(),
            false => 0,
        };
        Ok(ReadRows {
            seen,
            people: link.people(),
            rejects,
            new_evaluations: known.saturating_sub(known_before),
            sources,
        })
    }

    /// Sorts the parent's people by key and adds them to the rows.
    pub(super) async fn join(
        &self,
        rows: Merged,
        key: usize,
        spill: &SpillDir,
    ) -> Result<(Merged, JoinCounts), IngestError> {
        let parent = self.parent_rows(spill).await?;
        let mut sorter = Sorter::new(spill.part("people")?, 0, self.memory());
        let schema = self.decl.schema();
        let cancel = self.run.options.cancel.clone();
        let table = self.decl.name.to_string();
        blocking(move || {
            let counts = join_people(rows, key, parent, &schema, |batch| {
                if cancel.is_cancelled() {
                    return Err(IngestError::Cancelled { table: table.clone() });
                }
                sorter.push(batch)
            })?;
            Ok((sorter.finish()?, counts))
        })
        .await
    }

    /// `(key, person)` of every row of the parent, sorted by key.
    async fn parent_rows(&self, spill: &SpillDir) -> Result<Merged, IngestError> {
        let (Some(parent), Some(via)) = (&self.parent, &self.decl.person_via) else {
            return Err(self.internal("has no parent"));
        };
        let mut sorter = Some(Sorter::new(spill.part("parent")?, 0, self.memory()));
        let mut rows = self.run.store.columns(parent, &[&via.key, &via.parent_person])?;
        while let Some(batch) = rows.next().await {
            if self.run.options.cancel.is_cancelled() {
                return Err(self.cancelled());
            }
            push(&mut sorter, batch?).await?;
        }
        finish(sorter).await
    }

    /// Writes sorted rows; reading them back and encoding them go on side by side.
    pub(super) async fn write(
        &self,
        mut sorted: Merged,
        writer: &mut TableWriter,
        total: u64,
        progress: &mut Progress,
    ) -> Result<(), IngestError> {
        let (to_writer, mut batches) = tokio::sync::mpsc::channel::<Result<RecordBatch, IngestError>>(4);
        tokio::task::spawn_blocking(move || {
            for batch in &mut sorted {
                if to_writer.blocking_send(batch).is_err() {
                    return;
                }
            }
        });
        let mut rows = 0;
        while let Some(batch) = batches.recv().await {
            if self.run.options.cancel.is_cancelled() {
                return Err(self.cancelled());
            }
            let batch = batch?;
            rows += batch.num_rows() as u64;
            writer.write(&batch).await?;
            progress.written(rows, total);
        }
        if rows != total {
            return Err(self.internal(&format!("{rows} rows came out of {total} that were sorted")));
        }
        Ok(())
    }
}

/// Where rows go as they are read.
pub(super) enum Sink<'a> {
    Sort(&'a mut Option<Sorter>),
    Write(&'a mut TableWriter),
}

impl Sink<'_> {
    async fn take(&mut self, batch: RecordBatch) -> Result<(), IngestError> {
        match self {
            Self::Sort(sorter) => push(sorter, batch).await,
            Self::Write(writer) => writer.write(&batch).await,
        }
    }
}

async fn push(sorter: &mut Option<Sorter>, batch: RecordBatch) -> Result<(), IngestError> {
    let Some(mut taken) = sorter.take() else { return Err(stopped()) };
    *sorter = Some(
        blocking(move || {
            taken.push(batch)?;
            Ok(taken)
        })
        .await?,
    );
    Ok(())
}

pub(super) async fn finish(sorter: Option<Sorter>) -> Result<Merged, IngestError> {
    let Some(sorter) = sorter else { return Err(stopped()) };
    blocking(move || sorter.finish()).await
}

fn stopped() -> IngestError {
    IngestError::Internal { table: String::new(), message: "sorting stopped".to_owned() }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, IngestError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(stopped()))
}
