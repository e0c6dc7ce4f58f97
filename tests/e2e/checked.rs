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

#[tokio::test(flavor = "multi_thread")]
async fn spokes_release_their_own_cells_and_the_hub_remembers_none_of_them() -> Result<()> {
    let running = started(2_000).await?;
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let mut open = running.open().await?;
    let sql = "SELECT koen, COUNT(DISTINCT pnr) AS n FROM dst.bef WHERE year = 2024 GROUP BY koen ORDER BY koen";
    let (truth, shown) = (rows(&oracle.ask(sql).await?)?, rows(&open.ask(sql).await?)?);
    ensure!(truth.len() == 2 && shown.len() == 2, "{truth:?} {shown:?}");
    for (truth, shown) in truth.iter().zip(&shown) {
        let [koen, n, status] = shown.as_slice() else { anyhow::bail!("{shown:?}") };
        let off = n.parse::<i64>()? - truth.get(1).context("a number")?.parse::<i64>()?;
        ensure!(truth.first() == Some(koen) && off.abs() <= 5 && status == "perturbed", "{truth:?} {shown:?}");
    }
    ensure!(rows(&open.ask(sql).await?)? == shown, "asked again it is the same");
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
        ensure!(std::fs::read_dir(&ledger).with_context(|| ledger.display().to_string())?.count() == 1, "{spoke}");
    }
    ensure!(!running.platform.hub_dir().join("ledger").exists(), "the hub released nothing itself");
    running.platform.stop().await?;
    Ok(())
}
