//! How much a join across controllers moves: a cohort in one register, outcomes in another, with key lists; and how much
//! a count by group moves.
//!
//! Bytes are those that `EXPLAIN ANALYZE` gives in the enclave: what came from each spoke, and key lists sent to it. What
//! was published stays in the folder and is used again.

use crate::{Options, Part, report::median};
use anyhow::{Context, Result, ensure};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;
use demo::{
    cast::Cast,
    client::Client,
    platform::{self, PROJECT, Platform, Progress},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Cohorts by birthday, which has nothing to do with health, each with what a join may then move of the unfiltered join's
/// bytes, per cent.
const COHORTS: [(&str, f64); 3] = [
    ("date_part('doy', b.foed_dag) = 1 AND b.koen = 1 AND b.kom % 3 <> 0", 2.0),
    ("date_part('doy', b.foed_dag) <= 4", 4.0),
    ("date_part('doy', b.foed_dag) <= 37", 15.0),
];
/// A count by group may move this many bytes from a spoke.
const GROUPS: u64 = 64 << 10;
/// More people than this take minutes to be made and published: only when asked for.
const MOST: u32 = 200_000;

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let (people, rows) = match options.only {
        Some(Part::Register) => (options.people, options.rows),
        _ => (options.people.min(MOST), options.rows.min(u64::from(MOST) * 10)),
    };
    let platform = published(options, people, rows).await?;
    let mut client = Client::connect(platform.enclave().context("the hub runs")?, platform.token(), PROJECT).await?;
    let mut all = 0;
    for table in Cast::with_prescriptions(rows).tables {
        let sql = format!("SELECT count(*) FROM \"{}\".{}", table.controller, table.name);
        all += number(&client.ask(&sql).await?)?;
    }
    println!("registers of {people} people, {all} rows over four spokes, {rows} of them prescriptions at one");
    joins(&mut client, options.runs).await?;
    groups(&mut client, options.runs).await?;
    platform.stop().await?;
    Ok(())
}

/// The platform with everything published, by an earlier run or by this one, with the time that each step took.
async fn published(options: &Options, people: u32, rows: u64) -> Result<Platform> {
    let dir = options.dir.join(format!("register-{people}-{rows}"));
    let mut all = platform::Options::new(dir, std::env::current_exe()?, people);
    all.cast = Cast::with_prescriptions(rows);
    let step = Mutex::new((String::new(), Instant::now()));
    all.report = Arc::new(move |progress| {
        let mut before = step.lock().unwrap_or_else(PoisonError::into_inner);
        if let Progress::Step(what) = progress {
            let seconds = before.1.elapsed().as_secs_f64();
            if seconds > 5.0 {
                println!("  {}: {seconds:.0} s", before.0);
            }
            *before = (what.to_owned(), Instant::now());
        }
    });
    Ok(Platform::start(all).await?)
}

async fn joins(client: &mut Client, runs: u32) -> Result<()> {
    let whole = moved(client, &cohort(None), &["sds"], runs).await?;
    println!("  join with everybody: {} bytes from the outcomes' spoke, {:.2} s", whole.bytes, whole.seconds);
    let everybody = number(&client.ask("SELECT count(*) FROM dst.bef b WHERE b.year = 2024").await?)?;
    for (condition, most) in COHORTS {
        let few = format!("SELECT count(*) FROM dst.bef b WHERE b.year = 2024 AND {condition}");
        let share = 100.0 * number(&client.ask(&few).await?)? as f64 / everybody as f64;
        let part = moved(client, &cohort(Some(condition)), &["sds"], runs).await?;
        let percent = 100.0 * (part.bytes + part.sent) as f64 / whole.bytes as f64;
        println!(
            "  join with {share:.2}% of the people: {} bytes and {} bytes of keys = {percent:.2}% (must: {most}%), {:.2} s",
            part.bytes, part.sent, part.seconds
        );
        ensure!(percent <= most, "a join with {share:.2}% of the people moves {percent:.2}% of the bytes");
    }
    Ok(())
}

async fn groups(client: &mut Client, runs: u32) -> Result<()> {
    for (what, measures, runs) in [("rows", "count(*)", runs), ("rows and people", "count(*), count(DISTINCT pnr)", 1)]
    {
        let one = format!("SELECT atc, {measures} FROM sds.prescriptions GROUP BY atc");
        let counted = moved(client, &one, &["sds"], runs).await?;
        println!("  {what} by group at one spoke: {} bytes (must: kilobytes), {:.2} s", counted.bytes, counted.seconds);
        ensure!(counted.bytes < GROUPS, "a count by group moves rows");
    }
    let labs = ["region-h", "region-m"];
    let over = |what: &str| {
        format!(
            "SELECT analysiscode, {what} FROM (SELECT pnr, analysiscode FROM \"region-h\".lab_forsker \
             UNION ALL SELECT pnr, analysiscode FROM \"region-m\".lab_forsker) l GROUP BY analysiscode"
        )
    };
    let rows = moved(client, &over("count(*)"), &labs, runs).await?;
    println!(
        "  rows by group over two spokes: {} bytes from both (must: kilobytes), {:.2} s",
        rows.bytes, rows.seconds
    );
    ensure!(rows.bytes < 2 * GROUPS, "a count by group over two spokes moves rows");
    let pairs = moved(client, &over("count(*), count(DISTINCT pnr)"), &labs, runs).await?;
    println!(
        "  rows and people by group over two spokes that share people: {} bytes from both, {:.2} s",
        pairs.bytes, pairs.seconds
    );
    Ok(())
}

fn cohort(condition: Option<&str>) -> String {
    let also = condition.map_or_else(String::new, |condition| format!(" AND {condition}"));
    format!(
        "SELECT count(*), sum(l.volume) FROM dst.bef b JOIN sds.prescriptions l ON l.pnr = b.pnr WHERE b.year = 2024{also}"
    )
}

struct Moved {
    bytes: u64,
    sent: u64,
    seconds: f64,
}

/// What came from some spokes, and the median time.
async fn moved(client: &mut Client, sql: &str, spokes: &[&str], runs: u32) -> Result<Moved> {
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
    for (_, told) in at.iter().zip(&bytes).filter(|(at, _)| spokes.contains(&at.as_str())) {
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
