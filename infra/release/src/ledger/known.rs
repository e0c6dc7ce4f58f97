//! What was released, in memory: cells of people, and statistics of what people contribute with the number that was shown.
//!
//! INVARIANT: a statistic is looked for among those of its own kind. What is hashed of a mean's contributions isn't what is hashed of a sum's
//! (`proto::plan::contributions::Tells`), and no number is shown for one of another kind.

use super::cells::{Alike, Cells};
use proto::plan::persons::Summary;

/// Of what something was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::release) enum Of {
    /// how many people there are
    People,
    Sum,
    Mean,
    /// variances and standard deviations
    Spread,
}

/// How many kinds there are.
const KINDS: usize = 4;

impl Of {
    const ALL: [Self; KINDS] = [Self::People, Self::Sum, Self::Mean, Self::Spread];

    /// The number of its kind, on disk too.
    pub(super) const fn kind(self) -> u8 {
        match self {
            Self::People => 0,
            Self::Sum => 1,
            Self::Mean => 2,
            Self::Spread => 3,
        }
    }

    /// The kind with this number.
    pub(super) fn numbered(kind: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.kind() == kind)
    }

    fn place(self) -> usize {
        usize::from(self.kind())
    }
}

/// Something that was released: of whom, or of who adds how much, and what was shown. What is shown of people follows from them.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::release) struct Record {
    pub(in crate::release) of: Of,
    pub(in crate::release) marks: Summary,
    pub(in crate::release) shown: f64,
}

/// What was released before of nearly the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) people: u64,
    pub(super) key: u8,
    pub(super) shown: f64,
    /// so many of the kind have to be on disk for it
    pub(super) needs: usize,
}

/// So many of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lens([usize; KINDS]);

impl Lens {
    /// At least so many of a kind.
    pub(super) fn raise(&mut self, of: Of, to: usize) {
        if let Some(len) = self.0.get_mut(of.place()) {
            *len = (*len).max(to);
        }
    }

    /// Whether there are as many of each.
    pub(super) fn reach(&self, needed: &Self) -> bool {
        self.0.iter().zip(&needed.0).all(|(len, needed)| len >= needed)
    }
}

/// Everything of one kind.
#[derive(Debug)]
struct List {
    cells: Cells,
    /// nothing where it follows from the people
    shown: Vec<f64>,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Known([List; KINDS]);

impl Default for Known {
    fn default() -> Self {
        Self(Of::ALL.map(|of| {
            let alike = if of == Of::People { Alike::People } else { Alike::Contributions };
            List { cells: Cells::of(alike), shown: Vec::new() }
        }))
    }
}

impl Known {
    pub(super) fn lens(&self) -> Lens {
        Lens(self.0.each_ref().map(|list| list.cells.len()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|list| list.cells.len()).sum()
    }

    /// Takes something in, as the last one of its kind.
    pub(super) fn add(&mut self, record: &Record) {
        let Some(list) = self.0.get_mut(record.of.place()) else { return };
        list.cells.add(&record.marks);
        if record.of != Of::People {
            list.shown.push(record.shown);
        }
    }

    /// The first of its kind with nearly these marks.
    pub(super) fn find(&self, of: Of, marks: &Summary) -> Option<Found> {
        let list = self.0.get(of.place())?;
        self.at(of, list.cells.find(marks)?)
    }

    /// The last one of a kind.
    pub(super) fn last(&self, of: Of) -> Option<Found> {
        let list = self.0.get(of.place())?;
        self.at(of, list.cells.len().checked_sub(1)?)
    }

    fn at(&self, of: Of, at: usize) -> Option<Found> {
        let list = self.0.get(of.place())?;
        let (people, key) = list.cells.head(at)?;
        Some(Found { people, key, shown: list.shown.get(at).copied().unwrap_or_default(), needs: at + 1 })
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|list| list.cells.bytes() + list.shown.capacity() * size_of::<f64>()).sum()
    }
}
