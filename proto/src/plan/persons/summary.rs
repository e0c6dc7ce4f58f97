//! What is said of the people behind a cell: how many, the cell's key, and marks that tell later whether another cell has
//! nearly the same people.
//!
//! All of it adds up over groups of people that share nobody, so that spokes summarise their own people and nobody else
//! needs to see them. Only bytes of the project's pseudonym are used, which are as good as random and differ between
//! projects: one adds to the key (Fraser & Wooton 2005: the sum of its people's keys, here modulo 256), one chooses
//! one of 256 marks, and one is mixed into it by exclusive or.
//!
//! Two cells whose people differ by `n` differ in at most `n` marks. The other way round, people who differ by far more than that
//! differ in most marks: the chance that `n` of them meet in `k` or fewer marks of 256 is that of `n` balls in `k` of 256 boxes.
//!
//! The bytes: the count as a little-endian `u32`, the key, and then either two bytes a person (which mark, and what is
//! mixed in), of at most 127, or all 256 marks.

use crate::plan::gathered::BYTES;

/// Number of marks.
pub const MARKS: usize = 256;
/// Up to so many people are listed instead of mixed: fewer bytes than the marks, so that the length tells.
const LISTED: usize = MARKS / 2 - 1;
/// Bytes of count and key.
const HEAD: usize = 5;

/// The people of a cell, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// different people
    pub people: u64,
    /// the cell's key
    pub key: u8,
    /// the marks
    pub marks: Box<[u8; MARKS]>,
}

/// Bytes that are no summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what a spoke says of a cell's people can't be read")]
pub struct NoSummary;

impl Default for Summary {
    fn default() -> Self {
        Self { people: 0, key: 0, marks: Box::new([0; MARKS]) }
    }
}

impl Summary {
    /// Adds somebody who isn't in it.
    pub fn add(&mut self, person: &[u8; BYTES]) {
        self.put(of_person(person));
    }

    /// Adds somebody by the mark that they change, what is mixed into it, and their key.
    #[inline]
    pub(in crate::plan) fn put(&mut self, [place, mark, key]: [u8; 3]) {
        self.people += 1;
        self.key = self.key.wrapping_add(key);
        self.mix(place, mark);
    }

    fn mix(&mut self, place: u8, mark: u8) {
        if let Some(at) = self.marks.get_mut(usize::from(place)) {
            *at ^= mark;
        }
    }

    /// Adds the people of another part, who share nobody with these.
    pub fn merge(&mut self, other: &Self) {
        self.people += other.people;
        self.key = self.key.wrapping_add(other.key);
        for (own, other) in self.marks.iter_mut().zip(other.marks.iter()) {
            *own ^= other;
        }
    }

    /// Takes the people of a part away, all of whom are in it.
    pub fn part_with(&mut self, part: &Self) {
        self.people = self.people.saturating_sub(part.people);
        self.key = self.key.wrapping_sub(part.key);
        for (own, part) in self.marks.iter_mut().zip(part.marks.iter()) {
            *own ^= part;
        }
    }

    /// In how many marks two cells differ.
    #[must_use]
    pub fn differs(&self, other: &Self) -> usize {
        self.marks.iter().zip(other.marks.iter()).filter(|(own, other)| own != other).count()
    }

    /// Its bytes, all marks among them.
    ///
    /// # Errors
    /// When there are more people than a `u32` counts.
    pub fn write(&self) -> Result<Vec<u8>, NoSummary> {
        let mut bytes = Vec::with_capacity(HEAD + MARKS);
        bytes.extend(u32::try_from(self.people).map_err(|_| NoSummary)?.to_le_bytes());
        bytes.push(self.key);
        bytes.extend_from_slice(self.marks.as_slice());
        Ok(bytes)
    }

    /// Of its bytes.
    ///
    /// # Errors
    /// When they are none of a summary.
    pub fn read(bytes: &[u8]) -> Result<Self, NoSummary> {
        let (people, key) = head(bytes)?;
        let mut summary = Self { people, key, ..Self::default() };
        let rest = bytes.get(HEAD..).ok_or(NoSummary)?;
        if rest.len() == MARKS {
            summary.marks.copy_from_slice(rest);
        } else if people <= LISTED as u64 && rest.len() as u64 == people * 2 {
            for pair in rest.as_chunks::<2>().0 {
                let [place, mark] = *pair;
                summary.mix(place, mark);
            }
        } else {
            return Err(NoSummary);
        }
        Ok(summary)
    }
}

