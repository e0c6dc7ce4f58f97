//! How much a join across controllers moves: a cohort in one register, outcomes in another, with key lists; and how much
//! a count by group moves.
//!
//! Bytes are those that `EXPLAIN ANALYZE` gives in the enclave: what came from each spoke, and key lists sent to it.

use crate::{Options, report::median};
use anyhow::{Context, Result, ensure};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;
use demo::{
    client::Client,
    platform::{self, PROJECT, Platform},
};
use std::time::Instant;

/// Cohorts by birthday, which has nothing to do with health, each with what a join may then move of the unfiltered join's
/// bytes, per cent.
const COHORTS: [(&str, f64); 3] = [
    ("date_part('doy', b.foed_dag) = 1 AND b.koen = 1", 2.0),
    ("date_part('doy', b.foed_dag) <= 4", 4.0),
    ("date_part('doy', b.foed_dag) <= 37", 15.0),
];
/// A count by group over one spoke may move this many bytes.
const GROUPS: u64 = 64 << 10;

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let program = std::env::current_exe()?;
    let people = options.people.min(MOST);
    let dir = options.dir.join(format!("register-{people}"));
    let platform = Platform::start(platform::Options::new(dir, program, people)).await?;
    let mut client = Client::connect(platform.enclave().context("the hub runs")?, platform.token(), PROJECT).await?;
    let rows = number(&client.ask("SELECT count(*) FROM sds.lmdb").await?)?;
    println!("registers of {people} people, {rows} prescriptions, over four spokes");
    let whole = moved(&mut client, &cohort(None), "sds", options.runs).await?;
    println!("  join with everybody: {} bytes from the outcomes' spoke, {:.2} s", whole.bytes, whole.seconds);
    let everybody = number(&client.ask("SELECT count(*) FROM dst.bef b WHERE b.year = 2024").await?)?;
    for (condition, most) in COHORTS {
        let few = format!("SELECT count(*) FROM dst.bef b WHERE b.year = 2024 AND {condition}");
        let share = 100.0 * number(&client.ask(&few).await?)? as f64 / everybody as f64;
        let part = moved(&mut client, &cohort(Some(condition)), "sds", options.runs).await?;
        let percent = 100.0 * (part.bytes + part.sent) as f64 / whole.bytes as f64;
        println!(
            "  join with {share:.2}% of the people: {} bytes and {} bytes of keys = {percent:.2}% (must: {most}%), {:.2} s",
            part.bytes, part.sent, part.seconds
        );
    }
    let counted =
        moved(&mut client, "SELECT atc, count(*), count(DISTINCT pnr) FROM sds.lmdb GROUP BY atc", "sds", options.runs)
            .await?;
    println!("  count by group at one spoke: {} bytes (must: kilobytes), {:.2} s", counted.bytes, counted.seconds);
    ensure!(counted.bytes < GROUPS, "a count by group moves rows");
    let labs = "SELECT analysiscode, count(*), count(DISTINCT pnr) FROM (SELECT pnr, analysiscode FROM \"region-h\".lab_forsker \
                UNION ALL SELECT pnr, analysiscode FROM \"region-m\".lab_forsker) l GROUP BY analysiscode";
    let pairs = moved(&mut client, labs, "region-h", options.runs).await?;
    println!(
        "  the same with different people over two spokes: {} bytes from one of them, {:.2} s",
        pairs.bytes, pairs.seconds
    );
    platform.stop().await?;
    Ok(())
}

/// More people than this take long to make.
const MOST: u32 = 200_000;

fn cohort(condition: Option<&str>) -> String {
    let also = condition.map_or_else(String::new, |condition| format!(" AND {condition}"));
    format!("SELECT count(*), sum(l.volume) FROM dst.bef b JOIN sds.lmdb l ON l.pnr = b.pnr WHERE b.year = 2024{also}")
}

struct Moved {
    bytes: u64,
    sent: u64,
    seconds: f64,
}

/// What came from a spoke, and the median time.
async fn moved(client: &mut Client, sql: &str, spoke: &str, runs: u32) -> Result<Moved> {
    let mut seconds = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        client.ask(sql).await?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let answer = client.ask(&format!("EXPLAIN ANALYZE {sql}")).await?;
    let text = |name: &str| {
        let column = answer.column_by_name(name).with_context(|| name.to_owned())?;
        anyhow::Ok(column.as_string::<i32>().iter().map(|t| t.unwrap_or_default().to_owned()).collect::<Vec<_>>())
    };
    let (at, bytes) = (text("runs_at")?, text("bytes")?);
    let (mut came, mut sent) = (0, 0);
    for (_, told) in at.iter().zip(&bytes).filter(|(at, _)| *at == spoke) {
        let (received, keys) = told.split_once(", keys ").unwrap_or((told, "0"));
        came += digits(received)?;
        sent += digits(keys)?;
    }
    Ok(Moved { bytes: came, sent, seconds: median(&seconds) })
}

fn digits(text: &str) -> Result<u64> {
    Ok(text.chars().filter(char::is_ascii_digit).collect::<String>().parse()?)
}

fn number(batch: &RecordBatch) -> Result<i64> {
    let column = arrow::compute::cast(batch.column(0), &DataType::Int64)?;
    Ok(column.as_primitive::<arrow::datatypes::Int64Type>().value(0))
}
