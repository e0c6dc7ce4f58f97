//! What is said of statements that can't be answered.

use crate::house::{ANNA, two};
use policies::zone::Zone;
use proto::refusal::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn planning_errors_help() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let mut said = String::new();
    for sql in [
        "SELECT * FROM sds.nothing",
        "SELECT * FROM lmdb",
        "SELECT nothing FROM sds.lmdb",
        "SELECT * FROM region-h.lab_forsker",
        "SELEKT 1",
        "SELECT no_such_function(volume) FROM sds.lmdb",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT volume FROM sds.lmdb WHERE volume = $1",
        "SELECT count(* FROM sds.lmdb",
    ] {
        let refusal = anna.refused(sql).await;
        said.push_str(&format!("{sql}\n  {:?}: {}\n", refusal.kind, refusal.message));
    }
    insta::assert_snapshot!(said);
    assert!(two.sds.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn running_errors_hold_no_values() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    for (sql, word) in [
        ("SELECT CAST(regexp_replace(atc, '^', '') AS INT) FROM sds.lmdb", "TRY_CAST"),
        ("SELECT 1 / (CAST(volume AS BIGINT) - 7) FROM sds.lmdb", "division"),
        ("SELECT (SELECT regexp_replace(atc, '^', '') FROM sds.lmdb) AS one", "one row"),
    ] {
        let refusal = anna.refused(sql).await;
        assert!(!refusal.message.contains("A10") && !refusal.message.contains("C09"), "{sql}: {refusal}");
        assert!(refusal.message.contains(word), "{sql}: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused_by_name_and_long_statements_for_their_length() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    for (sql, name) in [
        ("CREATE TABLE sds.x AS SELECT 1", "CREATE TABLE"),
        ("COPY (SELECT * FROM sds.lmdb) TO '/tmp/x.csv'", "COPY"),
        ("SET datafusion.execution.target_partitions = 1", "SET"),
    ] {
        let refusal = anna.refused(sql).await;
        assert_eq!(refusal.kind, Kind::Invalid);
        assert!(refusal.message.starts_with(&format!("{name} is refused")), "{refusal}");
    }
    let long = format!("SELECT '{}'", "x".repeat(300_000));
    assert_eq!(anna.refused(&long).await.kind, Kind::TooLarge);
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(anna.refused(&deep).await.kind, Kind::Invalid);
    let wide = format!("SELECT count(*) FROM sds.lmdb WHERE {}", vec!["volume = 1"; 3000].join(" OR "));
    assert_eq!(anna.refused(&wide).await.kind, Kind::TooLarge);
    assert!(anna.shown("SELECT 1 AS one").await.contains("| 1"));
}

/// On the threads that a hub has: the longest chain that is taken overflows no stack.
#[test]
fn the_longest_chains_that_are_taken_are_answered() {
    hub::serve::executor().unwrap().block_on(async {
        let served = tokio::spawn(async {
            let two = two().await;
            let mut anna = two.house.client(ANNA, Zone::Enclave).await;
            let ors = |n: usize| (0..n).map(|n| format!("volume = {n}")).collect::<Vec<_>>().join(" OR ");
            let answer = anna.shown(&format!("SELECT count(*) AS n FROM sds.lmdb WHERE {}", ors(490))).await;
            assert!(answer.contains("40"), "{answer}");
            let sum = format!("SELECT sum(volume{}) AS n FROM sds.lmdb", "+volume".repeat(980));
            let answer = anna.shown(&sum).await;
            assert!(answer.contains("| 765180.0"), "{answer}");
            let union = vec!["SELECT volume FROM sds.lmdb"; 90].join(" UNION ALL ");
            let answer = anna.shown(&format!("SELECT count(*) AS n FROM ({union})")).await;
            assert!(answer.contains("3600"), "{answer}");
        });
        served.await.unwrap();
    });
}
