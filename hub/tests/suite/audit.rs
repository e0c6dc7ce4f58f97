//! The hub's own log, as a statement leaves it.

use crate::house::{ANNA, two};
use hub::audit::{self, Filter};
use policies::zone::Zone;
use serde_json::Value;
use std::{path::Path, time::Duration};

fn entries(folder: &Path, filter: &Filter) -> Vec<Value> {
    let mut out = Vec::new();
    audit::show(folder, filter, true, &mut out).unwrap();
    String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone())
        .collect()
}

fn of(kind: &str) -> Filter {
    Filter { event: Some(kind.to_owned()), ..Filter::default() }
}

#[tokio::test]
async fn a_statement_leaves_who_asked_what_of_whom_and_what_came_of_it() {
    let two = two().await;
    let mut client = two.house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT atc FROM sds.lmdb WHERE volume < 7";
    client.sql(sql).await.unwrap();
    client.refused("SELECT nothing FROM sds.lmdb").await;
    let folder = two.house.path();
    let asked = entries(folder, &of("asked"));
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!((&asked[0]["user"], &asked[0]["sql"]), (&ANNA.into(), &sql.into()));
    assert_eq!(asked[0]["controllers"], serde_json::json!(["sds"]));
    assert_eq!(asked[0]["sql_sha256"], audit::Event::hash(sql));
    let answered = entries(folder, &of("answered"));
    assert_eq!((&answered[0]["rows"], &answered[0]["outcome"]), (&7.into(), &"answered".into()));
    assert_eq!(answered[0]["query"], asked[0]["query"]);
    assert_eq!(entries(folder, &of("refused")).len(), 1);
    let (head, _) = audit::verify(folder, "main", &[]).unwrap();
    assert!(head.seq >= 4);
    let mut copy = Vec::new();
    assert!(audit::export(folder, &mut copy).unwrap() >= head.seq);
    let whole = folder.join("copy.log");
    std::fs::write(&whole, copy).unwrap();
    assert_eq!(runtime::audit::checkpoint::verify_log(&whole, &[]).unwrap().hash.len(), 64);
}

#[tokio::test]
async fn hostile_operator_of_the_disk_a_log_that_can_not_be_written_stops_the_answer() {
    let two = two().await;
    let mut client = two.house.client(ANNA, Zone::Enclave).await;
    client.sql("SELECT count(*) FROM sds.lmdb").await.unwrap();
    let before = two.sds.asked().len();
    // somebody cuts the log under the running hub
    std::fs::write(audit::log_path(two.house.path()), b"").unwrap();
    let error = client.refused("SELECT count(*) FROM sds.lmdb").await.to_string();
    assert!(error.contains("audit log"), "{error}");
    assert_eq!(two.sds.asked().len(), before, "a spoke was asked all the same");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_an_entry_too() {
    use crate::spoke::Manner;
    let two = two().await;
    two.sds.set(Manner::Stalls(0));
    let mut client = two.house.client(ANNA, Zone::Enclave).await;
    let gone = tokio::time::timeout(Duration::from_millis(700), client.sql("SELECT atc FROM sds.lmdb")).await;
    assert!(gone.is_err());
    drop(client);
    let folder = two.house.path().to_owned();
    let waited = async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            let answered = entries(&folder, &of("answered"));
            if let Some(entry) = answered.first() {
                return entry["outcome"].as_str().unwrap().to_owned();
            }
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(10), waited).await.unwrap();
    assert_eq!(outcome, "the client went away");
}
