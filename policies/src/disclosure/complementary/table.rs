//! A table with totals, as its reader sees it.

use crate::disclosure::threshold::Threshold;
use std::collections::{BTreeMap, BTreeSet};

/// Variables that a table may have.
pub const DIMENSIONS: usize = 3;

/// A cell's place: a code for each variable, `None` where the cell is a total over that variable.
pub type Key = Vec<Option<u32>>;

/// What a reader knows of a hidden number from its status alone, and how wide that has to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// It is at least this.
    pub from: i64,
    /// It is at most this, if anything is known.
    pub to: Option<i64>,
    /// Whatever a reader computes has to leave open a range of numbers at least this far apart, else the number counts as told.
    pub width: i64,
}

impl Known {
    /// A count hidden for being under the threshold: 1 to 4 for 5, of which at least three in a row have to stay possible.
    #[must_use]
    pub fn few(threshold: Threshold) -> Self {
        let least = i64::try_from(threshold.least()).unwrap_or(i64::MAX);
        Self { from: 1, to: Some(least - 1), width: Self::protection(threshold) }
    }

    /// A count hidden so that another one can't be computed: at or above the threshold, else it had that reason.
    #[must_use]
    pub fn complement(threshold: Threshold) -> Self {
        let least = i64::try_from(threshold.least()).unwrap_or(i64::MAX);
        Self { from: least, to: None, width: Self::protection(threshold) }
    }

    /// A count of which the reason tells nothing (everybody or nobody of a group).
    #[must_use]
    pub fn nothing(threshold: Threshold) -> Self {
        Self { from: 0, to: None, width: Self::protection(threshold) }
    }

    /// The protection width of counts: half the threshold, rounded down. Two for a threshold of 5, five for 10.
    #[must_use]
    pub fn protection(threshold: Threshold) -> i64 {
        i64::try_from(threshold.least() / 2).unwrap_or(i64::MAX)
    }

    /// A sum of values that are never negative, hidden for dominance: a range of 20 % of it stays open, twice the p of p%.
    #[must_use]
    pub fn dominated(value: i64) -> Self {
        Self { from: 0, to: None, width: (value / 5).max(1) }
    }

    pub(super) fn fits(&self, value: i64) -> bool {
        value >= self.from && self.to.is_none_or(|to| value <= to)
    }
}

/// One number of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// where it stands
    pub key: Key,
    /// what it is: people, or a sum in whole units
    pub value: i64,
    /// `None` when it is to be shown
    pub hidden: Option<Known>,
}

/// Why something is not a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Too many variables, or cells with different numbers of them.
    #[error(
        "cell {0} has another number of variables than 1 to {DIMENSIONS}, or than the first cell; hand in one table"
    )]
    Dimensions(usize),
    /// Two cells in one place.
    #[error("cell {0} stands where another cell stands; add them up first")]
    Twice(usize),
    /// Negative, beyond 10^15, or not what a reader knows about it.
    #[error("cell {0} is out of range, or outside of what its status says about it")]
    Value(usize),
}

/// The largest value: a little more than all people's income in øre, and small enough to add up thousands of them.
const LARGEST: i64 = 1_000_000_000_000_000;

/// A checked table. Cells that are not there are zeros, if cells of the same grouping are; every reader knows them.
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) entries: Vec<Entry>,
    pub(super) places: BTreeMap<Key, usize>,
    /// groupings that are there; true where a variable is totalled
    groupings: BTreeSet<Vec<bool>>,
    /// codes of each variable
    pub(super) levels: Vec<Vec<u32>>,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// a cell
    Cell(usize),
    /// a zero that everybody knows
    Zero,
    /// nothing: no cell of this grouping is shown
    Nothing,
}

impl Table {
    /// Checks cells. Their order is kept: results name cells by their place in it.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn new(entries: Vec<Entry>) -> Result<Self, TableError> {
        let dimensions = entries.first().map_or(1, |entry| entry.key.len());
        let mut places = BTreeMap::new();
        let mut groupings = BTreeSet::new();
        let mut levels = vec![BTreeSet::new(); dimensions];
        for (i, entry) in entries.iter().enumerate() {
            if entry.key.len() != dimensions || !(1..=DIMENSIONS).contains(&dimensions) {
                return Err(TableError::Dimensions(i));
            }
            if !(0..=LARGEST).contains(&entry.value) || entry.hidden.is_some_and(|known| !known.fits(entry.value)) {
                return Err(TableError::Value(i));
            }
            if places.insert(entry.key.clone(), i).is_some() {
                return Err(TableError::Twice(i));
            }
            groupings.insert(entry.key.iter().map(Option::is_none).collect());
            for (codes, code) in levels.iter_mut().zip(&entry.key) {
                codes.extend(code);
            }
        }
        let levels = levels.into_iter().map(|codes| codes.into_iter().collect()).collect();
        Ok(Self { entries, places, groupings, levels })
    }

    /// The cells, in the order in which they were given.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn at(&self, key: &[Option<u32>]) -> At {
        match self.places.get(key) {
            Some(place) => At::Cell(*place),
            None if self.groupings.contains(&grouping(key)) => At::Zero,
            None => At::Nothing,
        }
    }

    /// Each total with the cells that add up to it. A total over several variables is the sum of each next finer grouping that is there.
    pub(super) fn sums(&self) -> Vec<(usize, Vec<usize>)> {
        let mut sums: BTreeMap<(usize, Vec<bool>), Vec<usize>> = BTreeMap::new();
        for (part, entry) in self.entries.iter().enumerate() {
            let finer = grouping(&entry.key);
            for coarser in self.groupings.iter().filter(|coarser| next(&finer, coarser, &self.groupings)) {
                let key: Key =
                    entry.key.iter().zip(coarser).map(|(code, total)| if *total { None } else { *code }).collect();
                if let Some(total) = self.places.get(&key) {
                    sums.entry((*total, finer.clone())).or_default().push(part);
                }
            }
        }
        sums.into_iter().map(|((total, _), parts)| (total, parts)).collect()
    }
}

fn grouping(key: &[Option<u32>]) -> Vec<bool> {
    key.iter().map(Option::is_none).collect()
}

/// Whether everything that `finer` totals, `coarser` totals too, and more.
fn above(finer: &[bool], coarser: &[bool]) -> bool {
    finer != coarser && finer.iter().zip(coarser).all(|(finer, coarser)| !finer || *coarser)
}

/// Whether `coarser` is above `finer` with no grouping between them.
fn next(finer: &[bool], coarser: &[bool], all: &BTreeSet<Vec<bool>>) -> bool {
    above(finer, coarser) && !all.iter().any(|between| above(finer, between) && above(between, coarser))
}
