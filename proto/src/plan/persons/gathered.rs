//! People of many groups, put down as they come, and each once at the end.
//!
//! Every now and then they are sorted out: brought together by group, and whoever is there twice goes. When that showed that many
//! are, whoever comes is looked up first from then on, in a set of (group, person) for all groups: what is put down never grows far
//! beyond the people that there are.

use arrow::array::FixedSizeBinaryArray;
use std::{collections::HashSet, hash::BuildHasherDefault};

use super::groups::{BYTES, Entry};
use crate::plan::spread::Spread;

/// A pseudonym: its bytes in the machine's order.
pub(super) type Person = i128;

/// So many are put down before they are sorted out for the first time: 10 MB.
const FIRST: usize = 1 << 19;
/// After that, so many times those who are left.
const AGAIN: usize = 4;

/// Lists of so many people stay where they came, others are copied.
const LONG: usize = 8;

/// A list of people as it came, of one group.
#[derive(Debug, Clone, Copy)]
struct List {
    group: u32,
    /// which of the kept arrays
    kept: u32,
    from: u32,
    len: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// sorted out: where each group's people end, and the people
    ends: Vec<usize>,
    people: Vec<Person>,
    /// nobody of them is twice in a group
    each_once: bool,
    /// as they came
    loose: Vec<Entry>,
    lists: Vec<List>,
    kept: Vec<FixedSizeBinaryArray>,
    /// how many are in the lists
    listed: usize,
    /// in place of all of them, when many are there twice
    seen: Option<HashSet<Entry, BuildHasherDefault<Spread>>>,
    /// so many may be put down before they are sorted out
    most: Option<usize>,
    /// few were there twice when they were sorted out
    rare: bool,
    /// rows of one person often follow each other
    last: Option<Entry>,
}

impl Gathered {
    #[inline]
    pub(super) fn add(&mut self, group: u32, person: Person) {
        let entry = Entry { group, person: person.to_ne_bytes() };
        if self.last == Some(entry) {
            return;
        }
        self.last = Some(entry);
        match &mut self.seen {
            None => self.loose.push(entry),
            Some(seen) => _ = seen.insert(entry),
        }
    }

    /// Adds lists of people, pieces of `array`, each with its group. None of them is NULL.
    pub(super) fn add_lists(
        &mut self,
        array: &FixedSizeBinaryArray,
        lists: impl Iterator<Item = (u32, std::ops::Range<usize>)>,
    ) {
        let people = array.value_data().as_chunks::<BYTES>().0;
        let kept = u32::try_from(self.kept.len()).ok().filter(|_| self.seen.is_none());
        let before = self.lists.len();
        for (group, range) in lists {
            if let (Some(kept), Ok(from), Ok(len)) = (kept, u32::try_from(range.start), u32::try_from(range.len()))
                && range.len() >= LONG
            {
                self.lists.push(List { group, kept, from, len });
                self.listed += range.len();
                continue;
            }
            for person in people.get(range).unwrap_or_default() {
                self.add(group, Person::from_ne_bytes(*person));
            }
        }
        if self.lists.len() > before {
            self.kept.push(array.clone());
        }
    }

    /// Sorts out when there are many. Of so many groups.
    pub(super) fn tidy(&mut self, groups: usize) {
        let put = self.loose.len() + self.listed;
        if put <= self.most.unwrap_or(FIRST) {
            return;
        }
        let before = self.people.len() + put;
        self.sort_out(groups, true);
        let gone = before - self.people.len();
        self.rare = gone < put / 8;
        self.most = Some((self.people.len() * AGAIN).max(FIRST));
        if gone > put / 2 {
            self.seen = Some(self.entries().collect());
            (self.ends, self.people) = (Vec::new(), Vec::new());
        }
    }

    /// Takes the first `groups` of `all` groups: where the people of each end, and the people; those of the others stay. Each person is
    /// there once when `distinct`, else unless that is rare.
    pub(super) fn take(&mut self, groups: usize, all: usize, distinct: bool) -> (Vec<usize>, Vec<Person>) {
        self.sort_out(all, distinct || !self.rare);
        let rest = self.ends.split_off(groups.min(self.ends.len()));
        let ends = std::mem::take(&mut self.ends);
        let cut = ends.last().copied().unwrap_or(0);
        let others = self.people.split_off(cut);
        let people = std::mem::replace(&mut self.people, others);
        self.ends = rest.into_iter().map(|end| end - cut).collect();
        (ends, people)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.ends.capacity() * size_of::<usize>()
            + (self.people.capacity() + self.listed) * size_of::<Person>()
            + self.loose.capacity() * size_of::<Entry>()
            + self.lists.capacity() * size_of::<List>()
            + self.seen.as_ref().map_or(0, |seen| seen.capacity() * (size_of::<Entry>() + 1))
    }

