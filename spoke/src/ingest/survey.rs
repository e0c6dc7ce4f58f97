//! Counts what planning wants to know of a table while its rows are written.
//!
//! INVARIANT: a value counts as common, and a year as one of the table's, only when [`CROWD`] people have it.

use crate::publish::{ColumnStatistics, Common, Statistics, value_hash};
use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
        TimestampMicrosecondType,
    },
    temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime},
};
use chrono::Datelike;
use proto::schema::{REFERENCE, ROLE, TABLE_ROLE};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// So many people make a value common.
const CROWD: u32 = 20;
/// Different values of a column that are kept apart; a column with more has a sketch only.
const KEPT: usize = 1 << 16;

/// See the module. Rows come sorted by person; those of a table without people in any order.
pub(crate) struct Survey {
    schema: SchemaRef,
    person: Option<usize>,
    /// people that make a value common
    crowd: u32,
    /// number of the person whose row was seen last, and who it was
    last: (u64, Option<[u8; 16]>),
    rows: u64,
    columns: Vec<Column>,
}

#[derive(Default)]
struct Column {
    counted: ColumnStatistics,
    /// by hash; none when there are too many, or each person has values of their own
    values: Option<HashMap<u64, Carried, BuildHasherDefault<Hashed>>>,
    years: HashMap<i32, Carried>,
}

/// Who has a value.
#[derive(Clone, Copy, Default)]
struct Carried {
    people: u32,
    rows: u64,
    /// number of the last of them; from 1
    last: u64,
}

impl Carried {
    fn by(&mut self, person: u64) {
        self.rows += 1;
        if self.last != person {
            self.last = person;
            self.people = self.people.saturating_add(1);
        }
    }
}

/// What is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = value_hash(bytes);
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Survey {
    pub(crate) fn new(schema: &SchemaRef, person: Option<usize>) -> Self {
        let columns = schema.fields().iter().map(|field| Column {
            values: (!field.metadata().contains_key(ROLE)).then(HashMap::default),
            ..Column::default()
        });
        let reference = schema.metadata().get(TABLE_ROLE).is_some_and(|role| role == REFERENCE);
        Self {
            columns: columns.collect(),
            schema: SchemaRef::clone(schema),
            person,
            crowd: if reference { 1 } else { CROWD },
            last: (1, None),
            rows: 0,
        }
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        let people = self.people(batch);
        self.rows += batch.num_rows() as u64;
        for (column, values) in self.columns.iter_mut().zip(batch.columns()) {
            column.counted.nulls += values.null_count() as u64;
            column.add(values.as_ref(), &people);
        }
    }

    /// For each row the number of its person. Rows without one are taken to be all one person's.
    fn people(&mut self, batch: &RecordBatch) -> Vec<u64> {
        let column = self.person.and_then(|person| batch.columns().get(person)?.as_fixed_size_binary_opt().cloned());
        let Some(column) = column else {
            // Without people each row stands for itself; with people whom nobody knows, all are taken for one.
            let reference = self.crowd == 1;
            let first = self.rows + 1;
            return (0..batch.num_rows() as u64).map(|row| if reference { first + row } else { 1 }).collect();
        };
        (column.iter())
            .map(|person| {
                let person = person.and_then(|bytes| bytes.first_chunk::<16>().copied());
                if person != self.last.1 {
                    self.last = (self.last.0 + 1, person);
                }
                self.last.0
            })
            .collect()
    }

    pub(crate) fn finish(&self) -> Statistics {
        let columns = self.columns.iter().map(|column| column.finished(self.crowd)).collect();
        Statistics { rows: self.rows, columns }
    }
}

impl Column {
    fn add(&mut self, values: &dyn Array, people: &[u64]) {
        match values.data_type() {
            DataType::Utf8 => self.each(values.as_string::<i32>().iter(), people, |text| value_hash(text.as_bytes())),
            DataType::FixedSizeBinary(_) => self.each(values.as_fixed_size_binary().iter(), people, value_hash),
            DataType::Boolean => self.each(values.as_boolean().iter(), people, |flag| value_hash(&[u8::from(flag)])),
            DataType::Int32 => {
                self.each(values.as_primitive::<Int32Type>().iter(), people, |n| value_hash(&n.to_le_bytes()));
            }
            DataType::Int64 => {
                self.each(values.as_primitive::<Int64Type>().iter(), people, |n| value_hash(&n.to_le_bytes()));
            }
            DataType::Float64 => {
                self.each(values.as_primitive::<Float64Type>().iter(), people, |n| value_hash(&n.to_le_bytes()));
            }
            DataType::Decimal128(..) => {
                self.each(values.as_primitive::<Decimal128Type>().iter(), people, |n| value_hash(&n.to_le_bytes()));
            }
            DataType::Date32 => {
                let days = values.as_primitive::<Date32Type>();
                self.each(days.iter(), people, |day| value_hash(&day.to_le_bytes()));
                let year = |day: i32| date32_to_datetime(day).map(|at| at.year());
                self.years(days.iter().map(|day| day.and_then(year)), people);
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let times = values.as_primitive::<TimestampMicrosecondType>();
                self.each(times.iter(), people, |time| value_hash(&time.to_le_bytes()));
                let year = |time: i64| timestamp_us_to_datetime(time).map(|at| at.year());
                self.years(times.iter().map(|time| time.and_then(year)), people);
            }
            // No other type is published.
            _ => self.values = None,
        }
    }

    fn each<T>(&mut self, values: impl Iterator<Item = Option<T>>, people: &[u64], hash: impl Fn(T) -> u64) {
        for (value, person) in values.zip(people) {
            let Some(value) = value else { continue };
            let hash = hash(value);
            self.counted.different.add(hash);
            if let Some(kept) = &mut self.values {
                kept.entry(hash).or_default().by(*person);
                if kept.len() > KEPT {
                    self.values = None;
                }
            }
        }
    }

    fn years(&mut self, years: impl Iterator<Item = Option<i32>>, people: &[u64]) {
        for (year, person) in years.zip(people) {
            if let Some(year) = year {
                self.years.entry(year).or_default().by(*person);
            }
        }
    }

    fn finished(&self, crowd: u32) -> ColumnStatistics {
        let common = |carried: &&Carried| carried.people >= crowd;
        let years = self.years.iter().filter(|(_, carried)| common(carried)).map(|(year, _)| *year);
        let (first, last) = (years.clone().min(), years.max());
        ColumnStatistics {
            common: self.values.as_ref().map(|values| {
                let kept = values.values().filter(common);
                kept.fold(Common::default(), |sum, c| Common { values: sum.values + 1, rows: sum.rows + c.rows })
            }),
            years: first.zip(last),
            ..self.counted.clone()
        }
    }
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Survey").field("columns", &self.schema.fields().len()).finish_non_exhaustive()
    }
}
