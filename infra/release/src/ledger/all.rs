//! The ledgers of all projects: `ledger/<project>-<epoch>.cells` below the hub's folder, and beside each of them `.asked`, what its statements
//! have cost.
//!
//! In memory are those that are asked for. Whichever nobody uses is let go when it hasn't been asked for in a while, or when there are
//! too many or too large ones, the longest unasked first; its file stays, and is read when it is asked for again.
//!
//! INVARIANT: there is one ledger of a project and key at a time, so that one in use is never let go. What is let go was answered from disk
//! or never: an answer waits for the disk with the ledger in hand.

use super::{Caps, Ledger};
use proto::ids::ProjectId;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::{Duration, Instant, SystemTime},
};

/// How files of cells end, and those of what was asked.
const CELLS: &str = "cells";
pub(super) const ASKED: &str = "asked";

type Open = HashMap<(ProjectId, u32), Kept>;

/// A ledger in memory.
#[derive(Debug)]
struct Kept {
    ledger: Arc<Ledger>,
    asked: Instant,
    /// so many bytes, when it was last looked at
    bytes: usize,
}

impl Kept {
    fn in_use(&self) -> bool {
        Arc::strong_count(&self.ledger) > 1
    }

    /// Waits for nobody: one that is being used stays anyway.
    fn look(&mut self) {
        let state = match self.ledger.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.bytes = state.known.as_ref().map_or(0, super::Known::bytes);
        drop(state);
        if let Ok(tally) = self.ledger.tally.try_lock() {
            self.bytes += tally.as_ref().map_or(0, super::Tally::bytes);
        }
    }
}

/// How much is kept in memory that nobody uses just then.
#[derive(Debug, Clone, Copy)]
struct Limits {
    ledgers: usize,
    /// together: two of [`super::MOST`] cells
    bytes: usize,
    unasked: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ledgers: 256, bytes: 1 << 30, unasked: Duration::from_hours(1) }
    }
}

/// All projects' ledgers. Cheap to clone.
#[derive(Debug, Default, Clone)]
pub struct Ledgers {
    /// none: nothing outlives the process
    folder: Option<PathBuf>,
    open: Arc<Mutex<Open>>,
    limits: Limits,
    caps: Caps,
}

