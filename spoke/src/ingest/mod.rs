//! Ingest: from a controller's files to a published, pseudonymised snapshot.
//!
//! The path of a row: `source` (find, read) -> `parse` (cut, decode, check) -> `link` (person number -> stored
//! pseudonym) -> `arrange` (sort by person, or join the person in) -> `write` (Parquet) -> [`crate::publish`] (commit).
//!
//! INVARIANT: nothing is part of a table before the commit at the very end; whatever goes wrong before leaves the
//! previous snapshot as it was. Person numbers never reach a disk, not even a temporary file.

mod arrange;
mod error;
mod link;
mod lock;
mod parse;
mod plan;
mod progress;
mod pseudonyms;
mod record;
mod reject;
mod source;
mod summary;
pub(crate) mod survey;
mod table;
mod value;
mod write;

pub use error::IngestError;
#[cfg(test)]
pub(crate) use pseudonyms::KeyHash;
pub(crate) use pseudonyms::{FromConfig, NoPseudonyms, OpenPseudonyms, Pseudonyms};
pub use source::SourceError;
pub use summary::{Outcome, Summary};

use crate::{
    config::SpokeConfig,
    declare::{self, Declarations},
    publish::{State, Store},
};
use chrono::{DateTime, Utc};
use lock::Lock;
use proto::ids::TableName;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// What to ingest, and how.
#[derive(Debug, Clone, Default)]
pub struct IngestOptions {
    /// the tables; empty for all that are declared
    pub tables: Vec<TableName>,
    /// in place of the configured share
    pub max_reject_share: Option<f64>,
    /// whether to show progress on standard error
    pub progress: bool,
    /// stops the ingest when it is cancelled
    pub cancel: CancellationToken,
    /// where tests break it off
    #[cfg(test)]
    pub(crate) interrupt: Option<Interrupt>,
    /// in place of the configured store
    #[cfg(test)]
    pub(crate) store: Option<Store>,
}

/// Stages of a table's ingest, for tests that break it off there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Started,
    Read,
    Sorted,
    Written,
    Prepared,
    Committed,
}

#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interrupt {
    pub(crate) at: Stage,
    /// whether what is left is tidied up, or stays as after a kill
    pub(crate) tidy: bool,
}

impl IngestOptions {
    /// Stands at every stage; tests make it fail there.
    pub(crate) fn reach(&self, stage: Stage, table: &TableName) -> Result<(), IngestError> {
        #[cfg(test)]
        if self.interrupt.is_some_and(|interrupt| interrupt.at == stage) {
            return Err(IngestError::Internal {
                table: table.to_string(),
                message: format!("interrupted at {stage:?}"),
            });
        }
        tracing::debug!(%table, ?stage, "ingest");
        Ok(())
    }

    pub(crate) fn tidies(&self) -> bool {
        #[cfg(test)]
        if let Some(interrupt) = self.interrupt {
            return interrupt.tidy;
        }
        true
    }
}

/// A person number as people write it, normalised; `None` when it is none.
pub(crate) fn person_number(field: &[u8]) -> Option<u64> {
    value::person(field).ok().map(|number| number.digits)
}

/// Ingests tables, those first that others get their people from. Each is published on its own; the first error ends
/// the run and leaves the tables before it published.
///
/// # Errors
/// What went wrong, naming table, file and line; [`IngestError::exit_code`] is what a script sees.
pub async fn run(config: &SpokeConfig, options: IngestOptions) -> Result<Vec<Summary>, IngestError> {
    let summaries = Box::pin(run_with(config, options, &FromConfig(config.clone()))).await?;
    // What was published stays published: a witness that is away may come next time.
    match Box::pin(crate::pseudonym::witness(config)).await {
        Ok(()) => {}
        Err(error) if error.is_alarm() => tracing::error!(%error, "audit logs of spoke and custodian don't fit"),
        Err(error) => tracing::warn!(%error, "spoke and custodian did not witness each other's audit log"),
    }
    Ok(summaries)
}