/// The number of people and the key, without looking at the rest.
///
/// # Errors
/// When there are fewer bytes than that.
pub fn head(bytes: &[u8]) -> Result<(u64, u8), NoSummary> {
    match bytes {
        [a, b, c, d, key, ..] => Ok((u64::from(u32::from_le_bytes([*a, *b, *c, *d])), *key)),
        _ => Err(NoSummary),
    }
}

/// Which mark a person changes, what is mixed into it, and what they add to the key.
pub(in crate::plan) fn of_person(person: &[u8; BYTES]) -> [u8; 3] {
    let [.., mark, place, key] = *person;
    [place, mark, key]
}

/// The bytes of a summary of so many people, each once: a list of few, all marks of many.
pub(in crate::plan) fn written(count: usize, people: impl Iterator<Item = [u8; 3]>) -> Result<Vec<u8>, NoSummary> {
    if count <= LISTED {
        return listed(&people.collect::<Vec<_>>());
    }
    let mut summary = Summary::default();
    people.for_each(|somebody| summary.put(somebody));
    summary.write()
}

/// The bytes of a summary of listed people.
fn listed(people: &[[u8; 3]]) -> Result<Vec<u8>, NoSummary> {
    let mut bytes = Vec::with_capacity(HEAD + 2 * people.len());
    bytes.extend(u32::try_from(people.len()).map_err(|_| NoSummary)?.to_le_bytes());
    bytes.push(people.iter().fold(0, |sum: u8, [_, _, key]| sum.wrapping_add(*key)));
    let mut pairs: Vec<[u8; 2]> = people.iter().map(|[place, mark, _]| [*place, *mark]).collect();
    // The same people in the same bytes, in whatever order they came.
    pairs.sort_unstable();
    bytes.extend(pairs.into_iter().flatten());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn of(people: &BTreeSet<[u8; BYTES]>) -> Summary {
        let mut summary = Summary::default();
        people.iter().for_each(|person| summary.add(person));
        summary
    }

    fn people(most: usize) -> impl Strategy<Value = BTreeSet<[u8; BYTES]>> {
        prop::collection::btree_set(any::<[u8; BYTES]>(), 0..most)
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_whole(people in people(400), cut in 0_usize..400) {
            let whole = of(&people);
            let (a, b): (BTreeSet<_>, BTreeSet<_>) = {
                let mut all = people.into_iter();
                (all.by_ref().take(cut).collect(), all.collect())
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(&merged, &whole);
            merged.part_with(&of(&a));
            prop_assert_eq!(merged, of(&b));
        }

        #[test]
        fn listed_and_mixed_bytes_say_the_same(people in people(LISTED + 1)) {
            let triples: Vec<[u8; 3]> = people.iter().map(of_person).collect();
            let whole = of(&people);
            prop_assert_eq!(&Summary::read(&listed(&triples).unwrap()).unwrap(), &whole);
            let bytes = whole.write().unwrap();
            prop_assert_eq!(head(&bytes).unwrap(), (whole.people, whole.key));
            prop_assert_eq!(Summary::read(&bytes).unwrap(), whole);
        }

        #[test]
        fn so_many_people_differ_in_so_many_marks_at_most(common in people(300), own in people(12), other in people(12)) {
            let with = |more: &BTreeSet<[u8; BYTES]>| of(&common.union(more).copied().collect());
            let apart = own.symmetric_difference(&other).filter(|person| !common.contains(*person)).count();
            prop_assert!(with(&own).differs(&with(&other)) <= apart);
        }

        #[test]
        fn other_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(summary) = Summary::read(&bytes) {
                let listed = summary.people * 2 + 5 == bytes.len() as u64;
                prop_assert!(listed || bytes.len() == 5 + MARKS);
            }
        }
    }

    #[test]
    fn many_who_differ_differ_in_many_marks() {
        let person = |n: u32| {
            let mut state = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut bytes = [0; BYTES];
            for byte in &mut bytes {
                state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                *byte = state.to_be_bytes()[0];
            }
            bytes
        };
        let (a, b): (BTreeSet<_>, BTreeSet<_>) = ((0..5_000).map(person).collect(), (0..5_030).map(person).collect());
        assert!(of(&a).differs(&of(&b)) > 20, "{}", of(&a).differs(&of(&b)));
    }
}
