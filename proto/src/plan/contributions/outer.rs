//! Who adds the most and the least to a cell, one by one, and what all others add up to: from it release takes limits, so that no single
//! person's values show in a statistic.
//!
//! People are put in order by four [`Face`]s, and [`RANKS`] are listed from each end of each. Nobody who is left out is beyond those who are listed,
//! whatever the face, and parts of people who share nobody are put together without a loss.
//!
//! INVARIANT: who is listed is never among the others' sums: of a number that is too large for the others, nothing would be left of them.

use super::MOST;
use crate::plan::{gathered::BYTES, persons::NoSummary};
use std::cmp::Ordering;

/// So many people are listed from each end.
pub const RANKS: usize = 8;
/// Numbers beyond it count as it, and what is none as nothing: their squares stay numbers.
const FAR: f64 = 1e150;
/// So many may be listed before those who don't belong there are left out.
const LISTED: usize = 128;
/// Bytes of the head: numbers of each, how many others there are, and their sums.
const HEAD: usize = 1 + 8 + 5 * 8;

/// What somebody adds to a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Somebody {
    /// what their values add up to
    pub sum: f64,
    /// how many values they have; 1 where nobody asked
    pub rows: f64,
    /// the sum of the squares of their values' distances from their mean
    pub within: f64,
    /// of their pseudonym; the same for the same person
    pub tag: u16,
}

/// By what people are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// what their values add up to
    Sum,
    /// how many values they have
    Rows,
    /// the mean of their values
    Mean,
    /// how far their values are apart: the variance
    Within,
}

impl Face {
    const ALL: [Self; 4] = [Self::Sum, Self::Rows, Self::Mean, Self::Within];

    /// Those that can be told from so many numbers of each person.
    fn of(numbers: usize) -> &'static [Self] {
        match numbers {
            0 | 1 => Self::ALL.get(..1).unwrap_or_default(),
            2 => Self::ALL.get(..3).unwrap_or_default(),
            _ => &Self::ALL,
        }
    }
}

impl Somebody {
    /// `adds`: sum, number, sum of squares, as many as there are.
    fn new(person: &[u8; BYTES], adds: &[f64]) -> Self {
        Self::of(adds, tag(person))
    }

    fn of(adds: &[f64], tag: u16) -> Self {
        let number = |at: usize| adds.get(at).copied().map(near);
        let (sum, rows) = (number(0).unwrap_or_default(), number(1).map_or(1.0, |rows| rows.max(1.0)));
        let within = number(2).map_or(0.0, |squares| (squares - sum / rows * sum).max(0.0));
        Self { sum, rows, within, tag }
    }

    /// The number by which they are put in order.
    #[must_use]
    pub fn face(&self, face: Face) -> f64 {
        match face {
            Face::Sum => self.sum,
            Face::Rows => self.rows,
            Face::Mean => self.sum / self.rows,
            Face::Within => self.within / self.rows,
        }
    }

    /// From the least to the most; of equal ones by their tags, so that the same people always come in the same order.
    fn order(&self, other: &Self, face: Face) -> Ordering {
        self.face(face).total_cmp(&other.face(face)).then(self.tag.cmp(&other.tag))
    }
}

/// Of all of a pseudonym's bytes, which are as good as random.
fn tag(person: &[u8; BYTES]) -> u16 {
    let mixed = u128::from_le_bytes(*person).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let [.., a, b] = mixed.to_le_bytes();
    u16::from_le_bytes([a, b])
}

/// A number that can be reckoned with.
fn near(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(-FAR, FAR) + 0.0 }
}

/// What those add up to who aren't listed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Others {
    /// how many they are
    pub people: u64,
    /// what their values add up to
    pub sum: f64,
    /// the same of what each adds, without its sign
    pub size: f64,
    /// how many values they have
    pub rows: f64,
    /// the sum of the squares of their means, each as often as they have values
    pub between: f64,
    /// the sum of the squares of their values' distances from their own mean
    pub within: f64,
}

impl Others {
    fn add(&mut self, somebody: &Somebody) {
        self.people = self.people.saturating_add(1);
        self.sum += somebody.sum;
        self.size += somebody.sum.abs();
        self.rows += somebody.rows;
        self.between += somebody.sum / somebody.rows * somebody.sum;
        self.within += somebody.within;
    }

    fn merge(&mut self, other: &Self) {
        self.people = self.people.saturating_add(other.people);
        self.sum += other.sum;
        self.size += other.size;
        self.rows += other.rows;
        self.between += other.between;
        self.within += other.within;
    }
}

/// The outermost people of a cell, and all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Outer {
    /// of each person there are so many numbers
    numbers: usize,
    others: Others,
    listed: Vec<Somebody>,
    /// who isn't beyond one of these isn't listed: the innermost of those who are, for each face from both ends
    beyond: Vec<[Somebody; 2]>,
}

impl Outer {
    pub(super) const fn new(numbers: usize) -> Self {
        let others = Others { people: 0, sum: 0.0, size: 0.0, rows: 0.0, between: 0.0, within: 0.0 };
        Self { numbers, others, listed: Vec::new(), beyond: Vec::new() }
    }

