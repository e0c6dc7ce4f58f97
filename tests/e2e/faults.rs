//! Signal 9 and full disks, in turn, at every party. Each time: a clear error at the survivor, nothing lost, the next
//! run right.

mod home;
mod phases;
mod shapes;

use crate::fixture::{Running, number, options, start};
use anyhow::{Context, Result, ensure};
use arrow_flight::decode::FlightRecordBatchStream;
use demo::{
    platform::{Part, Platform},
    registers::CONTROLLERS,
};
use futures::TryStreamExt;
use std::{path::Path, process::Command, time::Duration};

const COUNT: &str = "SELECT COUNT(*) FROM sds.lmdb";
/// Large enough that an answer outlasts the windows of HTTP/2 while nobody reads.
const PEOPLE: u32 = 2_000;
/// How often each prescription stands there when the disk is to overflow.
const COPIES: i64 = 8;
const WAIT: Duration = Duration::from_secs(60);

/// Asks until the links stand again after a restart; the first answer counts.
async fn count(running: &Running) -> Result<i64> {
    let mut client = running.enclave().await?;
    number(&client.ask(COUNT).await?)
}

/// A big answer of which one batch has been read.
async fn half_read(running: &Running) -> Result<FlightRecordBatchStream> {
    // Joined with itself on the person: many times the table's rows.
    let sql = "SELECT a.pnr, a.eksd, b.eksd AS other, a.atc, b.atc AS other_atc, a.volume, b.volume AS other_volume \
               FROM sds.lmdb a JOIN sds.lmdb b ON a.pnr = b.pnr";
    running.begun(sql).await
}

/// Waits for a sign that an ingest is at work on the custodian's answers: its cache has grown.
async fn cache_grows(platform: &Platform, controller: &str) -> Result<()> {
    let cache = platform.spoke_dir(controller).join("cache/persons.cache");
    let mut look = tokio::time::interval(Duration::from_millis(2));
    let grown = async {
        while std::fs::metadata(&cache).map_or(0, |m| m.len()) < 1_000 {
            look.tick().await;
        }
    };
    tokio::time::timeout(WAIT, grown).await.context("the ingest didn't begin to link persons")
}

