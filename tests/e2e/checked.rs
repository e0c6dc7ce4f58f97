//! Spoke processes that check their own cells: the hub holds no more of their people than what is shown.

use crate::fixture::{Running, options, rows};
use anyhow::{Context, Result, ensure};
use demo::{oracle::Oracle, platform::Platform};

async fn started(people: u32) -> Result<Running> {
    let folder = tempfile::tempdir()?;
    let mut options = options(&folder, people);
    options.output = Some("spoke_aggregates".to_owned());
    Ok(Running { platform: Platform::start(options).await?, folder })
}

/// `spoke approve --threshold 10`, where rows reach the hub and it makes the cells.
#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_that_a_permit_raises_holds_at_the_hub() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut options = options(&folder, 2_000);
    (options.output, options.threshold) = (Some("hub_aggregates".to_owned()), Some(10));
    let running = Running { platform: Platform::start(options).await?, folder };
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let mut open = running.open().await?;
    let sql = "SELECT kom, koen, COUNT(DISTINCT pnr) AS n FROM dst.bef WHERE year = 2024 GROUP BY kom, koen";
    let truth = rows(&oracle.ask(sql).await?)?;
    let number = |row: &[String]| row.get(2).and_then(|n| n.parse::<u64>().ok());
    let between = truth.iter().filter(|row| number(row).is_some_and(|n| (8..10).contains(&n))).count();
    ensure!(between > 0, "the registers have no group of eight or nine: {truth:?}");
    let shown = rows(&open.ask(sql).await?)?;
    let large = truth.iter().filter(|row| number(row).is_some_and(|n| n >= 13)).count();
    let told: Vec<_> = shown.iter().filter(|row| number(row).is_some()).collect();
    ensure!(told.len() >= large, "{} of {large}", told.len());
    for row in &told {
        let exact = truth.iter().find(|exact| exact.get(..2) == row.get(..2)).and_then(|exact| number(exact));
        ensure!(exact >= Some(10) && number(row) >= Some(10), "{row:?}, exactly {exact:?}");
    }
    let hidden: Vec<_> = shown.iter().filter(|row| number(row).is_none()).collect();
    ensure!(hidden.len() == 1 && hidden[0][3] == "suppressed: fewer than 10 people", "{hidden:?}");
    let notes = rows(&open.ask(&format!("EXPLAIN RELEASE {sql}")).await?)?;
    ensure!(notes.iter().flatten().any(|cell| cell == "suppressed: fewer than 10 people"), "{notes:?}");
    running.platform.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn spokes_release_their_own_cells_and_the_hub_remembers_none_of_them() -> Result<()> {
    let running = started(2_000).await?;
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let mut open = running.open().await?;
    let sql = "SELECT koen, COUNT(DISTINCT pnr) AS n FROM dst.bef WHERE year = 2024 GROUP BY koen ORDER BY koen";
    let groups = |rows: Vec<Vec<String>>| -> Vec<Vec<String>> {
        rows.into_iter().filter(|row| row.first().is_some_and(|key| key != "NULL")).collect()
    };
    let (truth, shown) = (rows(&oracle.ask(sql).await?)?, groups(rows(&open.ask(sql).await?)?));
    ensure!(truth.len() == 2 && shown.len() == 2, "{truth:?} {shown:?}");
    for (truth, shown) in truth.iter().zip(&shown) {
        let [koen, n, status] = shown.as_slice() else { anyhow::bail!("{shown:?}") };
        let off = n.parse::<i64>()? - truth.get(1).context("a number")?.parse::<i64>()?;
        ensure!(truth.first() == Some(koen) && off.abs() <= 5 && status == "perturbed", "{truth:?} {shown:?}");
    }
    ensure!(groups(rows(&open.ask(sql).await?)?) == shown, "asked again it is the same");
    let days = "SELECT foed_dag, COUNT(*) AS n FROM dst.bef WHERE year = 2024 GROUP BY foed_dag";
    let refused = open.ask(days).await.err().context("is refused")?.to_string();
    ensure!(refused.contains("date_trunc('week', ..)"), "{refused}");
    // In their municipality nearly everybody has a week of birth of their own.
    let weeks =
        "SELECT date_trunc('week', foed_dag) AS week, kom, COUNT(*) AS n FROM dst.bef WHERE year = 2024 GROUP BY 1, 2";
    let weeks = rows(&open.ask(weeks).await?)?;
    ensure!(weeks == [["NULL", "NULL", "NULL", "suppressed: fewer than 5 people"]], "{weeks:?}");
    // People of two controllers don't meet; their groups do.
    let joined = "SELECT COUNT(*) FROM dst.bef b JOIN sds.lmdb l ON b.pnr = l.pnr";
    let refused = open.ask(joined).await.err().context("is refused")?.to_string();
    ensure!(refused.contains("can't be counted together"), "{refused}");
    let groups = "WITH a AS (SELECT COUNT(DISTINCT pnr) AS n FROM dst.bef), b AS (SELECT COUNT(DISTINCT pnr) AS n FROM sds.lmdb) \
                  SELECT a.n AS people, b.n AS treated FROM a CROSS JOIN b";
    let groups = rows(&open.ask(groups).await?)?;
    ensure!(groups.len() == 1 && groups.iter().flatten().all(|cell| cell != "NULL"), "{groups:?}");
    let refused = open.ask("SELECT * FROM dst.bef").await.err().context("is refused")?.to_string();
    ensure!(refused.contains("single people"), "{refused}");
    // Who remembers: each spoke its own.
    for spoke in ["dst", "sds"] {
        let ledger = running.platform.spoke_dir(spoke).join("ledger");
        let files = std::fs::read_dir(&ledger).with_context(|| ledger.display().to_string())?;
        let files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
        let cells = files.iter().filter(|file| file.extension().is_some_and(|end| end == "cells"));
        ensure!(cells.count() == 1, "{spoke}: {files:?}");
    }
    ensure!(!running.platform.hub_dir().join("ledger").exists(), "the hub released nothing itself");
    running.platform.stop().await?;
    Ok(())
}
