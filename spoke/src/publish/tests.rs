#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::declare::{Mode, Text};
use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use parquet::arrow::ArrowWriter;
use proto::ids::TableName;
use std::{collections::BTreeMap, sync::Arc};

fn store(dir: &tempfile::TempDir) -> Store {
    Store::at(&dir.path().join("å data #1").display().to_string(), &BTreeMap::new()).unwrap()
}

fn table() -> TableName {
    "lmdb".parse().unwrap()
}

async fn file(store: &Store, name: &str, rows: i64) -> NewFile {
    let array: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let batch = RecordBatch::try_from_iter([("n", array)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let size = bytes.len() as u64;
    store.object_store().put(&store.table_path(&table()).join(name), bytes.into()).await.unwrap();
    NewFile { name: name.to_owned(), size, rows: rows as u64, row_groups: 1 }
}

fn commit(ingest: &str, mode: Mode, files: Vec<NewFile>) -> Commit {
    Commit {
        ingest: ingest.to_owned(),
        mode,
        schema: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)])),
        files,
        link_kid: "l".to_owned(),
        store_kid: "s".to_owned(),
        description: Text { da: "æ".to_owned(), en: String::new() },
        event_date: None,
        statistics: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_replace_and_append() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    assert!(store.tables().await.unwrap().is_empty());
    let first = file(&store, "a.parquet", 3).await;
    let published = store.commit(&table(), &commit("1", Mode::Replace, vec![first])).await.unwrap();
    assert_eq!(published, Published { version: 0, rows: 3 });
    let second = file(&store, "b.parquet", 4).await;
    let published = store.commit(&table(), &commit("2", Mode::Append, vec![second])).await.unwrap();
    assert_eq!(published, Published { version: 1, rows: 7 });
    let snapshot = store.snapshot(&table()).await.unwrap().unwrap();
    assert_eq!((snapshot.rows, snapshot.files.len(), snapshot.ingest.as_str()), (7, 2, "2"));
    assert_eq!(
        (snapshot.link_kid.as_str(), snapshot.store_kid.as_str(), snapshot.description.da.as_str()),
        ("l", "s", "æ")
    );
    let rows: Vec<RecordBatch> = store.columns(&snapshot, &["n"]).unwrap().try_collect().await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 7);

    // other columns, of a type that Delta takes only with a feature of its own
    let third = file(&store, "c.parquet", 1).await;
    let mut with_time = commit("3", Mode::Replace, vec![third]);
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    with_time.schema = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("at", time, true),
        Field::new("p", DataType::FixedSizeBinary(16), true),
        Field::new("d", DataType::Decimal128(8, 2), true),
    ]));
    assert_eq!(store.commit(&table(), &with_time).await.unwrap(), Published { version: 2, rows: 1 });
    let snapshot = store.snapshot(&table()).await.unwrap().unwrap();
    assert_eq!(snapshot.schema, with_time.schema);
    // and back, and again
    assert_eq!(
        store.commit(&table(), &commit("4", Mode::Replace, vec![])).await.unwrap(),
        Published { version: 3, rows: 0 }
    );
    assert_eq!(store.snapshot_at(&table(), 1).await.unwrap().rows, 7);
    assert!(store.snapshot_at(&table(), 9).await.is_err());
    assert_eq!(store.tables().await.unwrap(), [table()]);
    assert!(store.landed(&table(), "4").await.is_some() && store.landed(&table(), "3").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_or_damaged_table_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let log = store.table_path(&table()).join("_delta_log").join("00000000000000000000.json");
    let foreign = "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\",\"options\":{}},\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"long\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}}]}\",\"partitionColumns\":[],\"configuration\":{}}}\n";
    store.object_store().put(&log, foreign.into()).await.unwrap();
    let error = store.snapshot(&table()).await.unwrap_err().to_string();
    assert!(error.contains("has no schema of a spoke"), "{error}");
    store.object_store().put(&log, "not json".into()).await.unwrap();
    assert!(store.snapshot(&table()).await.is_err());
}

#[test]
fn addresses_that_can_not_be_used_are_told() {
    for (url, says) in [("gopher://x", "gopher"), ("s3://", "s3://"), ("http://[", "http://[")] {
        let error = Store::at(url, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.starts_with("[store] url = ") && error.contains(says), "{error}");
    }
    let store =
        Store::at("s3://bucket/a/b", &BTreeMap::from([("AWS_Region".to_owned(), "eu-north-1".to_owned())])).unwrap();
    assert_eq!(store.url().as_str(), "s3://bucket/");
    assert_eq!(store.table_path(&table()).as_ref(), "a/b/lmdb");
    assert_eq!(store.table_url(&table()).as_str(), "s3://bucket/a/b/lmdb/");
}