impl Ledgers {
    /// Kept in this folder, one file for each project and key epoch.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..Self::default() }
    }

    /// The same, of projects that are shown so many numbers each.
    #[must_use]
    pub fn with_caps(self, caps: Caps) -> Self {
        Self { caps, ..self }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger of a project under one key. It is read when it is first needed, if it wasn't before. Lets others go.
    #[must_use]
    pub fn of(&self, project: &ProjectId, epoch: u32) -> Arc<Ledger> {
        let path = self.folder.as_ref().map(|folder| folder.join(format!("{project}-{epoch}.{CELLS}")));
        let mut open = self.open();
        let now = Instant::now();
        let kept = open.entry((project.clone(), epoch)).or_insert_with(|| Kept {
            ledger: Arc::new(Ledger::new(path, self.caps)),
            asked: now,
            bytes: 0,
        });
        kept.asked = now;
        let ledger = Arc::clone(&kept.ledger);
        self.let_go(&mut open, now);
        ledger
    }

    /// Without a folder nothing may go: it would be forgotten. Done with all of them in hand, so that nobody opens a file that isn't closed yet.
    fn let_go(&self, open: &mut Open, now: Instant) {
        if self.folder.is_none() {
            return;
        }
        open.retain(|_, kept| kept.in_use() || now.duration_since(kept.asked) < self.limits.unasked);
        open.values_mut().for_each(Kept::look);
        let (mut ledgers, mut bytes) = (open.len(), open.values().map(|kept| kept.bytes).sum::<usize>());
        let mut unused: Vec<_> =
            open.iter().filter(|(_, kept)| !kept.in_use()).map(|(whose, kept)| (kept.asked, whose.clone())).collect();
        unused.sort();
        for (_, whose) in unused {
            if ledgers <= self.limits.ledgers && bytes <= self.limits.bytes {
                break;
            }
            if let Some(gone) = open.remove(&whose) {
                ledgers -= 1;
                bytes -= gone.bytes;
            }
        }
    }

    /// Reads ledgers of projects' newest keys ahead, so that nobody has to wait for them: those last written to, half of what is kept in
    /// memory. What can't be read is tried again when it is needed, and refused then.
    pub fn read(&self) {
        let files = match self.files(CELLS) {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(%error, "the folder of ledgers can't be read");
                return;
            }
        };
        let newest: BTreeMap<ProjectId, (u32, PathBuf)> =
            files.into_iter().map(|(project, epoch, path)| (project, (epoch, path))).collect();
        let written =
            |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut newest: Vec<_> =
            newest.into_iter().map(|(project, (epoch, path))| (Reverse(written(&path)), project, epoch)).collect();
        newest.sort();
        let mut bytes = 0;
        for (_, project, epoch) in newest.into_iter().take(self.limits.ledgers.div_ceil(2)) {
            if bytes > self.limits.bytes / 2 {
                break;
            }
            let ledger = self.of(&project, epoch);
            match ledger.load() {
                Ok(()) => tracing::debug!(%project, epoch, "read what was released"),
                Err(error) => tracing::error!(%project, epoch, %error, "the ledger of released cells can't be read"),
            }
            bytes += ledger.size().1;
        }
    }

    /// A project has ended: its ledgers are forgotten and removed, and statements that still run get no answer. Files and bytes that went.
    ///
    /// # Errors
    /// When something can't be removed; what is there stays closed, and can be asked for again.
    pub fn end(&self, project: &ProjectId) -> io::Result<(u64, u64)> {
        let mut open = self.open();
        open.retain(|(of, _), kept| {
            if of == project {
                kept.ledger.end();
            }
            of != project
        });
        let (mut files, mut bytes) = (0, 0);
        let kept = [self.files(CELLS)?, self.files(ASKED)?].concat();
        for (_, _, path) in kept.into_iter().filter(|(of, ..)| of == project) {
            let length = std::fs::metadata(&path)?.len();
            std::fs::remove_file(&path)?;
            files += 1;
            bytes += length;
        }
        Ok((files, bytes))
    }

    /// Those that end so, in the order of projects and epochs.
    fn files(&self, end: &str) -> io::Result<Vec<(ProjectId, u32, PathBuf)>> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if let Some((project, epoch)) = named(&path, end) {
                files.push((project, epoch, path));
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Whose ledger a file is: ids may have dashes themselves.
fn named(path: &Path, end: &str) -> Option<(ProjectId, u32)> {
    let (project, epoch) = path.file_name()?.to_str()?.strip_suffix(end)?.strip_suffix('.')?.rsplit_once('-')?;
    Some((project.parse().ok()?, epoch.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proto::plan::persons::Summary;

    fn people(from: u32) -> Summary {
        let mut summary = Summary::default();
        for person in from..from + 400 {
            let hashed = u128::from(person + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            summary.add(&(hashed ^ (hashed >> 61)).to_be_bytes());
        }
        summary
    }

    fn project(n: usize) -> ProjectId {
        format!("project-{n}").parse().unwrap()
    }

    /// What is shown of nearly the same people in each project.
    fn ask(ledgers: &Ledgers, projects: std::ops::Range<usize>, from: u32) -> Vec<Option<u64>> {
        projects.map(|n| ledgers.of(&project(n), 1).shown(&[Some(people(from))]).unwrap()[0]).collect()
    }

    fn within(folder: &Path, limits: Limits) -> Ledgers {
        Ledgers { limits, ..Ledgers::new(folder.to_owned()) }
    }

    /// Learns: nothing, and stops nobody: of however many projects that ask, few ledgers are in memory, and each answers as it did. Off
    /// (no limits): all of them are.
    #[test]
    fn attack_on_memory_by_many_projects_keeps_few_ledgers() {
        let each = {
            let ledger = Ledger::default();
            ledger.shown(&[Some(people(0))]).unwrap();
            ledger.size().1
        };
        let all = Limits { ledgers: usize::MAX, bytes: usize::MAX, unasked: Duration::MAX };
        // one more is there while it is asked for
        for (limits, most) in [
            (all, 12),
            (Limits { ledgers: 3, ..all }, 3),
            (Limits { bytes: each * 4, ..all }, 5),
            (Limits { unasked: Duration::ZERO, ..all }, 1),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let ledgers = within(folder.path(), limits);
            let first = ask(&ledgers, 0..12, 0);
            assert_eq!(ledgers.open().len(), most, "{limits:?}");
            let kept = |ledgers: &Ledgers| {
                let files = ledgers.files(CELLS).unwrap().into_iter();
                files.map(|(.., path)| std::fs::metadata(path).unwrap().len()).collect::<Vec<_>>()
            };
            let before = kept(&ledgers);
            // nearly the same people: an answer of their own would have other noise somewhere
            assert_eq!(ask(&ledgers, 0..12, 4), first, "{limits:?}");
            assert_eq!((kept(&ledgers), before.len()), (before.clone(), 12), "one cell of each");
        }
        let own =
            |from| super::super::own(people(from).people, people(from).key, policies::disclosure::Threshold::DEFAULT);
        assert!((0..12).any(|from| own(from) != own(0)), "there is no noise in this test");
    }

    #[test]
    fn a_ledger_in_use_stays_and_one_without_a_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = Limits { ledgers: 0, bytes: 0, unasked: Duration::ZERO };
        let ledgers = within(folder.path(), nothing);
        let used = ledgers.of(&project(0), 1);
        used.shown(&[Some(people(0))]).unwrap();
        ask(&ledgers, 1..4, 0);
        assert!(Arc::ptr_eq(&used, &ledgers.of(&project(0), 1)), "another one would decide beside it");
        let memory = Ledgers { limits: nothing, ..Ledgers::default() };
        let first = ask(&memory, 0..4, 0);
        assert_eq!((ask(&memory, 0..4, 4), memory.open().len()), (first, 4));
    }

    #[test]
    fn what_was_written_last_is_read_ahead_as_far_as_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        ask(&Ledgers::new(folder.path().to_owned()), 0..5, 0);
        let old = SystemTime::now() - Duration::from_hours(48);
        for n in [0, 2, 3] {
            let path = folder.path().join(format!("project-{n}-1.cells"));
            std::fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
        }
        let ledgers = within(folder.path(), Limits { ledgers: 4, ..Limits::default() });
        ledgers.read();
        let mut read: Vec<ProjectId> = ledgers.open().keys().map(|(project, _)| project.clone()).collect();
        read.sort();
        assert_eq!(read, [project(1), project(4)]);
    }
}
