//! What was released of a project so far, so that two answers never differ by a handful of people.
//!
//! Of every cell whose people were shown, the ledger keeps how many there are, their key and their marks
//! ([`proto::plan::persons::Summary`]). A cell whose people differ from those of an earlier one by one to nine is shown as
//! the earlier one was: the two can't be told from the same people asked twice, where a refusal would tell that there
//! is a difference. Counts are looked at first, and only cells that are near are compared mark by mark.
//!
//! What was shown in place of another cell is not kept itself, so that steps of nine people don't lead from one cell to a far one.
//!
//! INVARIANT: no count leaves before the cell is on disk; what can't be written is not shown.
//! INVARIANT: the same people are shown the same for as long as the project's key lives. A new key epoch has other pseudonyms, so it has
//! a ledger of its own and other noise; only controllers can start one.

mod file;

use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use file::File;
use policies::disclosure::{
    Threshold,
    noise::{self, CellKey},
};
use proto::{
    ids::ProjectId,
    plan::persons::{MARKS, Summary},
};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Cells whose people differ by so many at most are shown alike.
pub const NEAR: u64 = 9;
/// The most cells of one ledger: a quarter of a GiB in memory.
pub const MOST: usize = 1_000_000;

/// All projects' ledgers.
#[derive(Debug, Default)]
pub struct Ledgers {
    /// none: nothing outlives the process
    folder: Option<PathBuf>,
    open: Mutex<HashMap<(ProjectId, u32), Arc<Ledger>>>,
}

impl Ledgers {
    /// Kept in this folder, one file for each project and key epoch.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: Some(folder), open: Mutex::default() }
    }

    /// The ledger of a project under one key. It is read when it is first needed.
    pub(crate) fn of(&self, project: &ProjectId, epoch: u32) -> Arc<Ledger> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = open.entry((project.clone(), epoch)).or_insert_with(|| {
            let path = self.folder.as_ref().map(|folder| folder.join(format!("{project}-{epoch}.cells")));
            Arc::new(Ledger { path, ..Ledger::default() })
        });
        Arc::clone(ledger)
    }
}

/// What was released of one project under one key.
#[derive(Debug)]
pub struct Ledger {
    path: Option<PathBuf>,
    /// so many cells at most
    most: usize,
    state: Mutex<Option<State>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { path: None, most: MOST, state: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct State {
    cells: Cells,
    file: Option<File>,
}

impl Ledger {
    /// How many people are shown of each cell, and takes note of it.
    ///
    /// # Errors
    /// When the ledger can't be read or written, or is full.
    pub(super) fn shown(&self, cells: &[Option<Summary>]) -> Result<Vec<Option<u64>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_none() {
            *state = Some(self.read()?);
        }
        let Some(State { cells: known, file }) = state.as_mut() else { return Err(unusable("it isn't there")) };
        let mut new: Vec<&Summary> = Vec::new();
        let mut shown = Vec::with_capacity(cells.len());
        let mut full = false;
        for cell in cells {
            shown.push(match cell {
                Some(cell) if cell.people >= Threshold::DEFAULT.least() => Some(match known.find(cell) {
                    Some(Found::Same) => own(cell.people, cell.key),
                    Some(Found::Near { people, key }) => own(people, key),
                    // What was released before is answered all the same.
                    None if known.len >= self.most => {
                        full = true;
                        break;
                    }
                    None => {
                        known.add(cell);
                        new.push(cell);
                        own(cell.people, cell.key)
                    }
                }),
                // Hidden, or nobody: neither has noise.
                Some(cell) => Some(cell.people),
                None => None,
            });
        }
        if let Some(file) = file
            && let Err(error) = file.append(&new)
        {
            // What isn't on disk must not be taken for released: everything is read again.
            *state = None;
            return Err(unusable(&error.to_string()));
        }
        if full {
            return Err(exec_datafusion_err!(
                "so many numbers of this project have been released ({}) that no new ones may be under its present key. Its \
                 controllers can give it another one",
                self.most
            ));
        }
        Ok(shown)
    }

    fn read(&self) -> Result<State> {
        let Some(path) = &self.path else { return Ok(State::default()) };
        let mut cells = Cells::default();
        let file = File::open(path, |summary| cells.add(&summary)).map_err(|error| unusable(&error.to_string()))?;
        Ok(State { cells, file: Some(file) })
    }
}

/// The cause goes to the log: it may name paths.
fn unusable(cause: &str) -> DataFusionError {
    tracing::error!(cause, "the ledger of released cells can't be used; nothing is released without it");
    exec_datafusion_err!(
        "the ledger of what was released can't be used, and nothing is released without it. Tell the hub's operator"
    )
}

fn own(people: u64, key: u8) -> u64 {
    noise::perturbed(people, CellKey::new(key), Threshold::DEFAULT)
}

/// Released cells, by their number of people.
#[derive(Debug, Default)]
struct Cells {
    by_people: BTreeMap<u64, Alike>,
    len: usize,
}

/// Cells with the same number of people. Side by side, since most of them are looked at for a moment only.
#[derive(Debug, Default)]
struct Alike {
    /// key, and when it came
    heads: Vec<(u8, usize)>,
    marks: Vec<[u8; MARKS]>,
}

enum Found {
    Same,
    Near { people: u64, key: u8 },
}

impl Cells {
    fn add(&mut self, cell: &Summary) {
        let alike = self.by_people.entry(cell.people).or_default();
        alike.heads.push((cell.key, self.len));
        alike.marks.push(*cell.marks);
        self.len += 1;
    }

    /// The same people, or else the first who came of those who are nearly the same.
    fn find(&self, cell: &Summary) -> Option<Found> {
        let mut first: Option<(usize, u64, u8)> = None;
        for (people, alike) in self.by_people.range(cell.people.saturating_sub(NEAR)..=cell.people + NEAR) {
            for ((key, came), marks) in alike.heads.iter().zip(&alike.marks) {
                let Some(apart) = apart(&cell.marks, marks) else { continue };
                if apart == 0 && *people == cell.people && *key == cell.key {
                    return Some(Found::Same);
                }
                if first.is_none_or(|(before, ..)| *came < before) {
                    first = Some((*came, *people, *key));
                }
            }
        }
        first.map(|(_, people, key)| Found::Near { people, key })
    }
}

/// In how many marks they differ, when it is few enough to be near.
fn apart(a: &[u8; MARKS], b: &[u8; MARKS]) -> Option<u64> {
    let mut apart = 0;
    // Others differ in nearly all marks: a piece is enough to see it.
    for (a, b) in a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0) {
        apart += u64::from(a.iter().zip(b).map(|(a, b)| u8::from(a != b)).sum::<u8>());
        if apart > NEAR {
            return None;
        }
    }
    Some(apart)
}

#[cfg(test)]
mod tests;
