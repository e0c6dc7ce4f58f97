//! One big table for benchmarks: as many rows of as many people as asked for, five columns, written in one stream.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::day::Day;
use super::number::Numbers;
use super::population::{FIRST, LAST, Person};
use super::sheet::Sheet;
use super::{GenerateError, Options, TableSummary, everybody};
use crate::registers::{LMDB, Table};

/// Prescriptions with five columns; form and controller as the demo's.
pub const PRESCRIPTIONS: Table =
    Table { name: "prescriptions", files: "prescriptions*.csv", columns: LMDB.columns.split_at(5).0, ..LMDB };

/// Writes `rows` prescriptions of `people` people to `path`.
pub fn prescriptions(path: &Path, people: u32, rows: u64, seed: u64) -> Result<TableSummary, GenerateError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut numbers = Numbers::default();
    let people: Vec<u64> = (0..people.max(1)).map(|_| Person::draw(&mut rng, &mut numbers).number).collect();
    drop(numbers);
    write(path, &people, rows, &mut rng)
}

/// Writes `rows` prescriptions of the people whom the registers of the same options are about.
pub fn outcomes(path: &Path, options: &Options, rows: u64) -> Result<TableSummary, GenerateError> {
    let people: Vec<u64> = everybody(options).map(|(person, _)| person.number).collect();
    write(path, &people, rows, &mut ChaCha8Rng::seed_from_u64(options.seed ^ rows))
}

fn write(path: &Path, people: &[u64], rows: u64, rng: &mut ChaCha8Rng) -> Result<TableSummary, GenerateError> {
    let mut sheet = Sheet::create(&PRESCRIPTIONS, &[path.to_path_buf()]).map_err(|e| GenerateError::write(path, e))?;
    let span = LAST.0 - FIRST.0;
    for row in 0..rows {
        // everybody is there; after the first round at random
        let person = match people.get(row as usize) {
            Some(person) => *person,
            None => people[rng.random_range(0..people.len())],
        };
        let draw: u64 = rng.random();
        sheet.person(person);
        sheet.date(Day(FIRST.0 + (draw % span as u64) as i32));
        sheet.text(ATC[(draw >> 32) as usize % ATC.len()]);
        sheet.decimal(50 + (draw >> 40) % 2_000, 1);
        sheet.int(1 + (draw >> 60) % 4);
        sheet.end(0).map_err(|e| GenerateError::write(path, e))?;
    }
    sheet.finish().map_err(|(path, e)| GenerateError::write(&path, e))?;
    Ok(TableSummary::of(&PRESCRIPTIONS, &sheet))
}

const ATC: [&str; 8] = ["A10BA02", "C10AA05", "C09AA02", "N02BE01", "J01CA08", "R03AC02", "A02BC01", "B01AC06"];
