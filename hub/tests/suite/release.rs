//! The open zone: released aggregates, the same schema announced and sent.

use crate::house::{ANNA, two};
use policies::zone::Zone;
use proto::refusal::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn small_groups_fold_and_rows_are_refused() {
    let two = two().await;
    let mut open = two.house.client(ANNA, Zone::Open).await;
    let mut enclave = two.house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT kom, count(*) AS n FROM \"region-h\".lab_forsker GROUP BY kom ORDER BY kom";
    let inside = enclave.shown(sql).await;
    assert!(inside.contains("| 999 | 3"), "{inside}");
    let outside = open.shown(sql).await;
    assert!(!outside.contains("999") && outside.contains("suppressed"), "{outside}");
    assert!(outside.contains("| 101 |"), "{outside}");
    let refusal = open.refused("SELECT value FROM \"region-h\".lab_forsker").await;
    assert_eq!(refusal.kind, Kind::Denied);
    assert!(refusal.message.contains("This works"), "{refusal}");
    let asked = two.region.asked().len();
    open.refused("SELECT kom FROM \"region-h\".lab_forsker LIMIT 1").await;
    assert_eq!(two.region.asked().len(), asked, "what is refused asks no spoke");
    let limited = open.shown(&format!("{sql} LIMIT 1")).await;
    assert_eq!(limited.lines().count(), 5, "{limited}");
}
