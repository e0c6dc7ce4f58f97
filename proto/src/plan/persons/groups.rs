//! One hash set of (group, person) for all groups of an aggregate.

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, Int64Array, ListArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, internal_datafusion_err},
    logical_expr::{EmitTo, GroupsAccumulator},
};
use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

use super::{Says, summaries::Summaries};
use crate::plan::spread::Spread;

/// Width of a pseudonym in bytes.
pub(in crate::plan) const BYTES: usize = 16;

/// Field of the lists that travel between the phases of an aggregate.
pub(super) fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::FixedSizeBinary(super::WIDTH), true))
}

/// Somebody in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plan) struct Entry {
    pub(in crate::plan) group: u32,
    pub(in crate::plan) person: [u8; BYTES],
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (low, high) = self.person.split_at(8);
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let group = u64::from(self.group).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state.write_u64(word(low) ^ word(high).rotate_left(32) ^ group);
    }
}

/// Distinct people of every group.
#[derive(Debug, Default)]
pub(super) struct Groups {
    seen: HashSet<Entry, BuildHasherDefault<Spread>>,
    /// people of each group; `None` as long as the group has no row
    counts: Vec<Option<i64>>,
    /// rows of one person often follow each other
    last: Option<Entry>,
    says: Says,
}

impl Groups {
    /// No groups yet.
    pub(super) fn new(says: Says) -> Self {
        Self { says, ..Self::default() }
    }

    fn grow(&mut self, groups: usize) {
        if self.counts.len() < groups {
            self.counts.resize(groups, None);
        }
    }

    fn add(&mut self, group: usize, person: Option<&[u8]>) -> Result<()> {
        let Some(count) = self.counts.get_mut(group) else {
            return exec_err!("persons: group out of range");
        };
        let people = count.get_or_insert(0);
        let Some(person) = person else { return Ok(()) };
        let person = person.try_into().map_err(|_| internal_datafusion_err!("persons: pseudonym of another width"))?;
        let group = u32::try_from(group).map_err(|_| internal_datafusion_err!("persons: too many groups"))?;
        let entry = Entry { group, person };
        if self.last == Some(entry) {
            return Ok(());
        }
        self.last = Some(entry);
        if self.seen.insert(entry) {
            *people += 1;
        }
        Ok(())
    }

    /// Adds the people of list `row` to a group.
    fn merge(&mut self, group: usize, lists: &ListArray, row: usize) -> Result<()> {
        if lists.is_null(row) {
            return Ok(());
        }
        self.add(group, None)?;
        let people = pseudonyms(lists.values())?;
        let offset = |at: usize| lists.value_offsets().get(at).and_then(|offset| usize::try_from(*offset).ok());
        for i in offset(row).unwrap_or(0)..offset(row + 1).unwrap_or(0) {
            self.add(group, people.is_valid(i).then(|| people.value(i)))?;
        }
        Ok(())
    }

    /// Everything belongs to group 0.
    pub(super) fn add_all(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.grow(1);
        let people = pseudonyms(first(values)?)?;
        for i in 0..people.len() {
            self.add(0, people.is_valid(i).then(|| people.value(i)))?;
        }
        Ok(())
    }

    /// Everything belongs to group 0.
    pub(super) fn merge_all(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.grow(1);
        let lists = lists(states)?;
        (0..lists.len()).try_for_each(|row| self.merge(0, lists, row))
    }

    /// What is said of group 0.
    pub(super) fn first(&mut self) -> Result<ScalarValue> {
        self.grow(1);
        ScalarValue::try_from_array(&self.evaluate(EmitTo::All)?, 0)
    }

    /// The state of group 0 as a list.
    pub(super) fn first_state(&mut self) -> Result<Vec<ScalarValue>> {
        self.grow(1);
        let state = self.take_state(EmitTo::All)?;
        Ok(vec![ScalarValue::List(Arc::new(state))])
    }

    pub(super) fn bytes(&self) -> usize {
        self.seen.capacity() * (size_of::<Entry>() + 1) + self.counts.capacity() * size_of::<Option<i64>>()
    }

