//! Benchmarks over real processes: `cargo run --release -p tests --bin bench`. Prints medians, the machine and its load.
//!
//! This binary plays every role itself, so that everything measured is built the same way.

mod admission;
mod decisions;
mod growth;
mod ingest;
mod link;
mod peers;
mod planning;
mod quick;
mod register;
mod release;
mod report;
mod scan;
mod setup;
mod trust;
mod utility;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use std::{path::PathBuf, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Parser)]
#[command(
    name = "bench",
    after_help = "Examples:
  cargo run --release -p tests --bin bench
  cargo run --release -p tests --bin bench -- --rows 1000000 --people 100000 --runs 3
  cargo run --release -p tests --bin bench -- --only register --rows 50000000 --runs 3
  cargo run --release -p tests --bin bench -- --only release --people 10000000 --cells 10000
  cargo run --release -p tests --bin bench -- --only peers --scale 1"
)]
struct Options {
    /// Rows of the table
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// People in it
    #[arg(long, default_value_t = 1_000_000)]
    people: u32,
    /// Groups that they are in, for `--only release`
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    cells: u32,
    /// Runs of which the median is printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Spokes at the most, where cost is measured against their number
    #[arg(long, default_value_t = 50)]
    sites: usize,
    /// Scale of TPC-H, for `--only peers`
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Only this query of TPC-H, for example 18
    #[arg(long)]
    query: Option<String>,
    /// Only this peer
    #[arg(long)]
    peer: Option<peers::Peer>,
    /// Server of the files that DuckDB reads
    #[arg(long, default_value = "nginx")]
    s3: peers::S3,
    /// Only this part
    #[arg(long)]
    only: Option<Part>,
    /// Folder for files; kept and used again
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// CSV to published table
    Ingest,
    /// Published table to client
    Scan,
    /// Permits, tokens, audit entries, evaluations
    Trust,
    /// Record batches over a link
    Link,
    /// Who may do what
    Decisions,
    /// Questions let in at a spoke
    Admission,
    /// From a statement's text to the plan that runs
    Planning,
    /// Joins and counts over registers at four spokes
    Register,
    /// People counted without a project
    Quick,
    /// What of tables of registers is released, and how exactly, beside two other rules
    Utility,
    /// Time that release takes, and its ledger
    Release,
    /// More spokes, and more researchers at once
    Growth,
    /// TPC-H beside DuckDB and PostgreSQL; only when asked for, since it installs them
    Peers,
}

fn main() -> ExitCode {
    if let Some(code) = demo::role::play(std::env::args_os()) {
        return code;
    }
    let options = Options::parse();
    runtime::crypto::install();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let runtime = hub::serve::executor()?;
    runtime.block_on(async {
        report::machine();
        let wanted = |part| options.only.is_none_or(|only| only == part);
        if wanted(Part::Decisions) {
            decisions::measure(options)?;
        }
        if wanted(Part::Trust) {
            trust::measure(options).await?;
        }
        if wanted(Part::Link) {
            link::measure(options).await?;
        }
        if wanted(Part::Admission) {
            admission::measure(options).await?;
        }
        if wanted(Part::Planning) {
            planning::measure(options).await?;
        }
        if wanted(Part::Utility) {
            utility::measure(options).await?;
        }
        if wanted(Part::Release) {
            release::measure(options).await?;
        }
        if wanted(Part::Register) {
            register::measure(options).await?;
        }
        if options.only == Some(Part::Quick) {
            quick::measure(options).await?;
        }
        if wanted(Part::Growth) {
            growth::measure(options).await?;
        }
        if options.only == Some(Part::Peers) {
            peers::measure(options).await?;
        }
        if options.only.is_some_and(|only| !matches!(only, Part::Ingest | Part::Scan)) {
            report::machine();
            return Ok(());
        }
        let mut platform = setup::platform(options).await?;
        if options.only != Some(Part::Scan) {
            ingest::measure(&platform, options).await?;
        }
        if options.only != Some(Part::Ingest) {
            scan::measure(&mut platform, options).await?;
        }
        platform.stop().await?;
        report::machine();
        Ok(())
    })
}