    /// Those who are listed, in no order.
    #[must_use]
    pub fn listed(&self) -> &[Somebody] {
        &self.listed
    }

    /// What those add up to who aren't.
    #[must_use]
    pub const fn others(&self) -> &Others {
        &self.others
    }

    /// How many people there are.
    #[must_use]
    pub fn people(&self) -> u64 {
        // a part may say any number
        self.others.people.saturating_add(self.listed.len() as u64)
    }

    /// Whether it is known how many values each has, and how far they are apart.
    #[must_use]
    pub const fn knows(&self, numbers: usize) -> bool {
        self.numbers >= numbers
    }

    /// The outermost [`RANKS`] by a face, the outermost first: the highest, or the lowest.
    #[must_use]
    pub fn ranked(&self, face: Face, highest: bool) -> Vec<Somebody> {
        let mut ranked = self.listed.clone();
        ranked.sort_unstable_by(|a, b| if highest { b.order(a, face) } else { a.order(b, face) });
        ranked.truncate(RANKS);
        ranked
    }

    pub(super) fn add(&mut self, person: &[u8; BYTES], adds: &[f64]) {
        self.put(Somebody::new(person, adds));
    }

    /// Rows without a person number are nobody's: what they add up to is one more contribution, of a person like others.
    pub(super) fn add_nobody(&mut self, sum: f64) {
        self.put(Somebody::of(&[sum], 0));
    }

    fn put(&mut self, somebody: Somebody) {
        let inner = !self.beyond.is_empty()
            && Face::of(self.numbers)
                .iter()
                .zip(&self.beyond)
                .all(|(face, [low, high])| low.order(&somebody, *face).is_lt() && somebody.order(high, *face).is_lt());
        if inner {
            self.others.add(&somebody);
            return;
        }
        self.listed.push(somebody);
        if self.listed.len() >= LISTED {
            self.leave_out();
        }
    }

    /// Leaves out who doesn't belong to the outermost.
    pub(super) fn leave_out(&mut self) {
        if self.listed.len() <= RANKS {
            return;
        }
        let mut belongs = vec![false; self.listed.len()];
        let mut places: Vec<usize> = (0..self.listed.len()).collect();
        self.beyond.clear();
        for face in Face::of(self.numbers) {
            let listed = &self.listed;
            let order = |a: &usize, b: &usize| match (listed.get(*a), listed.get(*b)) {
                (Some(a), Some(b)) => a.order(b, *face),
                _ => Ordering::Equal,
            };
            let end = RANKS - 1;
            let inner = |places: &mut [usize], at: usize| {
                let (_, at, _) = places.select_nth_unstable_by(at, order);
                listed.get(*at).copied()
            };
            let low = inner(&mut places, end);
            for place in places.iter().take(RANKS) {
                belongs.get_mut(*place).into_iter().for_each(|belongs| *belongs = true);
            }
            let last = places.len() - RANKS;
            let high = inner(&mut places, last);
            for place in places.iter().skip(last) {
                belongs.get_mut(*place).into_iter().for_each(|belongs| *belongs = true);
            }
            self.beyond.extend(low.zip(high).map(|(low, high)| [low, high]));
        }
        let mut belongs = belongs.into_iter();
        let others = &mut self.others;
        self.listed.retain(|somebody| {
            let belongs = belongs.next().unwrap_or(true);
            if !belongs {
                others.add(somebody);
            }
            belongs
        });
    }

    /// Adds other people.
    pub(super) fn merge(&mut self, other: &Self) {
        self.numbers = self.numbers.min(other.numbers);
        self.others.merge(&other.others);
        self.listed.extend(&other.listed);
        self.leave_out();
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![self.numbers as u8];
        bytes.extend(self.others.people.to_le_bytes());
        let Others { sum, size, rows, between, within, .. } = self.others;
        for number in [sum, size, rows, between, within] {
            bytes.extend(number.to_le_bytes());
        }
        // the same bytes of the same people, whatever order they came in
        let mut listed = self.listed.clone();
        listed
            .sort_unstable_by(|a, b| a.order(b, Face::Sum).then(a.order(b, Face::Rows)).then(a.order(b, Face::Within)));
        for somebody in &listed {
            bytes.extend(somebody.tag.to_le_bytes());
            for number in [somebody.sum, somebody.rows, somebody.within].iter().take(self.numbers) {
                bytes.extend(number.to_le_bytes());
            }
        }
        bytes
    }

