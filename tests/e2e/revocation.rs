//! A controller takes a permit back while the hub does nothing about it: neither reads on, nor lets go, nor listens.

use crate::fixture::{Running, number, options};
use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use demo::platform::{PROJECT, Part, Platform};
use futures::TryStreamExt;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const SPOKE: &str = "sds";
const COUNT: &str = "SELECT COUNT(*) FROM sds.lmdb";
const ROWS: &str = "SELECT pnr, eksd, atc, volume, apk, indo FROM sds.lmdb";
const PEOPLE: u32 = 200;
/// Of prescriptions at the spoke: several times what the hub takes in while nobody reads from it.
const BYTES: u64 = 60 << 20;
/// What the controller was promised.
const PROMISE: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_secs(60);
const STOP: u8 = 19;
const CONTINUE: u8 = 18;

/// Writes each prescription as often as it takes to fill `BYTES`.
fn enlarge(folder: &Path) -> Result<()> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let total = files.iter().map(|file| Ok(std::fs::metadata(file)?.len())).sum::<Result<u64>>()?;
    let copies = usize::try_from(BYTES.div_ceil(total))?;
    for file in files {
        let text = std::fs::read(&file)?;
        let head = text.iter().position(|byte| *byte == b'\n').context("a header")? + 1;
        let (header, rows) = text.split_at(head);
        std::fs::write(&file, [header, &rows.repeat(copies)].concat())?;
    }
    Ok(())
}

/// A platform whose prescriptions at `SPOKE` are many.
async fn large() -> Result<Running> {
    let folder = tempfile::tempdir()?;
    let prepared = Platform::prepare(options(&folder, PEOPLE)).await?;
    enlarge(&prepared.registers_dir().join(SPOKE).join("lmdb"))?;
    drop(prepared);
    let platform = Platform::start(options(&folder, PEOPLE)).await?;
    Ok(Running { platform, folder })
}

/// When and what, of every entry in the spoke's log.
fn log(platform: &Platform) -> Result<Vec<(DateTime<Utc>, serde_json::Value)>> {
    let path = platform.spoke_dir(SPOKE).join("audit/spoke.log");
    runtime::audit::read(&path)?
        .map(|item| item.map(|(entry, _)| (entry.at, entry.event)).map_err(Into::into))
        .collect()
}

/// The entry that says how a query ended.
fn end_of(platform: &Platform, query: &str) -> Result<Option<(DateTime<Utc>, serde_json::Value)>> {
    Ok(log(platform)?.into_iter().find(|(_, event)| event["stage"] == "answered" && event["query"] == query))
}

/// `spoke revoke`, as the controller's approver types it.
async fn revoke(platform: &Platform) -> Result<()> {
    let approver = |end: &str| platform.dir().join("approvers").join(format!("{SPOKE}.{end}"));
    let mut args: Vec<PathBuf> = ["revoke", PROJECT, "--reason", "the study goes on elsewhere", "--config"]
        .into_iter()
        .map(PathBuf::from)
        .collect();
    args.extend([platform.config(Part::Spoke(SPOKE)), "--key".into(), approver("key")]);
    args.extend(["--passphrase-file".into(), approver("passphrase")]);
    let said = platform.run("spoke", &args).await?;
    ensure!(said.success(), "{}", said.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_that_is_frozen_keeps_no_answer_running_after_a_revocation() -> Result<()> {
    let running = large().await?;
    let platform = &running.platform;
    let all = number(&running.enclave().await?.ask(COUNT).await?)?;
    let stream = running.begun(ROWS).await?;
    let hub = platform.pid(Part::Hub).context("the hub runs")?;
    tests::process::signal(hub, STOP)?;
    let asked = log(platform)?.into_iter().rev().find(|(_, event)| event["stage"] == "asked");
    let query = asked.context("the question stands in the log")?.1["query"].as_str().context("query")?.to_owned();
    ensure!(end_of(platform, &query)?.is_none(), "the answer was over before the revocation: make it larger");

    revoke(platform).await?;
    let revoked = log(platform)?.into_iter().rev().find(|(_, event)| event["event"] == "permit_revoked");
    let revoked = revoked.context("the revocation stands in the log")?.0;
    let waiting = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let (at, end) = loop {
        look.tick().await;
        if let Some(end) = end_of(platform, &query)? {
            break end;
        }
        if waiting.elapsed() > WAIT {
            bail!("no end in the spoke's log {} s after the revocation", WAIT.as_secs());
        }
    };
    let took = (at - revoked).to_std().context("ended before it was revoked")?;
    println!("the answer ended {} ms after the revocation", took.as_millis());
    assert!(took < PROMISE, "the answer ended {} ms after the revocation", took.as_millis());
    assert_eq!(end["outcome"], "its permit was over, or somebody left");
    assert!(end["rows"].as_i64().is_some_and(|rows| rows < all), "{end} of {all} rows");

    // The hub goes on: what it had begun breaks off in words, and what it asks anew is refused.
    tests::process::signal(hub, CONTINUE)?;
    let rest = tokio::time::timeout(WAIT, stream.try_collect::<Vec<_>>()).await.context("the client hangs")?;
    let broken = rest.err().context("the answer came whole")?.to_string();
    ensure!(broken.contains(SPOKE) && broken.contains("permit"), "{broken}");
    let refused = running.enclave().await?.ask(COUNT).await.err().context("answered after the revocation")?;
    println!("asked again: {refused}");
    let since = log(platform)?.into_iter().filter(|(time, event)| *time > at && event["stage"] == "asked").count();
    assert_eq!(since, 0, "questions were admitted after the revocation");
    running.platform.stop().await?;
    Ok(())
}
