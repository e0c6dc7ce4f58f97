//! What everybody adds to every group: people are put down as they come, each with the sum of their values ([`Gathered`]); where a mean or
//! a spread is asked for, also with how many they are and what their squares add up to.
//!
//! Whoever has nothing but zeros has the sum -0.0, which no other sum of values comes to: what adds up to nothing (1 and -1) is
//! +0.0. So one number says both how much somebody contributes and whether they do.

use super::{
    MOST,
    amounts::{add_nobody, amount},
    outer::Outer,
    parts::{Contributions, Sizes},
    rows::{NOTHING, Rows, Sums},
};
use crate::plan::{
    gathered::{Gathered, Row, numbers, numbers_of, person, somebody},
    persons::{
        NoSummary, Summary,
        groups::passes,
        summary::{of_person, written},
    },
};
use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, FixedSizeBinaryArray, Float64Array, ListArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, FieldRef, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, internal_datafusion_err},
    logical_expr::{EmitTo, GroupsAccumulator},
};
use std::sync::Arc;

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
    /// what rows without a person number add up to, when one of them adds something
    nobody: Option<f64>,
}

/// What everybody adds to every group. `W`: words of somebody with as many numbers as are asked for.
#[derive(Debug, Default)]
pub(super) struct Groups<const W: usize> {
    people: Gathered<W>,
    cells: Vec<Option<Cell>>,
}

impl<const W: usize> Groups<W> {
    fn grow(&mut self, groups: usize) {
        if self.cells.len() < groups {
            self.cells.resize(groups, None);
        }
    }

    /// There is a row of a group with a value: its cell, and the group's number.
    fn row(&mut self, group: usize) -> Result<(&mut Cell, u32)> {
        let Some(cell) = self.cells.get_mut(group) else {
            return exec_err!("contributions: group out of range");
        };
        let group = u32::try_from(group).map_err(|_| internal_datafusion_err!("contributions: too many groups"))?;
        Ok((cell.get_or_insert_default(), group))
    }

    /// Adds rows, each to its group.
    fn add(
        &mut self,
        values: &[ArrayRef],
        groups: impl Iterator<Item = usize>,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let rows = Rows::of(values, numbers_of(W))?;
        for (i, group) in groups.take(rows.people.len()).enumerate() {
            if !passes(filter, i) {
                continue;
            }
            let Some(sums) = rows.sums(i) else { continue };
            let (cell, group) = self.row(group)?;
            match rows.person(i) {
                Some(person) => self.people.add(group, somebody(person, &sums)),
                None => add_to(&mut cell.nobody, Some(sums[0]).filter(|value| adds(*value))),
            }
        }
        self.people.tidy(self.cells.len());
        Ok(())
    }

    /// Adds lists of what people add, each to its group.
    fn merge(&mut self, states: &[ArrayRef], groups: impl Iterator<Item = usize>) -> Result<()> {
        let (lists, nobody) = state(states)?;
        let items = lists.values().as_fixed_size_binary_opt();
        let items = items.filter(|items| items.value_length() == width(numbers_of(W)) && items.null_count() == 0);
        let Some(items) = items else { return exec_err!("contributions: state is not a list of sums") };
        let offset = |at: usize| lists.value_offsets().get(at).and_then(|offset| usize::try_from(*offset).ok());
        let mut pieces = Vec::with_capacity(lists.len());
        for (row, group) in groups.take(lists.len()).enumerate() {
            if lists.is_valid(row) {
                let (cell, group) = self.row(group)?;
                add_to(&mut cell.nobody, nobody.is_valid(row).then(|| nobody.value(row)));
                pieces.push((group, offset(row).unwrap_or(0)..offset(row + 1).unwrap_or(0)));
            }
        }
        self.people.add_lists(items, pieces.into_iter());
        self.people.tidy(self.cells.len());
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
        self.merge(states, std::iter::repeat(0))
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
        self.people.bytes() + self.cells.capacity() * size_of::<Option<Cell>>()
    }

    /// The first groups, or all: their cells, how far the people of each go, and the people. The other groups move down.
    fn take(&mut self, emit_to: EmitTo, each_once: bool) -> (Vec<Option<Cell>>, Vec<usize>, Vec<Row<W>>) {
        let groups = match emit_to {
            EmitTo::All => self.cells.len(),
            EmitTo::First(n) => n.min(self.cells.len()),
        };
        let (ends, people) = self.people.take(groups, self.cells.len(), each_once);
        let rest = self.cells.split_off(groups);
        (std::mem::replace(&mut self.cells, rest), ends, people)
    }
}

/// What is said of a cell and its people, each of whom is there once.
fn said<const W: usize>(cell: Cell, people: &[Row<W>]) -> std::result::Result<Vec<u8>, NoSummary> {
    // Those who add something; rows of nobody make it some, of no people.
    let mut adding = cell.nobody.map(|_| 0);
    let mut sizes = Sizes::default();
    let mut outer = Outer::new(numbers_of(W));
    for row in people {
        let sums = sums(row);
        if adds(sums[0]) {
            *adding.get_or_insert(0) += 1;
            sizes.add(sums[0]);
        }
        outer.add(&person(row), sums.get(..numbers_of(W)).unwrap_or(&sums));
    }
    if let Some(sum) = cell.nobody {
        sizes.add(sum);
        outer.add_nobody(sum);
    }
    outer.leave_out();

    let all = written(people.len(), people.iter().map(|row| of_person(&person(row))))?;
    let adders = people.iter().filter(|row| adds(sums(row)[0]));
    // Where all add something, their summary is there already.
    let apart = adding.filter(|adding| *adding != people.len());
    let apart = apart.map(|adding| written(adding, adders.map(|row| of_person(&person(row))))).transpose()?;
    let mut amounts = [const { None }; MOST];
    for (amounts, numbers) in amounts.iter_mut().zip(1..=numbers_of(W)) {
        *amounts = Some(told(cell, people, numbers, adding.unwrap_or_default())?);
    }
    let outer = outer.write();
    let said = Contributions {
        all: &all,
        adding: adding.map(|_| apart.as_ref().unwrap_or(&all).as_slice()),
        sizes: Some(sizes),
        amounts: amounts.each_ref().map(Option::as_deref),
        outer: Some(&outer),
    };
    said.write()
}

