//! Eger itself: hub and spokes as processes, asked over Flight SQL in the enclave.

use super::data::{self, Cut, PLACES, Table};
use anyhow::{Context, Result, ensure};
use arrow::array::{AsArray, RecordBatch};
use demo::{
    client::Client,
    platform::{self, AlsoAsked, PROJECT, Part, Platform, Progress},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// The running platform and a connection to its hub.
pub(crate) struct Eger {
    platform: Platform,
    client: Client,
}

/// What `EXPLAIN ANALYZE` says about a statement.
pub(crate) struct Moved {
    /// received from all spokes, and key lists sent to them
    pub(crate) bytes: u64,
    /// the fragment that gave most bytes: where, rows, bytes
    pub(crate) largest: (String, u64, u64),
    /// fragments asked
    pub(crate) fragments: usize,
}

/// Seconds of processor time so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Busy {
    pub(crate) hub: f64,
    pub(crate) spokes: f64,
}

impl Eger {
    /// Publishes what has not been published, and starts everything.
    pub(crate) async fn start(dir: &Path, source: &Path, tables: &[Table]) -> Result<Eger> {
        let mut options = platform::Options::new(dir, std::env::current_exe()?, 100);
        for table in tables {
            for cut in Cut::BOTH {
                for place in table.places(cut) {
                    options.also.push(AlsoAsked {
                        controller: PLACES[place].to_owned(),
                        table: table.called(cut),
                        columns: table.schema.fields().iter().map(|field| field.name().clone()).collect(),
                    });
                }
            }
        }
        options.report = Arc::new(|progress| {
            if let Progress::Step(step) = progress {
                println!("  {step}");
            }
        });
        let prepared = Platform::prepare(options.clone()).await?;
        let nationals = prepared.hub_dir().join("national");
        std::fs::create_dir_all(&nationals)?;
        for table in tables {
            std::fs::write(nationals.join(format!("{}.toml", table.name)), data::national(table))?;
            for cut in Cut::BOTH {
                for place in table.places(cut) {
                    let csv = std::path::absolute(data::csv(source, table, cut, place))?;
                    let name = table.called(cut);
                    let to = prepared.spoke_dir(PLACES[place]).join(format!("tables/{name}.toml"));
                    std::fs::write(to, data::declaration(&name, &table.schema, &csv))?;
                }
            }
        }
        // gives the folder's lock back
        drop(prepared);
        let platform = Platform::start(options).await?;
        let address = platform.enclave().context("the hub runs")?;
        let client = Client::connect(address, platform.token(), PROJECT).await?;
        Ok(Eger { platform, client })
    }

    /// Stops everything in order.
    pub(crate) async fn stop(self) -> Result<()> {
        Ok(self.platform.stop().await?)
    }

    /// The Parquet files of a table that a spoke has published.
    pub(crate) fn published(&self, table: &Table, cut: Cut, place: usize) -> Result<Vec<PathBuf>> {
        let folder = self.platform.spoke_dir(PLACES[place]).join("data").join(table.called(cut));
        let files = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
        files.retain(|file| file.extension().is_some_and(|e| e == "parquet"));
        ensure!(!files.is_empty(), "{} has no files", folder.display());
        files.sort();
        Ok(files)
    }

    /// A query over a cut.
    pub(crate) fn sql(sql: &str, tables: &[Table], cut: Cut) -> String {
        data::placed(sql, tables, |table| match cut {
            Cut::Apart => format!("\"{}\".{}", PLACES[table.home], table.name),
            Cut::Thirds => format!("national.{}", table.name),
        })
    }

    pub(crate) async fn ask(&mut self, sql: &str) -> Result<(f64, RecordBatch)> {
        let started = Instant::now();
        let answer = self.client.ask(sql).await?;
        Ok((started.elapsed().as_secs_f64(), answer))
    }

    /// Runs it once more, counted.
    pub(crate) async fn moved(&mut self, sql: &str) -> Result<Moved> {
        let answer = self.client.ask(&format!("EXPLAIN ANALYZE {sql}")).await?;
        let text = |name: &str| {
            let column = answer.column_by_name(name).with_context(|| name.to_owned())?;
            anyhow::Ok(column.as_string::<i32>().iter().map(|t| t.unwrap_or_default()).collect::<Vec<_>>())
        };
        let (at, rows, bytes) = (text("runs_at")?, text("rows")?, text("bytes")?);
        let mut moved = Moved { bytes: 0, largest: (String::new(), 0, 0), fragments: 0 };
        for ((at, rows), bytes) in at.into_iter().zip(rows).zip(bytes).filter(|((at, _), _)| *at != "hub") {
            let (received, keys) = bytes.split_once(", keys ").unwrap_or((bytes, "0"));
            let (received, keys) = (digits(received)?, digits(keys)?);
            moved.bytes += received + keys;
            moved.fragments += 1;
            if received >= moved.largest.2 {
                moved.largest = (at.to_owned(), digits(rows)?, received);
            }
        }
        ensure!(moved.fragments > 0, "EXPLAIN ANALYZE names no spoke");
        Ok(moved)
    }

    /// What hub and spokes have worked so far.
    pub(crate) fn busy(&self) -> Result<Busy> {
        let mut busy = Busy { hub: self.worked(Part::Hub)?, spokes: 0.0 };
        for place in PLACES {
            busy.spokes += self.worked(Part::Spoke(place))?;
        }
        Ok(busy)
    }

    fn worked(&self, part: Part) -> Result<f64> {
        let pid = self.platform.pid(part).with_context(|| format!("{part} runs"))?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // after the program's name, which may hold anything: user and system time are the 12th and 13th, in hundredths
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / 100.0)
    }
}

fn digits(text: &str) -> Result<u64> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("'{text}' is no number"))
}
