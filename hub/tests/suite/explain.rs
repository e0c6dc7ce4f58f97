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

/// What the open zone computes with is computed at the spokes, and a limit on it is one on the column.
#[tokio::test(flavor = "multi_thread")]
async fn resolution_in_the_open_is_pushed_down_and_limits_are_on_columns() {
    let two = two().await;
    let sql = "SELECT volume, count(*) AS n FROM sds.lmdb WHERE volume > 5 AND atc = 'A10BA02' GROUP BY volume";
    let open = two.house.client(ANNA, Zone::Open).await.shown(&format!("EXPLAIN {sql}")).await;
    let spoke = open.lines().find(|l| l.starts_with("| sds")).unwrap();
    assert!(spoke.contains("coarse(volume)") && spoke.contains("GROUP BY"), "{open}");
    let condition = spoke.split("WHERE").nth(1).unwrap().split("GROUP BY").next().unwrap();
    assert!(condition.contains("volume >=") && !condition.contains("coarse"), "{open}");
    let inside = two.house.client(ANNA, Zone::Enclave).await.shown(&format!("EXPLAIN {sql}")).await;
    assert!(inside.contains("volume >") && !inside.contains("coarse"), "{inside}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_why_something_stays_at_the_hub() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    for (sql, says) in [
        ("SELECT median(volume) FROM sds.lmdb", "(stays here: a fragment can't say aggregate median)"),
        ("SELECT volume FROM sds.lmdb WHERE regexp_replace(atc, 'A', 'secret') = 'B'", "function regexp_replace"),
        (
            "SELECT median(v) FROM (SELECT volume AS v FROM sds.lmdb UNION ALL SELECT value FROM \"region-h\".lab_forsker) q",
            "median(..) of several spokes' rows can't be put together from parts",
        ),
    ] {
        let shown = anna.shown(&format!("EXPLAIN {sql}")).await;
        let reasons: Vec<&str> = shown.lines().filter(|line| line.contains("(stays here")).collect();
        assert!(reasons.iter().any(|line| line.contains(says)), "{sql}: {shown}");
        assert!(!reasons.iter().any(|line| line.contains("secret")), "{shown}");
    }
}
