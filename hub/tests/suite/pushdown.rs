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

const COHORT: &str = "SELECT l.kom, count(*) AS n, sum(l.value) AS v FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr \
                      WHERE m.volume < 3 GROUP BY l.kom ORDER BY l.kom";

/// Lets key lists about `source`'s people go to these controllers.
fn name(source: &crate::spoke::Spoke, receivers: &[&str]) {
    source.terms.lock().unwrap().key_lists_to = receivers.iter().map(|r| (*r).to_owned()).collect();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cohort_travels_as_a_key_list_where_the_sources_permit_names_the_receiver() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let without = anna.shown(COHORT).await;
    name(&two.sds, &["region-h"]);
    let with = anna.shown(COHORT).await;
    assert_eq!(with, without, "the answer is the same");
    let asked = two.region.asked();
    assert!(!asked[0].contains("key list") && asked[1].contains("WHERE pnr IN (key list 0)"), "{asked:?}");
    let scans = two.region.seen.scans.lock().unwrap().clone();
    assert!(scans[0].keys.is_empty());
    let Some(proto::wire::key_list::Kind::Ids(ids)) = &scans[1].keys[0].kind else { panic!("{:?}", scans[1].keys) };
    assert_eq!(ids.len(), 3 * 16, "three people, each once");
    // Each row that came passed the list.
    let analysed = anna.shown(&format!("EXPLAIN ANALYZE {COHORT}")).await;
    let line = analysed.lines().find(|l| l.starts_with("| region-h")).unwrap();
    assert!(line.contains("| 3 "), "{line}");
    assert!(two.sds.seen.scans.lock().unwrap().iter().all(|scan| scan.keys.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_key_list_goes_nowhere_that_a_sources_permit_does_not_name() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    // The receiver naming itself, or others named, allows nothing.
    name(&two.region, &["region-h", "sds"]);
    for named in [&[][..], &["dst", "sds"]] {
        name(&two.sds, named);
        anna.sql(COHORT).await.unwrap();
    }
    let scans = two.region.seen.scans.lock().unwrap().clone();
    assert_eq!(scans.len(), 2);
    assert!(scans.iter().all(|scan| scan.keys.is_empty()), "{scans:?}");
    assert!(two.region.asked().iter().all(|sql| !sql.contains("key list")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregate_over_two_spokes_moves_groups_and_not_rows() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT p, count(*) AS n, avg(x) AS mean, stddev(x) AS s FROM (SELECT pnr, volume AS x, 'sds' AS p FROM sds.lmdb \
               UNION ALL SELECT pnr, value, 'region' FROM \"region-h\".lab_forsker) q GROUP BY p ORDER BY p";
    let answer = anna.shown(sql).await;
    assert!(answer.contains("| region | 60 | 69.5 |") && answer.contains("| sds    | 40 | 19.5 |"), "{answer}");
    for asked in [two.sds.asked(), two.region.asked()] {
        assert!(asked.len() == 1 && asked[0].contains("count(") && asked[0].contains("var_pop("), "{asked:?}");
    }
    let people = "SELECT count(DISTINCT pnr) AS n FROM (SELECT pnr FROM sds.lmdb UNION ALL SELECT pnr FROM \"region-h\".lab_forsker) q";
    assert!(anna.shown(people).await.contains("| 60 |"));
    let asked = two.sds.asked().pop().unwrap();
    assert!(asked.contains("GROUP BY pnr"), "different people travel once each: {asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_of_one_spokes_tables_runs_there() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT a.kom, count(*) AS n FROM \"region-h\".lab_forsker a JOIN \"region-h\".lab_forsker b ON a.pnr = b.pnr \
               GROUP BY a.kom ORDER BY n DESC LIMIT 1";
    assert!(anna.shown(sql).await.contains("| 102 | 29 |"));
    let asked = two.region.asked();
    assert!(asked.len() == 1 && asked[0].contains(" JOIN ") && asked[0].ends_with("LIMIT 1"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_one_spoke_meet_there_though_another_is_named_between_them() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT a.kom, count(*) AS n FROM \"region-h\".lab_forsker a JOIN sds.lmdb m ON m.pnr = a.pnr \
               JOIN \"region-h\".lab_forsker b ON b.pnr = a.pnr WHERE m.volume < 10 AND b.value > 45 GROUP BY a.kom ORDER BY a.kom";
    let answer = anna.shown(sql).await;
    assert!(answer.contains("| 101 | 2 |") && answer.contains("| 102 | 2 |"), "{answer}");
    let asked = two.region.asked();
    assert!(asked.len() == 1 && asked[0].contains(" JOIN "), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_cohort_reaches_no_third_controller_by_way_of_a_second_ones_list() {
    use crate::{
        house::{Build, lab, lmdb},
        spoke::Spoke,
    };
    let a = Spoke::new("aa").offer("diabetes", "lmdb", lmdb(0..400));
    let b = Spoke::new("bb").offer("diabetes", "lab", lab(0..4_000));
    let c = Spoke::new("cc").offer("diabetes", "lab", lab(0..9_000));
    // The first names the second alone; the second names the third.
    name(&a, &["bb"]);
    name(&b, &["cc"]);
    let house = Build::new().spoke(&a).await.spoke(&b).await.spoke(&c).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    for sql in [
        "SELECT count(*) AS n FROM aa.lmdb a JOIN (SELECT b.pnr FROM bb.lab b JOIN cc.lab c ON c.pnr = b.pnr) q ON q.pnr = a.pnr WHERE a.volume < 3",
        "SELECT count(*) AS n FROM bb.lab b JOIN cc.lab c ON c.pnr = b.pnr JOIN aa.lmdb a ON a.pnr = b.pnr WHERE a.volume < 3",
    ] {
        assert!(anna.shown(sql).await.contains("| 3 |"), "{sql}");
    }
    for scan in c.seen.scans.lock().unwrap().iter() {
        for list in &scan.keys {
            if let Some(proto::wire::key_list::Kind::Ids(ids)) = &list.kind {
                assert!(ids.len() >= 4_000 * 16, "the third learns of a cohort of {}", ids.len() / 16);
            }
        }
    }
}