    fn take_state(&mut self, emit_to: EmitTo) -> Result<ListArray> {
        let groups = match emit_to {
            EmitTo::All => self.counts.len(),
            EmitTo::First(n) => n.min(self.counts.len()),
        };
        let counts = self.counts.get(..groups).unwrap_or_default();
        let nulls: NullBuffer = counts.iter().map(Option::is_some).collect();
        let lengths = counts.iter().map(|count| usize::try_from(count.unwrap_or(0)).unwrap_or(0));
        let mut next: Vec<usize> = Vec::with_capacity(groups);
        let mut offsets: Vec<i32> = Vec::with_capacity(groups + 1);
        offsets.push(0);
        let mut end = 0_usize;
        for length in lengths {
            next.push(end);
            end += length;
            offsets.push(
                i32::try_from(end).map_err(|_| internal_datafusion_err!("persons: too many people in one state"))?,
            );
        }
        let mut bytes = vec![0_u8; end * BYTES];
        for entry in &self.seen {
            if let Some(at) = next.get_mut(entry.group as usize) {
                if let Some(place) = bytes.get_mut(*at * BYTES..(*at + 1) * BYTES) {
                    place.copy_from_slice(&entry.person);
                }
                *at += 1;
            }
        }
        self.forget(groups)?;
        let values = FixedSizeBinaryArray::try_new(super::WIDTH, Buffer::from_vec(bytes), None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(ListArray::try_new(item(), offsets, Arc::new(values), Some(nulls))?)
    }

    /// The bytes of a summary of each of the first `groups` groups.
    fn summaries(&self, groups: usize) -> Result<Vec<Option<Vec<u8>>>> {
        let people = |count: &Option<i64>| count.map(|people| usize::try_from(people).unwrap_or_default());
        let mut summaries = Summaries::new(self.counts.iter().take(groups).map(people));
        for entry in &self.seen {
            summaries.add(entry.group as usize, &entry.person);
        }
        summaries.write().map_err(|_| internal_datafusion_err!("persons: too many people in one cell"))
    }

    /// Drops the first `groups` groups; the others move down.
    fn forget(&mut self, groups: usize) -> Result<()> {
        self.last = None;
        if groups >= self.counts.len() {
            *self = Self::new(self.says);
            return Ok(());
        }
        self.counts.drain(..groups);
        let shift = u32::try_from(groups).map_err(|_| internal_datafusion_err!("persons: too many groups"))?;
        self.seen = std::mem::take(&mut self.seen)
            .into_iter()
            .filter_map(|entry| Some(Entry { group: entry.group.checked_sub(shift)?, ..entry }))
            .collect();
        Ok(())
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let people = pseudonyms(first(values)?)?;
        for (i, group) in group_indices.iter().enumerate() {
            if passes(opt_filter, i) {
                self.add(*group, people.is_valid(i).then(|| people.value(i)))?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = match emit_to {
            EmitTo::All => self.counts.len(),
            EmitTo::First(n) => n.min(self.counts.len()),
        };
        let said: ArrayRef = match self.says {
            // Of a group without rows too.
            Says::Count => {
                Arc::new(Int64Array::from_iter_values(self.counts.iter().take(groups).map(|count| count.unwrap_or(0))))
            }
            Says::Summary => Arc::new(BinaryArray::from_iter(self.summaries(groups)?)),
        };
        self.forget(groups)?;
        Ok(said)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.take_state(emit_to)?)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.grow(total_num_groups);
        let lists = lists(values)?;
        group_indices.iter().enumerate().try_for_each(|(row, group)| self.merge(*group, lists, row))
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let people = pseudonyms(first(values)?)?;
        // each row is a list of its own: of one person, or of none
        let mut offsets: Vec<i32> = Vec::with_capacity(people.len() + 1);
        let mut bytes = Vec::with_capacity(people.len() * BYTES);
        let mut end = 0_i32;
        offsets.push(end);
        for i in 0..people.len() {
            if passes(opt_filter, i) && people.is_valid(i) {
                bytes.extend_from_slice(people.value(i));
                end += 1;
            }
            offsets.push(end);
        }
        let nulls: NullBuffer = (0..people.len()).map(|i| passes(opt_filter, i)).collect();
        let values = FixedSizeBinaryArray::try_new(super::WIDTH, Buffer::from_vec(bytes), None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(vec![Arc::new(ListArray::try_new(item(), offsets, Arc::new(values), Some(nulls))?)])
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

pub(in crate::plan) fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

fn first(values: &[ArrayRef]) -> Result<&ArrayRef> {
    values.first().ok_or_else(|| internal_datafusion_err!("persons: no argument"))
}

pub(in crate::plan) fn pseudonyms(array: &dyn Array) -> Result<&FixedSizeBinaryArray> {
    array.as_fixed_size_binary_opt().ok_or_else(|| internal_datafusion_err!("persons: argument is not a pseudonym"))
}

fn lists(values: &[ArrayRef]) -> Result<&ListArray> {
    first(values)?.as_list_opt().ok_or_else(|| internal_datafusion_err!("persons: state is not a list"))
}