/// Everything ready but nothing ingested, the custodian running.
async fn before_ingest(people: u32) -> Result<Running> {
    let folder = tempfile::tempdir()?;
    let mut platform = Platform::prepare(options(&folder, people)).await?;
    platform.start_part(Part::Custodian).await?;
    Ok(Running { platform, folder })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_killed_while_ingesting_publishes_nothing_and_goes_on_next_time() -> Result<()> {
    let mut running = before_ingest(PEOPLE).await?;
    let ingest = running.platform.start_ingest("sds", &[])?;
    cache_grows(&running.platform, "sds").await?;
    ingest.kill().await;
    let partial = running.platform.run("spoke", &tables(&running, "sds")).await?;
    ensure!(partial.success(), "{}", partial.text);
    ensure!(!partial.stdout.contains("lmdb"), "published by an ingest that was killed:\n{}", partial.stdout);
    for controller in CONTROLLERS {
        let done = running.platform.ingest(controller.id, &[]).await?;
        ensure!(done.success(), "{}", done.text);
        running.platform.start_part(Part::Spoke(controller.id)).await?;
    }
    running.platform.start_part(Part::Hub).await?;
    assert_eq!(count(&running).await?, truth(&running).await?);
    orphans(&running, "sds")?;
    running.platform.stop().await?;
    Ok(())
}

fn tables(running: &Running, controller: &'static str) -> Vec<std::path::PathBuf> {
    vec!["tables".into(), "--config".into(), running.platform.config(Part::Spoke(controller))]
}

async fn truth(running: &Running) -> Result<i64> {
    let oracle = demo::oracle::Oracle::open(&running.platform.registers_dir())?;
    number(&oracle.ask(COUNT).await?)
}

/// No file of an unfinished run is left where tables are published.
fn orphans(running: &Running, controller: &str) -> Result<()> {
    let mut folders = vec![running.data_dir(controller)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                ensure!(!name.contains("partial") && !name.contains(".tmp"), "left over: {}", path.display());
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custodian_killed_while_ingesting_is_named_and_nothing_is_lost() -> Result<()> {
    let mut running = before_ingest(PEOPLE).await?;
    let ingest = running.platform.start_ingest("sds", &[])?;
    cache_grows(&running.platform, "sds").await?;
    running.platform.kill(Part::Custodian).await;
    let broken = tokio::time::timeout(WAIT * 2, ingest.wait()).await.context("the ingest hangs")??;
    assert_eq!(broken.code, Some(5), "{}", broken.text);
    ensure!(broken.text.contains("custodian"), "{}", broken.text);
    running.platform.start_part(Part::Custodian).await?;
    for controller in CONTROLLERS {
        let done = running.platform.ingest(controller.id, &[]).await?;
        ensure!(done.success(), "{}", done.text);
        running.platform.start_part(Part::Spoke(controller.id)).await?;
    }
    running.platform.start_part(Part::Hub).await?;
    assert_eq!(count(&running).await?, truth(&running).await?);
    running.platform.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_killed_while_answering_is_named_and_its_restart_is_enough() -> Result<()> {
    let mut running = start(PEOPLE).await?;
    let before = count(&running).await?;
    let stream = half_read(&running).await?;
    running.platform.kill(Part::Spoke("sds")).await;
    let broken = tokio::time::timeout(WAIT, stream.try_collect::<Vec<_>>()).await.context("the client hangs")?;
    // The hub may have had all of the spoke's rows before the kill; then the answer is whole. Never a part of it.
    if let Err(error) = &broken {
        ensure!(error.to_string().contains("sds"), "doesn't name the spoke: {error}");
    }
    let mut client = running.enclave().await?;
    let down = client.ask(COUNT).await.err().context("answered without the spoke")?.to_string();
    ensure!(down.contains("sds"), "doesn't name the spoke: {down}");
    let other = client.ask("SELECT COUNT(*) FROM dst.bef").await?;
    ensure!(number(&other)? > 0, "a question to another spoke fails too");
    running.platform.start_part(Part::Spoke("sds")).await?;
    assert_eq!(count(&running).await?, before);
    running.platform.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_spoke_is_an_error_within_the_deadline() -> Result<()> {
    let mut running = start(200).await?;
    let before = count(&running).await?;
    let config = running.platform.config(Part::Hub);
    let text = std::fs::read_to_string(&config)?;
    let line = text.lines().find(|l| l.trim_start().starts_with("timeout_seconds")).context("timeout_seconds")?;
    std::fs::write(&config, text.replace(line, "timeout_seconds = 5"))?;
    running.platform.restart(Part::Hub).await?;
    // The hub knows the catalogue, then the spoke stops answering.
    assert_eq!(count(&running).await?, before);
    let pid = running.platform.pid(Part::Spoke("sds")).context("runs")?;
    tests::process::signal(pid, 19)?;
    let mut client = running.enclave().await?;
    let asked = tokio::time::timeout(WAIT, client.ask(COUNT)).await.context("the client hangs")?;
    let refused = asked.err().context("answered by a frozen spoke")?.to_string();
    tests::process::signal(pid, 18)?;
    ensure!(refused.contains("sds"), "doesn't name the spoke: {refused}");
    assert_eq!(count(&running).await?, before);
    running.platform.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_while_answering_is_seen_and_its_restart_is_enough() -> Result<()> {
    let mut running = start(PEOPLE).await?;
    let before = count(&running).await?;
    let stream = half_read(&running).await?;
    running.platform.kill(Part::Hub).await;
    let broken = tokio::time::timeout(WAIT, stream.try_collect::<Vec<_>>()).await.context("the client hangs")?;
    let said = broken.err().context("a cut answer looks whole")?.to_string();
    ensure!(!said.is_empty() && !said.contains("panicked"), "says nothing of the cut: {said}");
    let down = running.enclave().await.err().context("connected to a hub that was killed")?.to_string();
    ensure!(!down.is_empty(), "says nothing of the hub being away");
    running.platform.start_part(Part::Hub).await?;
    assert_eq!(count(&running).await?, before);
    running.platform.stop().await?;
    Ok(())
}

/// A small file system of its own, unmounted when dropped.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(crate) fn mount(at: &'a Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let said =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output()?;
        ensure!(said.status.success(), "mount (needs root): {}", String::from_utf8_lossy(&said.stderr));
        Ok(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_while_ingesting_is_said_and_leaves_the_tables_as_they_were() -> Result<()> {
    let mut running = start(600).await?;
    let before = count(&running).await?;
    // The spoke's published tables move to a disk that has room for them and little more.
    let data = running.data_dir("sds");
    running.platform.stop_part(Part::Spoke("sds")).await?;
    let kept = running.folder.path().join("kept");
    std::fs::rename(&data, &kept)?;
    let used = Command::new("du").args(["-sk"]).arg(&kept).output()?;
    let used: u64 = String::from_utf8_lossy(&used.stdout).split_whitespace().next().context("du")?.parse()?;
    let disk = SmallDisk::mount(&data, &format!("{}k", used + 64))?;
    let copied = Command::new("cp").arg("-a").arg(kept.join(".")).arg(&data).status()?;
    ensure!(copied.success(), "cp");
    running.platform.start_part(Part::Spoke("sds")).await?;
    assert_eq!(count(&running).await?, before);

    // More of the same: every prescription many times.
    let source = running.platform.registers_dir().join("sds/lmdb");
    for entry in std::fs::read_dir(&source)?.collect::<Result<Vec<_>, _>>()? {
        for copy in 1..COPIES {
            let name = format!("lmdb9{copy}{}", entry.file_name().to_string_lossy().trim_start_matches("lmdb"));
            std::fs::copy(entry.path(), source.join(name))?;
        }
    }
    let full = running.platform.ingest("sds", &["lmdb"]).await?;
    assert_eq!(full.code, Some(6), "{}", full.text);
    ensure!(full.text.to_lowercase().contains("space") || full.text.contains("full"), "{}", full.text);
    assert_eq!(count(&running).await?, before, "a failed ingest changed what is served");

    // Room again: the same command succeeds.
    running.platform.stop_part(Part::Spoke("sds")).await?;
    let saved = running.folder.path().join("saved");
    ensure!(Command::new("cp").arg("-a").arg(&data).arg(&saved).status()?.success(), "cp");
    drop(disk);
    let _ = std::fs::remove_dir_all(&data);
    std::fs::rename(&saved, &data)?;
    running.platform.start_part(Part::Spoke("sds")).await?;
    let done = running.platform.ingest("sds", &["lmdb"]).await?;
    ensure!(done.success(), "{}", done.text);
    assert_eq!(count(&running).await?, COPIES * before);
    orphans(&running, "sds")?;
    running.platform.stop().await?;
    Ok(())
}
