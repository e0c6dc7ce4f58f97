//! Ingest from files to published tables, with pseudonyms of its own; `real` does the same with a real custodian.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod full;
mod malformed;
mod real;
mod repeat;
mod rows;

use super::{
    IngestError, IngestOptions, Interrupt, Stage, Summary,
    pseudonyms::{KeyHash, NoPseudonyms, OpenPseudonyms, Pseudonyms},
    run_with,
};
use crate::{
    config::SpokeConfig,
    publish::{Snapshot, State, Store},
};
use arrow::{
    array::{Array, RecordBatch},
    util::display::{ArrayFormatter, FormatOptions},
};
use async_trait::async_trait;
use futures::TryStreamExt;
use proto::ids::TableName;
use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Pseudonyms by plain hashing; remembers whom it knows, as the cache does.
#[derive(Clone, Default)]
pub(super) struct Hashing {
    known: Arc<Mutex<HashSet<u64>>>,
    pub(super) store_kid: Arc<Mutex<String>>,
    pub(super) refuse: bool,
}

pub(super) fn hashed(what: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(what)[..16]);
    short
}

pub(super) fn person(number: u64) -> [u8; 16] {
    hashed(format!("person {number:010}").as_bytes())
}

struct DomainHash(String);

impl KeyHash for DomainHash {
    fn stored(&self, key: &[u8]) -> [u8; 16] {
        hashed(&[self.0.as_bytes(), b" ", key].concat())
    }
}

#[async_trait]
impl Pseudonyms for Hashing {
    async fn persons(&mut self, numbers: &[u64]) -> Result<Vec<[u8; 16]>, NoPseudonyms> {
        if self.refuse {
            return Err(NoPseudonyms::Custodian("custodian national refused: quota".to_owned()));
        }
        self.known.lock().unwrap().extend(numbers);
        Ok(numbers.iter().map(|number| person(*number)).collect())
    }

    async fn key_domain(&mut self, domain: &str) -> Result<Arc<dyn KeyHash>, NoPseudonyms> {
        Ok(Arc::new(DomainHash(domain.to_owned())))
    }

    fn link_kid(&self) -> String {
        "link-1".to_owned()
    }

    fn store_kid(&self) -> String {
        self.store_kid.lock().unwrap().clone()
    }

    fn known(&self) -> u64 {
        self.known.lock().unwrap().len() as u64
    }
}

#[async_trait]
impl OpenPseudonyms for Hashing {
    async fn open(&self) -> Result<Box<dyn Pseudonyms>, NoPseudonyms> {
        Ok(Box::new(self.clone()))
    }
}

/// A spoke's folder.
pub(super) struct Spoke {
    dir: tempfile::TempDir,
    pub(super) config: SpokeConfig,
    pub(super) pseudonyms: Hashing,
}

impl Spoke {
    pub(super) fn new() -> Self {
        Self::with("")
    }

    /// With more lines of `spoke.toml`.
    pub(super) fn with(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("tables")).unwrap();
        std::fs::create_dir_all(dir.path().join("in")).unwrap();
        let text = format!("controller = \"region-h\"\n{more}");
        let config = SpokeConfig::parse(&text, "spoke.toml", dir.path()).unwrap();
        Self { dir, config, pseudonyms: Hashing::default() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Declares a table of people with the given columns, read from `in/<name>*.csv`.
    pub(super) fn people(&self, name: &str, columns: &str) {
        self.declare(name, "person", "", &format!("[[column]]\nname = \"pnr\"\nrole = \"person\"\n{columns}"));
    }

    pub(super) fn declare(&self, name: &str, role: &str, more: &str, columns: &str) {
        self.file(
            &format!("tables/{name}.toml"),
            format!(
                "name = \"{name}\"\nrole = \"{role}\"\n{more}\n[source]\npath = \"in/{name}*.csv\"\nformat = \"csv\"\ndelimiter = \";\"\ndate = \"dd-mm-yyyy\"\n{columns}"
            ),
        );
    }

    pub(super) async fn try_ingest(&self, options: IngestOptions) -> Result<Vec<Summary>, IngestError> {
        run_with(&self.config, options, &self.pseudonyms).await
    }

    pub(super) async fn ingest(&self) -> Vec<Summary> {
        self.try_ingest(IngestOptions::default()).await.unwrap()
    }

    pub(super) async fn error(&self) -> IngestError {
        self.try_ingest(IngestOptions::default()).await.unwrap_err()
    }

    pub(super) fn store(&self) -> Store {
        Store::open(&self.config).unwrap()
    }

    pub(super) async fn state(&self) -> State {
        State::open(&self.config.state_db()).await.unwrap()
    }

    pub(super) async fn snapshot(&self, table: &str) -> Option<Arc<Snapshot>> {
        self.store().snapshot(&table.parse::<TableName>().unwrap()).await.unwrap()
    }

    pub(super) async fn batches(&self, table: &str) -> Vec<RecordBatch> {
        let snapshot = self.snapshot(table).await.unwrap();
        let names: Vec<&str> = snapshot.schema.fields().iter().map(|field| field.name().as_str()).collect();
        self.store().columns(&snapshot, &names).unwrap().try_collect().await.unwrap()
    }

    /// All rows as text, fields joined by `|`.
    pub(super) async fn rows(&self, table: &str) -> Vec<String> {
        let options = FormatOptions::default().with_null("-");
        let mut rows = Vec::new();
        for batch in self.batches(table).await {
            let columns: Vec<ArrayFormatter<'_>> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
            }
        }
        rows
    }

    /// Names of everything below a folder of the spoke.
    pub(super) fn files(&self, folder: &str) -> Vec<String> {
        fn walk(folder: &Path, base: &Path, into: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, base, into);
                } else {
                    into.push(path.strip_prefix(base).unwrap().display().to_string());
                }
            }
        }
        let mut files = Vec::new();
        walk(&self.path(folder), &self.path(folder), &mut files);
        files.sort();
        files
    }

    pub(super) fn rejects(&self) -> String {
        let files = self.files("rejects");
        let Some(last) = files.last() else { return String::new() };
        std::fs::read_to_string(self.path("rejects").join(last)).unwrap()
    }
}

pub(super) fn hex(bytes: [u8; 16]) -> String {
    hex::encode(bytes)
}

pub(super) fn interrupted(at: Stage, tidy: bool) -> IngestOptions {
    IngestOptions { interrupt: Some(Interrupt { at, tidy }), ..IngestOptions::default() }
}

/// Person columns must hold nothing that was not made by `person`.
pub(super) fn sorted_by_person(batches: &[RecordBatch]) -> bool {
    let mut last: Option<Vec<u8>> = None;
    let mut nulls = false;
    for batch in batches {
        let column = batch.column(0).as_any().downcast_ref::<arrow::array::FixedSizeBinaryArray>().unwrap();
        for row in 0..column.len() {
            if column.is_null(row) {
                nulls = true;
                continue;
            }
            let value = column.value(row).to_vec();
            if nulls || last.as_ref().is_some_and(|last| *last > value) {
                return false;
            }
            last = Some(value);
        }
    }
    true
}
