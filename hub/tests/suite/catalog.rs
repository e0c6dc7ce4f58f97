//! The project's catalog holds what its controllers offer, and nothing else.

use crate::{
    house::{ANNA, BO, Build, lab, lmdb, two},
    spoke::Spoke,
};
use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Schema,
};
use arrow_flight::{
    IpcMessage,
    sql::{
        CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
        CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
        CommandGetXdbcTypeInfo, SqlInfo,
    },
};
use policies::zone::Zone;
use proto::{refusal::Kind, schema};

fn column(batches: &[RecordBatch], name: &str) -> Vec<String> {
    batches
        .iter()
        .flat_map(|b| {
            let column = b.column_by_name(name).unwrap().as_string::<i32>();
            (0..column.len()).map(|row| column.value(row).to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

fn tables() -> CommandGetTables {
    CommandGetTables::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn flight_sql_metadata_with_and_without_filters() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    let catalogs = anna.command(&CommandGetCatalogs {}).await.unwrap();
    assert_eq!(column(&catalogs, "catalog_name"), ["diabetes"]);
    let all = anna.command(&CommandGetDbSchemas::default()).await.unwrap();
    assert_eq!(column(&all, "db_schema_name"), ["region-h", "sds"]);
    let some = CommandGetDbSchemas { catalog: Some("diabetes".into()), db_schema_filter_pattern: Some("s%".into()) };
    assert_eq!(column(&anna.command(&some).await.unwrap(), "db_schema_name"), ["sds"]);
    let other = CommandGetDbSchemas { catalog: Some("other".into()), db_schema_filter_pattern: None };
    assert!(column(&anna.command(&other).await.unwrap(), "db_schema_name").is_empty());

    let all = anna.command(&tables()).await.unwrap();
    assert_eq!(column(&all, "table_name"), ["lab_forsker", "lmdb"]);
    assert_eq!(column(&all, "table_type"), ["TABLE", "TABLE"]);
    let like = CommandGetTables { table_name_filter_pattern: Some("lab%".into()), include_schema: true, ..tables() };
    let found = anna.command(&like).await.unwrap();
    assert_eq!(column(&found, "table_name"), ["lab_forsker"]);
    let bytes = found[0].column_by_name("table_schema").unwrap().as_binary::<i32>().value(0).to_vec();
    let described = Schema::try_from(IpcMessage(bytes.into())).unwrap();
    assert_eq!(described.field(0).metadata()[schema::ROLE], schema::PERSON);
    assert_eq!(described.fields().len(), 4);
    let views = CommandGetTables { table_types: vec!["VIEW".into()], ..tables() };
    assert!(column(&anna.command(&views).await.unwrap(), "table_name").is_empty());
    assert_eq!(column(&anna.command(&CommandGetTableTypes {}).await.unwrap(), "table_type"), ["TABLE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_drivers_ask_about_the_service() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    let all = anna.command(&CommandGetSqlInfo { info: vec![] }).await.unwrap();
    assert!(all[0].num_rows() > 40);
    let one = CommandGetSqlInfo { info: vec![SqlInfo::FlightSqlServerReadOnly as u32] };
    assert_eq!(anna.command(&one).await.unwrap()[0].num_rows(), 1);
    let types = anna.command(&CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
    assert!(types[0].num_rows() > 10);
    let dates = anna.command(&CommandGetXdbcTypeInfo { data_type: Some(91) }).await.unwrap();
    assert_eq!(column(&dates, "type_name"), ["DATE"]);
    for empty in [
        anna.command(&CommandGetPrimaryKeys { table: "lmdb".into(), ..Default::default() }).await.unwrap(),
        anna.command(&CommandGetExportedKeys { table: "lmdb".into(), ..Default::default() }).await.unwrap(),
        anna.command(&CommandGetImportedKeys { table: "lmdb".into(), ..Default::default() }).await.unwrap(),
        anna.command(&CommandGetCrossReference::default()).await.unwrap(),
    ] {
        assert_eq!(empty[0].num_rows(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_shows_the_same_catalog() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    insta::assert_snapshot!(anna.shown("SELECT table_catalog, table_schema, table_name FROM information_schema.tables WHERE table_schema <> 'information_schema' ORDER BY 2, 3").await);
    insta::assert_snapshot!(anna.shown("DESCRIBE sds.lmdb").await);
    let shown = anna.shown("SHOW TABLES").await;
    assert!(shown.contains("lab_forsker") && shown.contains("lmdb"), "{shown}");
    let mut open = two.house.client(ANNA, Zone::Open).await;
    let shown = open.shown("SHOW TABLES").await;
    assert!(shown.contains("lab_forsker") && shown.contains("lmdb"), "{shown}");
    let shown = open.shown("DESCRIBE \"region-h\".lab_forsker").await;
    assert!(shown.contains("analysiscode"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_do_not_see_one_another() {
    let sds = Spoke::new("sds").offer("a", "lmdb", lmdb(0..10)).offer("b", "secret", lab(0..10));
    let house = Build::new().spoke(&sds).await.start(&[("a", &[ANNA]), ("b", &[ANNA, BO])]).await;
    let mut both = house.client(ANNA, Zone::Enclave).await;
    assert_eq!(column(&both.command(&CommandGetCatalogs {}).await.unwrap(), "catalog_name"), ["a", "b"]);
    assert_eq!(column(&both.command(&tables()).await.unwrap(), "table_name"), ["lmdb", "secret"]);
    let ambiguous = both.refused("SELECT 1").await;
    assert!(ambiguous.message.contains("choose one of a, b"), "{ambiguous}");

    let mut in_a = house.client(ANNA, Zone::Enclave).await.project("a");
    assert_eq!(column(&in_a.command(&tables()).await.unwrap(), "table_name"), ["lmdb"]);
    for sql in ["SELECT * FROM sds.secret", "SELECT * FROM b.sds.secret"] {
        let refusal = in_a.refused(sql).await;
        assert_eq!(refusal.kind, Kind::NotFound);
        assert!(refusal.message.contains("There are: sds.lmdb") && !refusal.message.contains("lab"), "{refusal}");
    }
    let listed = in_a.shown("SELECT * FROM information_schema.tables").await
        + &in_a.shown("SELECT * FROM information_schema.columns").await
        + &in_a.shown("SELECT * FROM information_schema.schemata").await;
    assert!(listed.contains("lmdb") && !listed.contains("secret"), "{listed}");

    let mut bo = house.client(BO, Zone::Enclave).await;
    assert_eq!(column(&bo.command(&tables()).await.unwrap(), "table_name"), ["secret"]);
    let of_others = bo.project("a").refused("SELECT 1").await;
    let missing = house.client(BO, Zone::Enclave).await.project("zzz").refused("SELECT 1").await;
    assert_eq!(of_others.kind, missing.kind);
    assert_eq!(of_others.message.replace("'a'", "X"), missing.message.replace("'zzz'", "X"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_the_open_zone_offers_nothing_in_the_enclave() {
    let mut sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    sds.zone = proto::wire::Zone::Open;
    let house = Build::new().spoke(&sds).await.start(&[("diabetes", &[ANNA])]).await;
    let refusal = house.client(ANNA, Zone::Enclave).await.refused("SELECT * FROM sds.lmdb").await;
    assert_eq!(refusal.kind, Kind::NotFound);
    let answer = house.client(ANNA, Zone::Open).await.shown("SELECT count(DISTINCT pnr) AS n FROM sds.lmdb").await;
    // with its noise
    assert!((35..=45).any(|n| answer.contains(&format!("| {n} | perturbed"))), "{answer}");
}
