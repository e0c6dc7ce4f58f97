//! How long a ledger takes: to be read, and to say of 100 cells, and of 100 sums, what was released before.

use crate::{Options, report::spread};
use anyhow::{Context, Result};
use hub::release::{Ledger, Ledgers};
use proto::{ids::ProjectId, plan::persons::Summary};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{path::Path, sync::Arc, time::Instant};

/// Cells that were released before.
const RELEASED: usize = 100_000;
/// Cells of the result that is looked at.
const RESULT: usize = 100;
/// It has to take less than this, milliseconds.
const MOST: f64 = 20.0;

/// Cells with from 5 to so many people, as many of 5 to 10 as of 50 to 100; and at worst, all of them small, so that neither their number of
/// people nor most of their marks tell them apart.
const SIZES: [(&str, u64); 2] = [("5 to 100,000 people", 100_000), ("5 to 30 people", 30)];

/// What is looked for: cells by their people, or sums by who adds how much, whose marks are made alike.
#[derive(Clone, Copy)]
enum Asked {
    Cells,
    Sums,
}

impl Asked {
    const fn called(self) -> &'static str {
        match self {
            Self::Cells => "cells",
            Self::Sums => "sums",
        }
    }

    /// How long the ledger takes, milliseconds.
    fn of(self, ledger: &Ledger, asked: &[Summary]) -> Result<f64> {
        let took = match self {
            Self::Cells => {
                let cells: Vec<Option<Summary>> = asked.iter().cloned().map(Some).collect();
                let started = Instant::now();
                ledger.shown(&cells)?;
                started.elapsed()
            }
            Self::Sums => {
                let sums: Vec<(Summary, f64)> = asked.iter().cloned().map(|who| (who, 1_000.0)).collect();
                let started = Instant::now();
                ledger.shown_sums(&sums)?;
                started.elapsed()
            }
        };
        Ok(took.as_secs_f64() * 1e3)
    }
}

/// Whether it is within bounds.
pub(super) fn measure(options: &Options, folder: &Path) -> Result<bool> {
    let mut within = true;
    for asked in [Asked::Cells, Asked::Sums] {
        let what = asked.called();
        println!(
            "ledger: a result of {RESULT} {what} against {RELEASED} released ones; must take less than {MOST:.0} ms"
        );
        for (sizes, most) in SIZES {
            within &= of_size(options, &folder.join(format!("{what}-to-{most}")), asked, (sizes, most))?;
        }
    }
    Ok(within)
}

fn of_size(options: &Options, folder: &Path, asked: Asked, (sizes, most): (&str, u64)) -> Result<bool> {
    let mut within = true;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let project: ProjectId = "diabetes".parse()?;
    let cells: Vec<Summary> = (0..RELEASED).map(|_| cell(&mut rng, most)).collect();
    let written = asked.of(&Ledgers::new(folder.to_owned()).of(&project, 1), &cells)?;
    let (mut reading, mut known, mut near, mut new) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut size = (0, 0);
    for _ in 0..options.runs {
        let ledgers = Ledgers::new(folder.to_owned());
        let started = Instant::now();
        ledgers.read();
        reading.push(started.elapsed().as_secs_f64() * 1e3);
        let ledger: Arc<Ledger> = ledgers.of(&project, 1);
        size = ledger.size();
        for _ in 0..10 {
            let again: Vec<Summary> =
                (0..RESULT).filter_map(|_| cells.get(rng.random_range(0..cells.len()))).cloned().collect();
            known.push(asked.of(&ledger, &again)?);
            let nearly: Vec<Summary> = again.iter().cloned().map(|cell| with(cell, &mut rng, 4)).collect();
            near.push(asked.of(&ledger, &nearly)?);
            let others: Vec<Summary> = (0..RESULT).map(|_| cell(&mut rng, most)).collect();
            new.push(asked.of(&ledger, &others)?);
        }
    }
    let file = std::fs::metadata(folder.join("diabetes-1.cells")).context("the ledger's file")?.len();
    println!(
        "  {sizes}: {} kept of {RELEASED} and {:.1} MiB in memory, {:.1} MiB on disk after all of this; all at once in {written:.0} ms",
        size.0,
        size.1 as f64 / f64::from(1 << 20),
        file as f64 / f64::from(1 << 20)
    );
    println!("    read from the file: {}", spread(&reading, "ms"));
    for (how, times) in [("known", &known), ("four people more", &near), ("new, and then on disk", &new)] {
        println!("    {} that are {how}: {}", asked.called(), spread(times, "ms"));
        within &= crate::report::median(times) < MOST;
    }
    Ok(within)
}

/// A cell of people by chance; the marks of more than a few thousand are as good as random, however many they are.
fn cell(rng: &mut impl Rng, most: u64) -> Summary {
    let people = (5.0 * (most as f64 / 5.0).powf(rng.random())) as u64;
    let cell = with(Summary::default(), rng, people.min(2_000));
    Summary { people, ..cell }
}

fn with(mut cell: Summary, rng: &mut impl Rng, more: u64) -> Summary {
    for _ in 0..more {
        cell.add(&rng.random());
    }
    cell
}
