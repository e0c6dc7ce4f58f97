//! From CSV to a published table: cold, when the custodian has to be asked about everybody, and warm.

use crate::{
    Options,
    report::{median, spread},
    setup::{SPOKE, TABLE, declare},
};
use anyhow::{Context, Result, ensure};
use demo::platform::Platform;
use std::time::{Duration, Instant};
use tests::process;

struct Run {
    wall: f64,
    cpu: f64,
    peak: u64,
    said: String,
}

pub(crate) async fn measure(platform: &Platform, options: &Options) -> Result<()> {
    let cache = platform.spoke_dir(SPOKE).join("cache/persons.cache");
    if cache.exists() {
        println!(
            "ingest, cold: skipped, {} people are known; remove {} to measure it",
            options.people,
            options.dir.display()
        );
        declare(platform, "known")?;
        ingest(platform).await?;
    } else {
        let cold = ingest(platform).await?;
        let evaluated = f64::from(options.people);
        println!(
            "ingest, cold: {:.1} s, {:.0} new pseudonyms/s with spoke and custodian on this machine; {:.1} CPU s at the spoke",
            cold.wall,
            evaluated / cold.wall,
            cold.cpu
        );
        println!("{}", cold.said.trim_end());
    }
    let mut runs = Vec::new();
    for i in 0..options.runs {
        declare(platform, &format!("run {i}"))?;
        runs.push(ingest(platform).await?);
    }
    let walls: Vec<f64> = runs.iter().map(|r| r.wall).collect();
    let cpus: Vec<f64> = runs.iter().map(|r| r.cpu).collect();
    let peak = runs.iter().map(|r| r.peak).max().unwrap_or(0);
    let rows = options.rows as f64;
    println!("ingest, warm cache: {}; {:.0} rows/s", spread(&walls, "s"), rows / median(&walls));
    println!(
        "  per core: {:.0} rows/s of CPU time ({}); must 150000, goal 300000",
        rows / median(&cpus),
        spread(&cpus, "CPU s")
    );
    println!("  peak memory of spoke ingest: {:.0} MiB; must be under 1024", peak as f64 / (1 << 20) as f64);
    Ok(())
}

/// Runs `spoke ingest` and watches its time and memory from outside.
async fn ingest(platform: &Platform) -> Result<Run> {
    let started = Instant::now();
    let child = platform.start_ingest(SPOKE, &[TABLE])?;
    let pid = child.pid().context("a process id")?;
    let (mut cpu, mut peak) = (0.0, 0);
    let done = child.wait();
    tokio::pin!(done);
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let outcome = loop {
        tokio::select! {
            outcome = &mut done => break outcome?,
            _ = look.tick() => {
                // It may end between two looks; the last one counts.
                if let (Ok((user, system)), Ok(memory)) = (process::cpu_seconds(pid), process::peak_memory(pid)) {
                    cpu = user + system;
                    peak = peak.max(memory);
                }
            }
        }
    };
    ensure!(outcome.success(), "{}", outcome.text);
    ensure!(!outcome.text.contains("nothing new"), "the ingest had nothing to do: {}", outcome.text);
    Ok(Run { wall: started.elapsed().as_secs_f64(), cpu, peak, said: outcome.text })
}
