//! People of many groups, put down as they come, and each once at the end, with what the numbers beside them add up to.
//!
//! Every now and then they are sorted out: brought together by group, so that what is compared lies side by side, and whoever is there
//! twice is put together. When that showed that many are, whoever comes is looked up first from then on, in a set of (group, person)
//! for all groups: what is put down never grows far beyond the people that there are. A set from the beginning is slower by the time
//! that memory takes to answer, once for each row.

use super::spread::Spread;
use arrow::array::FixedSizeBinaryArray;
use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// Width of a pseudonym in bytes.
pub(super) const BYTES: usize = 16;
/// The same in words.
const PERSON: usize = BYTES / WORD;
const WORD: usize = size_of::<u64>();

/// Somebody, in words of the machine's order: the pseudonym, and after it the numbers that are added up for them, a word each. Its
/// bytes are an item of the lists that travel between the phases of an aggregate.
pub(super) type Row<const W: usize> = [u64; W];

/// Words of somebody with so many numbers.
pub(super) const fn words(numbers: usize) -> usize {
    PERSON + numbers
}

/// How many numbers somebody of so many words has.
pub(super) const fn numbers_of(words: usize) -> usize {
    words - PERSON
}

/// Of the bytes of an item.
#[inline]
pub(super) fn row<const W: usize>(bytes: &[u8]) -> Row<W> {
    let mut row = [0; W];
    row.iter_mut().zip(bytes.as_chunks().0).for_each(|(word, bytes)| *word = u64::from_ne_bytes(*bytes));
    row
}

/// Of a pseudonym, and as many of the numbers as there is place for.
#[inline]
pub(super) fn somebody<const W: usize>(person: &[u8; BYTES], numbers: &[f64]) -> Row<W> {
    let mut row = row(person);
    row.iter_mut().skip(PERSON).zip(numbers).for_each(|(word, number)| *word = number.to_bits());
    row
}

/// The bytes of their pseudonym.
#[inline]
pub(super) fn person<const W: usize>(row: &Row<W>) -> [u8; BYTES] {
    let mut person = [0; BYTES];
    person.as_chunks_mut().0.iter_mut().zip(row).for_each(|(bytes, word)| *bytes = word.to_ne_bytes());
    person
}

/// Their numbers.
#[inline]
pub(super) fn numbers<const W: usize>(row: &Row<W>) -> impl Iterator<Item = f64> {
    row.iter().skip(PERSON).map(|word| f64::from_bits(*word))
}

/// Adds what is known of the same person.
#[inline]
fn add_up<const W: usize>(so_far: &mut Row<W>, more: &Row<W>) {
    for (word, more) in so_far.iter_mut().skip(PERSON).zip(numbers(more)) {
        *word = (f64::from_bits(*word) + more).to_bits();
    }
}

/// The two words of a pseudonym.
#[inline]
fn id<const W: usize>(row: &Row<W>) -> (u64, u64) {
    match row.as_slice() {
        [a, b, ..] => (*a, *b),
        _ => (0, 0),
    }
}

/// Pseudonyms are as good as random; not so those of tests.
#[inline]
fn word<const W: usize>(row: &Row<W>) -> u64 {
    let (a, b) = id(row);
    a ^ b.rotate_left(32)
}

/// Somebody in a group; equal to the same person in the same group, whatever their numbers.
#[derive(Debug, Clone, Copy)]
struct Entry<const W: usize> {
    group: u32,
    row: Row<W>,
}

impl<const W: usize> PartialEq for Entry<W> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.group == other.group && id(&self.row) == id(&other.row)
    }
}

impl<const W: usize> Eq for Entry<W> {}

impl<const W: usize> Hash for Entry<W> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let group = u64::from(self.group).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state.write_u64(word(&self.row) ^ group);
    }
}

type Seen<const W: usize> = HashSet<Entry<W>, BuildHasherDefault<Spread>>;

/// So many are put down before they are sorted out for the first time: 10 MB and more.
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

/// So many people are put down in one place: no longer one than is copied without a pause when it grows.
const PIECE: usize = if cfg!(test) { 4 } else { 1 << 14 };

/// People as they came: of which group each is, and who.
#[derive(Debug)]
struct Piece<const W: usize> {
    groups: Vec<u32>,
    rows: Vec<Row<W>>,
}

