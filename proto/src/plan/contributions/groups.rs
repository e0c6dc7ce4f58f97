//! One table of (group, person) for all groups of an aggregate, with the sum of that person's values; where a mean or a spread is asked
//! for, also how many they are and what their squares add up to.
//!
//! Whoever has nothing but zeros has the sum -0.0, which no other sum of values comes to: what adds up to nothing (1 and -1) is
//! +0.0. So one number says both how much somebody contributes and whether they do.

use super::{
    MOST,
    amounts::{add_nobody, amount},
    outer::Outer,
    parts::{Contributions, Sizes},
    rows::{NOTHING, Rows, Sums, add_up, value},
};
use crate::plan::{
    persons::{
        NoSummary, Summary,
        groups::{BYTES, Entry, passes},
        summaries::Summaries,
    },
    spread::Spread,
};
use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, ListArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, FieldRef, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, internal_datafusion_err},
    logical_expr::{EmitTo, GroupsAccumulator},
};
use std::{
    collections::{HashMap, hash_map},
    hash::BuildHasherDefault,
    sync::Arc,
};

/// Bytes of a number.
const NUMBER: usize = size_of::<f64>();

/// Field of the lists that travel between the phases of an aggregate.
pub(super) fn item(numbers: usize) -> FieldRef {
    Arc::new(Field::new_list_field(DataType::FixedSizeBinary(width(numbers)), false))
}

/// Of a pseudonym and the numbers.
const fn width(numbers: usize) -> i32 {
    super::WIDTH + 8 * numbers as i32
}

/// A group of which some row has a value.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    people: usize,
    /// what rows without a person number add up to, when one of them adds something
    nobody: Option<f64>,
}

/// What everybody adds to every group.
#[derive(Debug)]
pub(super) struct Groups<const N: usize> {
    sums: HashMap<Entry, Sums<N>, BuildHasherDefault<Spread>>,
    cells: Vec<Option<Cell>>,
    /// rows of one person often follow each other: what they add up to so far
    last: Option<(Entry, Sums<N>)>,
}

impl<const N: usize> Default for Groups<N> {
    fn default() -> Self {
        Self { sums: HashMap::default(), cells: Vec::new(), last: None }
    }
}

impl<const N: usize> Groups<N> {
    fn grow(&mut self, groups: usize) {
        if self.cells.len() < groups {
            self.cells.resize(groups, None);
        }
    }

    fn add(&mut self, group: usize, person: Option<&[u8]>, sums: Sums<N>) -> Result<()> {
        let Some(cell) = self.cells.get_mut(group) else {
            return exec_err!("contributions: group out of range");
        };
        let cell = cell.get_or_insert_default();
        let value = value(&sums);
        let Some(person) = person else {
            if adds(value) {
                *cell.nobody.get_or_insert(NOTHING) += value;
            }
            return Ok(());
        };
        let person =
            person.try_into().map_err(|_| internal_datafusion_err!("contributions: pseudonym of another width"))?;
        let group = u32::try_from(group).map_err(|_| internal_datafusion_err!("contributions: too many groups"))?;
        self.add_sum(Entry { group, person }, sums);
        Ok(())
    }

    fn add_sum(&mut self, entry: Entry, sums: Sums<N>) {
        match &mut self.last {
            Some((last, so_far)) if *last == entry => add_up(so_far, &sums),
            _ => {
                self.settle();
                self.last = Some((entry, sums));
            }
        }
    }

    /// What was added last goes into the table.
    fn settle(&mut self) {
        let Some((entry, sums)) = self.last.take() else { return };
        match self.sums.entry(entry) {
            hash_map::Entry::Occupied(mut known) => add_up(known.get_mut(), &sums),
            hash_map::Entry::Vacant(place) => {
                place.insert(sums);
                if let Some(Some(cell)) = self.cells.get_mut(entry.group as usize) {
                    cell.people += 1;
                }
            }
        }
    }

