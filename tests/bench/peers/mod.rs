//! The 22 queries of TPC-H by this platform and by what people would use in its place, on one machine, from the same rows:
//! DataFusion over local files (nobody can be faster with this engine), DuckDB over three S3 servers, PostgreSQL over three
//! foreign servers. Answers are compared with the local ones; one that differs fails the benchmark.
//!
//! Bytes: for Eger what `EXPLAIN ANALYZE` counts (Arrow messages received and key lists sent, without the frames of HTTP/2 and
//! TLS); for peers what a TCP relay before each of their servers counts.

mod data;
mod duckdb;
mod eger;
mod limit;
mod lines;
mod postgres;
mod relay;
mod table;

use self::{
    data::{Cut, Table},
    duckdb::DuckDb,
    eger::Eger,
    limit::Limit,
    postgres::Postgres,
    table::{Own, Row, Runs},
};
use crate::{Options, report::median};
use anyhow::{Result, ensure};
use arrow::array::RecordBatch;
use clap::ValueEnum;
use std::collections::BTreeMap;
use tokio::process::Command;

pub(crate) use self::duckdb::S3;

const SETUP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/peers/setup");
/// PostgreSQL gives up on a statement after so many seconds.
const PATIENCE: u64 = 60;
/// A peer's query that took longer than so many seconds is not asked again.
const LONG: f64 = 8.0;

/// Whom to compare with.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// DuckDB over S3
    Duckdb,
    /// PostgreSQL with foreign tables
    Postgres,
    /// nobody but the limit
    None,
}

/// Everything that answers.
struct All {
    tables: Vec<Table>,
    eger: Eger,
    limit: Limit,
    duckdb: Option<DuckDb>,
    postgres: Option<Postgres>,
    runs: u32,
    wrong: Vec<String>,
}

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let with = |peer| options.peer.is_none_or(|only| only == peer);
    if options.peer != Some(Peer::None) {
        ensure!(Command::new(SETUP).status().await?.success(), "{SETUP} failed");
    }
    let tables = data::tables();
    let dir = options.dir.join(format!("tpch-{}", options.scale));
    println!("TPC-H at scale {}, by Eger and its peers", options.scale);
    data::generate(&dir.join("csv"), &tables, options.scale)?;
    let eger = Eger::start(&dir.join("platform"), &dir.join("csv"), &tables).await?;
    let mut whole = BTreeMap::new();
    for table in &tables {
        whole.insert(table.name, eger.published(table, Cut::Apart, table.home)?);
    }
    let limit = Limit::open(&whole).await?;
    let duckdb = match with(Peer::Duckdb) {
        true => Some(
            DuckDb::start(&dir.join("s3"), &tables, options.s3, |t, cut, place| eger.published(t, cut, place)).await?,
        ),
        false => None,
    };
    let postgres = match with(Peer::Postgres) {
        true => Some(Postgres::start(&dir.join("csv"), &tables, options.scale, PATIENCE).await?),
        false => None,
    };
    let mut all = All { tables, eger, limit, duckdb, postgres, runs: options.runs, wrong: Vec::new() };
    let (queries, mut answers) = (data::queries()?, 0);
    for (cut, goal) in Cut::BOTH.into_iter().zip([1.5, 3.0]) {
        let mut rows = Vec::new();
        for (query, sql) in queries.iter().filter(|(q, _)| options.query.as_ref().is_none_or(|only| only == q)) {
            rows.push(all.query(query, sql, cut).await?);
        }
        table::print(cut, &rows, goal);
        answers += rows.len();
    }
    let All { eger, postgres, wrong, .. } = all;
    if let Some(postgres) = postgres {
        postgres.stop().await?;
    }
    eger.stop().await?;
    ensure!(wrong.is_empty(), "answers that differ from the local ones:\n{}", wrong.join("\n"));
    ensure!(answers > 0, "there is no such query; --query takes 1 to 22");
    println!("each of Eger's {answers} answers equals the local one");
    Ok(())
}

impl All {
    /// One query over one cut by everybody, in turns. What the first run of each needs to warm up isn't counted.
    async fn query(&mut self, query: &str, sql: &str, cut: Cut) -> Result<Row> {
        let own_sql = Eger::sql(sql, &self.tables, cut);
        let limit_sql = Limit::sql(sql, &self.tables);
        let duckdb_sql = DuckDb::sql(sql, &self.tables, cut);
        let (_, wanted) = self.limit.ask(&limit_sql).await?;
        let rows = wanted.iter().map(RecordBatch::num_rows).sum::<usize>() as u64;
        match self.eger.ask(&own_sql).await {
            Ok((_, got)) => {
                if let Err(difference) = limit::same(&[got], &wanted) {
                    self.wrong.push(format!("q{query}, {}: {difference}", cut.name()));
                }
            }
            Err(error) => self.wrong.push(format!("q{query}, {}: {error}", cut.name())),
        }
        let mut duckdb = match &mut self.duckdb {
            Some(peer) => {
                let took = peer.ask(&duckdb_sql).await?;
                ensure!(took.rows == rows, "q{query}: {} rows by DuckDB, {rows} expected", took.rows);
                Some((Runs::default(), took.seconds < LONG))
            }
            None => None,
        };
        let (mut own, mut limit) = (Own::default(), Vec::new());
        for _ in 0..self.runs {
            limit.push(self.limit.ask(&limit_sql).await?.0);
            let before = self.eger.busy()?;
            if let Ok((seconds, _)) = self.eger.ask(&own_sql).await {
                own.runs.seconds.push(seconds);
                let after = self.eger.busy()?;
                own.busy.hub += (after.hub - before.hub) / f64::from(self.runs);
                own.busy.spokes += (after.spokes - before.spokes) / f64::from(self.runs);
            }
            if let (Some(peer), Some((runs, again))) = (&mut self.duckdb, &mut duckdb)
                && (*again || runs.seconds.is_empty())
            {
                runs.add(&peer.ask(&duckdb_sql).await?);
            }
        }
        if let Ok(moved) = self.eger.moved(&own_sql).await {
            let mut planning = Vec::new();
            for _ in 0..3 {
                planning.push(self.eger.ask(&format!("EXPLAIN {own_sql}")).await?.0);
            }
            own.planning = median(&planning);
            own.runs.bytes = moved.bytes;
            (own.fragments, own.largest) = (moved.fragments, moved.largest);
        }
        let row = Row {
            query: query.to_owned(),
            limit: median(&limit),
            own,
            duckdb: duckdb.map(|(runs, _)| runs),
            postgres: self.postgres(query, sql, cut, rows).await?,
        };
        row.progress(cut);
        Ok(row)
    }

    /// PostgreSQL by itself: its slow queries would only let the others' caches cool.
    async fn postgres(&mut self, query: &str, sql: &str, cut: Cut, rows: u64) -> Result<Option<Runs>> {
        let sql = Postgres::sql(sql, &self.tables, cut);
        let Some(peer) = &mut self.postgres else { return Ok(None) };
        let Some(took) = peer.ask(&sql).await? else { return Ok(None) };
        ensure!(took.rows == rows, "q{query}: {} rows by PostgreSQL, {rows} expected", took.rows);
        let mut runs = Runs::default();
        if took.seconds > LONG {
            runs.add(&took);
            return Ok(Some(runs));
        }
        for _ in 0..self.runs {
            if let Some(took) = peer.ask(&sql).await? {
                runs.add(&took);
            }
        }
        Ok(Some(runs))
    }
}
