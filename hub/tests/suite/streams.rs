//! How an answer travels: compressed, in other layouts of the same values, and no faster than it is read.

use crate::{
    client::rows,
    house::{ANNA, Build, House, lab, lmdb, people, two},
    spoke::{Manner, Spoke},
};
use arrow::{
    array::{Array, ArrayRef, BinaryViewArray, DictionaryArray, LargeStringArray, RecordBatch, StringViewArray},
    datatypes::{DataType, Field, Int32Type, Schema},
};
use futures::StreamExt;
use policies::zone::Zone;
use proto::{refusal::Kind, schema, wire::Compression};
use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_travels_compressed_when_both_sides_can() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT sum(volume) AS s, count(*) AS n FROM sds.lmdb WHERE volume >= 0 AND atc <> 'x'";
    let plain = anna.shown(sql).await;
    assert!(plain.contains("| 780.0 | 40 |"), "{plain}");
    let asked = |spoke: &Spoke| spoke.seen.scans.lock().unwrap().last().unwrap().accepts.clone();
    assert!(asked(&two.sds).is_empty(), "a spoke of an older version would refuse the question");
    two.sds.terms.lock().unwrap().compresses = vec![Compression::Lz4.into(), Compression::Zstd.into(), 77];
    for way in [Compression::Lz4, Compression::Zstd] {
        two.sds.set(Manner::Compresses(way));
        assert_eq!(anna.shown(sql).await, plain, "{way:?}");
        assert_eq!(asked(&two.sds), [1, 2]);
        assert_eq!(rows(&anna.sql("SELECT pnr, atc FROM sds.lmdb").await.unwrap()), 40);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_bytes_that_unfold_to_many_are_an_error_that_names_the_spoke() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    two.sds.set(Manner::Bomb);
    let refusal = anna.refused("SELECT volume FROM sds.lmdb").await;
    assert_eq!(refusal.kind, Kind::Internal);
    assert!(refusal.message.contains("'sds'"), "{refusal}");
}

/// People with a code and a note, in these layouts.
fn laid_out(range: std::ops::Range<i64>, layout: usize) -> Vec<RecordBatch> {
    let codes: Vec<&str> =
        range.clone().map(|n| if n % 2 == 0 { "A10BA02" } else { "a code longer than a view" }).collect();
    let code: ArrayRef = match layout {
        0 => Arc::new(codes.iter().copied().collect::<DictionaryArray<Int32Type>>()),
        1 => Arc::new(StringViewArray::from(codes)),
        _ => Arc::new(LargeStringArray::from(codes)),
    };
    let note: ArrayRef = Arc::new(BinaryViewArray::from_iter_values(range.clone().map(|n| n.to_be_bytes())));
    let role = [(schema::ROLE.to_owned(), schema::PERSON.to_owned())].into();
    let fields = vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(role),
        Field::new("code", code.data_type().clone(), true),
        Field::new("note", note.data_type().clone(), true),
    ];
    vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![people(range), code, note]).unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn dictionaries_views_and_large_texts_are_plain_at_the_hub_and_at_clients() {
    let mut build = Build::new();
    for (n, controller) in ["one", "two", "three"].into_iter().enumerate() {
        build = build.spoke(&Spoke::new(controller).offer("diabetes", "codes", laid_out(0..40, n))).await;
    }
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    for controller in ["one", "two", "three"] {
        let all = anna.sql(&format!("SELECT code, note FROM {controller}.codes")).await.unwrap();
        let types: Vec<_> = all[0].schema().fields().iter().map(|f| f.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Binary], "{controller}");
        assert_eq!(rows(&all), 40);
        let sql = format!(
            "SELECT code, upper(code) AS up, count(*) AS n, count(DISTINCT pnr) AS p, max(code) AS m FROM {controller}.codes \
             WHERE code IN ('A10BA02', 'x') OR code LIKE 'a code%' GROUP BY code ORDER BY code"
        );
        let groups = anna.shown(&sql).await;
        assert!(groups.contains("| A10BA02                   | A10BA02                   | 20 | 20 |"), "{groups}");
        assert!(groups.contains("| a code longer than a view | A CODE LONGER THAN A VIEW | 20 | 20 |"), "{groups}");
        let one = anna.shown(&format!("SELECT count(*) AS n FROM {controller}.codes WHERE code = 'A10BA02'")).await;
        assert!(one.contains("| 20 |"), "{one}");
    }
    let joined = anna
        .shown(
            "SELECT count(*) AS n FROM one.codes a JOIN two.codes b ON a.pnr = b.pnr AND a.code = b.code \
             JOIN three.codes c ON c.pnr = b.pnr AND c.code = b.code WHERE a.note = c.note",
        )
        .await;
    assert!(joined.contains("| 40 |"), "{joined}");
    let union = "SELECT code, count(*) AS n FROM (SELECT code FROM one.codes UNION ALL SELECT code FROM two.codes) GROUP BY code";
    assert!(anna.shown(union).await.contains("| 40 |"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_on_stops_the_spoke() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..400_000));
    region.set(Manner::Endless);
    let house: House = Build::new().spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let info = anna.announce("SELECT pnr, value FROM \"region-h\".lab_forsker").await.unwrap();
    let mut stream = anna.stream(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    // What windows, sockets and the few batches ahead hold is far less than these 72 MB.
    let given = || region.seen.given.load(Ordering::SeqCst);
    let runs_away = async {
        while given() < 3_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(2), runs_away).await.is_err(), "{} batches", given());
    // It would have gone on.
    while given() < 4_000 {
        stream.next().await.unwrap().unwrap();
    }
    drop(stream);
    region.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes_is_not_asked_for() {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let house = Build::new().spoke(&sds).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let info = anna.announce("SELECT pnr FROM sds.lmdb").await.unwrap();
    assert!(sds.asked().is_empty());
    anna.shown("SELECT pnr FROM sds.lmdb LIMIT 0").await;
    assert!(sds.asked().is_empty());
    assert_eq!(rows(&anna.fetch(&info).await.unwrap()), 40);
    assert_eq!(sds.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_and_aggregates_at_the_hub_spread_an_answer_over_its_cores() {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..50_000));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60_000));
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    for sql in [
        "SELECT kom, median(value) AS m FROM \"region-h\".lab_forsker GROUP BY kom",
        "SELECT median(value) AS m FROM \"region-h\".lab_forsker",
        "SELECT count(*) AS n FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr WHERE m.volume > l.value",
    ] {
        let plan = anna.shown(&format!("EXPLAIN {sql}")).await;
        assert!(
            plan.contains("RepartitionExec: partitioning=RoundRobinBatch(2), input_partitions=1")
                || plan.contains("RepartitionExec: partitioning=Hash([pnr@0], 2), input_partitions=1"),
            "{plan}"
        );
    }
}
