//! One table over several controllers'.

use crate::{
    house::{ANNA, Build, House, lab},
    spoke::{Manner, Spoke},
};
use policies::zone::Zone;
use proto::refusal::Kind;

const DECLARED: &str = r#"
persons = "overlapping"
description_en = "Laboratory results of all regions"

[[column]]
name = "pnr"
type = "person"

[[column]]
name = "kode"
type = "text"
codes = "NPU"

[[column]]
name = "value"
type = "float64"
unit = "mmol/mol"

[[column]]
name = "kom"
type = "int32"

[[member]]
controller = "region-h"
[member.columns]
kode = { from = "analysiscode" }

[[member]]
controller = "region-m"
table = "lab"
[member.columns]
kode = { from = "analysiscode", map = { NPU27300 = "HbA1c" } }
value = { factor = 2.0, offset = 1.0 }
kom = { missing = true }

[[member]]
controller = "region-n"
"#;

struct Regions {
    house: House,
    h: Spoke,
    m: Spoke,
}

/// Persons 0 to 59 at one region, 50 to 79 at the other; the third is not in the project.
async fn regions() -> Regions {
    let h = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let m = Spoke::new("region-m").offer("diabetes", "lab", lab(50..80));
    let build = Build::new();
    std::fs::create_dir(build.path().join("national")).unwrap();
    std::fs::write(build.path().join("national/lab_forsker.toml"), DECLARED).unwrap();
    let house = build.spoke(&h).await.spoke(&m).await.start(&[("diabetes", &[ANNA])]).await;
    Regions { house, h, m }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_national_table_counts_people_once_and_harmonises_each_members_part() {
    let regions = regions().await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    let answer = anna
        .shown(
            "SELECT count(*) AS rows, count(DISTINCT pnr) AS people, count(kom) AS koms, min(value) AS least, \
             sum(value) FILTER (WHERE controller = 'region-m') AS m FROM national.lab_forsker",
        )
        .await;
    // 60 + 30 rows, of whom 10 people are at both; region-m's 90 .. 119 in twice the unit, and one
    let m: f64 = (50..80).map(|n| f64::from(40 + n) * 2.0 + 1.0).sum();
    assert!(answer.contains(&format!("| 90   | 80     | 60   | 40.0  | {m:.1} |")), "{answer}");
    for asked in [regions.h.asked(), regions.m.asked()] {
        assert!(asked.len() == 1 && asked[0].contains("GROUP BY"), "each region does its part: {asked:?}");
    }
    let answer =
        anna.shown("SELECT controller, kode, count(*) AS n FROM national.lab_forsker GROUP BY 1, 2 ORDER BY 1").await;
    assert!(
        answer.contains("| region-h   | NPU27300 | 60 |") && answer.contains("| region-m   | HbA1c    | 30 |"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_the_controller_asks_only_that_one() {
    let regions = regions().await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    let answer = anna
        .shown("SELECT count(*) AS n FROM national.lab_forsker WHERE controller = 'region-m' AND value > 200")
        .await;
    assert!(answer.contains("| 20 |"), "{answer}");
    assert!(regions.h.asked().is_empty(), "{:?}", regions.h.asked());
    assert_eq!(regions.m.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_open_zone_people_of_a_national_table_are_protected_like_others() {
    let regions = regions().await;
    let mut anna = regions.house.client(ANNA, Zone::Open).await;
    let answer = anna.shown("SELECT kom, count(*) AS n FROM national.lab_forsker GROUP BY kom ORDER BY n").await;
    // kom 999 has three people
    assert!(!answer.contains("999") && answer.contains("suppressed"), "{answer}");
    let refusal = anna.refused("SELECT pnr, value FROM national.lab_forsker").await;
    assert_eq!(refusal.kind, Kind::Denied);
    // Ten people are at both regions: they make no cell of ten rows twice.
    let answer = anna.shown("SELECT count(DISTINCT pnr) AS people FROM national.lab_forsker").await;
    assert!(answer.contains("| 80 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_down_is_named_and_the_table_is_never_smaller() {
    let regions = regions().await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT count(*) AS n FROM national.lab_forsker";
    assert!(anna.shown(sql).await.contains("| 90 |"));
    regions.m.set(Manner::Refuses(Kind::Exhausted));
    let refusal = anna.refused(sql).await;
    assert!(refusal.message.contains("region-m"), "{refusal}");
    regions.m.set(Manner::Stalls(0));
    // The others alone still answer.
    assert!(
        anna.shown("SELECT count(*) AS n FROM national.lab_forsker WHERE controller = 'region-h'")
            .await
            .contains("| 60 |")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_shows_it_and_its_columns() {
    let regions = regions().await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    let tables = anna.shown("SHOW TABLES").await;
    assert!(tables.contains("national"), "{tables}");
    let columns = anna.shown("SHOW COLUMNS FROM national.lab_forsker").await;
    for name in ["pnr", "kode", "value", "kom", "controller"] {
        assert!(columns.contains(&format!("| {name} ")), "{columns}");
    }
    let refusal = anna.refused("SELECT analysiscode FROM national.lab_forsker").await;
    assert!(refusal.message.contains("analysiscode"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_that_makes_an_identifier_a_value_is_not_used() {
    let h = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let m = Spoke::new("region-m").offer("diabetes", "lab", lab(50..80));
    let build = Build::new();
    std::fs::create_dir(build.path().join("national")).unwrap();
    let declared = DECLARED.replace("kode = { from = \"analysiscode\" }", "kode = { from = \"pnr\" }");
    std::fs::write(build.path().join("national/lab_forsker.toml"), declared).unwrap();
    let house = build.spoke(&h).await.spoke(&m).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Open).await;
    let refusal = anna.refused("SELECT kode, count(*) FROM national.lab_forsker GROUP BY kode").await;
    assert!(refusal.message.contains("region-h") && refusal.message.contains("'pnr'"), "{refusal}");
    assert!(h.asked().is_empty());
}
