//! The ingest of one table, from finding its files to the commit.

mod rows;

use super::{
    IngestError, Linking, Run, SpillDir, Stage, Summary,
    arrange::{JoinCounts, Merged, Sorter},
    parse::Seen,
    plan::{Plan, plan},
    progress::Progress,
    pseudonyms::KeyHash,
    record::Source,
    reject::RejectReport,
    source::{Places, SourceFile},
    summary::Outcome,
    write::{Kids, TableWriter},
};
use crate::{
    declare::{ColumnKind, Mode, TableDecl, TableRole},
    publish::{Commit, NewFile, Snapshot},
};
use rows::{Sink, finish};
use std::{path::PathBuf, sync::Arc, time::Instant};

/// Ingests one table.
pub(crate) async fn ingest(run: &Run<'_>, decl: &TableDecl, linking: &mut Linking<'_>) -> Result<Summary, IngestError> {
    let clock = Instant::now();
    let current = run.store.snapshot(&decl.name).await?;
    run.state.settle(&decl.name, current.as_deref()).await?;
    let pins = run.state.pins_of(&decl.name).await?;
    let vacuumed = run.store.vacuum(&decl.name, &pins, run.started).await?;
    let removed = (vacuumed.orphans + vacuumed.outdated) as u64;

    let parent = parent(run, decl).await?;
    let files = Places::find(&decl.source, &run.config.folder).await?;
    let files = match plan(run, decl, current.as_deref(), parent.as_deref(), files).await? {
        Plan::Read(files) => files,
        Plan::NothingNew => {
            let (version, rows) = current.as_deref().map_or((0, 0), |current| (current.version, current.rows));
            let mut summary = Summary::nothing_new(&decl.name, version, rows);
            summary.files_removed = removed;
            summary.seconds = clock.elapsed().as_secs_f64();
            return Ok(summary);
        }
    };

    let mut kids = Kids::default();
    let mut hashes: Vec<Option<Arc<dyn KeyHash>>> = vec![None; decl.columns.len()];
    if decl.links() {
        let linker = linking.get(&decl.name).await?;
        kids = Kids { link: linker.link_kid(), store: linker.store_kid() };
        for (column, hash) in decl.columns.iter().zip(&mut hashes) {
            if let ColumnKind::Key { domain } = &column.kind {
                *hash = Some(linker.key_domain(domain).await.map_err(|error| error.of_table(decl.name.as_str()))?);
            }
        }
    }
    let same_key = |other: &Snapshot, kids: &Kids| other.store_kid == kids.store && other.link_kid == kids.link;
    let changed = match (&parent, &current) {
        (Some(parent), _) if !same_key(parent, &kids) => Some(&parent.table),
        (_, Some(current)) if decl.mode == Mode::Append && !same_key(current, &kids) => Some(&decl.name),
        _ => None,
    };
    if let Some(table) = changed {
        return Err(IngestError::KeyChanged { table: decl.name.to_string(), parent: table.to_string() });
    }

    let id = uuid::Uuid::now_v7().to_string();
    run.state.begin(&id, decl, parent.as_ref().map(|parent| parent.version)).await?;
    let work = Work { run, decl, id: &id, kids, hashes: Arc::new(hashes), parent };
    let done = work.run(files, linking, clock).await;
    match done {
        Ok(mut summary) => {
            summary.files_removed = removed;
            Ok(summary)
        }
        Err(error) => {
            // The table itself knows whether the commit happened. The store or the database may be what failed: the
            // next ingest settles the row in any case.
            if run.options.tidies()
                && let Ok(current) = run.store.snapshot(&decl.name).await
                && run.state.settle(&decl.name, current.as_deref()).await.is_err()
            {
                tracing::debug!(ingest = %id, "left for the next ingest to settle");
            }
            Err(named(error, decl))
        }
    }
}

/// Errors from inside do not know their table.
fn named(error: IngestError, decl: &TableDecl) -> IngestError {
    match error {
        IngestError::Internal { table, message } if table.is_empty() => {
            IngestError::Internal { table: decl.name.to_string(), message }
        }
        error => error,
    }
}

