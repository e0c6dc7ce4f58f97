//! The people and what happened to them: a population as the demo makes it, with medicines and diagnoses of skewed frequency.
//!
//! Every column but the person is a number: what it stands for doesn't matter to a rule that counts.

use anyhow::Result;
use arrow::{
    array::{ArrayRef, FixedSizeBinaryBuilder, Int32Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    datasource::MemTable,
    prelude::{SessionConfig, SessionContext},
};
use demo::generate::{Options, Resident, residents};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{collections::HashMap, sync::Arc};

/// What everybody has: region, municipality, sex, age in groups of ten and five years.
const HOME: [&str; 5] = ["region", "kom", "koen", "alder10", "alder5"];
/// First of six years.
const FIRST: i32 = 2019;

/// Anatomical groups of drugs by how many people take some; the demo's country doesn't take them, so they are about Denmark's.
const ANATOMICAL: [u32; 14] = [210, 120, 190, 60, 110, 40, 180, 15, 130, 200, 10, 150, 50, 5];
/// Chapters of diagnoses, likewise.
const CHAPTERS: [u32; 22] = [30, 50, 15, 60, 70, 45, 40, 25, 120, 70, 75, 30, 110, 55, 60, 8, 12, 90, 130, 0, 140, 1];

/// A table to be.
struct Columns {
    name: &'static str,
    own: &'static [&'static str],
    people: FixedSizeBinaryBuilder,
    values: Vec<Vec<i32>>,
}

impl Columns {
    fn new(name: &'static str, own: &'static [&'static str]) -> Self {
        let values = vec![Vec::new(); HOME.len() + own.len()];
        Self { name, own, people: FixedSizeBinaryBuilder::new(16), values }
    }

    fn row(&mut self, person: &[u8; 16], home: [i32; 5], own: &[i32]) -> Result<()> {
        self.people.append_value(person)?;
        for (column, value) in self.values.iter_mut().zip(home.iter().chain(own)) {
            column.push(*value);
        }
        Ok(())
    }

    fn register(mut self, session: &SessionContext) -> Result<()> {
        let role = HashMap::from([(proto::schema::ROLE.to_owned(), proto::schema::PERSON.to_owned())]);
        let mut fields = vec![Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(role)];
        // Codes, as a declaration says it of such columns: larger numbers would be taken for measures, and made coarser.
        let code = |name: &&str| {
            let codes = HashMap::from([(proto::schema::CODES.to_owned(), (*name).to_owned())]);
            Field::new(*name, DataType::Int32, false).with_metadata(codes)
        };
        fields.extend(HOME.iter().chain(self.own).map(code));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.people.finish())];
        columns.extend(self.values.into_iter().map(|values| Arc::new(Int32Array::from(values)) as ArrayRef));
        let schema = Arc::new(Schema::new(fields));
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let parts = (0..rows.num_rows()).step_by(8192).map(|at| rows.slice(at, 8192.min(rows.num_rows() - at)));
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (n, part) in parts.enumerate() {
            if n % 2 == 0 { left.push(part) } else { right.push(part) }
        }
        session.register_table(self.name, Arc::new(MemTable::try_new(schema, vec![left, right])?))?;
        Ok(())
    }
}

/// `bef` (a row a person), `medicin` (a row for each drug and year) and `diagnoser` (likewise), of so many people. The same
/// seed gives the same.
pub(super) fn session(people: u32, seed: u64) -> Result<SessionContext> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut population = Columns::new("bef", &[]);
    let mut drugs = Columns::new("medicin", &["atc1", "atc3", "atc7", "aar"]);
    let mut diagnoses = Columns::new("diagnoser", &["kapitel", "icd3", "aar"]);
    for resident in residents(&Options { people, seed }) {
        // As a project's pseudonyms are: as good as random.
        let person: [u8; 16] = rng.random();
        let home = home(&resident);
        population.row(&person, home, &[])?;
        let age = f64::from(resident.age);
        for _ in 0..often(&mut rng, 0.4 + age * 0.06) {
            let group = weighted(&mut rng, &ANATOMICAL);
            // A handful of drugs are most of a group, many are rare.
            let (subgroup, substance) = (skewed(&mut rng, 7), skewed(&mut rng, 12));
            let atc3 = group * 10 + subgroup;
            drugs.row(&person, home, &[group, atc3, atc3 * 100 + substance, year(&mut rng)])?;
        }
        for _ in 0..often(&mut rng, 0.2 + age * 0.025) {
            let chapter = weighted(&mut rng, &CHAPTERS);
            let category = chapter * 100 + skewed(&mut rng, 15);
            diagnoses.row(&person, home, &[chapter, category, year(&mut rng)])?;
        }
    }
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    for table in [population, drugs, diagnoses] {
        table.register(&session)?;
    }
    Ok(session)
}

fn home(resident: &Resident) -> [i32; 5] {
    let age = i32::from(resident.age);
    [i32::from(resident.region), i32::from(resident.municipality), if resident.male { 1 } else { 2 }, age / 10, age / 5]
}

fn year(rng: &mut impl Rng) -> i32 {
    FIRST + rng.random_range(0..6)
}

/// How often something happens that is expected `mean` times.
fn often(rng: &mut impl Rng, mean: f64) -> u32 {
    let (limit, mut product, mut count) = ((-mean).exp(), rng.random::<f64>(), 0);
    while product > limit {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

fn weighted(rng: &mut impl Rng, weights: &[u32]) -> i32 {
    let mut left = rng.random_range(0..weights.iter().sum::<u32>());
    for (place, weight) in (0..).zip(weights) {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return place,
        }
    }
    0
}

/// 0 to `of` - 1, the n-th one over n squared as often as the first.
fn skewed(rng: &mut impl Rng, of: i32) -> i32 {
    let weights: f64 = (1..=of).map(|n| f64::from(n).powi(-2)).sum();
    let mut left = rng.random::<f64>() * weights;
    for n in 1..of {
        left -= f64::from(n).powi(-2);
        if left < 0.0 {
            return n - 1;
        }
    }
    of - 1
}