    /// Those who are sorted out.
    fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let starts = std::iter::once(&0).chain(&self.ends);
        (0..).zip(starts.zip(&self.ends)).flat_map(|(group, (from, to))| {
            let people = self.people.get(*from..*to).unwrap_or_default();
            people.iter().map(move |person| Entry { group, person: person.to_ne_bytes() })
        })
    }

    /// Brings everybody together by group.
    fn sort_out(&mut self, groups: usize, distinct: bool) {
        let seen = self.seen.take();
        let was_set = seen.is_some();
        self.last = None;
        if !self.loose.is_empty() || !self.lists.is_empty() || was_set {
            self.bring_together(groups, &seen.unwrap_or_default());
            self.each_once = was_set;
        }
        let last = self.people.len();
        self.ends.resize(groups, last);
        if distinct && !self.each_once {
            each_once(&mut self.ends, &mut self.people);
            self.each_once = true;
        }
    }

    fn bring_together(&mut self, groups: usize, seen: &HashSet<Entry, BuildHasherDefault<Spread>>) {
        // how many each group has, and then where its next one goes
        let mut next = vec![0_usize; groups];
        let mut start = 0;
        for (count, end) in next.iter_mut().zip(&self.ends) {
            *count = end - start;
            start = *end;
        }
        let mut more = |group: u32, count: usize| {
            if let Some(has) = next.get_mut(group as usize) {
                *has += count;
            }
        };
        self.loose.iter().chain(seen).for_each(|entry| more(entry.group, 1));
        self.lists.iter().for_each(|list| more(list.group, list.len as usize));
        let mut total = 0;
        for count in &mut next {
            total += std::mem::replace(count, total);
        }
        let mut people: Vec<Person> = vec![0; total];
        let mut start = 0;
        for (next, end) in next.iter_mut().zip(&self.ends) {
            let from = self.people.get(start..*end).unwrap_or_default();
            start = *end;
            if let Some(to) = people.get_mut(*next..*next + from.len()) {
                to.copy_from_slice(from);
            }
            *next += from.len();
        }
        let mut put = |group: u32, person: &[u8; BYTES]| {
            let Some(next) = next.get_mut(group as usize) else { return };
            if let Some(place) = people.get_mut(*next) {
                *place = Person::from_ne_bytes(*person);
            }
            *next += 1;
        };
        self.loose.iter().chain(seen).for_each(|entry| put(entry.group, &entry.person));
        for List { group, kept, from, len } in &self.lists {
            let Some(array) = self.kept.get(*kept as usize) else { continue };
            let of = array.value_data().as_chunks::<BYTES>().0;
            let from = *from as usize;
            of.get(from..from + *len as usize).unwrap_or_default().iter().for_each(|person| put(*group, person));
        }
        (self.ends, self.people) = (next, people);
        (self.loose, self.lists, self.kept, self.listed) = Default::default();
    }
}

/// Drops whoever is in a group already; the others move up.
fn each_once(ends: &mut [usize], people: &mut Vec<Person>) {
    let (mut from, mut kept) = (0, 0);
    // of a group: the place of a person among those who are kept, from 1 on
    let mut slots: Vec<u32> = Vec::new();
    for end in ends {
        let first = kept;
        let bits = (2 * (*end - from)).max(2).next_power_of_two().trailing_zeros();
        slots.clear();
        slots.resize(1 << bits, 0);
        for at in from..*end {
            let Some(person) = people.get(at).copied() else { break };
            let mut slot = (word(person).wrapping_mul(0xd6e8_feb8_6659_fd93) >> (64 - bits)) as usize;
            while let Some(taken) = slots.get_mut(slot) {
                if *taken == 0 {
                    // A group has fewer people than a slot counts.
                    *taken = u32::try_from(kept - first + 1).unwrap_or(u32::MAX);
                    if let Some(place) = people.get_mut(kept) {
                        *place = person;
                    }
                    kept += 1;
                    break;
                }
                if people.get(first + *taken as usize - 1) == Some(&person) {
                    break;
                }
                slot = (slot + 1) & ((1 << bits) - 1);
            }
        }
        from = *end;
        *end = kept;
    }
    people.truncate(kept);
}

