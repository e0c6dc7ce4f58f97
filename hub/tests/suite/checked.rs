//! Controllers that let only cells out that their own spoke has checked.

use crate::{
    house::{ANNA, Build, Two, lab, lmdb},
    spoke::Spoke,
};
use arrow::array::{AsArray, FixedSizeBinaryArray, RecordBatch};
use policies::zone::Zone;
use proto::refusal::Kind;
use sha2::{Digest, Sha256};
use std::sync::Arc;

const LAB: &str = "\"region-h\".lab_forsker";

/// The same rows under pseudonyms that look as real ones do: those of other people are far.
pub(crate) fn hashed(batches: Vec<RecordBatch>) -> Vec<RecordBatch> {
    let each = batches.into_iter().map(|batch| {
        let people = batch.column(0).as_fixed_size_binary().iter().map(|person| {
            let hash: [u8; 32] = Sha256::digest(person.unwrap()).into();
            hash[..16].to_vec()
        });
        let mut columns = batch.columns().to_vec();
        columns[0] = Arc::new(FixedSizeBinaryArray::try_from_iter(people).unwrap());
        RecordBatch::try_new(batch.schema(), columns).unwrap()
    });
    each.collect()
}

pub async fn two() -> Two {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", hashed(lmdb(0..40)));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", hashed(lab(0..60)));
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    Two { house, sds, region }
}