async fn parent(run: &Run<'_>, decl: &TableDecl) -> Result<Option<Arc<Snapshot>>, IngestError> {
    let Some(via) = &decl.person_via else { return Ok(None) };
    match run.store.snapshot(&via.table).await? {
        Some(parent) if run.declarations.contains_key(&via.table) => Ok(Some(parent)),
        _ => Err(IngestError::ParentMissing { table: decl.name.to_string(), parent: via.table.to_string() }),
    }
}

/// The work on one table that has something new.
struct Work<'a> {
    run: &'a Run<'a>,
    decl: &'a TableDecl,
    id: &'a str,
    kids: Kids,
    hashes: Arc<Vec<Option<Arc<dyn KeyHash>>>>,
    parent: Option<Arc<Snapshot>>,
}

/// What reading gave.
struct ReadRows {
    seen: Seen,
    people: u64,
    rejects: RejectReport,
    new_evaluations: u64,
    sources: Vec<Source>,
}

impl Work<'_> {
    async fn run(
        &self,
        files: Vec<SourceFile>,
        linking: &mut Linking<'_>,
        clock: Instant,
    ) -> Result<Summary, IngestError> {
        let options = self.run.options;
        let spill = SpillDir::make(&self.run.config.spill_dir(), self.id, !options.tidies())?;
        self.reach(Stage::Started)?;
        let total = files.iter().map(|file| file.size).sum();
        let file_count = files.len() as u64;
        let mut progress = Progress::new(options.progress, self.decl.name.as_str(), total);

        let (rows, joined, mut read) = match self.decl.role {
            TableRole::Reference => {
                // Without people there is no order to bring rows into: they are written as they come.
                let mut writer = TableWriter::new(&self.run.store, self.decl, self.id, &self.kids, 0, 0);
                let read = self.read(files, linking, &mut progress, Sink::Write(&mut writer)).await;
                let read = match read {
                    Ok(read) => read,
                    Err(error) => return Err(self.give_up(writer, error).await),
                };
                (Rows::Written(Box::new(writer)), JoinCounts::default(), read)
            }
            TableRole::Person => {
                let key = self.person_column()?;
                let mut sorter = Some(Sorter::new(spill.part("people")?, key, self.memory()));
                let read = self.read(files, linking, &mut progress, Sink::Sort(&mut sorter)).await?;
                let sorted = finish(sorter).await?;
                (Rows::Sorted(sorted), JoinCounts::default(), read)
            }
            TableRole::PersonVia => {
                let key = self.key_column()?;
                let mut sorter = Some(Sorter::new(spill.part("keys")?, key, self.memory()));
                let read = self.read(files, linking, &mut progress, Sink::Sort(&mut sorter)).await?;
                let rows = finish(sorter).await?;
                let (sorted, counts) = self.join(rows, key, &spill).await?;
                (Rows::Sorted(sorted), counts, read)
            }
        };
        self.reach(Stage::Sorted)?;
        let rows_kept = read.seen.rows - read.seen.rejected;
        let mut writer = match rows {
            Rows::Written(writer) => *writer,
            Rows::Sorted(sorted) => {
                let people = if self.parent.is_some() { rows_kept } else { read.people };
                let mut writer = TableWriter::new(&self.run.store, self.decl, self.id, &self.kids, rows_kept, people);
                if let Err(error) = self.write(sorted, &mut writer, rows_kept, &mut progress).await {
                    return Err(self.give_up(writer, error).await);
                }
                writer
            }
        };
        drop(spill);
        let finished = self.complete(&mut writer, &mut read).await;
        let (files, rejects) = match finished {
            Ok(finished) => finished,
            Err(error) => return Err(self.give_up(writer, error).await),
        };

        let commit = Commit {
            ingest: self.id.to_owned(),
            mode: self.decl.mode,
            schema: self.decl.schema(),
            files,
            link_kid: self.kids.link.clone(),
            store_kid: self.kids.store.clone(),
            description: self.decl.description.clone(),
            event_date: self.decl.event_date.clone(),
            statistics: Some(writer.statistics()),
        };
        let people = writer.people();
        let published = match self.run.store.commit(&self.decl.name, &commit).await {
            Ok(published) => published,
            Err(error) => {
                // Only when it is certain that the table does not name them may the files go.
                let error = IngestError::from(error);
                return Err(match self.run.store.landed(&self.decl.name, self.id).await {
                    None => self.give_up(writer, error).await,
                    Some(_) => error,
                });
            }
        };
        self.reach(Stage::Committed)?;

        let seen = &read.seen;
        let summary = Summary {
            table: self.decl.name.to_string(),
            outcome: Outcome::Published,
            snapshot: published.version,
            rows_in_table: published.rows,
            files: file_count,
            rows_read: seen.rows,
            rows_published: rows_kept,
            rows_rejected: seen.rejected,
            rejects,
            person_numbers: seen.numbers,
            people,
            missing_persons: seen.missing,
            modulus_11_failures: seen.modulus_11,
            impossible_dates: seen.impossible_date,
            rows_without_parent: joined.without_parent,
            ambiguous_keys: joined.ambiguous,
            new_evaluations: read.new_evaluations,
            cache_hits: seen.numbers.saturating_sub(read.new_evaluations),
            files_removed: 0,
            seconds: clock.elapsed().as_secs_f64(),
        };
        self.run.state.published(self.id, published.version, Some(&summary.to_json())).await?;
        Ok(summary)
    }

    /// Everything between the last row and the commit.
    async fn complete(
        &self,
        writer: &mut TableWriter,
        read: &mut ReadRows,
    ) -> Result<(Vec<NewFile>, Option<PathBuf>), IngestError> {
        let files = writer.finish().await?;
        self.reach(Stage::Written)?;
        let rejects = read.rejects.finish()?;
        if self.run.options.cancel.is_cancelled() {
            return Err(self.cancelled());
        }
        self.run.state.prepare(self.id, &read.sources).await?;
        self.reach(Stage::Prepared)?;
        Ok((files, rejects))
    }

    async fn give_up(&self, writer: TableWriter, error: IngestError) -> IngestError {
        if self.run.options.tidies() {
            writer.abort().await;
        }
        error
    }

    fn check_rejects(&self, seen: &Seen, rejects: &mut RejectReport) -> Result<(), IngestError> {
        let share = self.run.options.max_reject_share.unwrap_or(self.run.config.ingest.max_reject_share);
        if seen.rejected as f64 <= share * seen.rows as f64 {
            return Ok(());
        }
        let report = rejects.finish()?.unwrap_or_default();
        Err(IngestError::TooManyRejects {
            table: self.decl.name.to_string(),
            rejected: seen.rejected,
            rows: seen.rows,
            allowed: share * 100.0,
            most: rejects.most(),
            report,
        })
    }

    fn reach(&self, stage: Stage) -> Result<(), IngestError> {
        self.run.options.reach(stage, &self.decl.name)
    }

    fn cancelled(&self) -> IngestError {
        IngestError::Cancelled { table: self.decl.name.to_string() }
    }

    fn internal(&self, message: &str) -> IngestError {
        IngestError::Internal { table: self.decl.name.to_string(), message: message.to_owned() }
    }

    /// Memory of one sorter. Two may be busy at a time, and what is read and written needs its share.
    fn memory(&self) -> usize {
        self.run.config.ingest.memory.as_usize() / 2
    }

    fn person_column(&self) -> Result<usize, IngestError> {
        let at = self.decl.columns.iter().position(|column| column.kind == ColumnKind::Person);
        at.ok_or_else(|| self.internal("has no person column"))
    }

    fn key_column(&self) -> Result<usize, IngestError> {
        let via = self.decl.person_via.as_ref();
        let at = self.decl.columns.iter().position(|column| via.is_some_and(|via| via.key == column.name));
        at.ok_or_else(|| self.internal("has no key column"))
    }
}

enum Rows {
    Sorted(Merged),
    Written(Box<TableWriter>),
}
