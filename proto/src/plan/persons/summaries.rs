//! The summaries of many cells at once: of few people a list, of many all marks.

use super::{
    groups::BYTES,
    summary::{LISTED, NoSummary, Summary, listed, of_person},
};

/// Where a cell's summary comes about.
#[derive(Debug, Clone, Copy)]
enum Place {
    Few { from: usize, next: usize },
    Many(usize),
}

/// Summaries that come about person by person, in whatever order they come.
#[derive(Debug, Default)]
pub(in crate::plan) struct Summaries {
    few: Vec<[u8; 3]>,
    many: Vec<Summary>,
    places: Vec<Option<Place>>,
}

impl Summaries {
    /// For cells of so many people each; `None` for a cell of which nothing is said.
    pub(in crate::plan) fn new(counts: impl Iterator<Item = Option<usize>>) -> Self {
        let mut all = Self::default();
        for count in counts {
            let place = count.map(|people| {
                if people <= LISTED {
                    let from = all.few.len();
                    all.few.resize(from + people, [0; 3]);
                    Place::Few { from, next: from }
                } else {
                    all.many.push(Summary::default());
                    Place::Many(all.many.len() - 1)
                }
            });
            all.places.push(place);
        }
        all
    }

    /// Adds somebody who isn't in the cell yet. Cells beyond those that were announced are left alone.
    pub(in crate::plan) fn add(&mut self, cell: usize, person: &[u8; BYTES]) {
        self.put(cell, of_person(person));
    }

    /// The same of somebody by the mark that they change, what is mixed into it, and their key.
    pub(in crate::plan) fn put(&mut self, cell: usize, somebody: [u8; 3]) {
        match self.places.get_mut(cell) {
            Some(Some(Place::Few { next, .. })) => {
                if let Some(slot) = self.few.get_mut(*next) {
                    *slot = somebody;
                }
                *next += 1;
            }
            Some(Some(Place::Many(at))) => {
                if let Some(summary) = self.many.get_mut(*at) {
                    summary.put(somebody);
                }
            }
            Some(None) | None => {}
        }
    }

    /// Their bytes, in the order of the cells.
    ///
    /// # Errors
    /// When a cell has more people than a summary counts.
    pub(in crate::plan) fn write(self) -> Result<Vec<Option<Vec<u8>>>, NoSummary> {
        let written = |place: &Place| match *place {
            Place::Few { from, next } => listed(self.few.get(from..next).unwrap_or_default()),
            Place::Many(at) => self.many.get(at).map_or_else(|| listed(&[]), Summary::write),
        };
        self.places.iter().map(|place| place.as_ref().map(written).transpose()).collect()
    }
}
