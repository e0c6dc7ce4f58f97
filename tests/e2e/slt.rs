//! `tests/slt/*.slt`: every operator and function that a fragment can say, through the Flight SQL endpoint over real
//! spokes, and through one plain engine over the same files. Both must give what stands there.
//!
//! `EGER_SLT=write` fills in what statements give: answers by the plain engine, `EXPLAIN` by the platform. Then both are
//! checked as always, so that an answer of the platform alone never becomes an expectation.

mod casts;
mod coverage;
mod eger;
mod engine;
mod plain;

use crate::fixture::{Running, options};
use anyhow::{Context, Result, ensure};
use demo::platform::{AlsoAsked, Platform};
use engine::{Column, Engine};
use serde::Deserialize;
use sqllogictest::{AsyncDB, Runner, strict_column_validator};
use std::{
    future::Future,
    path::{Path, PathBuf},
};

/// A table's declaration as the second engine reads it.
#[derive(Deserialize)]
struct Declared {
    name: String,
    #[serde(rename = "column")]
    columns: Vec<DeclaredColumn>,
}

#[derive(Deserialize)]
struct DeclaredColumn {
    name: String,
    role: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A table of the small data set.
struct Table {
    /// whose
    controller: String,
    /// its CSV file
    file: PathBuf,
    /// its declaration as a controller writes it
    text: String,
    declared: Declared,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slt")
}

/// The `.slt` files in order.
fn files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "slt") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn tables() -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for controller in ["dst", "sds", "region-h", "region-m"] {
        let data = folder().join("data").join(controller);
        for entry in std::fs::read_dir(&data)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path)?.replace("@data@", &data.to_string_lossy());
                let declared = toml::from_str(&text).with_context(|| path.display().to_string())?;
                let file = path.with_extension("csv");
                tables.push(Table { controller: controller.to_owned(), file, text, declared });
            }
        }
    }
    Ok(tables)
}

/// The platform with the small data set beside the demo's registers.
async fn platform(tables: &[Table]) -> Result<Running> {
    let folder = tempfile::tempdir()?;
    let mut options = options(&folder, 100);
    options.also.extend(tables.iter().map(|table| AlsoAsked {
        controller: table.controller.clone(),
        table: table.declared.name.clone(),
        columns: table.declared.columns.iter().map(|column| column.name.clone()).collect(),
    }));
    let prepared = Platform::prepare(options.clone()).await?;
    for table in tables {
        let name = format!("{}.toml", table.declared.name);
        std::fs::write(prepared.spoke_dir(&table.controller).join("tables").join(name), &table.text)?;
    }
    let national = prepared.hub_dir().join("national");
    std::fs::create_dir_all(&national)?;
    for entry in std::fs::read_dir(self::folder().join("data/national"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            std::fs::copy(&path, national.join(path.file_name().context("a name")?))?;
        }
    }
    drop(prepared);
    Ok(Running { platform: Platform::start(options).await?, folder })
}

/// A runner that compares types as well, on a connection of its own.
fn runner<D, F, Fut>(connect: F) -> Runner<D, impl sqllogictest::MakeConnection<Conn = D>>
where
    D: AsyncDB<ColumnType = Column>,
    F: Fn() -> Fut,
    Fut: Future<Output = Result<D, D::Error>>,
{
    let mut runner = Runner::new(connect);
    runner.with_column_validator(strict_column_validator);
    runner.with_validator(engine::same);
    runner.with_normalizer(engine::plain_text);
    runner
}

/// Runs or writes one file with one engine.
async fn go<E, F, Fut>(file: &Path, write: bool, connect: F) -> Result<(), String>
where
    E: Engine,
    F: Fn() -> Fut,
    Fut: Future<Output = Result<engine::Db<E>, engine::Failed>>,
{
    let mut runner = runner(connect);
    let done = if write {
        let wrote = runner.update_test_file(file, " | ", engine::same, engine::plain_text, strict_column_validator);
        wrote.await.map_err(|error| error.to_string())
    } else {
        runner.run_file_async(file).await.map_err(|error| error.display(false).to_string())
    };
    done.map_err(|error| format!("{}, {}: {error}", E::NAME, file.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn slt_files_hold_over_real_spokes_and_in_one_plain_engine() -> Result<()> {
    let tables = tables()?;
    let running = platform(&tables).await?;
    let plain = plain::Plain::open(&tables).await?;
    let write = std::env::var("EGER_SLT").is_ok_and(|what| what == "write");
    if write {
        casts::write(&folder().join("cast.slt"))?;
    }
    let mut wrong = Vec::new();
    for file in files()? {
        for write in [write, false].into_iter().take(1 + usize::from(write)) {
            wrong.extend(go(&file, write, async || Ok(engine::Db(plain.clone()))).await.err());
            wrong.extend(go(&file, write, async || eger::Eger::connect(&running).await.map(engine::Db)).await.err());
        }
    }
    ensure!(wrong.is_empty(), "{} runs of a file fail:\n{}", wrong.len(), wrong.join("\n\n"));
    running.platform.stop().await?;
    Ok(())
}