/// Pseudonyms are as good as random; not so those of tests.
pub(super) fn word(person: Person) -> u64 {
    let [low, high] = [person, person >> 64].map(|half| (half & Person::from(u64::MAX)) as u64);
    low ^ high.rotate_left(32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const GROUPS: u32 = 5;

    #[derive(Debug, Clone)]
    enum Step {
        Add(u32, i128),
        /// people in a row, cut into lists
        Lists(Vec<(u32, Vec<i128>)>),
        Tidy,
        /// the first groups leave, and the others move down
        Take(usize, bool),
    }

    fn step(people: i128) -> impl Strategy<Value = Step> {
        let lists = prop::collection::vec((0..GROUPS, prop::collection::vec(0..people, 0..30)), 0..6);
        prop_oneof![
            6 => (0..GROUPS, 0..people).prop_map(|(group, person)| Step::Add(group, person)),
            3 => lists.prop_map(Step::Lists),
            2 => Just(Step::Tidy),
            1 => (0..=GROUPS as usize, any::<bool>()).prop_map(|(groups, distinct)| Step::Take(groups, distinct)),
        ]
    }

    /// As a project's are.
    fn pseudonym(person: i128) -> Person {
        person.wrapping_mul(0x1e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    fn put_down(gathered: &mut Gathered, lists: &[(u32, Vec<i128>)]) {
        let people = lists.iter().flat_map(|(_, people)| people).map(|person| pseudonym(*person).to_ne_bytes());
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(people.map(Some), 16).unwrap();
        let mut from = 0;
        let ranges = lists.iter().map(|(group, people)| {
            from += people.len();
            (*group, from - people.len()..from)
        });
        gathered.add_lists(&array, ranges);
    }

    fn taken(gathered: &mut Gathered, groups: usize, distinct: bool) -> Vec<Vec<Person>> {
        let (ends, people) = gathered.take(groups, GROUPS as usize, distinct);
        assert_eq!((ends.len(), ends.last().copied().unwrap_or(0)), (groups, people.len()));
        let starts = std::iter::once(&0).chain(&ends);
        starts.zip(&ends).map(|(from, to)| people[*from..*to].to_vec()).collect()
    }

    proptest! {
        #[test]
        fn everybody_is_there_once_however_they_came(
            few in prop::collection::vec(step(12), 0..60),
            many in prop::collection::vec(step(4_000), 0..60),
            most in 1_usize..40,
        ) {
            for steps in [few, many] {
                let mut gathered = Gathered { most: Some(most), ..Gathered::default() };
                let mut expected = vec![BTreeSet::new(); GROUPS as usize];
                for step in steps.into_iter().chain([Step::Take(GROUPS as usize, true)]) {
                    match step {
                        Step::Add(group, person) => {
                            expected[group as usize].insert(pseudonym(person));
                            gathered.add(group, pseudonym(person));
                        }
                        Step::Lists(lists) => {
                            put_down(&mut gathered, &lists);
                            for (group, people) in lists {
                                expected[group as usize].extend(people.into_iter().map(pseudonym));
                            }
                        }
                        Step::Tidy => {
                            gathered.tidy(GROUPS as usize);
                            gathered.most = gathered.most.map(|_| most);
                        }
                        Step::Take(groups, distinct) => {
                            let people = taken(&mut gathered, groups, distinct);
                            for (people, expected) in people.iter().zip(&expected) {
                                prop_assert!(!distinct || people.len() == expected.len());
                                prop_assert_eq!(&people.iter().copied().collect::<BTreeSet<_>>(), expected);
                            }
                            expected.drain(..groups);
                            expected.resize(GROUPS as usize, BTreeSet::new());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_put_down_stays_near_to_the_people_that_there_are() {
        let mut gathered = Gathered { most: Some(100), ..Gathered::default() };
        for row in 0..600_000_i128 {
            gathered.add(0, pseudonym(row * 7 % 1_000));
            gathered.tidy(1);
        }
        assert!(gathered.seen.is_some(), "many are there twice");
        assert!(gathered.bytes() < FIRST * size_of::<Entry>());
        let (ends, people) = gathered.take(1, 1, true);
        assert_eq!((ends, people.len()), (vec![1_000], 1_000));
    }
}