pub(crate) async fn run_with(
    config: &SpokeConfig,
    options: IngestOptions,
    pseudonyms: &dyn OpenPseudonyms,
) -> Result<Vec<Summary>, IngestError> {
    let _lock = Lock::take(&config.lock_file())?;
    let started = Utc::now();
    let declarations = declare::load_all(&config.tables_dir())?;
    let tables = wanted(&declarations, &options.tables)?;
    clear(&config.spill_dir())?;
    let run = Run {
        config,
        options: &options,
        declarations: &declarations,
        store: open_store(config, &options)?,
        state: State::open(&config.state_db()).await?,
        started,
    };
    let mut linker = Linking { open: pseudonyms, opened: None };
    let mut summaries = Vec::with_capacity(tables.len());
    for table in tables {
        if let Some(decl) = declarations.get(&table) {
            let summary = Box::pin(table::ingest(&run, decl, &mut linker)).await?;
            tracing::info!(%table, outcome = ?summary.outcome, rows = summary.rows_published, snapshot = summary.snapshot, "ingested");
            summaries.push(summary);
        }
    }
    Ok(summaries)
}

#[cfg_attr(not(test), expect(unused_variables))]
fn open_store(config: &SpokeConfig, options: &IngestOptions) -> Result<Store, IngestError> {
    #[cfg(test)]
    if let Some(store) = &options.store {
        return Ok(store.clone());
    }
    Ok(Store::open(config)?)
}

/// What all tables of one run share.
pub(crate) struct Run<'a> {
    pub(crate) config: &'a SpokeConfig,
    pub(crate) options: &'a IngestOptions,
    pub(crate) declarations: &'a Declarations,
    pub(crate) store: Store,
    pub(crate) state: State,
    pub(crate) started: DateTime<Utc>,
}

impl Run<'_> {
    pub(crate) fn threads(&self) -> usize {
        match self.config.ingest.threads {
            0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            threads => threads,
        }
    }
}

/// Pseudonyms, opened by the first table that needs them.
pub(crate) struct Linking<'a> {
    open: &'a dyn OpenPseudonyms,
    opened: Option<Box<dyn Pseudonyms>>,
}

impl Linking<'_> {
    pub(crate) async fn get(&mut self, table: &TableName) -> Result<&mut dyn Pseudonyms, IngestError> {
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.open.open().await.map_err(|error| error.of_table(table.as_str()))?,
        };
        Ok(self.opened.insert(opened).as_mut())
    }
}

/// The tables to ingest, parents before the tables that get their people from them.
fn wanted(declarations: &Declarations, asked: &[TableName]) -> Result<Vec<TableName>, IngestError> {
    let declared = || match declarations.keys().map(TableName::as_str).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "no table is declared".to_owned(),
        names => format!("declared are {names}"),
    };
    if declarations.is_empty() {
        return Err(IngestError::Setup("no table is declared: write a file tables/<name>.toml for each".to_owned()));
    }
    for table in asked {
        if !declarations.contains_key(table) {
            return Err(IngestError::UnknownTable { table: table.to_string(), declared: declared() });
        }
    }
    let mut tables: Vec<(usize, TableName)> = declarations
        .values()
        .filter(|decl| asked.is_empty() || asked.contains(&decl.name))
        .map(|decl| {
            let mut depth = 0;
            let mut at = decl;
            // Declarations were checked: no circles, and every parent is there.
            while let Some(parent) = at.person_via.as_ref().and_then(|via| declarations.get(&via.table)) {
                depth += 1;
                at = parent;
            }
            (depth, decl.name.clone())
        })
        .collect();
    tables.sort();
    Ok(tables.into_iter().map(|(_, table)| table).collect())
}

const SPILL: &str = "ingest-";

/// Folder for the temporary files of one table's ingest; it goes away with this value.
pub(crate) struct SpillDir {
    path: PathBuf,
    keep: bool,
}

impl SpillDir {
    fn make(folder: &Path, ingest: &str, keep: bool) -> Result<Self, IngestError> {
        let path = folder.join(format!("{SPILL}{ingest}"));
        std::fs::create_dir_all(&path).map_err(|error| IngestError::disk(&path, error))?;
        Ok(Self { path, keep })
    }

    /// A folder of its own for one sorter.
    fn part(&self, name: &str) -> Result<PathBuf, IngestError> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).map_err(|error| IngestError::disk(&path, error))?;
        Ok(path)
    }
}

impl Drop for SpillDir {
    fn drop(&mut self) {
        if !self.keep {
            // What is left is cleared by the next ingest.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes what an ingest that was cut off left behind. Nobody else can own it: the lock is held.
fn clear(folder: &Path) -> Result<(), IngestError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(SPILL) {
            let path = entry.path();
            std::fs::remove_dir_all(&path).map_err(|error| IngestError::disk(path, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
