//! What travels to the spokes.

use crate::house::{ANNA, two};
use policies::zone::Zone;

#[tokio::test(flavor = "multi_thread")]
async fn columns_filters_and_limits_travel() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let answer =
        anna.shown("SELECT volume FROM sds.lmdb WHERE atc = 'A10BA02' AND eksd >= DATE '2019-04-20' LIMIT 3").await;
    assert_eq!(answer.matches('|').count(), 2 * 4, "{answer}");
    let answer = anna.shown("SELECT count(*) AS n FROM \"region-h\".lab_forsker WHERE value BETWEEN 50 AND 59").await;
    assert!(answer.contains("| 10 |"), "{answer}");
    // A regular expression can't be said; its column travels, the filter stays.
    let answer =
        anna.shown("SELECT count(*) AS n FROM sds.lmdb WHERE regexp_like(atc, '^A1[0]B') AND volume < 10").await;
    assert!(answer.contains("| 5 |"), "{answer}");
    insta::assert_snapshot!(two.sds.asked().join("\n") + "\n" + &two.region.asked().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_over_two_spokes_is_right_and_sends_no_list_of_people() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let answer = anna
        .shown(
            "SELECT count(*) AS n, avg(l.value) AS mean FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr \
             WHERE m.atc = 'A10BA02'",
        )
        .await;
    assert!(answer.contains("| 20 | 59.0 |"), "{answer}");
    let asked = two.region.asked();
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].contains("IN (") && !asked[0].contains("WHERE"), "{}", asked[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_on_a_pseudonym_travels_as_it_is_stored() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let batches = anna.sql("SELECT pnr FROM sds.lmdb WHERE volume = 7").await.unwrap();
    let id = arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap();
    let answer = anna.shown(&format!("SELECT volume FROM sds.lmdb WHERE pnr = X'{id}'")).await;
    assert!(answer.contains("7.0"), "{answer}");
    let asked = two.sds.asked().pop().unwrap();
    assert!(asked.contains("WHERE") && !asked.contains("CAST"), "{asked}");
    let answer = anna.shown(&format!("SELECT volume FROM sds.lmdb WHERE pnr IN (X'{id}', X'00')")).await;
    assert!(answer.contains("7.0"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_carries_project_user_zone_and_one_query_id() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT count(*) FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr";
    let info = anna.announce(sql).await.unwrap();
    assert!(two.sds.asked().is_empty(), "planning asks for no rows");
    anna.fetch(&info).await.unwrap();
    let scans: Vec<_> = [&two.sds, &two.region].iter().flat_map(|s| s.seen.scans.lock().unwrap().clone()).collect();
    let facts: hub::receive::ToSign = serde_json::from_slice(&info.app_metadata).unwrap();
    assert!(!facts.sign && facts.digests.is_empty());
    let id = facts.query_id.to_string();
    for scan in &scans {
        let envelope = scan.envelope.as_ref().unwrap();
        assert_eq!(envelope.query_id, id);
        assert_eq!((envelope.project.as_str(), envelope.user.as_str()), ("diabetes", ANNA));
        assert_eq!(envelope.zone, proto::wire::Zone::Enclave as i32);
        assert!(envelope.deadline_unix_ms > 0);
        assert_eq!(scan.schema_fingerprint.len(), 32);
    }
    assert_eq!(scans.len(), 2);
}
