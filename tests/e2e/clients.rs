//! What researchers build on the ordinary driver: prepared statements, tables' schemas, session options, cancelling,
//! polars and pandas.

use crate::{adbc::python, fixture::start};
use anyhow::{Context, Result, bail};
use demo::{
    oracle::Oracle,
    platform::{PROJECT, Part},
};
use std::{path::Path, process::Command};

const GROUPS: &str =
    "SELECT region, COUNT(*) AS n, AVG(kom) AS kom FROM dst.bef WHERE year = 2024 GROUP BY region ORDER BY region";

#[tokio::test(flavor = "multi_thread")]
async fn clients_prepare_bind_list_choose_cancel_and_read_into_data_frames() -> Result<()> {
    // Enough people that a join of all with all outlasts a click on "cancel".
    let running = start(2_000).await?;
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let path = running.folder.path().join("truth.arrow");
    let truth = oracle.ask(GROUPS).await?;
    let mut writer = arrow::ipc::writer::FileWriter::try_new(std::fs::File::create(&path)?, &truth.schema())?;
    writer.write(&truth)?;
    writer.finish()?;
    let mut by_sex = Vec::new();
    for (koen, year) in [(1, 2024), (2, 2024), (2, 2021), (9, 2024)] {
        let sql = format!("SELECT COUNT(*) FROM dst.bef WHERE koen = {koen} AND year = {year}");
        by_sex.push([koen, year, crate::fixture::number(&oracle.ask(&sql).await?)?]);
    }
    let task = serde_json::json!({
        "enclave": format!("grpc://{}", running.platform.enclave().context("runs")?),
        "token": running.platform.token(),
        "project": PROJECT,
        "groups": GROUPS,
        "truth": path,
        "by_sex": by_sex,
        "spoke_log": running.platform.log(Part::Spoke("dst")),
        "spoke_pid": running.platform.pid(Part::Spoke("dst")).context("runs")?,
    });
    let task_path = running.folder.path().join("task.json");
    std::fs::write(&task_path, task.to_string())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/clients.py");
    let output = tokio::task::spawn_blocking(move || Command::new(python()).arg(script).arg(task_path).output())
        .await?
        .context("no Python; run tests/setup")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let log = std::fs::read_to_string(running.platform.log(Part::Hub)).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(10).collect();
        bail!(
            "{said}\n{}\nthe hub's log, last line first:\n{}",
            String::from_utf8_lossy(&output.stderr),
            end.join("\n")
        );
    }
    println!("{said}");
    running.platform.stop().await?;
    Ok(())
}
