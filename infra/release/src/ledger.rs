//! What was released of a project so far, so that two answers never differ by a handful of people.
//!
//! Of every cell whose people were shown, the ledger keeps how many there are, their key and their marks
//! ([`proto::plan::persons::Summary`]). A cell whose people differ from those of an earlier one by one to nine is shown as
//! the earlier one was: the two can't be told from the same people asked twice, where a refusal would tell that there
//! is a difference. From ten to twelve people apart the lot of those people decides (`policies::disclosure::lot`): with an answer of its own
//! for each difference of ten, whoever knows nine would see the tenth. [`cells`] finds the earlier one.
//!
//! What was shown in place of another cell is not kept itself, so that steps of nine people don't lead from one cell to a far one.
//!
//! Statements of one project decide one after another, in memory, and wait for the disk beside each other: one of them writes for all
//! who wait ([`Ledger::settle`]). Whoever is answered with what is on disk already doesn't wait.
//!
//! INVARIANT: no count leaves before the cell is on disk; what can't be written is not shown.
//! INVARIANT: the same people are shown the same for as long as the project's key lives. A new key epoch has other pseudonyms, so it has
//! a ledger of its own and other noise; only controllers can start one.

mod all;
mod cells;
mod file;

pub use all::Ledgers;

use cells::Cells;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use file::File;
use policies::disclosure::{
    Threshold, lot,
    noise::{self, CellKey},
};
use proto::plan::persons::Summary;
use std::{
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Cells whose people differ by so many at most are shown alike.
pub const NEAR: u64 = 9;
/// Cells whose people differ by up to so many may be, by lot.
pub const FAR: u64 = NEAR + lot::WIDTH;
/// The most cells of one ledger: less than half a GiB in memory.
pub const MOST: usize = 1_000_000;

/// What was released of one project under one key.
#[derive(Debug)]
pub struct Ledger {
    /// none: nothing outlives the process
    path: Option<PathBuf>,
    /// so many cells at most
    most: usize,
    state: Mutex<State>,
    /// held while it is read or written, and never waited for with `state` in hand
    file: Mutex<Option<File>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(None)
    }
}

#[derive(Debug, Default)]
struct State {
    /// none: not read yet
    cells: Option<Cells>,
    /// so many of them are on disk
    written: usize,
    /// the bytes of the others
    unwritten: Vec<u8>,
    /// how often it was begun anew, after a write that failed
    begun: u64,
    /// the project has ended
    over: bool,
}

/// Answers, and what has to be on disk before they leave.
struct Decided {
    shown: Vec<Option<u64>>,
    /// so many cells
    needed: usize,
    begun: u64,
    full: bool,
}

