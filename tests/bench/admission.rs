//! What it costs to be let in: questions one after another, through a hub to a spoke that dialled it, each reading next to
//! nothing. The spoke tells in its own log how long it took from the question's arrival until it was admitted, and how
//! long the answer's end waited for its own entry in the audit log.

use crate::{
    Options,
    report::{median, quantile},
};
use anyhow::{Context, Result, ensure};
use demo::{
    client::Client,
    platform::{self, PROJECT, Part, Platform},
};
use std::time::Instant;

/// The spoke that is asked.
const SPOKE: &str = "dst";
/// One small table, few rows.
const QUESTION: &str = "SELECT koen FROM dst.bef WHERE koen = 2 AND kom = 101";
/// People of the platform: as few as make a table.
const PEOPLE: u32 = 100;
/// Questions that warm up and aren't counted.
const WARM_UP: usize = 30;
/// Questions of one run.
const QUESTIONS: usize = 100;

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let program = std::env::current_exe()?;
    let platform = Platform::start(platform::Options::new(options.dir.join("admission"), program, PEOPLE)).await?;
    let log = platform.log(Part::Spoke(SPOKE));
    let before = usize::try_from(std::fs::metadata(&log)?.len())?;
    let mut client = Client::connect(platform.enclave().context("the hub runs")?, platform.token(), PROJECT).await?;
    let counted = QUESTIONS * usize::try_from(options.runs)?;
    let mut whole = Vec::with_capacity(counted);
    for n in 0..WARM_UP + counted {
        let started = Instant::now();
        client.ask(QUESTION).await?;
        if n >= WARM_UP {
            whole.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    // All of its log is written when it has ended.
    platform.stop().await?;
    let said = std::fs::read_to_string(&log)?;
    let told = told(said.get(before..).context("the spoke's log was cut")?);
    ensure!(
        told.len() == WARM_UP + counted,
        "the spoke answered {} times, {} questions were asked",
        told.len(),
        WARM_UP + counted
    );
    let told = told.get(WARM_UP..).unwrap_or_default();
    let admission: Vec<f64> = told.iter().map(|t| t.admit).collect();
    let both: Vec<f64> = told.iter().map(|t| t.admit + t.close).collect();
    println!("admission of a question at the spoke, {counted} one after another: {}", shown(&admission));
    println!("  goal: median under 3 ms");
    println!("  with the answer's own entry in the audit log, on disk: {}", shown(&both));
    println!("  the whole question, at the client, through hub and spoke: {}", shown(&whole));
    Ok(())
}

/// Of one question, milliseconds.
struct Told {
    admit: f64,
    close: f64,
}

/// What the spoke's log says of each question that it answered.
fn told(log: &str) -> Vec<Told> {
    log.lines()
        .filter_map(|line| Some(Told { admit: field(line, "admit_ms=")?, close: field(line, "close_ms=")? }))
        .collect()
}

fn field(line: &str, name: &str) -> Option<f64> {
    line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
}

fn shown(millis: &[f64]) -> String {
    format!("median {:.2} ms, p95 {:.2} ms", median(millis), quantile(millis, 0.95))
}
