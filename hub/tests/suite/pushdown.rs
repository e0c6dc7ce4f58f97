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
async fn a_query_in_place_of_a_value_moves_its_work() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    // 60 values of 40 to 99, whose mean is 69.5; 40 volumes of 0 to 39
    let sql =
        "SELECT count(*) AS n FROM sds.lmdb WHERE volume + 50 > (SELECT avg(l.value) FROM \"region-h\".lab_forsker l)";
    assert!(anna.shown(sql).await.contains("| 20 |"), "{}", anna.shown(sql).await);
    let asked = two.region.asked();
    assert!(asked.iter().all(|asked| asked.contains("avg(") && !asked.contains("GROUP BY")), "{asked:?}");
    // Tables of one spoke meet there, in such a query too.
    let sql = "SELECT count(*) AS n FROM sds.lmdb WHERE volume < (SELECT count(*) FROM \"region-h\".lab_forsker a \
               JOIN sds.lmdb m ON m.pnr = a.pnr JOIN \"region-h\".lab_forsker b ON b.pnr = a.pnr WHERE b.value > 45)";
    anna.shown(sql).await;
    assert!(two.region.asked().last().is_some_and(|asked| asked.contains(" JOIN ")), "{:?}", two.region.asked());
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

/// Spokes with as many rows each, of people of their own.
async fn several(number: i64, rows: i64) -> (crate::house::House, Vec<crate::spoke::Spoke>) {
    use crate::{
        house::{Build, lmdb},
        spoke::Spoke,
    };
    let mut build = Build::new();
    let mut spokes = Vec::new();
    for n in 0..number {
        let spoke = Spoke::new(&format!("s{n}")).offer("diabetes", "lmdb", lmdb(n * rows..(n + 1) * rows));
        build = build.spoke(&spoke).await;
        spokes.push(spoke);
    }
    (build.start(&[("diabetes", &[ANNA])]).await, spokes)
}

fn union(number: usize, columns: &str) -> String {
    let parts: Vec<String> = (0..number).map(|n| format!("SELECT {columns} FROM s{n}.lmdb")).collect();
    parts.join(" UNION ALL ")
}

