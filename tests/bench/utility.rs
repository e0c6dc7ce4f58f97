//! What release costs those who ask: how much of 200 tables of registers is shown, and how far off, by this platform's rule and
//! by two others.
//!
//! One project asks for all of them one after another, so that its ledger answers as in use.

mod open;
mod register;
mod rules;
mod tables;

pub(crate) use open::released;

use crate::Options;
use anyhow::{Result, ensure};
use hub::release::Ledger;
use rules::{Cells, Score};
use std::{sync::Arc, time::Instant};

/// More people take longer, and say nothing else.
const MOST: u32 = 200_000;
const TABLES: usize = 200;
const SEED: u64 = 7;
/// The mean error has to stay below this, people.
const ERROR: f64 = 2.0;

/// What one rule shows of all tables.
struct Of {
    rule: &'static str,
    cells: Score,
    totals: Score,
    added_up: Score,
}

impl Of {
    fn new(rule: &'static str) -> Self {
        Self { rule, cells: Score::default(), totals: Score::default(), added_up: Score::default() }
    }

    fn add(&mut self, truth: &Cells, shown: &Cells, adds_up: bool) {
        self.cells.table(truth, shown, false);
        self.totals.table(truth, shown, true);
        if adds_up {
            self.added_up.added_up(truth, shown);
        }
    }

    fn tell(&self) {
        let (cells, totals) = (&self.cells, &self.totals);
        println!(
            "  {}: {:.2}% of the cells shown, {:.2}% of the people in them; mean error {:.2} people, root mean square {:.2}, \
             largest {}",
            self.rule,
            100.0 * cells.released(),
            100.0 * cells.covered(),
            cells.mean_error(),
            cells.root_error(),
            cells.most()
        );
        println!(
            "    totals: {:.2}% shown, mean error {:.2}, largest {}; added up from shown cells, where nobody is in two: mean error \
             {:.1}, largest {}",
            100.0 * totals.released(),
            totals.mean_error(),
            totals.most(),
            self.added_up.mean_error(),
            self.added_up.most()
        );
    }
}

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let options = options.clone();
    // On a thread of the executor, whose stack is a hub's.
    tokio::spawn(async move { Box::pin(all(&options)).await }).await?
}

async fn all(options: &Options) -> Result<()> {
    let people = options.people.min(MOST);
    let started = Instant::now();
    let session = register::session(people, SEED)?;
    let asked = tables::tables(TABLES);
    let ledger = Arc::new(Ledger::default());
    let mut rules = ["open zone", "OpenSAFELY (7, nearest 5)", "threshold 5, complementary, no noise"].map(Of::new);
    let mut sizes: Vec<f64> = Vec::new();
    let mut withheld = 0;
    for asked in &asked {
        let truth = open::table(&session, asked, None).await?;
        let shown = [
            open::table(&session, asked, Some(&ledger)).await?,
            rules::opensafely(&truth),
            rules::complementary(&truth)?,
        ];
        let [_, _, complementary] = &shown;
        withheld += usize::from(complementary.is_empty());
        for (rule, shown) in rules.iter_mut().zip(&shown) {
            rule.add(&truth, shown, asked.adds_up());
        }
        sizes.push(truth.len() as f64);
    }
    let quantile = |share| crate::report::quantile(&sizes, share);
    println!(
        "utility: {} tables of {people} people with their totals, of {:.0} to {:.0} numbers, {:.0} in the middle; {} cells that aren't \
         empty, {} totals; {} remembered in the project's ledger; {:.0} s",
        asked.len(),
        quantile(0.0),
        quantile(1.0),
        quantile(0.5),
        rules[0].cells.count(),
        rules[0].totals.count(),
        ledger.size().0,
        started.elapsed().as_secs_f64()
    );
    rules.iter().for_each(Of::tell);
    println!("  tables that complementary suppression withholds whole: {withheld}");
    println!("  must: the open zone shows more cells than the others, with a mean error below {ERROR} people");
    let [own, others @ ..] = &rules;
    for other in others {
        ensure!(own.cells.released() > other.cells.released(), "{} shows more cells than the open zone", other.rule);
    }
    let error = own.cells.mean_error();
    ensure!(error < ERROR, "the open zone's numbers are off by {error:.2} people in the mean");
    Ok(())
}
