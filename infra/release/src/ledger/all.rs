//! The ledgers of all projects: `ledger/<project>-<epoch>.cells` below the hub's folder.

use super::Ledger;
use proto::ids::ProjectId;
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Open = HashMap<(ProjectId, u32), Arc<Ledger>>;

/// All projects' ledgers. Cheap to clone.
#[derive(Debug, Default, Clone)]
pub struct Ledgers {
    /// none: nothing outlives the process
    folder: Option<PathBuf>,
    open: Arc<Mutex<Open>>,
}

impl Ledgers {
    /// Kept in this folder, one file for each project and key epoch.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: Some(folder), open: Arc::default() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger of a project under one key. It is read when it is first needed, if it wasn't before.
    #[must_use]
    pub fn of(&self, project: &ProjectId, epoch: u32) -> Arc<Ledger> {
        let path = self.folder.as_ref().map(|folder| folder.join(format!("{project}-{epoch}.cells")));
        let mut open = self.open();
        Arc::clone(open.entry((project.clone(), epoch)).or_insert_with(|| Arc::new(Ledger::new(path))))
    }

    /// Reads the ledger of each project's newest key, so that nobody has to wait for it. What can't be read is tried again when it is
    /// needed, and refused then.
    pub fn read(&self) {
        let files = match self.files() {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(%error, "the folder of ledgers can't be read");
                return;
            }
        };
        let newest: BTreeMap<ProjectId, u32> = files.into_iter().map(|(project, epoch, _)| (project, epoch)).collect();
        for (project, epoch) in newest {
            match self.of(&project, epoch).load() {
                Ok(()) => tracing::debug!(%project, epoch, "read what was released"),
                Err(error) => tracing::error!(%project, epoch, %error, "the ledger of released cells can't be read"),
            }
        }
    }

    /// A project has ended: its ledgers are forgotten and removed, and statements that still run get no answer. Files and bytes that went.
    ///
    /// # Errors
    /// When something can't be removed; what is there stays closed, and can be asked for again.
    pub fn end(&self, project: &ProjectId) -> io::Result<(u64, u64)> {
        let mut open = self.open();
        open.retain(|(of, _), ledger| {
            if of == project {
                ledger.end();
            }
            of != project
        });
        let (mut files, mut bytes) = (0, 0);
        for (_, _, path) in self.files()?.into_iter().filter(|(of, ..)| of == project) {
            let length = std::fs::metadata(&path)?.len();
            std::fs::remove_file(&path)?;
            files += 1;
            bytes += length;
        }
        Ok((files, bytes))
    }

    /// In the order of projects and epochs.
    fn files(&self) -> io::Result<Vec<(ProjectId, u32, PathBuf)>> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if let Some((project, epoch)) = named(&path) {
                files.push((project, epoch, path));
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Whose ledger a file is: ids may have dashes themselves.
fn named(path: &Path) -> Option<(ProjectId, u32)> {
    let (project, epoch) = path.file_name()?.to_str()?.strip_suffix(".cells")?.rsplit_once('-')?;
    Some((project.parse().ok()?, epoch.parse().ok()?))
}
