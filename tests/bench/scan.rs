//! From a published table to the client, through spoke and hub; and the same by DataFusion over the files.

use crate::{
    Options,
    report::{median, spread},
    setup::{SPOKE, TABLE},
};
use anyhow::{Context, Result, ensure};
use arrow_flight::sql::client::FlightSqlServiceClient;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use demo::{
    platform::{PROJECT, Part, Platform},
    registers::CONTROLLERS,
};
use futures::TryStreamExt;
use std::time::Instant;
use tests::process;

const COLUMNS: &str = "pnr, eksd, atc, volume";

pub(crate) async fn measure(platform: &mut Platform, options: &Options) -> Result<()> {
    for controller in CONTROLLERS {
        platform.start_part(Part::Spoke(controller.id)).await?;
    }
    platform.start_part(Part::Hub).await?;
    let log = platform.log(Part::Spoke(SPOKE));
    let (mut ours, mut direct, mut share) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..=options.runs {
        let before = std::fs::metadata(&log)?.len();
        let through = through(platform, options.rows).await?;
        let files = over_files(platform, options.rows).await?;
        // The first of each warms the caches.
        if run > 0 {
            ours.push(through);
            direct.push(files);
            share.extend(pseudonymisation(&std::fs::read_to_string(&log)?, before));
        }
    }
    let peak = |part| -> Result<f64> {
        Ok(process::peak_memory(platform.pid(part).context("runs")?)? as f64 / f64::from(1 << 20))
    };
    println!("scan of {} rows x 4 columns through spoke and hub: {}", options.rows, spread(&ours, "s"));
    println!("  by DataFusion over the files, {} threads: {}", 2, spread(&direct, "s"));
    println!("  ratio of the medians: {:.2}", median(&ours) / median(&direct));
    println!(
        "  peak memory: spoke {:.0} MiB, hub {:.0} MiB; must be under 1024 each",
        peak(Part::Spoke(SPOKE))?,
        peak(Part::Hub)?
    );
    ensure!(!share.is_empty(), "the spoke's log tells nothing of the scan's time");
    println!(
        "  share of the spoke's reading, recoding and shuffling that is pseudonymisation: {:.1}%; goal under 10%",
        100.0 * median(&share)
    );
    Ok(())
}

async fn through(platform: &Platform, rows: u64) -> Result<f64> {
    let address = platform.enclave().context("runs")?;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(32 << 20)
        .tcp_nodelay(true)
        .connect()
        .await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.set_token(platform.token().to_owned());
    client.set_header("x-eger-project", PROJECT);
    let started = Instant::now();
    let info = client.execute(format!("SELECT {COLUMNS} FROM {SPOKE}.{TABLE}"), None).await?;
    let ticket = info.endpoint.into_iter().next().and_then(|e| e.ticket).context("a ticket")?;
    let mut stream = client.do_get(ticket).await?;
    let mut count = 0;
    while let Some(batch) = stream.try_next().await? {
        count += batch.num_rows() as u64;
    }
    ensure!(count == rows, "{count} rows came, {rows} were published");
    Ok(started.elapsed().as_secs_f64())
}

#[allow(clippy::disallowed_methods, reason = "the limit is measured over plain files, outside the platform")]
async fn over_files(platform: &Platform, rows: u64) -> Result<f64> {
    let folder = platform.spoke_dir(SPOKE).join("data").join(TABLE);
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let table = session.read_parquet(newest(&folder)?, ParquetReadOptions::default()).await?;
    let columns: Vec<&str> = COLUMNS.split(", ").collect();
    let started = Instant::now();
    let mut stream = table.select_columns(&columns)?.execute_stream().await?;
    let mut count = 0;
    while let Some(batch) = stream.try_next().await? {
        count += batch.num_rows() as u64;
    }
    ensure!(count == rows, "{count} rows in the files, {rows} were published");
    Ok(started.elapsed().as_secs_f64())
}

/// The newest snapshot's files; those of earlier ones stay for a day. Names are `part-<time-ordered id>-<number>`.
fn newest(folder: &std::path::Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "parquet") {
            files.push(path.to_str().context("a path")?.to_owned());
        }
    }
    let run = |file: &String| file.rsplit_once('-').map(|(run, _)| run.to_owned());
    let last = files.iter().filter_map(run).max();
    files.retain(|file| run(file) == last);
    Ok(files)
}

/// Time in pseudonymisation over all time of the scan's operator, of each big answer in the log after `from`.
fn pseudonymisation(log: &str, from: u64) -> Vec<f64> {
    let Some(new) = usize::try_from(from).ok().and_then(|from| log.get(from..)) else { return Vec::new() };
    new.lines()
        .filter_map(|line| {
            let pseudonym = field(line, "pseudonym_ms=")?;
            let all = pseudonym + field(line, "shuffle_ms=")? + field(line, "scan_ms=")?;
            Some(pseudonym / all.max(1.0))
        })
        .collect()
}

fn field(line: &str, name: &str) -> Option<f64> {
    line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
}
