//! Distinct people of all groups of an aggregate.
//!
//! They are put down as they come ([`Gathered`]).

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, FixedSizeBinaryArray, Int64Array, ListArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, internal_datafusion_err},
    logical_expr::{EmitTo, GroupsAccumulator},
};
use std::sync::Arc;

use super::{
    Says,
    summary::{of_person, written},
};
use crate::plan::gathered::{BYTES, Gathered, Row, person, row, words};

/// Words of somebody: the pseudonym alone.
const W: usize = words(0);

/// Field of the lists that travel between the phases of an aggregate.
pub(super) fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::FixedSizeBinary(super::WIDTH), true))
}

/// Distinct people of every group.
#[derive(Debug, Default)]
pub(super) struct Groups {
    people: Gathered<W>,
    /// which groups have a row, of whomever
    there: Vec<bool>,
    says: Says,
}

impl Groups {
    /// No groups yet.
    pub(super) fn new(says: Says) -> Self {
        Self { says, ..Self::default() }
    }

    fn grow(&mut self, groups: usize) {
        if self.there.len() < groups {
            self.there.resize(groups, false);
        }
    }

    /// There is a row of a group, whose number among the groups that it gives back.
    fn row(&mut self, group: usize) -> Result<u32> {
        let Some(there) = self.there.get_mut(group) else {
            return exec_err!("persons: group out of range");
        };
        *there = true;
        u32::try_from(group).map_err(|_| internal_datafusion_err!("persons: too many groups"))
    }

    /// Adds rows, each to its group.
    fn add(
        &mut self,
        values: &[ArrayRef],
        groups: impl Iterator<Item = usize>,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let array = pseudonyms(first(values)?)?;
        let people = array.value_data().as_chunks::<BYTES>().0;
        for (i, (group, person)) in groups.zip(people).enumerate() {
            if passes(filter, i) {
                let group = self.row(group)?;
                if array.is_valid(i) {
                    self.people.add(group, row(person));
                }
            }
        }
        self.people.tidy(self.there.len());
        Ok(())
    }

    /// Adds lists of people, each to its group.
    fn merge(&mut self, states: &[ArrayRef], groups: impl Iterator<Item = usize>) -> Result<()> {
        let lists = lists(states)?;
        let array = pseudonyms(lists.values())?;
        let offset = |at: usize| lists.value_offsets().get(at).and_then(|offset| usize::try_from(*offset).ok());
        let mut ranges = Vec::with_capacity(lists.len());
        for (row, group) in groups.enumerate() {
            if lists.is_valid(row) {
                ranges.push((self.row(group)?, offset(row).unwrap_or(0)..offset(row + 1).unwrap_or(0)));
            }
        }
        if array.null_count() == 0 {
            self.people.add_lists(array, ranges.into_iter());
        } else {
            let people = array.value_data().as_chunks::<BYTES>().0;
            for (group, range) in ranges {
                let valid = range.filter(|i| array.is_valid(*i)).filter_map(|i| people.get(i));
                valid.for_each(|person| self.people.add(group, row(person)));
            }
        }
        self.people.tidy(self.there.len());
        Ok(())
    }

    /// Everything belongs to group 0.
    pub(super) fn add_all(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.grow(1);
        self.add(values, std::iter::repeat(0), None)
    }

    /// Everything belongs to group 0.
    pub(super) fn merge_all(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.grow(1);
        let rows = first(states)?.len();
        self.merge(states, std::iter::repeat_n(0, rows))
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
        self.people.bytes() + self.there.capacity()
    }

    /// The first groups, or all: whether each has a row, how far its people go, and the people. The other groups move down.
    fn take(&mut self, emit_to: EmitTo, distinct: bool) -> (Vec<bool>, Vec<usize>, Vec<Row<W>>) {
        let groups = match emit_to {
            EmitTo::All => self.there.len(),
            EmitTo::First(n) => n.min(self.there.len()),
        };
        let (ends, people) = self.people.take(groups, self.there.len(), distinct);
        let rest = self.there.split_off(groups);
        (std::mem::replace(&mut self.there, rest), ends, people)
    }

    fn take_state(&mut self, emit_to: EmitTo) -> Result<ListArray> {
        // Where few are there twice, whoever puts the parts together may as well find them.
        let (there, ends, people) = self.take(emit_to, false);
        let many = |_| internal_datafusion_err!("persons: too many people in one state");
        let ends = ends.into_iter().map(|end| i32::try_from(end).map_err(many));
        let offsets = std::iter::once(Ok(0)).chain(ends).collect::<Result<Vec<i32>>>()?;
        let values = FixedSizeBinaryArray::try_new(super::WIDTH, Buffer::from_vec(people.into_flattened()), None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(ListArray::try_new(item(), offsets, Arc::new(values), Some(NullBuffer::from(there)))?)
    }
}

/// The bytes of a summary of each group, NULL where there is no row.
fn summaries(there: &[bool], ends: &[usize], people: &[Row<W>]) -> Result<ArrayRef> {
    let mut summaries = BinaryBuilder::with_capacity(there.len(), there.len() * 64);
    let mut from = 0;
    for (there, end) in there.iter().zip(ends) {
        let of = people.get(from..*end).unwrap_or_default();
        from = *end;
        if !there {
            summaries.append_null();
            continue;
        }
        let written = written(of.len(), of.iter().map(|row| of_person(&person(row))));
        let written = written.map_err(|_| internal_datafusion_err!("persons: too many people in one cell"))?;
        summaries.append_value(written);
    }
    Ok(Arc::new(summaries.finish()))
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
        self.add(values, group_indices.iter().copied(), opt_filter)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (there, ends, people) = self.take(emit_to, true);
        match self.says {
            // Of a group without rows too.
            Says::Count => {
                let starts = std::iter::once(&0).chain(&ends);
                let counts = starts.zip(&ends).map(|(from, to)| i64::try_from(to - from).unwrap_or(i64::MAX));
                Ok(Arc::new(Int64Array::from_iter_values(counts)))
            }
            Says::Summary => summaries(&there, &ends, &people),
        }
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.take_state(emit_to)?)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.grow(total_num_groups);
        self.merge(values, group_indices.iter().copied())
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
    let array = array.as_fixed_size_binary_opt().filter(|array| array.value_length() == super::WIDTH);
    array.ok_or_else(|| internal_datafusion_err!("persons: argument is not a pseudonym"))
}

fn lists(values: &[ArrayRef]) -> Result<&ListArray> {
    first(values)?.as_list_opt().ok_or_else(|| internal_datafusion_err!("persons: state is not a list"))
}
