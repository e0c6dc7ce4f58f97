//! Released cells in memory, in a form in which those with nearly the same people are found without looking at all.
//!
//! Marks are looked at in pairs. Two cells that differ in nine marks at the most have pairs that the other hasn't, nine at the most on
//! each side. So of the first ten pairs of a cell that aren't empty, the other has at least one, and has it among its own first ten: each cell
//! is entered under its first ten pairs, and is looked for under them. Only cells with fewer pairs, which are about as many people, may
//! have none in common: they are compared one by one, by which pairs aren't empty.

use super::NEAR;
use proto::plan::persons::{MARKS, Summary};
use std::collections::HashMap;

/// Pairs under which a cell is entered: one more than can differ.
const ENTERED: usize = NEAR as usize + 1;
/// The end of a chain.
const NONE: u32 = u32::MAX;

type Marks = [u8; MARKS];

/// Released cells, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// people and key. Apart from the marks, since most are looked at for a moment only
    heads: Vec<(u64, u8)>,
    marks: Vec<Marks>,
    /// the newest entry under a pair
    newest: HashMap<u32, u32>,
    /// a cell, and the entry before it under the same pair
    entries: Vec<(u32, u32)>,
    /// cells with fewer than ten pairs: where those are, how many, and which cell
    small: Vec<(u128, u32, u32)>,
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// How many people the cell has, and their key.
    pub(super) fn head(&self, at: usize) -> Option<(u64, u8)> {
        self.heads.get(at).copied()
    }

    /// Takes a cell in, as the last one.
    pub(super) fn add(&mut self, cell: &Summary) {
        let Ok(at) = u32::try_from(self.heads.len()) else { return };
        self.heads.push((cell.people, cell.key));
        self.marks.push(*cell.marks);
        let pairs = Pairs::of(&cell.marks);
        for pair in pairs.entered() {
            // so many entries don't fit into memory before this overflows
            let here = u32::try_from(self.entries.len()).unwrap_or(NONE);
            let before = self.newest.insert(*pair, here).unwrap_or(NONE);
            self.entries.push((at, before));
        }
        if pairs.few() {
            self.small.push((pairs.places, pairs.places.count_ones(), at));
        }
    }

    /// The first who came of those with nearly the same people.
    pub(super) fn find(&self, cell: &Summary) -> Option<usize> {
        let pairs = Pairs::of(&cell.marks);
        let mut first = NONE;
        for pair in pairs.entered() {
            let mut entry = self.newest.get(pair).copied().unwrap_or(NONE);
            while let Some((at, before)) = self.entries.get(entry as usize) {
                if *at < first && self.near(cell, *at) {
                    first = *at;
                }
                entry = *before;
            }
        }
        if pairs.few() {
            let own = pairs.places.count_ones();
            for (places, count, at) in &self.small {
                if *at >= first {
                    break;
                }
                if may_be_near(pairs.places, *places, own + count) && self.near(cell, *at) {
                    first = *at;
                }
            }
        }
        (first != NONE).then_some(first as usize)
    }

    fn near(&self, cell: &Summary, at: u32) -> bool {
        let Some((people, _)) = self.head(at as usize) else { return false };
        people.abs_diff(cell.people) <= NEAR && self.marks.get(at as usize).is_some_and(|m| near(&cell.marks, m))
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.heads.capacity() * size_of::<(u64, u8)>()
            + self.marks.capacity() * size_of::<Marks>()
            + self.newest.capacity() * (size_of::<(u32, u32)>() + 1)
            + self.entries.capacity() * size_of::<(u32, u32)>()
            + self.small.capacity() * size_of::<(u128, u32, u32)>()
    }
}

/// The pairs of marks that aren't empty: where they are, and the first ten.
struct Pairs {
    places: u128,
    first: [u32; ENTERED],
    len: usize,
}

impl Pairs {
    fn of(marks: &Marks) -> Self {
        let mut pairs = Self { places: 0, first: [0; ENTERED], len: 0 };
        for (place, [a, b]) in (0_u32..).zip(marks.as_chunks::<2>().0) {
            if (*a, *b) == (0, 0) {
                continue;
            }
            pairs.places |= 1 << place;
            if let Some(slot) = pairs.first.get_mut(pairs.len) {
                *slot = place << 16 | u32::from(*a) << 8 | u32::from(*b);
                pairs.len += 1;
            }
        }
        pairs
    }

    fn entered(&self) -> &[u32] {
        self.first.get(..self.len).unwrap_or_default()
    }

    fn few(&self) -> bool {
        self.len < ENTERED
    }
}

/// Whether cells whose pairs are at these places can be near. Most small cells have no place in common, which is quickly seen.
fn may_be_near(a: u128, b: u128, all: u32) -> bool {
    u64::from(all) <= NEAR || (a & b != 0 && u64::from((a ^ b).count_ones()) <= NEAR)
}

/// Whether they differ in so few marks that they are near.
fn near(a: &Marks, b: &Marks) -> bool {
    let mut apart = 0;
    // Others differ in nearly all marks: a piece is enough to see it.
    for (a, b) in a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0) {
        apart += u64::from(a.iter().zip(b).map(|(a, b)| u8::from(a != b)).sum::<u8>());
        if apart > NEAR {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Looks at all of them.
    fn plainly(cells: &[Summary], cell: &Summary) -> Option<usize> {
        cells.iter().position(|known| known.people.abs_diff(cell.people) <= NEAR && known.differs(cell) as u64 <= NEAR)
    }

    /// A cell and how it is changed: marks set anew. Few places and values, so that cells meet by chance too.
    fn changed(base: &Summary, changes: &[(u8, u8)], people: u64) -> Summary {
        let mut cell = Summary { people, ..base.clone() };
        for (place, mark) in changes {
            if let Some(at) = cell.marks.get_mut(usize::from(*place)) {
                *at = *mark;
            }
        }
        cell
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn finds_what_looking_at_all_finds(
            base in prop::collection::vec((0_u8..40, 0_u8..4), 0..40),
            known in prop::collection::vec((prop::collection::vec((0_u8..40, 0_u8..4), 0..14), 5_u64..30), 1..30),
            asked in prop::collection::vec((prop::collection::vec((0_u8..40, 0_u8..4), 0..14), 5_u64..30), 1..10),
            wide in any::<bool>(),
        ) {
            // beside each other, where pairs have two marks, or far apart
            let spread = |changes: &[(u8, u8)]| -> Vec<(u8, u8)> {
                changes.iter().map(|(place, mark)| (if wide { place * 6 } else { *place }, *mark)).collect()
            };
            let base = changed(&Summary::default(), &spread(&base), 0);
            let known: Vec<Summary> = known.iter().map(|(c, people)| changed(&base, &spread(c), *people)).collect();
            let mut cells = Cells::default();
            known.iter().for_each(|cell| cells.add(cell));
            for (changes, people) in asked {
                let cell = changed(&base, &spread(&changes), people);
                prop_assert_eq!(cells.find(&cell), plainly(&known, &cell));
            }
        }
    }
}
