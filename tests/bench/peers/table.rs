//! What was measured of a query, and how it is printed.

use super::{data::Cut, eger::Busy};
use crate::report::median;

/// One run by a peer.
pub(crate) struct Took {
    pub(crate) seconds: f64,
    pub(crate) rows: u64,
    /// between the peer and its servers, both ways
    pub(crate) bytes: u64,
}

/// A peer's runs of one query.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) seconds: Vec<f64>,
    /// of the last run
    pub(crate) bytes: u64,
}

impl Runs {
    pub(crate) fn add(&mut self, took: &Took) {
        self.seconds.push(took.seconds);
        self.bytes = took.bytes;
    }
}

/// Eger's runs of one query.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) runs: Runs,
    /// seconds until the plan is there
    pub(crate) planning: f64,
    /// seconds of processor time a run
    pub(crate) busy: Busy,
    pub(crate) fragments: usize,
    /// the fragment that gave most bytes: where, rows, bytes
    pub(crate) largest: (String, u64, u64),
}

/// One query over one cut.
pub(crate) struct Row {
    pub(crate) query: String,
    pub(crate) limit: f64,
    pub(crate) own: Own,
    /// none: it wasn't asked
    pub(crate) duckdb: Option<Runs>,
    /// none: it didn't finish, or wasn't asked
    pub(crate) postgres: Option<Runs>,
}

impl Row {
    /// Says that it is done.
    pub(crate) fn progress(&self, cut: Cut) {
        eprintln!(
            "  q{} {}: limit {:.3} s, Eger {:.3} s, DuckDB {} s, PostgreSQL {} s",
            self.query,
            cut.name(),
            self.limit,
            self.seconds(),
            time(self.duckdb.as_ref()),
            time(self.postgres.as_ref())
        );
    }

    fn seconds(&self) -> f64 {
        median(&self.own.runs.seconds)
    }

    fn ratio(&self) -> f64 {
        self.seconds() / self.limit
    }

    fn smallest(&self) -> Option<u64> {
        self.peers().map(|runs| runs.bytes).min()
    }

    fn peers(&self) -> impl Iterator<Item = &Runs> {
        self.duckdb.iter().chain(&self.postgres)
    }
}

/// Prints a cut's queries, the means, and what is over the goals.
pub(crate) fn print(cut: Cut, rows: &[Row], goal: f64) {
    let head = match cut {
        Cut::Apart => "whole tables at three places",
        Cut::Thirds => "every table in thirds at three places",
    };
    println!("\n{head}: seconds (medians; * one run, since it took long), megabytes moved");
    println!("  query    limit     Eger  x limit   DuckDB  Postgres |  MB Eger   DuckDB  Postgres");
    for row in rows {
        let (duckdb, postgres) = (row.duckdb.as_ref(), row.postgres.as_ref());
        println!(
            "  q{:<5} {:>7.3}  {:>7.3}  {:>7.2}  {:>7}  {:>8} | {:>8.2} {:>8} {:>9}",
            row.query,
            row.limit,
            row.seconds(),
            row.ratio(),
            time(duckdb),
            time(postgres),
            megabytes(row.own.runs.bytes),
            size(duckdb),
            size(postgres)
        );
    }
    let own = mean(rows.iter().map(Row::seconds));
    let ratio = mean(rows.iter().map(Row::ratio));
    println!(
        "  geometric mean of {}: limit {:.3} s, Eger {own:.3} s = {ratio:.2} times the limit (goal: {goal})",
        rows.len(),
        mean(rows.iter().map(|r| r.limit))
    );
    peer("DuckDB", rows, |row| row.duckdb.as_ref());
    peer("PostgreSQL", rows, |row| row.postgres.as_ref());
    for row in rows.iter().filter(|row| row.ratio() > 2.0) {
        let (own, (place, count, bytes)) = (&row.own, &row.own.largest);
        println!(
            "  above 2: q{} {:.2} times, {:.3} s: planning {:.3} s; processor time hub {:.3} s, spokes {:.3} s; {:.2} MB in {} \
             fragments, the largest from {place}: {count} rows, {:.2} MB",
            row.query,
            row.ratio(),
            row.seconds(),
            own.planning,
            own.busy.hub,
            own.busy.spokes,
            megabytes(own.runs.bytes),
            own.fragments,
            megabytes(*bytes)
        );
    }
    for row in rows {
        if let Some(smallest) = row.smallest().filter(|s| row.own.runs.bytes as f64 > 1.2 * *s as f64) {
            println!(
                "  moves more than 1.2 times the smallest peer: q{} {:.2} MB, {:.2} MB",
                row.query,
                megabytes(row.own.runs.bytes),
                megabytes(smallest)
            );
        }
    }
}

/// Compares with a peer, over the queries that it finished.
fn peer(name: &str, rows: &[Row], of: impl Fn(&Row) -> Option<&Runs>) {
    let both: Vec<(&Row, &Runs)> = rows.iter().filter_map(|row| Some((row, of(row)?))).collect();
    if both.is_empty() {
        return;
    }
    let theirs = mean(both.iter().map(|(_, runs)| median(&runs.seconds)));
    let own = mean(both.iter().map(|(row, _)| row.seconds()));
    let moved = both.iter().map(|(_, runs)| runs.bytes).sum::<u64>();
    let own_moved = both.iter().map(|(row, _)| row.own.runs.bytes).sum::<u64>();
    println!(
        "  {name} finished {} of {}: geometric mean of these {theirs:.3} s, Eger's {own:.3} s = {:.2} times (must: below 1); \
         moved {:.1} MB, Eger {:.1} MB = {:.2} times (goal: at most 1.2)",
        both.len(),
        rows.len(),
        own / theirs,
        megabytes(moved),
        megabytes(own_moved),
        own_moved as f64 / moved.max(1) as f64
    );
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    // a query that failed took no time, and fails the benchmark at its end
    let logs: Vec<f64> = values.filter(|value| *value > 0.0).map(f64::ln).collect();
    (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp()
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn time(runs: Option<&Runs>) -> String {
    runs.map_or_else(
        || "-".to_owned(),
        |runs| format!("{:.3}{}", median(&runs.seconds), if runs.seconds.len() == 1 { "*" } else { "" }),
    )
}

fn size(runs: Option<&Runs>) -> String {
    runs.map_or_else(|| "-".to_owned(), |runs| format!("{:.2}", megabytes(runs.bytes)))
}