fn sent(spoke: &crate::spoke::Spoke) -> usize {
    spoke.seen.sent.load(std::sync::atomic::Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_limit_travels_to_each_of_five_spokes_and_one_that_cannot_travel_stops_them() {
    const ROWS: i64 = 200_000;
    let (house, spokes) = several(5, ROWS).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let all = union(5, "volume, atc");
    let rows = crate::client::rows(&anna.sql(&format!("SELECT * FROM ({all}) q LIMIT 10")).await.unwrap());
    assert_eq!(rows, 10);
    for spoke in &spokes {
        spoke.idle().await;
        assert!(spoke.asked().iter().all(|asked| asked.contains("LIMIT 10")), "{:?}", spoke.asked());
        assert!(sent(spoke) <= 1);
    }
    // OFFSET: each may have to give all of the first rows.
    let rows = crate::client::rows(&anna.sql(&format!("SELECT * FROM ({all}) q LIMIT 7 OFFSET 5")).await.unwrap());
    assert_eq!(rows, 7);
    assert!(spokes[0].asked().last().unwrap().contains("LIMIT 12"), "{:?}", spokes[0].asked().last());
    // A condition that a fragment can't say: rows come until there are enough.
    let before: Vec<usize> = spokes.iter().map(sent).collect();
    let sql = format!("SELECT * FROM ({all}) q WHERE regexp_like(atc, 'A') LIMIT 10");
    assert_eq!(crate::client::rows(&anna.sql(&sql).await.unwrap()), 10);
    for (spoke, before) in spokes.iter().zip(before) {
        spoke.idle().await;
        let taken = sent(spoke) - before;
        assert!(taken < 100, "{taken} of {} batches", ROWS / 1_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_limit_over_a_join_of_two_spokes_stops_the_side_that_is_read_last() {
    use crate::{
        house::{Build, lab, lmdb},
        spoke::Spoke,
    };
    // More than links hold on their way.
    const ROWS: i64 = 2_000_000;
    // Each batch of the larger side has as many matches as rows.
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..50_000));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..ROWS));
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT m.volume, l.value FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr LIMIT 10";
    assert_eq!(crate::client::rows(&anna.sql(sql).await.unwrap()), 10);
    region.idle().await;
    let taken = sent(&region);
    assert!(taken < 1_000, "{taken} of {} batches", ROWS / 1_000);
    let sql = format!("{sql} OFFSET 3");
    assert_eq!(crate::client::rows(&anna.sql(&sql).await.unwrap()), 10);
    // A limit below a join says which rows it is about; it isn't the join's.
    let below = "SELECT count(*) AS n FROM (SELECT pnr FROM sds.lmdb LIMIT 5) m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr";
    assert!(anna.shown(below).await.contains("| 5 |"));
    assert!(sds.asked().last().unwrap().ends_with("LIMIT 5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_exists_and_their_opposites_run_at_the_spoke_that_has_both_tables() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let lab = "\"region-h\".lab_forsker";
    for (condition, people) in [
        (format!("a.pnr IN (SELECT pnr FROM {lab} WHERE value < 50)"), 10),
        (format!("EXISTS (SELECT 1 FROM {lab} b WHERE b.pnr = a.pnr AND b.value < 50)"), 10),
        (format!("NOT EXISTS (SELECT 1 FROM {lab} b WHERE b.pnr = a.pnr AND b.value < 50)"), 50),
    ] {
        let answer = anna.shown(&format!("SELECT count(*) AS n FROM {lab} a WHERE {condition}")).await;
        assert!(answer.contains(&format!("| {people} |")), "{condition}: {answer}");
        let asked = two.region.asked();
        assert!(asked.last().unwrap().contains("count("), "{condition}: {:?}", asked.last());
    }
    let scans = two.region.asked().len();
    assert_eq!(scans, 3, "one question for each statement");
    // NOT IN means something else where there may be NULLs: right, and at the hub.
    let not_in =
        format!("SELECT count(*) AS n FROM {lab} a WHERE a.pnr NOT IN (SELECT pnr FROM {lab} WHERE value < 50)");
    assert!(anna.shown(&not_in).await.contains("| 50 |"));
    assert!(two.region.asked().len() > scans + 1, "{:?}", two.region.asked());
    // Across spokes, each way.
    for (condition, people) in [("IN", 40), ("NOT IN", 20)] {
        let sql = format!("SELECT count(*) AS n FROM {lab} a WHERE a.pnr {condition} (SELECT pnr FROM sds.lmdb)");
        assert!(anna.shown(&sql).await.contains(&format!("| {people} |")), "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_at_the_hub_gets_only_the_columns_that_it_needs_and_the_filter_travels() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    for (sql, wanted) in [
        (
            "SELECT max(r) AS n FROM (SELECT row_number() OVER (PARTITION BY atc ORDER BY volume) AS r FROM sds.lmdb WHERE volume < 30) q",
            "15",
        ),
        ("SELECT median(volume) AS n FROM sds.lmdb WHERE atc = 'A10BA02'", "19.0"),
        (
            "SELECT approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY volume) AS n FROM sds.lmdb WHERE volume < 3",
            "1.0",
        ),
        ("SELECT cardinality(array_agg(volume)) AS n FROM sds.lmdb WHERE volume < 3", "3"),
    ] {
        let answer = anna.shown(sql).await;
        assert!(answer.contains(&format!("| {wanted} ")), "{sql}: {answer}");
        let asked = two.sds.asked().pop().unwrap();
        assert!(asked.contains("WHERE") && !asked.contains("pnr") && !asked.contains("eksd"), "{asked}");
        let explained = anna.shown(&format!("EXPLAIN {sql}")).await;
        assert!(explained.contains("stays here: a fragment can't say"), "{sql}: {explained}");
    }
    // Over several spokes the reason is that it doesn't merge.
    let both = "SELECT volume AS x FROM sds.lmdb UNION ALL SELECT value FROM \"region-h\".lab_forsker";
    let median = format!("SELECT median(x) AS n FROM ({both}) q");
    assert!(anna.shown(&median).await.contains("| 49.5 |"));
    let explained = anna.shown(&format!("EXPLAIN {median}")).await;
    assert!(explained.contains("stays here: ") && explained.contains("median"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn different_rows_of_several_spokes_are_found_at_each_of_them() {
    let (house, spokes) = several(3, 4_000).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let all = union(3, "atc");
    let answer = anna.shown(&format!("SELECT DISTINCT atc FROM ({all}) q ORDER BY atc")).await;
    assert!(answer.contains("A10BA02") && answer.contains("C09AA05") && answer.lines().count() == 6, "{answer}");
    // UNION is the same.
    let apart = all.replace("UNION ALL", "UNION");
    let answer = anna.shown(&format!("SELECT count(*) AS n FROM ({apart}) q")).await;
    assert!(answer.contains("| 2 |"), "{answer}");
    for spoke in &spokes {
        let asked = spoke.asked();
        assert!(asked.iter().all(|asked| asked.contains("GROUP BY atc")), "{asked:?}");
        assert_eq!(asked.len(), 2);
        assert!(sent(spoke) <= 4, "groups travel, not rows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cohort_narrows_what_a_second_list_is_made_of_where_all_may_learn_of_it() {
    use crate::{
        house::{Build, lab, lmdb},
        spoke::Spoke,
    };
    let a = Spoke::new("aa").offer("diabetes", "lmdb", lmdb(0..400));
    let b = Spoke::new("bb").offer("diabetes", "lab", lab(0..4_000));
    let c = Spoke::new("cc").offer("diabetes", "lab", lab(0..9_000));
    name(&a, &["bb", "cc"]);
    name(&b, &["cc"]);
    let house = Build::new().spoke(&a).await.spoke(&b).await.spoke(&c).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT count(*) AS n FROM aa.lmdb a JOIN (SELECT b.pnr FROM bb.lab b JOIN cc.lab c ON c.pnr = b.pnr) q \
               ON q.pnr = a.pnr WHERE a.volume < 3";
    assert!(anna.shown(sql).await.contains("| 3 |"));
    let scans = c.seen.scans.lock().unwrap();
    let lists: Vec<_> = scans.iter().flat_map(|scan| &scan.keys).filter_map(|list| list.kind.as_ref()).collect();
    let short = |kind: &&proto::wire::key_list::Kind| matches!(kind, proto::wire::key_list::Kind::Ids(ids) if ids.len() <= 3 * 16);
    assert!(lists.iter().any(short), "the third is asked for {} lists, none of them short", lists.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn different_texts_of_two_spokes_are_found_at_each_under_one_name() {
    use crate::{
        house::{Build, lab, lmdb},
        spoke::Spoke,
    };
    use arrow::{datatypes::Schema, record_batch::RecordBatch};
    // Each column says what its codes are.
    let coded = |batches: Vec<RecordBatch>, column: &str, codes: &str| -> Vec<RecordBatch> {
        let coded = batches.into_iter().map(|batch| {
            let schema = batch.schema();
            let fields = schema.fields().iter().map(|field| {
                let codes = (field.name() == column).then(|| (proto::schema::CODES.to_owned(), codes.to_owned()));
                field.as_ref().clone().with_metadata(field.metadata().clone().into_iter().chain(codes).collect())
            });
            let schema = std::sync::Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            RecordBatch::try_new(schema, batch.columns().to_vec()).unwrap()
        });
        coded.collect()
    };
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", coded(lmdb(0..40), "atc", "ATC"));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", coded(lab(0..60), "analysiscode", "NPU"));
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let answer =
        anna.shown("SELECT analysiscode AS t FROM \"region-h\".lab_forsker UNION SELECT atc FROM sds.lmdb").await;
    assert!(answer.contains("A10BA02"), "{answer}");
}
