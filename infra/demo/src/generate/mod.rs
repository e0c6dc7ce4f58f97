//! Makes linked synthetic Danish registers, as CSV in the awkward forms that controllers have them in.
//!
//! Seedable: the same people, seed and version give the same bytes. Streaming: only the people are held in memory,
//! never their rows. Everything is drawn; nothing comes from real people.

pub mod bench;
mod course;
mod day;
pub(crate) mod letters;
mod life;
mod number;
mod places;
mod population;
mod sheet;
pub(crate) mod spread;

use std::io;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::life::{Sheets, YEARS};
use self::number::Numbers;
use self::population::{FIRST, LAST, Person};
use self::sheet::Sheet;
use crate::registers::{BEF, LAB_H, LAB_M, LMDB, LPR_A_DIAGNOSE, LPR_A_KONTAKT, Table};

/// More would leave too few numbers for each birthday.
pub const MAX_PEOPLE: u32 = 4_000_000;

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many people.
    pub people: u32,
    /// The same seed gives the same registers.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { people: 20_000, seed: 1 }
    }
}

/// What was made of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// Controller.
    pub controller: &'static str,
    /// Table.
    pub table: &'static str,
    /// Rows that fit their declaration.
    pub rows: u64,
    /// Rows that do not.
    pub malformed: u64,
    /// Bytes of all files, headers included.
    pub bytes: u64,
}

impl TableSummary {
    fn of(table: &Table, sheet: &Sheet) -> TableSummary {
        TableSummary {
            controller: table.controller,
            table: table.name,
            rows: sheet.rows,
            malformed: sheet.malformed,
            bytes: sheet.bytes,
        }
    }
}

/// Why no registers were made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Outside of what person numbers allow.
    #[error("{0} people cannot be made: choose 100 to {MAX_PEOPLE}")]
    People(u32),
    /// The file system did not take it.
    #[error("cannot write {path}: {cause}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl GenerateError {
    fn write(path: &Path, cause: io::Error) -> GenerateError {
        GenerateError::Write { path: path.to_path_buf(), cause }
    }
}

/// Writes every controller's files below `dir/<controller>/`, calling `progress` with the people done so far.
pub fn registers(
    dir: &Path,
    options: &Options,
    mut progress: impl FnMut(u32),
) -> Result<Vec<TableSummary>, GenerateError> {
    if !(100..=MAX_PEOPLE).contains(&options.people) {
        return Err(GenerateError::People(options.people));
    }
    let mut sheets = open(dir)?;
    for (i, (person, mut rng)) in (0..).zip(everybody(options)) {
        life::write(&person, &mut rng, &mut sheets).map_err(|e| GenerateError::write(dir, e))?;
        if i % 1_000_u32 == 0 {
            progress(i);
        }
    }
    progress(options.people);
    let Sheets { bef, kontakt, diagnose, lmdb, lab_h, lab_m, .. } = sheets;
    let mut summaries = Vec::new();
    for (table, mut sheet) in [
        (&BEF, bef),
        (&LPR_A_KONTAKT, kontakt),
        (&LPR_A_DIAGNOSE, diagnose),
        (&LMDB, lmdb),
        (&LAB_H, lab_h),
        (&LAB_M, lab_m),
    ] {
        sheet.finish().map_err(|(path, e)| GenerateError::write(&path, e))?;
        summaries.push(TableSummary::of(table, &sheet));
    }
    Ok(summaries)
}

/// What tables of the population say about somebody, on the last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Code of the municipality.
    pub municipality: u16,
    /// 0 to 4.
    pub region: u8,
    /// Sex.
    pub male: bool,
    /// Years.
    pub age: u8,
}

/// Who lives in the country of these options: those of the population register.
pub fn residents(options: &Options) -> impl Iterator<Item = Resident> {
    everybody(options).filter(|(person, _)| !person.administrative && person.born <= LAST).map(|(person, _)| {
        let home = person.home_on(LAST).get();
        let age = u8::try_from(person.age_on(LAST).max(0)).unwrap_or(u8::MAX);
        Resident { municipality: home.code, region: home.region as u8, male: person.male, age }
    })
}

/// The people of these options, each with what else is drawn for them: a stream of one's own, so that a person's life does
/// not hang on what happened to the one before.
fn everybody(options: &Options) -> impl Iterator<Item = (Person, ChaCha8Rng)> {
    let (seed, mut numbers) = (options.seed, Numbers::default());
    (0..options.people).map(move |i| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(i));
        (Person::draw(&mut rng, &mut numbers), rng)
    })
}

fn open(dir: &Path) -> Result<Sheets, GenerateError> {
    let create = |table: &'static Table, names: &[String]| {
        let paths: Vec<PathBuf> = names.iter().map(|n| dir.join(table.controller).join(n)).collect();
        Sheet::create(table, &paths).map_err(|e| GenerateError::write(&dir.join(table.controller), e))
    };
    let one = |name: &str| [name.to_owned()];
    let bef: Vec<String> = YEARS.iter().map(|y| format!("bef/bef{y}12.csv")).collect();
    let lmdb: Vec<String> = (FIRST.year()..=LAST.year()).map(|y| format!("lmdb/lmdb{y}.csv")).collect();
    Ok(Sheets {
        bef: create(&BEF, &bef)?,
        kontakt: create(&LPR_A_KONTAKT, &one("lpr/lpr_a_kontakt.csv"))?,
        diagnose: create(&LPR_A_DIAGNOSE, &one("lpr/lpr_a_diagnose.csv"))?,
        lmdb: create(&LMDB, &lmdb)?,
        lab_h: create(&LAB_H, &one("lab/lab_forsker.txt"))?,
        lab_m: create(&LAB_M, &one("lab_forsker.csv"))?,
        contacts: 0,
    })
}
