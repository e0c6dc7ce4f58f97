//! The rows of TPC-H in two cuts: each table whole at one of three places, and each table in thirds at all three.
//!
//! Written once for each scale, as CSV: what the spokes ingest and PostgreSQL copies. Everybody else reads the Parquet files that
//! the spokes published.

use anyhow::{Context, Result, ensure};
use arrow::{
    array::{RecordBatch, RecordBatchReader, UInt32Array},
    compute::take_record_batch,
    csv::{Writer, WriterBuilder},
    datatypes::{DataType, Schema, SchemaRef},
};
use std::{
    fmt::Write as _,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

/// The queries, with `{table}` where a table's name goes.
const QUERIES: &str = include_str!("../../../hub/tests/suite/tpch.sql");
/// Controllers whose spokes hold the tables: three of the demo's four.
pub(crate) const PLACES: [&str; 3] = ["dst", "sds", "region-h"];

/// How the tables lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// each whole, at one place
    Apart,
    /// each in thirds, at all three
    Thirds,
}

impl Cut {
    pub(crate) const BOTH: [Cut; 2] = [Cut::Apart, Cut::Thirds];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Cut::Apart => "apart",
            Cut::Thirds => "thirds",
        }
    }
}

/// A table.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// where it is as a whole: a place's number
    pub(crate) home: usize,
    /// columns that are unique together
    pub(crate) key: &'static str,
    pub(crate) schema: SchemaRef,
}

impl Table {
    /// Its name at a spoke and a server: the thirds stand beside the whole.
    pub(crate) fn third(&self) -> String {
        format!("{}_third", self.name)
    }

    /// The places that have a part of it.
    pub(crate) fn places(&self, cut: Cut) -> Vec<usize> {
        match cut {
            Cut::Apart => vec![self.home],
            Cut::Thirds => (0..PLACES.len()).collect(),
        }
    }

    /// What it is called there.
    pub(crate) fn called(&self, cut: Cut) -> String {
        match cut {
            Cut::Apart => self.name.to_owned(),
            Cut::Thirds => self.third(),
        }
    }
}

/// All eight.
pub(crate) fn tables() -> Vec<Table> {
    let table = |name, home, key| Table { name, home, key, schema: reader(name, 0.001).schema() };
    vec![
        table("lineitem", 0, "l_orderkey, l_linenumber"),
        table("part", 0, "p_partkey"),
        table("orders", 1, "o_orderkey"),
        table("customer", 1, "c_custkey"),
        table("nation", 1, "n_nationkey"),
        table("region", 1, "r_regionkey"),
        table("partsupp", 2, "ps_partkey, ps_suppkey"),
        table("supplier", 2, "s_suppkey"),
    ]
}

fn reader(table: &str, scale: f64) -> Box<dyn RecordBatchReader> {
    match table {
        "lineitem" => Box::new(LineItemArrow::new(LineItemGenerator::new(scale, 1, 1))),
        "part" => Box::new(PartArrow::new(PartGenerator::new(scale, 1, 1))),
        "orders" => Box::new(OrderArrow::new(OrderGenerator::new(scale, 1, 1))),
        "customer" => Box::new(CustomerArrow::new(CustomerGenerator::new(scale, 1, 1))),
        "nation" => Box::new(NationArrow::new(NationGenerator::new(scale, 1, 1))),
        "region" => Box::new(RegionArrow::new(RegionGenerator::new(scale, 1, 1))),
        "partsupp" => Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1))),
        _ => Box::new(SupplierArrow::new(SupplierGenerator::new(scale, 1, 1))),
    }
}

/// The 22 queries by number.
pub(crate) fn queries() -> Result<Vec<(String, String)>> {
    let texts = QUERIES.split("-- q").skip(1).map(|text| {
        let (number, sql) = text.split_once('\n').context("tpch.sql: a query without text")?;
        Ok((number.trim().to_owned(), sql.trim().trim_end_matches(';').to_owned()))
    });
    let all = texts.collect::<Result<Vec<_>>>()?;
    ensure!(all.len() == 22, "tpch.sql has {} queries", all.len());
    Ok(all)
}

