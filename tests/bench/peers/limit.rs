//! The limit: one engine, one process, the same rows in local files; and what an answer has to equal.

use super::data::{self, Table};
use anyhow::{Context, Result, bail};
use arrow::{
    array::{Array, RecordBatch},
    compute::cast,
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    datasource::{
        file_format::parquet::ParquetFormat,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
    prelude::{SessionConfig, SessionContext},
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Instant};

/// How far two floating point numbers may be apart, as a share: a sum's last digits depend on its order.
const NEAR: f64 = 1e-9;

/// The engine over local files.
pub(crate) struct Limit {
    engine: SessionContext,
}

impl Limit {
    /// `files` of each table by its name; as many partitions as the hub takes by its profile.
    pub(crate) async fn open(files: &BTreeMap<&'static str, Vec<PathBuf>>) -> Result<Limit> {
        let partitions = runtime::profile::Profile::detect().target_partitions();
        let config = SessionConfig::new().with_target_partitions(partitions).with_collect_statistics(true);
        let engine = SessionContext::new_with_config(config);
        for (name, files) in files {
            let urls = files.iter().map(|file| ListingTableUrl::parse(file.to_string_lossy()));
            let urls = urls.collect::<datafusion::common::Result<Vec<_>>>()?;
            let options = ListingOptions::new(Arc::new(ParquetFormat::default()));
            let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options);
            let config = config.infer_schema(&engine.state()).await?;
            engine.register_table(*name, Arc::new(ListingTable::try_new(config)?))?;
        }
        Ok(Limit { engine })
    }

    pub(crate) fn sql(sql: &str, tables: &[Table]) -> String {
        data::placed(sql, tables, |table| table.name.to_owned())
    }

    pub(crate) async fn ask(&self, sql: &str) -> Result<(f64, Vec<RecordBatch>)> {
        let started = Instant::now();
        #[allow(clippy::disallowed_methods)] // the engine by itself, which knows only these files
        let answer = self.engine.sql(sql).await?.collect().await?;
        Ok((started.elapsed().as_secs_f64(), answer))
    }
}

/// A cell: text, or a number that was computed in floating point.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Cell {
    Null,
    Text(String),
    Float(f64),
}

/// Whether two answers have the same rows, in whatever order.
///
/// # Errors
/// Says the first rows that differ.
pub(crate) fn same(got: &[RecordBatch], wanted: &[RecordBatch]) -> Result<()> {
    let (got, wanted) = (rows(got)?, rows(wanted)?);
    if got.len() != wanted.len() {
        bail!("{} rows, {} expected", got.len(), wanted.len());
    }
    for (got, wanted) in got.iter().zip(&wanted) {
        let equal = got.len() == wanted.len() && got.iter().zip(wanted).all(|(a, b)| near(a, b));
        if !equal {
            bail!("got {got:?}, expected {wanted:?}");
        }
    }
    Ok(())
}

fn near(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => (a - b).abs() <= NEAR * a.abs().max(b.abs()).max(1.0),
        (a, b) => a == b,
    }
}

fn rows(batches: &[RecordBatch]) -> Result<Vec<Vec<Cell>>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let first = rows.len();
        rows.resize(first + batch.num_rows(), Vec::with_capacity(batch.num_columns()));
        for column in batch.columns() {
            let float = matches!(column.data_type(), DataType::Float64 | DataType::Float32);
            let floats = float.then(|| cast(column, &DataType::Float64)).transpose()?;
            let floats = floats.as_ref().and_then(|f| f.as_any().downcast_ref::<arrow::array::Float64Array>().cloned());
            let text = ArrayFormatter::try_new(column, &options)?;
            for row in 0..batch.num_rows() {
                let cell = match &floats {
                    _ if column.is_null(row) => Cell::Null,
                    Some(floats) => Cell::Float(floats.value(row)),
                    None => Cell::Text(text.value(row).to_string()),
                };
                rows.get_mut(first + row).context("a row for each row")?.push(cell);
            }
        }
    }
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    Ok(rows)
}
