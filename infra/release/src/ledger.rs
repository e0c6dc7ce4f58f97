//! What was released of a project so far, so that two answers never differ by a handful of people.
//!
//! Of every cell whose people were shown, the ledger keeps how many there are, their key and their marks
//! ([`proto::plan::persons::Summary`]). A cell whose people differ from those of an earlier one by one to nine is shown as
//! the earlier one was: the two can't be told from the same people asked twice, where a refusal would tell that there
//! is a difference. Of every sum, mean and spread it keeps who adds how much (`proto::plan::contributions::amounts`) and what was shown: one
//! of which all but one to nine people add the same is shown as that one was. The same people with other values are another statistic, and so
//! is another function of the same. From ten to twelve people apart the lot of those people decides (`policies::disclosure::lot`): with an answer of its own
//! for each difference of ten, whoever knows nine would see the tenth. [`cells`] finds the earlier one.
//!
//! What was shown in place of another cell is not kept itself, so that steps of nine people don't lead from one cell to a far one.
//!
//! Statements of one project decide one after another, in memory, and wait for the disk beside each other: one of them writes for all
//! who wait ([`Ledger::settle`]). Whoever is answered with what is on disk already doesn't wait.
//!
//! INVARIANT: no number leaves before its record is on disk; what can't be written is not shown.
//! INVARIANT: the same people are shown the same for as long as the project's key lives. A new key epoch has other pseudonyms, so it has
//! a ledger of its own and other noise; only controllers can start one.

mod all;
mod caps;
mod cells;
mod file;
mod known;

pub use all::Ledgers;
pub use caps::Caps;

pub(super) use caps::Digest;
use caps::{Tally, today};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use file::{File, written};
use known::{Found, Known, Lens};
pub(super) use known::{Of, Record};
use policies::disclosure::{
    Threshold, lot,
    noise::{self, CellKey},
};
use proto::{
    plan::persons::Summary,
    refusal::{Kind, Refusal},
};
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
/// The most cells and statistics of one ledger: less than half a GiB in memory.
pub const MOST: usize = 1_000_000;

/// What was released of one project under one key.
#[derive(Debug)]
pub struct Ledger {
    /// none: nothing outlives the process
    path: Option<PathBuf>,
    /// so many cells and statistics at most
    most: usize,
    state: Mutex<State>,
    /// held while it is read or written, and never waited for with `state` in hand
    file: Mutex<Option<File>>,
    /// so many numbers are shown
    caps: Caps,
    /// what they were counted for; none: not read yet. Waited for before `state`
    tally: Mutex<Option<Tally>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(None, Caps::NONE)
    }
}

#[derive(Debug, Default)]
struct State {
    /// none: not read yet
    known: Option<Known>,
    /// so much of it is on disk
    written: Lens,
    /// the bytes of the rest
    unwritten: Vec<u8>,
    /// how often it was begun anew, after a write that failed
    begun: u64,
    /// the project has ended
    over: bool,
}

/// Answers, and what has to be on disk before they leave.
struct Decided<T> {
    shown: Vec<Option<T>>,
    needed: Lens,
    begun: u64,
    full: bool,
}

/// What is asked of the ledger.
enum Asks<T> {
    /// nothing: this is shown
    As(Option<T>),
    Of(Record),
}

/// A number that was shown, of so many people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shown {
    pub(super) number: f64,
    pub(super) people: u64,
}

impl Ledger {
    fn new(path: Option<PathBuf>, caps: Caps) -> Self {
        let state = State { known: path.is_none().then(Known::default), ..State::default() };
        let (file, tally) = (Mutex::default(), Mutex::default());
        Self { path, most: MOST, state: Mutex::new(state), file, caps, tally }
    }

    /// A ledger in memory alone, of a project that is shown so many numbers.
    #[must_use]
    pub fn within(caps: Caps) -> Self {
        Self::new(None, caps)
    }

    /// Takes note that a statement shows so many numbers in all, unless that is more than the project's caps leave.
    ///
    /// # Errors
    /// When it is, with the cap and what to do; when it can't be written down; of a project that has ended.
    pub(super) fn count(&self, statement: Digest, numbers: u64) -> Result<()> {
        let unread = |error: io::Error| unusable(&error.to_string());
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state().over {
            return Err(over());
        }
        let mut known = match (tally.take(), &self.path) {
            (Some(known), _) => known,
            (None, Some(path)) => aside(|| Tally::open(&path.with_extension(all::ASKED))).map_err(unread)?,
            (None, None) => Tally::default(),
        };
        // A short line at the end of a file, which waits for no disk.
        let taken = known.take(statement, numbers, today(), self.caps);
        *tally = Some(known);
        taken
            .map_err(unread)?
            .map_err(|spent| DataFusionError::External(Box::new(Refusal::new(Kind::Exhausted, spent.said()))))
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
        self.answered(|| self.decide_people(cells, least))
    }