    /// Adds the sums of list `row` to a group.
    fn merge(&mut self, group: usize, lists: &ListArray, nobody: &Float64Array, row: usize) -> Result<()> {
        if lists.is_null(row) {
            return Ok(());
        }
        let Some(cell) = self.cells.get_mut(group) else {
            return exec_err!("contributions: group out of range");
        };
        let cell = cell.get_or_insert_default();
        if nobody.is_valid(row) {
            *cell.nobody.get_or_insert(NOTHING) += nobody.value(row);
        }
        let items = lists.value(row);
        let Some(items) = items.as_fixed_size_binary_opt() else {
            return exec_err!("contributions: state is not a list of sums");
        };
        let group = u32::try_from(group).map_err(|_| internal_datafusion_err!("contributions: too many groups"))?;
        for item in items.iter().flatten() {
            let Some((person, sum)) = item.split_first_chunk::<BYTES>() else { continue };
            let mut sums = [NOTHING; N];
            for (sum, bytes) in sums.iter_mut().zip(sum.as_chunks::<NUMBER>().0) {
                *sum = f64::from_le_bytes(*bytes);
            }
            self.add_sum(Entry { group, person: *person }, sums);
        }
        Ok(())
    }

    /// Everything belongs to group 0.
    pub(super) fn add_all(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.grow(1);
        let rows = Rows::<N>::of(values)?;
        (0..rows.people.len()).try_for_each(|i| match rows.sums(i) {
            Some(sums) => self.add(0, rows.person(i), sums),
            None => Ok(()),
        })
    }

    /// Everything belongs to group 0.
    pub(super) fn merge_all(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.grow(1);
        let (lists, nobody) = state(states)?;
        (0..lists.len()).try_for_each(|row| self.merge(0, lists, nobody, row))
    }

    /// What is said of group 0.
    pub(super) fn first(&mut self) -> Result<ScalarValue> {
        self.grow(1);
        ScalarValue::try_from_array(&self.evaluate(EmitTo::All)?, 0)
    }

    /// The state of group 0.
    pub(super) fn first_state(&mut self) -> Result<Vec<ScalarValue>> {
        self.grow(1);
        self.state(EmitTo::All)?.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.sums.capacity() * (size_of::<(Entry, Sums<N>)>() + 1) + self.cells.capacity() * size_of::<Option<Cell>>()
    }

    fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.cells.len(),
            EmitTo::First(n) => n.min(self.cells.len()),
        }
    }

    /// What is said of the first `groups` groups.
    fn said(&mut self, groups: usize) -> Result<Vec<Option<Vec<u8>>>> {
        self.settle();
        let cells = self.cells.get(..groups).unwrap_or_default();
        let of_nobody = |cell: &Option<Cell>| cell.and_then(|cell| cell.nobody);
        // Those who add something; rows of nobody make it some, of no people.
        let mut adding: Vec<Option<usize>> = cells.iter().map(|cell| of_nobody(cell).map(|_| 0)).collect();
        let mut sizes: Vec<Sizes> = vec![Sizes::default(); groups];
        for (sizes, cell) in sizes.iter_mut().zip(cells) {
            of_nobody(cell).into_iter().for_each(|sum| sizes.add(sum));
        }
        let adders = || self.sums.iter().map(|(entry, sums)| (entry, value(sums))).filter(|(_, sum)| adds(*sum));
        for (entry, sum) in adders() {
            if let (Some(adding), Some(sizes)) =
                (adding.get_mut(entry.group as usize), sizes.get_mut(entry.group as usize))
            {
                *adding.get_or_insert(0) += 1;
                sizes.add(sum);
            }
        }
        let mut all = Summaries::new(cells.iter().map(|cell| cell.map(|cell| cell.people)));
        self.sums.keys().for_each(|entry| all.add(entry.group as usize, &entry.person));
        // Where all add something, their summary is there already.
        let some = |cell: &Option<Cell>, adding: &Option<usize>| {
            adding.filter(|adding| cell.is_some_and(|cell| cell.people != *adding))
        };
        let mut apart = Summaries::new(cells.iter().zip(&adding).map(|(cell, adding)| some(cell, adding)));
        adders().for_each(|(entry, _)| apart.add(entry.group as usize, &entry.person));

        let mut outer = vec![Outer::new(N); groups];
        for (entry, sums) in &self.sums {
            outer.get_mut(entry.group as usize).into_iter().for_each(|outer| outer.add(&entry.person, sums));
        }
        for (outer, cell) in outer.iter_mut().zip(cells) {
            of_nobody(cell).into_iter().for_each(|sum| outer.add_nobody(sum));
            outer.leave_out();
        }

        let too_many = |_| internal_datafusion_err!("contributions: too many people in one cell");
        let amounts = self.amounts(cells, &adding).map_err(too_many)?;
        let (all, apart) = (all.write().map_err(too_many)?, apart.write().map_err(too_many)?);
        let parts = all.iter().zip(&apart).zip(adding.iter().zip(sizes).zip(&outer));
        parts
            .enumerate()
            .map(|(cell, ((all, apart), ((adding, sizes), outer)))| {
                let Some(all) = all else { return Ok(None) };
                let adding = adding.map(|_| apart.as_ref().unwrap_or(all).as_slice());
                let mut told = [None; MOST];
                for (told, amounts) in told.iter_mut().zip(&amounts) {
                    *told = amounts.get(cell).and_then(Option::as_deref);
                }
                let outer = outer.write();
                let said = Contributions { all, adding, sizes: Some(sizes), amounts: told, outer: Some(&outer) };
                said.write().map(Some).map_err(too_many)
            })
            .collect()
    }

    /// Who adds how much to each cell: to a sum those who add something, to what else there is all.
    fn amounts(
        &self,
        cells: &[Option<Cell>],
        adding: &[Option<usize>],
    ) -> std::result::Result<Vec<Vec<Option<Vec<u8>>>>, NoSummary> {
        let mut told = Vec::with_capacity(N);
        for numbers in 1..=N {
            let people = cells.iter().zip(adding).map(|(cell, adding)| {
                cell.map(|cell| if numbers == 1 { adding.unwrap_or_default() } else { cell.people })
            });
            let mut amounts = Summaries::new(people);
            for (entry, sums) in self.sums.iter().filter(|(_, sums)| numbers > 1 || adds(value(sums))) {
                let sums = sums.get(..numbers).unwrap_or_default();
                amounts.put(entry.group as usize, amount(&entry.person, sums));
            }
            let mut amounts = amounts.write()?;
            for (amounts, cell) in amounts.iter_mut().zip(cells) {
                if let (Some(bytes), Some(nobody)) = (&mut *amounts, cell.and_then(|cell| cell.nobody)) {
                    let mut summary = Summary::read(bytes)?;
                    add_nobody(&mut summary.marks, nobody);
                    *amounts = Some(summary.write()?);
                }
            }
            told.push(amounts);
        }
        Ok(told)
    }

    /// Drops the first `groups` groups; the others move down.
    fn forget(&mut self, groups: usize) -> Result<()> {
        if groups >= self.cells.len() {
            *self = Self::default();
            return Ok(());
        }
        self.cells.drain(..groups);
        let shift = u32::try_from(groups).map_err(|_| internal_datafusion_err!("contributions: too many groups"))?;
        self.sums = std::mem::take(&mut self.sums)
            .into_iter()
            .filter_map(|(entry, sums)| Some((Entry { group: entry.group.checked_sub(shift)?, ..entry }, sums)))
            .collect();
        Ok(())
    }
}