/// A query with the tables' names put in.
pub(crate) fn placed(sql: &str, tables: &[Table], name: impl Fn(&Table) -> String) -> String {
    tables.iter().fold(sql.to_owned(), |sql, table| sql.replace(&format!("{{{}}}", table.name), &name(table)))
}

/// The file with a table's rows at a place.
pub(crate) fn csv(dir: &Path, table: &Table, cut: Cut, place: usize) -> PathBuf {
    match cut {
        Cut::Apart => dir.join(format!("{}.csv", table.name)),
        Cut::Thirds => dir.join(format!("{}-{place}.csv", table.name)),
    }
}

/// Writes all files into `dir`, unless that has been done. Gives nothing: what is there is whole.
pub(crate) fn generate(dir: &Path, tables: &[Table], scale: f64) -> Result<()> {
    let mark = dir.join("generated");
    if mark.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    for table in tables {
        let whole = open(&csv(dir, table, Cut::Apart, table.home))?;
        let thirds = (0..PLACES.len()).map(|place| open(&csv(dir, table, Cut::Thirds, place)));
        let (mut whole, mut thirds) = (whole, thirds.collect::<Result<Vec<_>>>()?);
        let mut before = 0;
        for batch in reader(table.name, scale) {
            let batch = batch?;
            whole.write(&batch)?;
            for (place, third) in thirds.iter_mut().enumerate() {
                third.write(&every_third(&batch, before, place)?)?;
            }
            before += batch.num_rows();
        }
        println!("  generated {}: {before} rows", table.name);
    }
    Ok(std::fs::write(mark, "every table\n")?)
}

fn open(path: &Path) -> Result<Writer<BufWriter<File>>> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    Ok(WriterBuilder::new().with_header(true).build(BufWriter::with_capacity(1 << 20, file)))
}

/// Every third row of a table, so that no join stays within one place by chance; `before` rows came before this batch.
fn every_third(batch: &RecordBatch, before: usize, place: usize) -> Result<RecordBatch> {
    let rows = (0..batch.num_rows()).filter(|row| (before + row) % PLACES.len() == place);
    let rows = rows.map(u32::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(take_record_batch(batch, &UInt32Array::from(rows))?)
}

/// A column's type in the platform's declarations.
fn declared(kind: &DataType) -> String {
    match kind {
        DataType::Int64 => "int64".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        _ => "text".to_owned(),
    }
}

/// A spoke's `tables/<name>.toml`.
pub(crate) fn declaration(name: &str, schema: &Schema, csv: &Path) -> String {
    let mut text = format!(
        "name = \"{name}\"\nrole = \"reference\"\nmode = \"replace\"\n[description]\nda = \"TPC-H\"\nen = \"TPC-H\"\n\
         [source]\npath = {}\nformat = \"csv\"\ndelimiter = \",\"\nencoding = \"utf-8\"\n\
         decimal = \".\"\ndate = \"yyyy-mm-dd\"\n",
        toml::Value::String(csv.to_string_lossy().into_owned())
    );
    for field in schema.fields() {
        let (name, kind) = (field.name(), declared(field.data_type()));
        // writing into a String cannot fail
        let _ = write!(
            text,
            "[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\ndescription = {{ da = \"\", en = \"\" }}\n"
        );
    }
    text
}

/// The hub's `national/<name>.toml` of the thirds.
pub(crate) fn national(table: &Table) -> String {
    let mut text = "persons = \"overlapping\"\n".to_owned();
    for field in table.schema.fields() {
        let _ = write!(text, "[[column]]\nname = \"{}\"\ntype = \"{}\"\n", field.name(), declared(field.data_type()));
    }
    for place in PLACES {
        let _ = write!(text, "[[member]]\ncontroller = \"{place}\"\ntable = \"{}\"\n", table.third());
    }
    text
}