    /// What is shown of sums, means or spreads, and takes note of it: of nearly the same contributions to one of the same kind, what was shown
    /// then, else what the record says. `None` of what isn't remembered.
    ///
    /// Waits for the disk when there is something new.
    ///
    /// # Errors
    /// As [`Self::shown`].
    pub(super) fn statistics(&self, asked: &[Option<Record>]) -> Result<Vec<Option<Shown>>> {
        self.answered(|| {
            let asked = asked.iter().map(|record| record.clone().map_or(Asks::As(None), Asks::Of));
            self.decide(asked, |found| Shown { number: found.shown, people: found.people })
        })
    }

    /// What all statements have cost so far.
    #[cfg(test)]
    pub(super) fn cost(&self) -> u64 {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, Tally::all)
    }

    /// [`Self::shown`] of sums, by who adds how much and the number with its noise; for whoever measures what that takes.
    ///
    /// # Errors
    /// As [`Self::shown`].
    pub fn shown_sums(&self, sums: &[(Summary, f64)]) -> Result<Vec<Option<f64>>> {
        let asked: Vec<_> = sums
            .iter()
            .map(|(marks, shown)| Some(Record { of: Of::Sum, marks: marks.clone(), shown: *shown }))
            .collect();
        let shown = self.statistics(&asked)?;
        Ok(shown.into_iter().map(|shown| shown.map(|shown| shown.number)).collect())
    }

    fn decide_people(&self, cells: &[Option<Summary>], least: Threshold) -> Result<Option<Decided<u64>>> {
        let asked = cells.iter().map(|cell| match cell {
            Some(cell) if cell.people >= least.least() => {
                Asks::Of(Record { of: Of::People, marks: cell.clone(), shown: 0.0 })
            }
            // Hidden, or nobody: neither has noise.
            few => Asks::As(few.as_ref().map(|cell| cell.people)),
        });
        self.decide(asked, |found| own(found.people, found.key, least))
    }

    fn answered<T>(&self, decide: impl Fn() -> Result<Option<Decided<T>>>) -> Result<Vec<Option<T>>> {
        let failed = |error: io::Error| unusable(&error.to_string());
        let decided = loop {
            if let Some(decided) = decide()? {
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
    fn decide<T>(
        &self,
        asked: impl Iterator<Item = Asks<T>>,
        shown: impl Fn(Found) -> T,
    ) -> Result<Option<Decided<T>>> {
        let mut state = self.state();
        if state.over {
            return Err(over());
        }
        let State { known: Some(known), unwritten, begun, .. } = &mut *state else { return Ok(None) };
        let mut decided = Decided { shown: Vec::new(), needed: Lens::default(), begun: *begun, full: false };
        for asks in asked {
            let record = match asks {
                Asks::As(plainly) => {
                    decided.shown.push(plainly);
                    continue;
                }
                Asks::Of(record) => record,
            };
            let found = match known.find(record.of, &record.marks) {
                Some(found) => Some(found),
                // What was released before is answered all the same.
                None if known.len() >= self.most => {
                    decided.full = true;
                    break;
                }
                None => {
                    if self.path.is_some() {
                        unwritten.extend(written(&record).map_err(|error| exec_datafusion_err!("{error}"))?);
                    }
                    known.add(&record);
                    known.last(record.of)
                }
            };
            decided.needed.raise(record.of, found.map_or(0, |found| found.needs));
            decided.shown.push(found.map(&shown));
        }
        Ok(Some(decided))
    }

    /// Reads it, unless somebody else has.
    fn load(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut file = self.file();
        {
            let state = self.state();
            if state.known.is_some() || state.over {
                return Ok(());
            }
        }
        *file = None;
        let mut known = Known::default();
        *file = Some(File::open(path, |record| known.add(&record))?);
        let mut state = self.state();
        state.written = known.lens();
        state.known = Some(known);
        Ok(())
    }

    /// Whether all that an answer needs is on disk already.
    fn settled<T>(&self, decided: &Decided<T>) -> bool {
        let state = self.state();
        self.path.is_none() || (state.begun == decided.begun && state.written.reach(&decided.needed))
    }

    /// Returns when what was needed for an answer is on disk, with all that wait there.
    fn settle<T>(&self, decided: &Decided<T>) -> io::Result<()> {
        let mut file = self.file();
        let (bytes, lens) = {
            let mut state = self.state();
            if state.begun != decided.begun || state.over {
                return Err(io::Error::other("what was decided could not be written"));
            }
            if state.written.reach(&decided.needed) {
                return Ok(());
            }
            let lens = state.known.as_ref().map(Known::lens).unwrap_or_default();
            (std::mem::take(&mut state.unwritten), lens)
        };
        let written = match file.as_mut() {
            Some(file) => file.append(&bytes),
            None => Err(io::Error::other("it isn't open")),
        };
        let mut state = self.state();
        match written {
            Ok(()) => state.written = lens,
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
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Cells and statistics, and bytes that they take in memory.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.state().known.as_ref().map_or((0, 0), |known| (known.len(), known.bytes()))
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
