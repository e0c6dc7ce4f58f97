//! The 22 queries of TPC-H over three spokes give what one engine gives over the same data in one place: with whole tables
//! at different spokes, and with every table cut into three.
//!
//! Scale 0.01 by default; `EGER_TPCH_SCALE=1` for the benchmark's smallest.

use crate::{
    grammar::shown,
    house::{ANNA, Build},
    spoke::Spoke,
};
use arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::{DataType, Schema},
};
use datafusion::{
    datasource::MemTable,
    prelude::{SessionConfig, SessionContext},
};
use policies::zone::Zone;
use proto::schema;
use std::{collections::BTreeMap, fmt::Write, sync::Arc};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

const QUERIES: &str = include_str!("tpch.sql");
const SPOKES: [&str; 3] = ["one", "two", "three"];

type Tables = BTreeMap<&'static str, RecordBatch>;

fn whole<E: std::fmt::Debug>(batches: impl Iterator<Item = Result<RecordBatch, E>>) -> RecordBatch {
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    // Tables without people.
    let reference = [(schema::TABLE_ROLE.to_owned(), schema::REFERENCE.to_owned())];
    let plain = batches[0].schema();
    let named = Arc::new(Schema::new_with_metadata(plain.fields().clone(), reference.into_iter().collect()));
    let whole = concat_batches(&plain, &batches).unwrap();
    RecordBatch::try_new(named, whole.columns().to_vec()).unwrap()
}

fn tables(scale: f64) -> Tables {
    [
        ("lineitem", whole(LineItemArrow::new(LineItemGenerator::new(scale, 1, 1)))),
        ("orders", whole(OrderArrow::new(OrderGenerator::new(scale, 1, 1)))),
        ("customer", whole(CustomerArrow::new(CustomerGenerator::new(scale, 1, 1)))),
        ("part", whole(PartArrow::new(PartGenerator::new(scale, 1, 1)))),
        ("partsupp", whole(PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1)))),
        ("supplier", whole(SupplierArrow::new(SupplierGenerator::new(scale, 1, 1)))),
        ("nation", whole(NationArrow::new(NationGenerator::new(scale, 1, 1)))),
        ("region", whole(RegionArrow::new(RegionGenerator::new(scale, 1, 1)))),
    ]
    .into()
}

fn queries() -> Vec<(&'static str, &'static str)> {
    let texts = QUERIES.split("-- q").skip(1).map(|text| text.split_once('\n').unwrap());
    texts.map(|(number, sql)| (number, sql.trim().trim_end_matches(';'))).collect()
}

fn placed(sql: &str, name: impl Fn(&str) -> String, tables: &Tables) -> String {
    tables.keys().fold(sql.to_owned(), |sql, table| sql.replace(&format!("{{{table}}}"), &name(table)))
}

/// Which spoke has a whole table.
fn home(table: &str) -> &'static str {
    match table {
        "lineitem" | "part" => "one",
        "orders" | "customer" | "nation" | "region" => "two",
        _ => "three",
    }
}

/// A third of a table's rows: every third one, so that no join stays within one spoke by chance.
fn third(batch: &RecordBatch, number: usize) -> RecordBatch {
    let rows = (number..batch.num_rows()).step_by(3).map(|row| u32::try_from(row).unwrap());
    arrow::compute::take_record_batch(batch, &arrow::array::UInt32Array::from_iter_values(rows)).unwrap()
}

/// `national/<table>.toml` of a table that all three publish under its own name.
fn declared(batch: &RecordBatch) -> String {
    let mut text = "persons = \"overlapping\"\n".to_owned();
    for field in batch.schema().fields() {
        let kind = match field.data_type() {
            DataType::Int64 => "int64".to_owned(),
            DataType::Int32 => "int32".to_owned(),
            DataType::Date32 => "date".to_owned(),
            DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
            _ => "text".to_owned(),
        };
        writeln!(text, "[[column]]\nname = \"{}\"\ntype = \"{kind}\"", field.name()).unwrap();
    }
    for spoke in SPOKES {
        writeln!(text, "[[member]]\ncontroller = \"{spoke}\"").unwrap();
    }
    text
}

/// Lets every spoke's join keys go to the others.
fn trusting(spoke: Spoke) -> Spoke {
    spoke.terms.lock().unwrap().key_lists_to = SPOKES.map(str::to_owned).to_vec();
    spoke
}

async fn compare(build: Build, spokes: Vec<Spoke>, tables: &Tables, name: impl Fn(&str) -> String) {
    let local = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    for (table, batch) in tables {
        let memory = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
        local.register_table(*table, Arc::new(memory)).unwrap();
    }
    let mut build = build;
    build.cache = 600;
    for spoke in &spokes {
        build = build.spoke(spoke).await;
    }
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let mut wrong = Vec::new();
    let queries = queries();
    assert_eq!(queries.len(), 22);
    for (number, sql) in queries {
        #[allow(clippy::disallowed_methods)] // the engine by itself, which knows only these tables
        let truth = local.sql(&placed(sql, str::to_owned, tables)).await.unwrap().collect().await.unwrap();
        let truth = shown(&truth, false);
        match anna.sql(&placed(sql, &name, tables)).await {
            Ok(answer) if shown(&answer, false) == truth => {}
            Ok(answer) => wrong.push(format!("q{number}:\n  got  {:?}\n  want {truth:?}", shown(&answer, false))),
            Err(refusal) => wrong.push(format!("q{number}: {refusal}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of 22 wrong:\n{}",
        wrong.len(),
        wrong.join("\n").chars().take(6_000).collect::<String>()
    );
}

fn scale() -> f64 {
    std::env::var("EGER_TPCH_SCALE").map_or(0.01, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_with_whole_tables_at_three_spokes_equals_the_local_answers() {
    let tables = tables(scale());
    let spokes = SPOKES.map(|name| {
        let own = tables.iter().filter(|(table, _)| home(table) == name);
        own.fold(trusting(Spoke::new(name)), |spoke, (table, batch)| {
            spoke.offer("diabetes", table, vec![batch.clone()])
        })
    });
    compare(Build::new(), spokes.to_vec(), &tables, |table| format!("{}.{table}", home(table))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_with_every_table_cut_over_three_spokes_equals_the_local_answers() {
    let tables = tables(scale());
    let spokes = [0, 1, 2].map(|number| {
        tables.iter().fold(trusting(Spoke::new(SPOKES[number])), |spoke, (table, batch)| {
            spoke.offer("diabetes", table, vec![third(batch, number)])
        })
    });
    let build = Build::new();
    std::fs::create_dir(build.path().join("national")).unwrap();
    for (table, batch) in &tables {
        std::fs::write(build.path().join(format!("national/{table}.toml")), declared(batch)).unwrap();
    }
    compare(build, spokes.to_vec(), &tables, |table| format!("national.{table}")).await;
}
