//! Released cells in memory, in a form in which those with nearly the same people are found without looking at all.
//!
//! Marks are looked at in pairs. Two cells that differ in nine marks at the most have pairs that the other hasn't, nine at the most on
//! each side. So of the first ten pairs of a cell that aren't empty, the other has at least one, and has it among its own first ten. Those that
//! are near by lot differ in twelve at the most: each cell is entered under its first thirteen pairs, and is looked for under them. Only cells with
//! fewer pairs than ten, which are about as many people, may have none in common and be near: they are compared one by one, by which pairs
//! aren't empty. By lot near are only those that have a pair in common: small cells that share nobody differ in few people too, and say nothing of each
//! other.
//!
//! Of statistics ([`Alike::Contributions`]) the marks are those of who adds how much. The same ten people's sums of two columns differ by ten
//! contributions and are nothing alike: so those who add the same must be as many as those who don't, and a pair in common is what they have.

use super::{FAR, NEAR};
use policies::disclosure::{lot::Lot, noise::CellKey};
use proto::plan::persons::{MARKS, Summary};
use std::{cmp::Ordering, collections::HashMap};

/// Pairs under which a cell is entered: one more than can differ.
const ENTERED: usize = FAR as usize + 1;
/// Cells with fewer pairs may be near without one in common.
const FEW: usize = NEAR as usize + 1;
/// The end of a chain.
const NONE: u32 = u32::MAX;

type Marks = [u8; MARKS];

/// What the marks are of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alike {
    /// of people
    #[default]
    People,
    /// of who adds how much
    Contributions,
}

/// Released cells, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Cells {
    alike: Alike,
    /// people and key. Apart from the marks, since most are looked at for a moment only
    heads: Vec<(u64, u8)>,
    marks: Vec<Marks>,
    /// the newest entry under a pair
    newest: HashMap<u32, u32>,
    /// a cell, and the entry before it under the same pair
    entries: Vec<(u32, u32)>,
    /// cells with fewer than [`FEW`] pairs: where those are, how many, and which cell
    small: Vec<(u128, u32, u32)>,
}

impl Cells {
    /// None yet, of marks of this kind.
    pub(super) fn of(alike: Alike) -> Self {
        Self { alike, ..Self::default() }
    }

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
        if pairs.few() && self.alike == Alike::People {
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
                if *at < first && self.near(cell, *at, FAR) {
                    first = *at;
                }
                entry = *before;
            }
        }
        if pairs.few() && self.alike == Alike::People {
            let own = pairs.places.count_ones();
            for (places, count, at) in &self.small {
                if *at >= first {
                    break;
                }
                if may_be_near(pairs.places, *places, own + count) && self.near(cell, *at, NEAR) {
                    first = *at;
                }
            }
        }
        (first != NONE).then_some(first as usize)
    }

    /// Whether they are near: up to [`NEAR`] people apart always, from there `to` as many by the lot of those who are in one of them only.
    fn near(&self, cell: &Summary, at: u32, to: u64) -> bool {
        let Some((people, key)) = self.head(at as usize) else { return false };
        let Some(marks) = self.marks.get(at as usize) else { return false };
        let more = people.abs_diff(cell.people);
        if more > to {
            return false;
        }
        let Some(apart) = apart(&cell.marks, marks, to) else { return false };
        if self.alike == Alike::Contributions && common(&cell.marks, marks) < apart {
            return false;
        }
        let lot = || match self.alike {
            Alike::People => lot(cell, people, key, marks),
            Alike::Contributions => lot_of_places(&cell.marks, marks),
        };
        apart.max(more).checked_sub(NEAR + 1).is_none_or(|above| !lot().passes(above))
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
        self.len < FEW
    }
}

/// Whether cells whose pairs are at these places can be near. Most small cells have no place in common, which is quickly seen.
fn may_be_near(a: u128, b: u128, all: u32) -> bool {
    u64::from(all) <= NEAR || (a & b != 0 && u64::from((a ^ b).count_ones()) <= NEAR)
}

/// In how many marks they differ, unless it is in more than `most`.
fn apart(a: &Marks, b: &Marks, most: u64) -> Option<u64> {
    let mut apart = 0;
    // Others differ in nearly all marks: a piece is enough to see it.
    for (a, b) in a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0) {
        apart += u64::from(a.iter().zip(b).map(|(a, b)| u8::from(a != b)).sum::<u8>());
        if apart > most {
            return None;
        }
    }
    Some(apart)
}

/// How many marks that aren't empty they have in common.
fn common(a: &Marks, b: &Marks) -> u64 {
    a.iter().zip(b).map(|(a, b)| u64::from(*a != 0 && a == b)).sum()
}

/// The lot of those who add something else. By which marks they change, and not by what they add: in other units the same few are no
/// second attempt.
fn lot_of_places(a: &Marks, b: &Marks) -> Lot {
    let mut places = [0; MARKS];
    places.iter_mut().zip(a.iter().zip(b)).for_each(|(place, (a, b))| *place = u8::from(a != b));
    Lot::of_people(CellKey::new(0), &places)
}

/// The lot of those who are in one of two cells only. It is theirs alone: the same few beside other people have the same one, and where
/// one cell has all people of the other it is the one that they have as a cell.
fn lot(cell: &Summary, people: u64, key: u8, marks: &Marks) -> Lot {
    let mut apart = *marks;
    apart.iter_mut().zip(cell.marks.iter()).for_each(|(apart, own)| *apart ^= own);
    let (more, less) = (cell.key.wrapping_sub(key), key.wrapping_sub(cell.key));
    let key = match cell.people.cmp(&people) {
        Ordering::Greater => more,
        Ordering::Less => less,
        Ordering::Equal => more.min(less),
    };
    Lot::of_people(CellKey::new(key), &apart)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Looks at all of them.
    fn plainly(cells: &[Summary], cell: &Summary) -> Option<usize> {
        let pairs = Pairs::of(&cell.marks);
        cells.iter().position(|known| {
            let apart = known.people.abs_diff(cell.people).max(known.differs(cell) as u64);
            let shares = Pairs::of(&known.marks).entered().iter().any(|pair| pairs.entered().contains(pair));
            let by_lot = || !lot(cell, known.people, known.key, &known.marks).passes(apart - NEAR - 1);
            apart <= NEAR || (apart <= FAR && shares && by_lot())
        })
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

    #[test]
    fn whose_lot_it_is_follows_from_those_who_are_in_one_of_two_cells_only() {
        let of = |who: &[u8]| {
            let mut cell = Summary::default();
            who.iter().for_each(|n| cell.add(&[n.wrapping_mul(97).wrapping_add(3); 16]));
            cell
        };
        let between = |a: &[u8], b: &[u8]| {
            let (a, b) = (of(a), of(b));
            let lots = [lot(&a, b.people, b.key, &b.marks), lot(&b, a.people, a.key, &a.marks)];
            assert_eq!(lots[0], lots[1], "whichever came first");
            lots[0]
        };
        let few = of(&[1, 2, 3]);
        let own = Lot::of_people(CellKey::new(few.key), few.marks.as_slice());
        assert_eq!(between(&[1, 2, 3, 10, 11, 12], &[10, 11, 12]), own);
        assert_eq!(between(&[1, 2, 3, 20, 21], &[20, 21]), own);
        assert_eq!(between(&[1, 2, 30, 31], &[3, 4, 30, 31]), between(&[1, 2, 40], &[3, 4, 40]), "in exchange");
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
