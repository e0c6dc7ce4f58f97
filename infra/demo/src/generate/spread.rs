//! The same observations cut over several sites: a person's rows lie at one of them.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::day::Day;
use super::population::{FIRST, LAST};
use super::sheet::Sheet;
use super::{GenerateError, Options, TableSummary, everybody};
use crate::registers::Table;
use crate::sites::COHORT;

const CODES: [&str; 8] = ["NPU01", "NPU02", "NPU03", "NPU04", "NPU05", "NPU06", "NPU07", "NPU08"];

/// Writes `tables`: the list of everybody, and `rows` rows into each group of tables of one name, cut by person.
pub(crate) fn write(
    dir: &Path,
    options: &Options,
    rows: u64,
    tables: &'static [Table],
    progress: &dyn Fn(u32),
) -> Result<Vec<TableSummary>, GenerateError> {
    let people: Vec<(u64, bool)> = everybody(options).map(|(person, _)| (person.number, person.male)).collect();
    progress(options.people);
    let mut made = Vec::new();
    let mut rest = tables;
    while let Some(first) = rest.first() {
        let sites = rest.iter().take_while(|t| t.name == first.name).count();
        let (group, after) = rest.split_at(sites);
        rest = after;
        let mut sheets = Vec::with_capacity(sites);
        for table in group {
            let path = dir.join(table.controller).join(table.files);
            sheets.push(Sheet::create(table, std::slice::from_ref(&path)).map_err(|e| GenerateError::write(&path, e))?);
        }
        let failed = |e| GenerateError::write(dir, e);
        if first.name == COHORT {
            for (place, (number, male)) in people.iter().enumerate() {
                let Some(sheet) = sheets.first_mut() else { break };
                sheet.person(*number);
                sheet.int(if *male { 1 } else { 2 });
                sheet.int(place as u64 % 100);
                sheet.end(0).map_err(failed)?;
            }
        } else {
            // The same draws each time: the same rows, wherever they lie.
            let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
            for row in 0..rows {
                let place = row as usize % people.len().max(1);
                let draw: u64 = rng.random();
                let (Some((number, _)), Some(sheet)) = (people.get(place), sheets.get_mut(place % sites)) else {
                    break;
                };
                sheet.person(*number);
                sheet.date(Day(FIRST.0 + (draw % (LAST.0 - FIRST.0) as u64) as i32));
                sheet.text(CODES[(draw >> 32) as usize % CODES.len()]);
                sheet.decimal(50 + (draw >> 40) % 2_000, 1);
                sheet.int(101 + (draw >> 56) % 20);
                sheet.end(0).map_err(failed)?;
            }
        }
        for mut sheet in sheets {
            sheet.finish().map_err(|(path, e)| GenerateError::write(&path, e))?;
            made.push(TableSummary::of(sheet.table(), &sheet));
        }
    }
    Ok(made)
}