    /// # Errors
    /// When they are none.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, NoSummary> {
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or(NoSummary)?;
        let (numbers, head) = head.split_first().ok_or(NoSummary)?;
        let numbers = usize::from(*numbers);
        let (people, sums) = head.split_first_chunk::<8>().ok_or(NoSummary)?;
        let [sum, size, rows, between, within] = five(sums).ok_or(NoSummary)?;
        let others = Others { people: u64::from_le_bytes(*people), sum, size, rows, between, within };
        let width = 2 + 8 * numbers;
        if numbers == 0 || numbers > MOST || !rest.len().is_multiple_of(width) {
            return Err(NoSummary);
        }
        let listed = rest.chunks_exact(width).map(|bytes| {
            let (tag, numbers) = bytes.split_first_chunk::<2>()?;
            let mut numbers = numbers.as_chunks::<8>().0.iter().map(|bytes| near(f64::from_le_bytes(*bytes)));
            let (sum, rows) = (numbers.next()?, numbers.next().map_or(1.0, |rows| rows.max(1.0)));
            let within = numbers.next().map_or(0.0, |within| within.max(0.0));
            Some(Somebody { sum, rows, within, tag: u16::from_le_bytes(*tag) })
        });
        let listed = listed.collect::<Option<Vec<_>>>().ok_or(NoSummary)?;
        Ok(Self { numbers, others, listed, beyond: Vec::new() })
    }
}

fn five(bytes: &[u8]) -> Option<[f64; 5]> {
    let numbers: Vec<f64> = bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn person(id: u16) -> [u8; BYTES] {
        let mut person = [0; BYTES];
        person[..2].copy_from_slice(&id.to_le_bytes());
        person
    }

    fn outer(people: &[(u16, [f64; 3])], numbers: usize) -> Outer {
        let mut outer = Outer::new(numbers);
        people.iter().for_each(|(id, adds)| outer.add(&person(*id), &adds[..numbers]));
        outer.leave_out();
        outer
    }

    fn everybody() -> impl Strategy<Value = Vec<(u16, [f64; 3])>> {
        let adds = (-50_i8..50, 1_u8..5, 0_u8..9).prop_map(|(sum, rows, more)| {
            let (sum, rows) = (f64::from(sum), f64::from(rows));
            [sum, rows, sum * sum / rows + f64::from(more)]
        });
        proptest::collection::vec(adds, 0..400).prop_map(|adds| (0..).zip(adds).collect())
    }

    proptest! {
        #[test]
        fn the_outermost_are_listed_and_all_others_added_up(people in everybody(), cut in 0_usize..400, numbers in 1_usize..=3) {
            let whole = outer(&people, numbers);
            let cut = cut.min(people.len());
            let mut parts = outer(&people[..cut], numbers);
            parts.merge(&outer(&people[cut..], numbers));
            for outer in [&whole, &parts] {
                prop_assert_eq!(outer.people(), people.len() as u64);
                for face in Face::of(numbers) {
                    for highest in [false, true] {
                        let mut all: Vec<f64> =
                            people.iter().map(|(_, adds)| Somebody::of(&adds[..numbers], 0).face(*face)).collect();
                        all.sort_unstable_by(|a, b| if highest { b.total_cmp(a) } else { a.total_cmp(b) });
                        all.truncate(RANKS);
                        let ranked: Vec<f64> = outer.ranked(*face, highest).iter().map(|one| one.face(*face)).collect();
                        prop_assert_eq!(ranked, all);
                    }
                }
                let listed = outer.listed();
                prop_assert!(listed.len() <= 2 * RANKS * Face::of(numbers).len());
                let sum = outer.others().sum + listed.iter().map(|one| one.sum).sum::<f64>();
                prop_assert!((sum - people.iter().map(|(_, adds)| adds[0]).sum::<f64>()).abs() < 1e-6);
                let bytes = outer.write();
                let read = Outer::read(&bytes).unwrap();
                prop_assert_eq!((read.listed().len(), read.others()), (listed.len(), outer.others()));
                prop_assert_eq!(read.write(), bytes.clone());
                prop_assert!(Outer::read(&bytes[..bytes.len().min(HEAD) - 1]).is_err());
                prop_assert!(listed.is_empty() || Outer::read(&bytes[..bytes.len() - 1]).is_err());
            }
            // Equal numbers don't decide who is listed.
            for face in Face::of(numbers) {
                let tags = |outer: &Outer| outer.ranked(*face, true).iter().map(|one| one.tag).collect::<Vec<_>>();
                prop_assert_eq!(tags(&whole), tags(&parts));
            }
        }
    }

    #[test]
    fn a_part_that_says_more_people_than_there_can_be_stops_nothing() {
        let mut bytes = outer(&[(1, [1.0; 3])], 1).write();
        bytes[1..9].fill(u8::MAX);
        let mut whole = Outer::read(&bytes).unwrap();
        assert_eq!(whole.people(), u64::MAX);
        whole.merge(&Outer::read(&bytes).unwrap());
        assert_eq!(whole.people(), u64::MAX);
    }

    #[test]
    fn what_is_no_number_or_too_large_leaves_the_others_sums() {
        let mut outer = Outer::new(1);
        for id in 0..=99 {
            outer.add(&person(id), &[1.0]);
        }
        for (id, odd) in [(100, f64::NAN), (101, f64::INFINITY), (102, -f64::MAX)] {
            outer.add(&person(id), &[odd]);
        }
        outer.leave_out();
        assert_eq!(outer.others().sum, outer.others().people as f64);
        assert_eq!(outer.ranked(Face::Sum, true)[0].sum, FAR);
        assert_eq!(outer.ranked(Face::Sum, false)[0].sum, -FAR);
    }
}