impl<const W: usize> Piece<W> {
    /// Whether there was place for somebody.
    #[inline]
    fn add(&mut self, group: u32, row: Row<W>) -> bool {
        // rows of one person often follow each other
        if let (Some(last), Some(known)) = (self.groups.last(), self.rows.last_mut())
            && *last == group
            && id(known) == id(&row)
        {
            add_up(known, &row);
            return true;
        }
        let place = self.groups.len() < PIECE;
        if place {
            self.groups.push(group);
            self.rows.push(row);
        }
        place
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row<W>>() + self.groups.capacity() * size_of::<u32>()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Gathered<const W: usize> {
    /// sorted out: where each group's people end, and the people
    ends: Vec<usize>,
    people: Vec<Row<W>>,
    /// nobody of them is twice in a group
    each_once: bool,
    /// as they came
    loose: Vec<Piece<W>>,
    lists: Vec<List>,
    kept: Vec<FixedSizeBinaryArray>,
    /// how many are in the lists
    listed: usize,
    /// in place of all of them, when many are there twice
    seen: Option<Seen<W>>,
    /// so many may be put down before they are sorted out
    most: Option<usize>,
    /// few were there twice when they were sorted out
    rare: bool,
}

impl<const W: usize> Default for Gathered<W> {
    fn default() -> Self {
        Self {
            ends: Vec::new(),
            people: Vec::new(),
            each_once: false,
            loose: Vec::new(),
            lists: Vec::new(),
            kept: Vec::new(),
            listed: 0,
            seen: None,
            most: None,
            rare: false,
        }
    }
}

impl<const W: usize> Gathered<W> {
    /// Adds somebody to a group.
    #[inline]
    pub(super) fn add(&mut self, group: u32, row: Row<W>) {
        if let Some(seen) = &mut self.seen {
            look_up(seen, Entry { group, row });
            return;
        }
        if let Some(piece) = self.loose.last_mut()
            && piece.add(group, row)
        {
            return;
        }
        // The first one grows; where there is a second one, there are many.
        let room = if self.loose.is_empty() { 0 } else { PIECE };
        let mut piece = Piece { groups: Vec::with_capacity(room), rows: Vec::with_capacity(room) };
        piece.add(group, row);
        self.loose.push(piece);
    }

    /// Adds lists of people, pieces of `array`, each with its group. None of them is NULL.
    pub(super) fn add_lists(
        &mut self,
        array: &FixedSizeBinaryArray,
        lists: impl Iterator<Item = (u32, std::ops::Range<usize>)>,
    ) {
        let people = array.value_data().chunks_exact(W * WORD);
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
            let few = people.clone().skip(range.start).take(range.len());
            few.for_each(|person| self.add(group, row(person)));
        }
        if self.lists.len() > before {
            self.kept.push(array.clone());
        }
    }

    /// Sorts out when there are many. Of so many groups.
    pub(super) fn tidy(&mut self, groups: usize) {
        let put = self.put_down();
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
    pub(super) fn take(&mut self, groups: usize, all: usize, distinct: bool) -> (Vec<usize>, Vec<Row<W>>) {
        self.sort_out(all, distinct || !self.rare);
        let rest = self.ends.split_off(groups.min(self.ends.len()));
        let ends = std::mem::take(&mut self.ends);
        let cut = ends.last().copied().unwrap_or(0);
        let others = self.people.split_off(cut);
        let people = std::mem::replace(&mut self.people, others);
        self.ends = rest.into_iter().map(|end| end - cut).collect();
        (ends, people)
    }

    /// How many are put down and not sorted out.
    fn put_down(&self) -> usize {
        // all pieces but the last are full
        let last = self.loose.last().map_or(0, |piece| piece.rows.len());
        self.loose.len().saturating_sub(1) * PIECE + last + self.listed
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.ends.capacity() * size_of::<usize>()
            + (self.people.capacity() + self.listed) * size_of::<Row<W>>()
            + self.loose.iter().map(Piece::bytes).sum::<usize>()
            + self.lists.capacity() * size_of::<List>()
            + self.seen.as_ref().map_or(0, |seen| seen.capacity() * (size_of::<Entry<W>>() + 1))
    }

    /// Those who are sorted out.
    fn entries(&self) -> impl Iterator<Item = Entry<W>> + '_ {
        let starts = std::iter::once(&0).chain(&self.ends);
        (0..).zip(starts.zip(&self.ends)).flat_map(|(group, (from, to))| {
            let people = self.people.get(*from..*to).unwrap_or_default();
            people.iter().map(move |row| Entry { group, row: *row })
        })
    }

    /// Brings everybody together by group.
    fn sort_out(&mut self, groups: usize, distinct: bool) {
        let seen = self.seen.take();
        let was_set = seen.is_some();
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

    fn bring_together(&mut self, groups: usize, seen: &Seen<W>) {
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
        self.loose.iter().flat_map(|piece| &piece.groups).for_each(|group| more(*group, 1));
        seen.iter().for_each(|entry| more(entry.group, 1));
        self.lists.iter().for_each(|list| more(list.group, list.len as usize));
        let mut total = 0;
        for count in &mut next {
            total += std::mem::replace(count, total);
        }
        let mut people: Vec<Row<W>> = vec![[0; W]; total];
        let mut start = 0;
        for (next, end) in next.iter_mut().zip(&self.ends) {
            let from = self.people.get(start..*end).unwrap_or_default();
            start = *end;
            if let Some(to) = people.get_mut(*next..*next + from.len()) {
                to.copy_from_slice(from);
            }
            *next += from.len();
        }
        let mut put = |group: u32, row: Row<W>| {
            let Some(next) = next.get_mut(group as usize) else { return };
            if let Some(place) = people.get_mut(*next) {
                *place = row;
            }
            *next += 1;
        };
        for piece in &self.loose {
            piece.groups.iter().zip(&piece.rows).for_each(|(group, row)| put(*group, *row));
        }
        seen.iter().for_each(|entry| put(entry.group, entry.row));
        for List { group, kept, from, len } in &self.lists {
            let (Some(array), Some(next)) = (self.kept.get(*kept as usize), next.get_mut(*group as usize)) else {
                continue;
            };
            let (from, len) = (*from as usize, *len as usize);
            let of = array.value_data().get(from * W * WORD..(from + len) * W * WORD).unwrap_or_default();
            let to = people.get_mut(*next..*next + len).unwrap_or_default();
            to.iter_mut().zip(of.chunks_exact(W * WORD)).for_each(|(place, bytes)| *place = row(bytes));
            *next += len;
        }
        (self.ends, self.people) = (next, people);
        (self.loose, self.lists, self.kept, self.listed) = Default::default();
    }
}

/// Adds somebody to a set, or to what is known of them there.
fn look_up<const W: usize>(seen: &mut Seen<W>, mut entry: Entry<W>) {
    match seen.get(&entry) {
        // there is nothing to add up
        Some(_) if W == PERSON => {}
        Some(known) => {
            let more = std::mem::replace(&mut entry.row, known.row);
            add_up(&mut entry.row, &more);
            seen.replace(entry);
        }
        None => _ = seen.insert(entry),
    }
}

/// Puts whoever is in a group already together with themselves; the others move up.
fn each_once<const W: usize>(ends: &mut [usize], people: &mut Vec<Row<W>>) {
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
            let mut slot = (word(&person).wrapping_mul(0xd6e8_feb8_6659_fd93) >> (64 - bits)) as usize;
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
                if let Some(known) = people.get_mut(first + *taken as usize - 1)
                    && id(known) == id(&person)
                {
                    add_up(known, &person);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const GROUPS: u32 = 5;
    /// With one number.
    const W: usize = words(1);

    type Sums = BTreeMap<[u8; BYTES], f64>;

    #[derive(Debug, Clone)]
    enum Step {
        Add(u32, (i128, u8)),
        /// people in a row, cut into lists
        Lists(Vec<(u32, Vec<(i128, u8)>)>),
        Tidy,
        /// the first groups leave, and the others move down
        Take(usize, bool),
    }

    fn step(people: i128) -> impl Strategy<Value = Step> {
        let somebody = move || (0..people, any::<u8>());
        let lists = prop::collection::vec((0..GROUPS, prop::collection::vec(somebody(), 0..30)), 0..6);
        prop_oneof![
            6 => (0..GROUPS, somebody()).prop_map(|(group, somebody)| Step::Add(group, somebody)),
            3 => lists.prop_map(Step::Lists),
            2 => Just(Step::Tidy),
            1 => (0..=GROUPS as usize, any::<bool>()).prop_map(|(groups, distinct)| Step::Take(groups, distinct)),
        ]
    }

    /// As a project's are.
    fn pseudonym(person: i128) -> [u8; BYTES] {
        person.wrapping_mul(0x1e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_ne_bytes()
    }

    fn with_sum((person, sum): (i128, u8)) -> Row<W> {
        somebody(&pseudonym(person), &[f64::from(sum)])
    }

    fn put_down(gathered: &mut Gathered<W>, lists: &[(u32, Vec<(i128, u8)>)]) {
        let people = lists.iter().flat_map(|(_, people)| people).map(|somebody| {
            let words = with_sum(*somebody);
            words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>()
        });
        let width = i32::try_from(W * WORD).unwrap();
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(people.map(Some), width).unwrap();
        let mut from = 0;
        let ranges = lists.iter().map(|(group, people)| {
            from += people.len();
            (*group, from - people.len()..from)
        });
        gathered.add_lists(&array, ranges);
    }

    fn add(sums: &mut [Sums], group: u32, (who, sum): (i128, u8)) {
        *sums[group as usize].entry(pseudonym(who)).or_default() += f64::from(sum);
    }

    fn taken(gathered: &mut Gathered<W>, groups: usize, distinct: bool) -> Vec<Vec<Row<W>>> {
        let (ends, people) = gathered.take(groups, GROUPS as usize, distinct);
        assert_eq!((ends.len(), ends.last().copied().unwrap_or(0)), (groups, people.len()));
        let starts = std::iter::once(&0).chain(&ends);
        starts.zip(&ends).map(|(from, to)| people[*from..*to].to_vec()).collect()
    }

    proptest! {
        #[test]
        fn everybody_is_there_once_with_their_sum_however_they_came(
            few in prop::collection::vec(step(12), 0..60),
            many in prop::collection::vec(step(4_000), 0..60),
            most in 1_usize..40,
        ) {
            for steps in [few, many] {
                let mut gathered = Gathered { most: Some(most), ..Gathered::default() };
                let mut expected = vec![Sums::new(); GROUPS as usize];
                for step in steps.into_iter().chain([Step::Take(GROUPS as usize, true)]) {
                    match step {
                        Step::Add(group, somebody) => {
                            add(&mut expected, group, somebody);
                            gathered.add(group, with_sum(somebody));
                        }
                        Step::Lists(lists) => {
                            put_down(&mut gathered, &lists);
                            for (group, people) in lists {
                                people.into_iter().for_each(|somebody| add(&mut expected, group, somebody));
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
                                let mut sums = Sums::new();
                                for somebody in people {
                                    *sums.entry(person(somebody)).or_default() += numbers(somebody).next().unwrap();
                                }
                                prop_assert_eq!(&sums, expected);
                            }
                            expected.drain(..groups);
                            expected.resize(GROUPS as usize, Sums::new());
                        }
                    }
                }
            }
        }

        #[test]
        fn numbers_are_kept_to_the_bit(who in any::<[u8; BYTES]>(), one in any::<u64>(), two in any::<u64>()) {
            let both = [one, two].map(f64::from_bits);
            let both: Row<{ words(2) }> = somebody(&who, &both);
            prop_assert_eq!(person(&both), who);
            prop_assert_eq!(numbers(&both).map(f64::to_bits).collect::<Vec<_>>(), [one, two]);
            prop_assert_eq!(numbers_of(both.len()), 2);
        }
    }

    #[test]
    fn what_is_put_down_stays_near_to_the_people_that_there_are() {
        let mut gathered = Gathered { most: Some(100), ..Gathered::default() };
        for at in 0..600_000_i128 {
            gathered.add(0, with_sum((at * 7 % 1_000, 1)));
            gathered.tidy(1);
        }
        assert!(gathered.seen.is_some(), "many are there twice");
        assert!(gathered.bytes() < FIRST * size_of::<Entry<W>>());
        let (ends, people) = gathered.take(1, 1, true);
        assert_eq!((ends, people.len()), (vec![1_000], 1_000));
        assert!(people.iter().all(|row| numbers(row).eq([600.0])));
    }
}