impl Ledger {
    fn new(path: Option<PathBuf>) -> Self {
        let state = State { cells: path.is_none().then(Cells::default), ..State::default() };
        Self { path, most: MOST, state: Mutex::new(state), file: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many people are shown of each cell, and takes note of it: of the same people, or nearly the same as in an earlier cell, what was
    /// shown then, else as many as there are with their noise. Fewer than the threshold stay as they are; release has hidden them.
    ///
    /// Waits for the disk when there is something new.
    ///
    /// # Errors
    /// When the ledger can't be read or written, is full, or belongs to a project that has ended.
    pub fn shown(&self, cells: &[Option<Summary>]) -> Result<Vec<Option<u64>>> {
        self.shown_under(cells, Threshold::DEFAULT)
    }

    /// The same in a statement whose numbers are about so many people at `least`: noise doesn't go below, and an earlier cell of fewer people
    /// is shown as that many.
    ///
    /// # Errors
    /// As [`Self::shown`].
    pub fn shown_under(&self, cells: &[Option<Summary>], least: Threshold) -> Result<Vec<Option<u64>>> {
        let failed = |error: io::Error| unusable(&error.to_string());
        let decided = loop {
            if let Some(decided) = self.decide(cells, least)? {
                break decided;
            }
            aside(|| self.load()).map_err(failed)?;
        };
        if !self.settled(&decided) {
            aside(|| self.settle(&decided)).map_err(failed)?;
        }
        if decided.full {
            return Err(exec_datafusion_err!(
                "so many numbers of this project have been released ({}) that no new ones may be under its present key. Its \
                 controllers can give it another one",
                self.most
            ));
        }
        Ok(decided.shown)
    }

    /// `None` as long as it isn't read.
    fn decide(&self, cells: &[Option<Summary>], least: Threshold) -> Result<Option<Decided>> {
        let mut state = self.state();
        if state.over {
            return Err(over());
        }
        let State { cells: Some(known), unwritten, begun, .. } = &mut *state else { return Ok(None) };
        let mut decided = Decided { shown: Vec::with_capacity(cells.len()), needed: 0, begun: *begun, full: false };
        for cell in cells {
            // Hidden, or nobody: neither has noise.
            let Some(cell) = cell.as_ref().filter(|cell| cell.people >= least.least()) else {
                decided.shown.push(cell.as_ref().map(|cell| cell.people));
                continue;
            };
            let at = match known.find(cell) {
                Some(at) => at,
                // What was released before is answered all the same.
                None if known.len() >= self.most => {
                    decided.full = true;
                    break;
                }
                None => {
                    if self.path.is_some() {
                        unwritten.extend(cell.write().map_err(|error| exec_datafusion_err!("{error}"))?);
                    }
                    known.add(cell);
                    known.len() - 1
                }
            };
            decided.needed = decided.needed.max(at + 1);
            decided.shown.push(known.head(at).map(|(people, key)| own(people, key, least)));
        }
        Ok(Some(decided))
    }

    /// Reads it, unless somebody else has.
    fn load(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut file = self.file();
        {
            let state = self.state();
            if state.cells.is_some() || state.over {
                return Ok(());
            }
        }
        *file = None;
        let mut cells = Cells::default();
        *file = Some(File::open(path, |summary| cells.add(&summary))?);
        let mut state = self.state();
        state.written = cells.len();
        state.cells = Some(cells);
        Ok(())
    }

    /// Whether all that an answer needs is on disk already.
    fn settled(&self, decided: &Decided) -> bool {
        let state = self.state();
        self.path.is_none() || (state.begun == decided.begun && state.written >= decided.needed)
    }

    /// Returns when the cells that were needed for an answer are on disk, with all that wait there.
    fn settle(&self, decided: &Decided) -> io::Result<()> {
        let mut file = self.file();
        let (bytes, len) = {
            let mut state = self.state();
            if state.begun != decided.begun || state.over {
                return Err(io::Error::other("what was decided could not be written"));
            }
            if state.written >= decided.needed {
                return Ok(());
            }
            (std::mem::take(&mut state.unwritten), state.cells.as_ref().map_or(0, Cells::len))
        };
        let written = match file.as_mut() {
            Some(file) => file.append(&bytes),
            None => Err(io::Error::other("it isn't open")),
        };
        let mut state = self.state();
        match written {
            Ok(()) => state.written = len,
            Err(_) => {
                // What isn't on disk must not be taken for released: everything is read again.
                *state = State { begun: state.begun + 1, ..State::default() };
                *file = None;
            }
        }
        written
    }

    /// Nothing is shown any more, and the file is let go.
    fn end(&self) {
        let mut file = self.file();
        *self.state() = State { over: true, ..State::default() };
        *file = None;
    }

    /// Cells, and bytes that they take in memory.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.state().cells.as_ref().map_or((0, 0), |cells| (cells.len(), cells.bytes()))
    }
}

/// Waits where a thread that computes has others take over what else it has to do.
fn aside<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|there| there.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

/// The cause goes to the log: it may name paths.
fn unusable(cause: &str) -> DataFusionError {
    tracing::error!(cause, "the ledger of released cells can't be used; nothing is released without it");
    exec_datafusion_err!(
        "the ledger of what was released can't be used, and nothing is released without it. Tell the hub's operator"
    )
}

fn over() -> DataFusionError {
    exec_datafusion_err!("the project has ended, and nothing more is released of it")
}

fn own(people: u64, key: u8, least: Threshold) -> u64 {
    noise::perturbed(people.max(least.least()), CellKey::new(key), least)
}

#[cfg(test)]
mod tests;