/// Who adds how much to a statistic of so many numbers: to a sum those who add something, to what else there is all.
fn told<const W: usize>(
    cell: Cell,
    people: &[Row<W>],
    numbers: usize,
    adding: usize,
) -> std::result::Result<Vec<u8>, NoSummary> {
    let amount = |row: &Row<W>| {
        let sums = sums(row);
        amount(&person(row), sums.get(..numbers).unwrap_or(&sums))
    };
    let bytes = if numbers == 1 {
        written(adding, people.iter().filter(|row| adds(sums(row)[0])).map(amount))?
    } else {
        written(people.len(), people.iter().map(amount))?
    };
    let Some(nobody) = cell.nobody else { return Ok(bytes) };
    let mut summary = Summary::read(&bytes)?;
    add_nobody(&mut summary.marks, nobody);
    summary.write()
}

impl<const W: usize> GroupsAccumulator for Groups<W> {
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
        let (cells, ends, people) = self.take(emit_to, true);
        let mut all = BinaryBuilder::with_capacity(cells.len(), cells.len() * 512);
        let mut from = 0;
        for (cell, end) in cells.iter().zip(ends) {
            let of = people.get(from..end).unwrap_or_default();
            from = end;
            let said = cell.map(|cell| said(cell, of)).transpose();
            all.append_option(
                said.map_err(|_| internal_datafusion_err!("contributions: too many people in one cell"))?,
            );
        }
        Ok(Arc::new(all.finish()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        // Where few are there twice, whoever puts the parts together may as well add them up.
        let (cells, ends, people) = self.take(emit_to, false);
        let nulls: NullBuffer = cells.iter().map(Option::is_some).collect();
        let nobody: Float64Array = cells.iter().map(|cell| cell.and_then(|cell| cell.nobody)).collect();
        let many = |_| internal_datafusion_err!("contributions: too many people in one state");
        let ends = ends.into_iter().map(|end| i32::try_from(end).map_err(many));
        let offsets = std::iter::once(Ok(0)).chain(ends).collect::<Result<Vec<i32>>>()?;
        lists::<W>(offsets, people, nulls, nobody)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.grow(total_num_groups);
        self.merge(values, group_indices.iter().copied())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = Rows::of(values, numbers_of(W))?;
        let people = rows.people;
        // each row is a list of its own: of one person, or of none
        let mut offsets: Vec<i32> = Vec::with_capacity(people.len() + 1);
        let mut listed: Vec<Row<W>> = Vec::with_capacity(people.len());
        let mut end = 0_i32;
        offsets.push(end);
        let counted = |i: usize| rows.sums(i).filter(|_| passes(opt_filter, i));
        for i in 0..people.len() {
            if let (Some(sums), Some(person)) = (counted(i), rows.person(i)) {
                listed.push(somebody(person, &sums));
                end += 1;
            }
            offsets.push(end);
        }
        let nulls: NullBuffer = (0..people.len()).map(|i| counted(i).is_some()).collect();
        let of_nobody = |i| counted(i).filter(|_| people.is_null(i)).map(|sums| sums[0]).filter(|value| adds(*value));
        let nobody: Float64Array = (0..people.len()).map(of_nobody).collect();
        lists::<W>(offsets, listed, nulls, nobody)
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// What somebody's values add up to, as far as it is asked for.
#[inline]
fn sums<const W: usize>(row: &Row<W>) -> Sums {
    let mut sums = [NOTHING; MOST];
    sums.iter_mut().zip(numbers(row)).for_each(|(sum, number)| *sum = number);
    sums
}

/// Whether a sum is of more than zeros.
#[inline]
const fn adds(sum: f64) -> bool {
    sum.to_bits() != NOTHING.to_bits()
}

/// Adds to what rows of nobody add up to.
fn add_to(nobody: &mut Option<f64>, more: Option<f64>) {
    if let Some(more) = more {
        *nobody.get_or_insert(NOTHING) += more;
    }
}

/// The columns of a state.
fn lists<const W: usize>(
    offsets: Vec<i32>,
    people: Vec<Row<W>>,
    nulls: NullBuffer,
    nobody: Float64Array,
) -> Result<Vec<ArrayRef>> {
    let numbers = numbers_of(W);
    let items = FixedSizeBinaryArray::try_new(width(numbers), Buffer::from_vec(people.into_flattened()), None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let lists = ListArray::try_new(item(numbers), offsets, Arc::new(items), Some(nulls))?;
    Ok(vec![Arc::new(lists), Arc::new(nobody)])
}

fn state(values: &[ArrayRef]) -> Result<(&ListArray, &Float64Array)> {
    let [lists, nobody] = values else { return exec_err!("contributions: a state has two columns") };
    match (lists.as_list_opt(), nobody.as_primitive_opt::<Float64Type>()) {
        (Some(lists), Some(nobody)) => Ok((lists, nobody)),
        _ => exec_err!("contributions: state is not a list of sums"),
    }
}
