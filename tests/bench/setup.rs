//! The platform with one big table of prescriptions at one spoke.

use crate::Options;
use anyhow::{Context, Result};
use demo::{
    generate::bench::{PRESCRIPTIONS, prescriptions},
    platform::{AlsoAsked, Part, Platform},
};
use std::path::PathBuf;

/// The spoke that has the table.
pub(crate) const SPOKE: &str = "sds";
/// The table.
pub(crate) const TABLE: &str = PRESCRIPTIONS.name;

/// Prepares everything but the ingest of the big table; custodian running.
pub(crate) async fn platform(options: &Options) -> Result<Platform> {
    let program = std::env::current_exe()?;
    let mut all = demo::platform::Options::new(options.dir.join("platform"), program, 100);
    all.also.push(AlsoAsked {
        controller: SPOKE.to_owned(),
        table: TABLE.to_owned(),
        columns: PRESCRIPTIONS.columns.iter().map(|c| c.name.to_owned()).collect(),
    });
    all.population = options.people;
    let mut platform = Platform::prepare(all).await?;
    let folder = platform.registers_dir().join(SPOKE);
    let csv = folder.join("prescriptions.csv");
    let note = options.dir.join("prescriptions.json");
    let asked = serde_json::json!({ "rows": options.rows, "people": options.people }).to_string();
    if std::fs::read_to_string(&note).ok().as_deref() != Some(&asked) {
        println!("generating {} rows of {} people", options.rows, options.people);
        prescriptions(&csv, options.people, options.rows, 7)?;
        std::fs::write(&note, asked)?;
    }
    let size = std::fs::metadata(&csv)?.len();
    println!("source: {} rows, {} people, 5 columns, {:.1} MB of CSV", options.rows, options.people, size as f64 / 1e6);
    declare(&platform, "first")?;
    platform.start_part(Part::Custodian).await?;
    Ok(platform)
}

/// Writes the table's declaration; another `note` makes the next ingest do all its work again.
pub(crate) fn declare(platform: &Platform, note: &str) -> Result<()> {
    let folder = platform.registers_dir().join(SPOKE);
    let text = PRESCRIPTIONS.declaration(&folder);
    let text = text.replacen("en = \"", &format!("en = \"({note}) "), 1);
    std::fs::write(declaration(platform), text).context("tables/prescriptions.toml")
}

fn declaration(platform: &Platform) -> PathBuf {
    platform.spoke_dir(SPOKE).join("tables").join(format!("{TABLE}.toml"))
}
