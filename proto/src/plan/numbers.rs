//! Lists of whole numbers and days, and looking them up.

use super::spread::Spread;
use arrow::{
    array::{Array, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray},
    buffer::BooleanBuffer,
    datatypes::{DataType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type},
};
use datafusion::common::{Result, exec_err};
use std::{collections::HashSet, hash::BuildHasherDefault};

/// A list is looked up in a bitmap when it spans no more than so many numbers for each that is in it: 16 bytes for each, no more than
/// what the set itself takes.
const SPARSE: u64 = 128;

/// A list of numbers.
#[derive(Clone, Default)]
pub(super) struct Numbers {
    all: HashSet<i64, BuildHasherDefault<Spread>>,
    /// Of a finished list without wide gaps: a bit for each number from the smallest to the largest.
    dense: Option<Dense>,
}

#[derive(Clone)]
struct Dense {
    first: i64,
    bits: Vec<u64>,
}

impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl FromIterator<i64> for Numbers {
    fn from_iter<I: IntoIterator<Item = i64>>(numbers: I) -> Self {
        let all: HashSet<_, _> = numbers.into_iter().collect();
        Self { dense: Dense::of(&all), all }
    }
}

impl Numbers {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &i64> {
        self.all.iter()
    }

    pub(super) fn add(&mut self, values: &dyn Array) -> Result<()> {
        self.dense = None;
        each_number(values, |number| self.all.extend(number))
    }

    /// All are in; more can be put in later all the same.
    pub(super) fn finish(&mut self) {
        self.dense = Dense::of(&self.all);
    }

    /// For each value whether it is in the list; NULL is in none.
    pub(super) fn contains(&self, values: &dyn Array) -> Result<BooleanArray> {
        match &self.dense {
            Some(dense) => test(values, |number| dense.contains(number)),
            None => test(values, |number| self.all.contains(&number)),
        }
    }
}

impl Dense {
    fn of(all: &HashSet<i64, BuildHasherDefault<Spread>>) -> Option<Self> {
        let (first, last) = (*all.iter().min()?, *all.iter().max()?);
        let span = last.abs_diff(first);
        if span / SPARSE >= u64::try_from(all.len()).ok()? {
            return None;
        }
        let mut bits = vec![0_u64; usize::try_from(span / 64 + 1).ok()?];
        for number in all {
            let place = number.abs_diff(first);
            *bits.get_mut(usize::try_from(place / 64).ok()?)? |= 1 << (place % 64);
        }
        Some(Self { first, bits })
    }

    fn contains(&self, number: i64) -> bool {
        // What is below the first is far above the last.
        let place = number.wrapping_sub(self.first).cast_unsigned();
        usize::try_from(place / 64)
            .ok()
            .and_then(|word| self.bits.get(word))
            .is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}

fn test(values: &dyn Array, is: impl Fn(i64) -> bool) -> Result<BooleanArray> {
    fn of<T: ArrowPrimitiveType<Native: Into<i64>>>(
        values: &PrimitiveArray<T>,
        is: impl Fn(i64) -> bool,
    ) -> BooleanArray {
        let numbers = values.values();
        let found = BooleanBuffer::collect_bool(numbers.len(), |row| numbers.get(row).is_some_and(|n| is((*n).into())));
        BooleanArray::from(values.nulls().map_or_else(|| found.clone(), |nulls| &found & nulls.inner()))
    }
    Ok(match values.data_type() {
        DataType::Int8 => of(values.as_primitive::<Int8Type>(), is),
        DataType::Int16 => of(values.as_primitive::<Int16Type>(), is),
        DataType::Int32 => of(values.as_primitive::<Int32Type>(), is),
        DataType::Date32 => of(values.as_primitive::<Date32Type>(), is),
        DataType::Int64 => of(values.as_primitive::<Int64Type>(), is),
        _ => return exec_err!("keys of another type"),
    })
}

/// Calls `each` with each value.
///
/// # Errors
/// When they are no whole numbers and no days.
pub(super) fn each_number(values: &dyn Array, mut each: impl FnMut(Option<i64>)) -> Result<()> {
    match values.data_type() {
        DataType::Int8 => values.as_primitive::<Int8Type>().iter().for_each(|n| each(n.map(i64::from))),
        DataType::Int16 => values.as_primitive::<Int16Type>().iter().for_each(|n| each(n.map(i64::from))),
        DataType::Int32 => values.as_primitive::<Int32Type>().iter().for_each(|n| each(n.map(i64::from))),
        DataType::Date32 => values.as_primitive::<Date32Type>().iter().for_each(|n| each(n.map(i64::from))),
        DataType::Int64 => values.as_primitive::<Int64Type>().iter().for_each(each),
        _ => return exec_err!("keys of another type"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{Date32Array, Int8Array, Int64Array};

    fn found(numbers: &Numbers, values: &dyn Array) -> Vec<bool> {
        numbers.contains(values).unwrap().iter().map(Option::unwrap).collect()
    }

    #[test]
    fn a_bitmap_finds_what_the_set_finds_at_every_edge() {
        for list in [
            vec![7],
            vec![-65, -64, -1, 0, 1, 63, 64, 127, 128],
            vec![i64::MIN, i64::MIN + 1],
            vec![i64::MAX, i64::MAX - 200],
            vec![i64::MIN, i64::MAX],
            vec![1_000_000, -1_000_000],
            vec![],
        ] {
            let finished: Numbers = list.iter().copied().collect();
            let mut set = finished.clone();
            set.dense = None;
            let near = list.iter().flat_map(|n| [n.wrapping_sub(64), n.wrapping_sub(1), *n, n.wrapping_add(1)]);
            let asked = Int64Array::from_iter(near.chain([0, i64::MIN, i64::MAX]).map(Some).chain([None]));
            assert_eq!(found(&finished, &asked), found(&set, &asked), "{list:?}");
            assert_eq!(set.contains(&asked).unwrap().iter().flatten().last(), Some(false), "NULL is in none");
        }
    }

    #[test]
    fn only_a_list_without_wide_gaps_has_a_bitmap() {
        let dense = |list: &[i64]| list.iter().copied().collect::<Numbers>().dense.is_some();
        assert!(dense(&[0, 255]) && !dense(&[0, 256]));
        assert!(!dense(&[]) && !dense(&[i64::MIN, i64::MAX]));
    }

    #[test]
    fn what_is_put_in_later_is_found_too() {
        let mut numbers: Numbers = [1, 2].into_iter().collect();
        numbers.add(&Int8Array::from(vec![Some(5), None])).unwrap();
        let days = Date32Array::from(vec![Some(5), Some(4), None, Some(1)]);
        assert_eq!(found(&numbers, &days), [true, false, false, true]);
        numbers.finish();
        assert!(numbers.dense.is_some());
        // A part of a column begins elsewhere.
        assert_eq!(found(&numbers, &days.slice(1, 3)), [false, false, true]);
    }
}
