//! The open zone: released aggregates, the same schema announced and sent.

use crate::{
    house::{ANNA, Build, lab, two},
    spoke::Spoke,
};
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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_released_is_kept_and_asked_again_is_the_same() {
    let two = two().await;
    let mut open = two.house.client(ANNA, Zone::Open).await;
    let kept_in = |end: &str| {
        let files = std::fs::read_dir(two.house.path().join("ledger")).unwrap().map(Result::unwrap);
        let files = files.filter(|file| file.path().extension().is_some_and(|own| own == end));
        files.map(|file| file.metadata().unwrap().len()).sum::<u64>()
    };
    let ledger = || kept_in("cells");
    let sql = "SELECT atc, count(*) AS n FROM sds.lmdb GROUP BY atc ORDER BY atc";
    two.house.client(ANNA, Zone::Enclave).await.shown(sql).await;
    assert!(!two.house.path().join("ledger").exists(), "nothing is released inside");
    let first = open.shown(sql).await;
    let kept = ledger();
    // The people of these tests have pseudonyms that are far from random, so that cells of as many people count as near.
    assert!(kept >= 16 + 261, "{kept}");
    let cost = kept_in("asked");
    assert_eq!(open.shown(sql).await, first);
    assert_eq!(kept_in("asked"), cost, "what was asked before costs nothing");
    assert_eq!(open.shown(&sql.replace("count(*)", "count(DISTINCT pnr)")).await, first);
    assert_eq!(ledger(), kept, "the same cells");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_cap_of_a_day_nothing_new_is_shown_and_the_refusal_says_what_to_do() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let mut build = Build::new();
    build.query = "statistics_per_day = 2".to_owned();
    let house = build.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let mut open = house.client(ANNA, Zone::Open).await;
    let sql = "SELECT count(*) AS n, count(DISTINCT pnr) AS people FROM \"region-h\".lab_forsker";
    let first = open.shown(sql).await;
    let refusal = open.refused("SELECT avg(value) AS m FROM \"region-h\".lab_forsker").await;
    assert_eq!(refusal.kind, Kind::Exhausted);
    assert!(refusal.message.contains("2 new ones a day (UTC)") && refusal.message.contains("airlock"), "{refusal}");
    assert_eq!(open.shown(sql).await, first, "what was answered is answered");
    let mut enclave = house.client(ANNA, Zone::Enclave).await;
    enclave.shown("SELECT avg(value) AS m FROM \"region-h\".lab_forsker").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_told_before_anything_is_asked() {
    let two = two().await;
    for zone in [Zone::Open, Zone::Enclave] {
        let mut anna = two.house.client(ANNA, zone).await;
        let told = anna
            .shown(
                "EXPLAIN RELEASE SELECT kom, count(*) AS n, avg(value) AS m FROM \"region-h\".lab_forsker GROUP BY kom",
            )
            .await;
        for seen in [
            "| kom",
            "| n ",
            "| m ",
            "suppressed: fewer than 5 people",
            "perturbed",
            "one person at a limit",
            "suppressed: fewer than 10 contributors",
            "dominated by two people",
        ] {
            assert!(told.contains(seen), "'{seen}' is not in {told}");
        }
        let told = anna.shown("explain release SELECT value FROM \"region-h\".lab_forsker").await;
        assert!(
            told.contains("| refused ")
                && told.contains("| instead ")
                && told.contains("| SELECT analysiscode, count(*)"),
            "{told}"
        );
    }
    assert!(two.region.asked().is_empty(), "no spoke is asked");
}