impl<const N: usize> GroupsAccumulator for Groups<N> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let rows = Rows::<N>::of(values)?;
        for (i, group) in group_indices.iter().enumerate() {
            if let Some(sums) = rows.sums(i).filter(|_| passes(opt_filter, i)) {
                self.add(*group, rows.person(i), sums)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.emitted(emit_to);
        let said = BinaryArray::from_iter(self.said(groups)?);
        self.forget(groups)?;
        Ok(Arc::new(said))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.settle();
        let groups = self.emitted(emit_to);
        let cells = self.cells.get(..groups).unwrap_or_default();
        let nulls: NullBuffer = cells.iter().map(Option::is_some).collect();
        let nobody: Float64Array = cells.iter().map(|cell| cell.and_then(|cell| cell.nobody)).collect();
        let mut next: Vec<usize> = Vec::with_capacity(groups);
        let mut offsets: Vec<i32> = Vec::with_capacity(groups + 1);
        offsets.push(0);
        let mut end = 0_usize;
        for cell in cells {
            next.push(end);
            end += cell.map_or(0, |cell| cell.people);
            offsets.push(
                i32::try_from(end)
                    .map_err(|_| internal_datafusion_err!("contributions: too many people in one state"))?,
            );
        }
        let item_bytes = BYTES + N * NUMBER;
        let mut bytes = vec![0_u8; end * item_bytes];
        for (entry, sums) in &self.sums {
            if let Some(at) = next.get_mut(entry.group as usize) {
                let place = bytes.get_mut(*at * item_bytes..(*at + 1) * item_bytes);
                if let Some((person, place)) = place.and_then(|place| place.split_first_chunk_mut::<BYTES>()) {
                    *person = entry.person;
                    for (place, sum) in place.as_chunks_mut::<NUMBER>().0.iter_mut().zip(sums) {
                        *place = sum.to_le_bytes();
                    }
                }
                *at += 1;
            }
        }
        self.forget(groups)?;
        let items = FixedSizeBinaryArray::try_new(width(N), Buffer::from_vec(bytes), None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let lists = ListArray::try_new(item(N), offsets, Arc::new(items), Some(nulls))?;
        Ok(vec![Arc::new(lists), Arc::new(nobody)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.grow(total_num_groups);
        let (lists, nobody) = state(values)?;
        group_indices.iter().enumerate().try_for_each(|(row, group)| self.merge(*group, lists, nobody, row))
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = Rows::<N>::of(values)?;
        let people = rows.people;
        // each row is a list of its own: of one person, or of none
        let mut offsets: Vec<i32> = Vec::with_capacity(people.len() + 1);
        let mut bytes = Vec::with_capacity(people.len() * (BYTES + N * NUMBER));
        let mut end = 0_i32;
        offsets.push(end);
        let counted = |i: usize| rows.sums(i).filter(|_| passes(opt_filter, i));
        for i in 0..people.len() {
            if let (Some(sums), Some(person)) = (counted(i), rows.person(i)) {
                bytes.extend_from_slice(person);
                sums.iter().for_each(|sum| bytes.extend_from_slice(&sum.to_le_bytes()));
                end += 1;
            }
            offsets.push(end);
        }
        let nulls: NullBuffer = (0..people.len()).map(|i| counted(i).is_some()).collect();
        let nobody: Float64Array = (0..people.len())
            .map(|i| counted(i).filter(|_| people.is_null(i)).map(|sums| value(&sums)).filter(|v| adds(*v)))
            .collect();
        let items = FixedSizeBinaryArray::try_new(width(N), Buffer::from_vec(bytes), None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let lists = ListArray::try_new(item(N), offsets, Arc::new(items), Some(nulls))?;
        Ok(vec![Arc::new(lists), Arc::new(nobody)])
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// Whether a sum is of more than zeros.
fn adds(sum: f64) -> bool {
    sum.to_bits() != NOTHING.to_bits()
}

fn state(values: &[ArrayRef]) -> Result<(&ListArray, &Float64Array)> {
    let [lists, nobody] = values else { return exec_err!("contributions: a state has two columns") };
    match (lists.as_list_opt(), nobody.as_primitive_opt::<Float64Type>()) {
        (Some(lists), Some(nobody)) => Ok((lists, nobody)),
        _ => exec_err!("contributions: state is not a list of sums"),
    }
}
