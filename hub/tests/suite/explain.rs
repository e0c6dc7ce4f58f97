//! EXPLAIN says what runs where.

use crate::house::{ANNA, two};
use policies::zone::Zone;
use proto::refusal::Kind;

const SQL: &str = "SELECT l.kom, count(DISTINCT l.pnr) AS people FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr \
                   WHERE m.atc = 'A10BA02' AND l.value > 45 GROUP BY l.kom";

#[tokio::test(flavor = "multi_thread")]
async fn explain_in_the_enclave() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    insta::assert_snapshot!(anna.shown(&format!("EXPLAIN {SQL}")).await);
    assert!(two.sds.asked().is_empty(), "EXPLAIN asks nobody");
    let analysed = anna.shown(&format!("EXPLAIN ANALYZE {SQL}")).await;
    let spoke = analysed.lines().find(|l| l.starts_with("| sds")).unwrap();
    assert!(spoke.contains("| 20 "), "{analysed}");
    assert_eq!(two.sds.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_in_the_open_is_coarse_and_only_for_what_may_be_answered() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    let analysed = anna.shown(&format!("EXPLAIN ANALYZE {SQL}")).await;
    let spoke = analysed.lines().find(|l| l.starts_with("| sds")).unwrap();
    assert!(spoke.contains("up to 1,000") && !spoke.contains("| 20 "), "{analysed}");
    let refusal = anna.refused("EXPLAIN ANALYZE SELECT pnr FROM sds.lmdb").await;
    assert_eq!(refusal.kind, Kind::Denied);
    assert!(refusal.message.contains("This works"), "{refusal}");
    assert_eq!(two.sds.asked().len(), 1);
}