pub async fn checking() -> Two {
    let two = two().await;
    two.region.checks(5);
    two
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_that_a_spoke_has_checked_are_shown_as_the_hubs_own_would_be() {
    let (plain, checking) = (two().await, checking().await);
    let mut hubs = plain.house.client(ANNA, Zone::Open).await;
    let mut spokes = checking.house.client(ANNA, Zone::Open).await;
    for sql in [
        format!("SELECT count(*) AS n FROM {LAB}"),
        format!("SELECT kom, count(*) AS n FROM {LAB} GROUP BY kom ORDER BY kom"),
        format!(
            "SELECT kom, count(DISTINCT pnr) AS n, avg(value) AS m, sum(value) FROM {LAB} l GROUP BY kom ORDER BY 1"
        ),
        format!("SELECT stddev(value) AS s, var_pop(value) AS v FROM {LAB}"),
        format!("SELECT sum(value) AS s, avg(value) AS m, stddev_pop(value) AS d FROM {LAB} WHERE value <> 72"),
        format!("SELECT kom, count(*) AS n FROM {LAB} GROUP BY kom HAVING count(*) > 6 ORDER BY n DESC, kom LIMIT 2"),
        format!(
            "SELECT kom, coalesce(n, 0) + 1 AS n FROM (SELECT kom, count(*) AS n FROM {LAB} GROUP BY kom) g ORDER BY kom"
        ),
        format!("SELECT count(*) FILTER (WHERE value > 60) AS n FROM {LAB} WHERE kom <> 999"),
        format!(
            "WITH e AS (SELECT pnr, max(value) AS v FROM {LAB} GROUP BY pnr) SELECT v > 60 AS high, count(*) AS n FROM e \
             GROUP BY 1 ORDER BY 1"
        ),
        format!("SELECT count(*) AS n FROM {LAB} a JOIN {LAB} b ON a.pnr = b.pnr WHERE b.value > 50"),
        format!("SELECT count(*) AS n FROM {LAB} WHERE pnr IN (SELECT pnr FROM {LAB} WHERE value > 70)"),
        format!("SELECT DISTINCT kom FROM {LAB} ORDER BY kom"),
        format!("SELECT kom, count(*) AS n, sum(count(*)) OVER () AS t FROM {LAB} GROUP BY kom ORDER BY kom"),
    ] {
        let shown = hubs.shown(&sql).await;
        assert_eq!(spokes.shown(&sql).await, shown, "{sql}");
    }
    // One question each, and none for who the people are: those are counted where they are.
    let asked = checking.region.asked();
    assert_eq!(asked.len(), 13, "{asked:#?}");
    assert!(!asked.iter().any(|asked| asked.to_lowercase().contains("persons")), "{asked:#?}");
    // What a hidden cell is made of never came: the rules that hide it came in its place.
    assert!(plain.region.asked().iter().any(|asked| asked.to_lowercase().contains("persons")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_that_a_permit_raises_holds_for_its_controllers_cells() {
    let two = two().await;
    two.region.checks(20);
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    let shown = anna.shown(&format!("SELECT kom, count(*) AS n FROM {LAB} GROUP BY kom ORDER BY kom")).await;
    assert!(shown.contains("suppressed: fewer than 20 people"), "{shown}");
}

/// The numbers of an answer that aren't hidden, from column `at` on.
fn numbers(shown: &str, at: usize) -> Vec<i64> {
    let cells =
        |line: &str| line.split('|').skip(1 + at).filter_map(|cell| cell.trim().parse().ok()).collect::<Vec<i64>>();
    shown.lines().filter(|line| line.contains("perturbed")).flat_map(cells).collect()
}

/// Learns: nothing of fewer than 35 people of a controller whose permit asks for so many, though the hub makes the cells.
#[tokio::test(flavor = "multi_thread")]
async fn attack_small_groups_at_a_hub_that_was_told_a_raised_threshold() {
    let two = two().await;
    let groups = format!("SELECT kom, count(*) AS n FROM {LAB} GROUP BY kom ORDER BY kom");
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    let plain = numbers(&anna.shown(&groups).await, 1);
    assert!(plain.iter().any(|n| *n < 33), "the attack doesn't work by itself: {plain:?}");
    two.region.asks_for(35);
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    let few = "suppressed: fewer than 35 people";
    for (sql, at) in [
        (groups.clone(), 1),
        (
            format!(
                "SELECT kom, count(DISTINCT pnr) AS n, count(*) FILTER (WHERE value > 60) AS m FROM {LAB} GROUP BY kom"
            ),
            1,
        ),
        (
            format!(
                "SELECT atc, count(DISTINCT m.pnr) AS n FROM sds.lmdb m JOIN {LAB} l ON l.pnr = m.pnr WHERE l.kom = 101 GROUP BY atc"
            ),
            1,
        ),
        (format!("SELECT count(*) AS n FROM sds.lmdb WHERE pnr IN (SELECT pnr FROM {LAB} WHERE kom = 999)"), 0),
    ] {
        let shown = anna.shown(&sql).await;
        assert!(shown.contains(few), "{sql}\n{shown}");
        assert!(numbers(&shown, at).iter().all(|n| *n >= 35), "{sql}\n{shown}");
    }
    let told = anna.shown(&format!("EXPLAIN RELEASE {groups}")).await;
    assert!(told.contains(few), "{told}");
    // The other controller's have the platform's own.
    let told = anna.shown("EXPLAIN RELEASE SELECT count(*) FROM sds.lmdb").await;
    assert!(!told.contains(few), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_national_table_has_the_largest_threshold_of_its_members() {
    let h = Spoke::new("region-h").offer("diabetes", "lab", hashed(lab(0..60)));
    let m = Spoke::new("region-m").offer("diabetes", "lab", hashed(lab(50..80)));
    m.asks_for(70);
    h.asks_for(3);
    let build = Build::new();
    std::fs::create_dir(build.path().join("national")).unwrap();
    let declared = "persons = \"overlapping\"\ndescription_en = \"Results\"\n[[column]]\nname = \"pnr\"\ntype = \"person\"\n\
                    [[column]]\nname = \"value\"\ntype = \"float64\"\n[[member]]\ncontroller = \"region-h\"\n[[member]]\n\
                    controller = \"region-m\"\n";
    std::fs::write(build.path().join("national/lab.toml"), declared).unwrap();
    let house = build.spoke(&h).await.spoke(&m).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Open).await;
    let sql = "SELECT controller, count(DISTINCT pnr) AS n FROM national.lab GROUP BY controller";
    let shown = anna.shown(sql).await;
    assert!(shown.contains("suppressed: fewer than 70 people") && numbers(&shown, 1).is_empty(), "{shown}");
    let own = anna.shown("SELECT count(DISTINCT pnr) AS n FROM \"region-h\".lab").await;
    assert!(numbers(&own, 0).len() == 1, "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_checking_spoke_are_joined_with_groups_of_another_controller() {
    let two = checking().await;
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    let shown = anna
        .shown(&format!(
            "WITH a AS (SELECT count(*) AS n FROM {LAB}), b AS (SELECT atc, count(*) AS n FROM sds.lmdb GROUP BY atc) \
             SELECT b.atc, a.n AS tested, b.n AS treated FROM b CROSS JOIN a ORDER BY b.atc"
        ))
        .await;
    assert!(shown.contains("A10BA02") && shown.contains("perturbed"), "{shown}");
    // Twice the same spoke's.
    let shown = anna
        .shown(&format!(
            "WITH a AS (SELECT kom, count(*) AS n FROM {LAB} GROUP BY kom), b AS (SELECT kom, avg(value) AS m FROM {LAB} \
             GROUP BY kom) SELECT a.kom, a.n, b.m FROM a JOIN b ON a.kom = b.kom ORDER BY 1"
        ))
        .await;
    assert!(shown.contains("perturbed"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_more_than_cells_is_refused_before_anybody_is_asked() {
    let two = checking().await;
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    for (sql, why) in [
        (format!("SELECT count(*) FROM {LAB} l JOIN sds.lmdb m ON l.pnr = m.pnr"), "can't be counted together with"),
        (
            format!("SELECT count(*) FROM sds.lmdb WHERE pnr IN (SELECT pnr FROM {LAB})"),
            "can't be counted together with",
        ),
        (format!("SELECT kom, count(*) FROM {LAB} GROUP BY ROLLUP (kom)"), "one level of groups at a time"),
        (format!("SELECT value FROM {LAB}"), "single people"),
        (format!("SELECT max(value) FROM {LAB}"), "single person"),
        (format!("SELECT pnr, count(*) FROM {LAB} GROUP BY pnr"), "single people"),
    ] {
        let refusal = anna.refused(&sql).await;
        assert_eq!(refusal.kind, Kind::Denied, "{sql}: {refusal}");
        assert!(refusal.message.contains(why), "{sql}: {refusal}");
    }
    assert!(two.region.asked().is_empty() && two.sds.asked().is_empty());
    // A statement without its people is answered as ever.
    anna.shown("SELECT atc, count(*) FROM sds.lmdb GROUP BY atc").await;
    // EXPLAIN shows what is asked, and EXPLAIN RELEASE the rules.
    let explained = anna.shown(&format!("EXPLAIN SELECT count(*) FROM {LAB}")).await;
    assert!(explained.contains("region-h"), "{explained}");
    anna.shown(&format!("EXPLAIN RELEASE SELECT count(*) FROM {LAB}")).await;
    let refusal =
        anna.refused(&format!("EXPLAIN RELEASE SELECT count(*) FROM {LAB} l JOIN sds.lmdb m ON l.pnr = m.pnr")).await;
    assert!(refusal.message.contains("can't be counted together with"), "{refusal}");
    assert!(two.region.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_national_table_with_a_member_that_checks_its_cells_is_not_counted_together() {
    let h = Spoke::new("region-h").offer("diabetes", "lab", lab(0..60));
    let m = Spoke::new("region-m").offer("diabetes", "lab", lab(50..80));
    h.checks(5);
    let build = Build::new();
    std::fs::create_dir(build.path().join("national")).unwrap();
    let declared = "persons = \"overlapping\"\ndescription_en = \"Results\"\n[[column]]\nname = \"pnr\"\ntype = \"person\"\n\
                    [[column]]\nname = \"value\"\ntype = \"float64\"\n[[member]]\ncontroller = \"region-h\"\n[[member]]\n\
                    controller = \"region-m\"\n";
    std::fs::write(build.path().join("national/lab.toml"), declared).unwrap();
    let house = build.spoke(&h).await.spoke(&m).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Open).await;
    let refusal = anna.refused("SELECT count(*) FROM national.lab").await;
    assert!(refusal.message.contains("can't be counted together with"), "{refusal}");
    anna.shown("SELECT count(*) FROM \"region-h\".lab").await;
    assert_eq!((h.asked().len(), m.asked().len()), (1, 0));
}
