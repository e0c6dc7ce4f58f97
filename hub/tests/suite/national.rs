//! One table over several controllers'.

use crate::{
    checked::hashed,
    client::schema_of,
    house::{ANNA, Build, House, lab},
    spoke::{Manner, Spoke},
    tickets::set,
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
    regions_of("overlapping", 0..60, 50..80).await
}

async fn regions_of(persons: &str, at_h: std::ops::Range<i64>, at_m: std::ops::Range<i64>) -> Regions {
    let h = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(at_h));
    let m = Spoke::new("region-m").offer("diabetes", "lab", lab(at_m));
    let build = Build::new();
    std::fs::create_dir(build.path().join("national")).unwrap();
    let declared = DECLARED.replace("\"overlapping\"", &format!("\"{persons}\""));
    std::fs::write(build.path().join("national/lab_forsker.toml"), declared).unwrap();
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
    assert!((75..=85).any(|n| answer.contains(&format!("| {n} "))), "{answer}");
}

/// One person's values at two members are one contribution.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_open_zone_contributors_at_two_members_count_once() {
    let regions = regions().await;
    let mut anna = regions.house.client(ANNA, Zone::Open).await;
    // region-m's values are in twice the unit, and one: persons 54 to 59 at one, up to 57 at the other
    let sql = |least: f64, most: f64| {
        format!(
            "SELECT count(*) AS n, sum(value) AS s, avg(value) AS m FROM national.lab_forsker \
             WHERE controller = 'region-h' AND value >= 94 OR controller = 'region-m' AND value BETWEEN {least} AND {most}"
        )
    };
    let nine = anna.shown(&sql(183.0, 195.0)).await;
    assert!(nine.contains("suppressed: fewer than 10 contributors in s, m"), "{nine}");
    // From thirteen on it doesn't fall by lot.
    let thirteen = anna.shown(&sql(181.0, 205.0)).await;
    assert!(thirteen.contains("perturbed"), "{thirteen}");
    // One person has nearly everything, in parts that have not by themselves, and counts as others do.
    let alone = "CASE WHEN value IN (95, 191) THEN value * 1000 ELSE 1 END";
    for (table, most) in [("national.lab_forsker", 100.0), ("\"region-h\".lab_forsker", 60.0)] {
        let sum = anna.shown(&format!("SELECT sum({alone}) AS s FROM {table}")).await;
        let shown = sum.split('|').find_map(|cell| cell.trim().parse::<f64>().ok());
        assert!(shown.is_some_and(|shown| (20.0..=most).contains(&shown)), "{sum}");
    }
    assert!(regions.h.asked().last().unwrap().contains("contributions(pnr, "), "{:?}", regions.h.asked());
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

/// The same with the third region in the project, and away; and its address.
async fn one_away() -> (Regions, tokio::net::TcpSocket, runtime::tls::Tls) {
    let h = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let m = Spoke::new("region-m").offer("diabetes", "lab", lab(50..80));
    let build = Build::new();
    std::fs::create_dir(build.path().join("national")).unwrap();
    std::fs::write(build.path().join("national/lab_forsker.toml"), DECLARED).unwrap();
    // Held, and not listened at: whoever connects is refused, and nobody else gets the port.
    let away = tokio::net::TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let tls = build.tls("region-n");
    let build = build.spoke(&h).await.spoke(&m).await.at("region-n", away.local_addr().unwrap());
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    (Regions { house, h, m }, away, tls)
}

const COUNT: &str = "SELECT count(*) AS n FROM national.lab_forsker";

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_is_given_only_when_allowed_and_says_so_everywhere() {
    let (regions, _away, _) = one_away().await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    let refusal = anna.refused(COUNT).await;
    assert!(refusal.kind == Kind::Unavailable && refusal.message.contains("'region-n'"), "{refusal}");

    let mut allowing = regions.house.client(ANNA, Zone::Enclave).await;
    allowing.headers.push(("x-eger-allow-partial", "true".to_owned()));
    let info = allowing.announce(COUNT).await.unwrap();
    assert_eq!(schema_of(&info).metadata()[hub::plan::PARTIAL], "region-n");
    // `fetch` checks that the stream has the schema that was announced.
    let batches = allowing.fetch(&info).await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    assert!(shown.contains("| n  | left_out |") && shown.contains("| 90 | region-n |"), "{shown}");
    let explained = allowing.shown(&format!("EXPLAIN {COUNT}")).await;
    assert!(explained.contains("| region-n ") && explained.contains("left out"), "{explained}");
    // What is whole has no mark.
    let whole = allowing.announce("SELECT count(*) AS n FROM \"region-h\".lab_forsker").await.unwrap();
    assert!(schema_of(&whole).metadata().is_empty() && schema_of(&whole).fields().len() == 1);

    // The session's option says the same, and the header goes before it.
    assert_eq!(set(&mut anna, "allow_partial", "perhaps").await["allow_partial"].value, 2);
    assert!(set(&mut anna, "allow_partial", "true").await.is_empty());
    assert!(anna.shown(COUNT).await.contains("| 90 | region-n |"));
    anna.headers.push(("x-eger-allow-partial", "false".to_owned()));
    assert_eq!(anna.refused(COUNT).await.kind, Kind::Unavailable);
    anna.headers.pop();
    anna.headers.push(("x-eger-allow-partial", "maybe".to_owned()));
    assert_eq!(anna.refused(COUNT).await.kind, Kind::Invalid);
    anna.headers.pop();
    anna.action("CloseSession", vec![]).await.unwrap();
    assert_eq!(anna.refused(COUNT).await.kind, Kind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_of_a_national_table_that_are_away_from_the_start_are_left_out() {
    let (regions, away, tls) = one_away().await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    anna.headers.push(("x-eger-allow-partial", "true".to_owned()));
    for named in [
        "SELECT count(*) AS n FROM national.lab_forsker l JOIN \"region-n\".lab_forsker n ON n.pnr = l.pnr",
        "SELECT value FROM \"region-h\".lab_forsker UNION ALL SELECT value FROM \"region-n\".lab_forsker",
    ] {
        let refusal = anna.refused(named).await;
        assert!(refusal.message.contains("'region-n'"), "{refusal}");
    }
    // A member that breaks once it is asked is an error.
    regions.m.set(Manner::Refuses(Kind::Unavailable));
    let refusal = anna.refused(COUNT).await;
    assert!(refusal.message.contains("'region-m'"), "{refusal}");
    regions.m.set(Manner::Answers);
    // One that comes back after planning is not left out of what is said to be partial, nor added to it.
    let info = anna.announce(COUNT).await.unwrap();
    let n = Spoke::new("region-n").offer("diabetes", "lab_forsker", lab(200..210));
    n.serve_on(away.listen(64).unwrap(), &tls);
    while n.seen.catalogues.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        let refusal = anna.fetch(&info).await;
        let partial = refusal.as_ref().is_ok_and(|batches| batches[0].num_columns() == 2);
        let again = refusal.as_ref().is_err_and(|refusal| refusal.message.contains("Run it again"));
        assert!(partial || again, "{refusal:?}");
    }
    let mut back = anna.shown(COUNT).await;
    while back.contains("left_out") {
        back = anna.shown(COUNT).await;
    }
    assert!(back.contains("| 100 |"), "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_in_the_open_zone_is_released_by_the_same_rules() {
    let (regions, _away, _) = one_away().await;
    let mut anna = regions.house.client(ANNA, Zone::Open).await;
    anna.headers.push(("x-eger-allow-partial", "true".to_owned()));
    let answer = anna.shown("SELECT kom, count(*) AS n FROM national.lab_forsker GROUP BY kom ORDER BY n").await;
    // kom 999 has three people
    assert!(!answer.contains("999") && answer.contains("suppressed") && answer.contains("| region-n |"), "{answer}");
    assert_eq!(anna.refused("SELECT pnr, value FROM national.lab_forsker").await.kind, Kind::Denied);
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

const PEOPLE: &str = "SELECT count(DISTINCT pnr) AS people FROM national.lab_forsker";

/// Bytes that the spokes send for a statement.
async fn moved(anna: &mut crate::client::Client, sql: &str) -> u64 {
    let shown = anna.shown(&format!("EXPLAIN ANALYZE {sql}")).await;
    let spokes = shown.lines().filter(|line| line.starts_with("| region-"));
    let bytes = spokes.map(|line| line.rsplit('|').nth(3).unwrap().trim().replace([',', ' '], ""));
    bytes.map(|bytes| bytes.parse::<u64>().unwrap_or_else(|_| panic!("{shown}"))).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn disjoint_members_add_up_when_nobody_is_found_twice_and_no_pairs_travel() {
    let regions = regions_of("disjoint", 0..4_000, 4_000..7_000).await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    assert!(anna.shown(PEOPLE).await.contains("| 7000 "));
    for asked in [regions.h.asked(), regions.m.asked()] {
        assert_eq!(asked.len(), 2, "each sends its people once, then their number: {asked:?}");
        assert!(asked[0].contains("GROUP BY") && asked[1].contains("count(DISTINCT pnr)"), "{asked:?}");
        assert!(!asked[1].contains("GROUP BY"), "{asked:?}");
    }
    // From then on only numbers travel.
    let disjoint = moved(&mut anna, PEOPLE).await;
    assert!(anna.shown(PEOPLE).await.contains("| 7000 "));
    let by_kom = "SELECT kode, count(DISTINCT pnr) AS people, count(*) AS n FROM national.lab_forsker GROUP BY kode";
    let groups = moved(&mut anna, by_kom).await;
    assert_eq!((regions.h.asked().len(), regions.m.asked().len()), (5, 5));
    // A question that rests on it holds of these versions only.
    for scan in regions.h.seen.scans.lock().unwrap().iter().skip(1) {
        assert_eq!((scan.versions.len(), scan.versions[0].table.as_str()), (1, "lab_forsker"));
    }

    let others = regions_of("overlapping", 0..4_000, 4_000..7_000).await;
    let mut anna = others.house.client(ANNA, Zone::Enclave).await;
    let overlapping = moved(&mut anna, PEOPLE).await;
    println!(
        "count of 7,000 people: {disjoint} bytes when disjoint ({groups} in groups), {overlapping} when they may overlap"
    );
    assert!(disjoint < 4_000 && groups < 8_000 && overlapping > 7_000 * 16, "{disjoint} {groups} {overlapping}");
}

#[tokio::test(flavor = "multi_thread")]
async fn disjoint_as_declared_is_not_believed_one_person_at_two_members_counts_once() {
    let regions = regions_of("disjoint", 0..60, 59..80).await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    for _ in 0..2 {
        assert!(anna.shown(PEOPLE).await.contains("| 80 "));
    }
    let asked = regions.h.asked();
    assert_eq!(asked.len(), 3, "it is looked for once: {asked:?}");
    assert!(asked.iter().all(|sql| sql.contains("GROUP BY")), "people travel: {asked:?}");
    assert!(regions.h.seen.scans.lock().unwrap().iter().all(|scan| scan.versions.is_empty()));
    let shown = anna.shown(&format!("EXPLAIN {PEOPLE}")).await;
    assert!(shown.contains("stays here: people of a table that is declared disjoint"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn disjoint_members_under_a_new_key_are_looked_at_anew() {
    let regions = regions_of("disjoint", 0..60, 60..80).await;
    let mut anna = regions.house.client(ANNA, Zone::Enclave).await;
    anna.sql(PEOPLE).await.unwrap();
    anna.sql(PEOPLE).await.unwrap();
    assert_eq!(regions.h.asked().len(), 3);
    for spoke in [&regions.h, &regions.m] {
        spoke.terms.lock().unwrap().epoch = 2;
    }
    anna.sql(PEOPLE).await.unwrap();
    assert_eq!(regions.h.asked().len(), 5);
}

/// Where everybody is at one spoke, and where they are at two that may share people or don't: the same is shown, with somebody and without.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_open_zone_several_spokes_show_what_one_would() {
    let plainly = DECLARED
        .replace(
            "kode = { from = \"analysiscode\", map = { NPU27300 = \"HbA1c\" } }",
            "kode = { from = \"analysiscode\" }",
        )
        .replace("value = { factor = 2.0, offset = 1.0 }\n", "")
        .replace("kom = { missing = true }\n", "");
    for (persons, at_m) in [("disjoint", 60..140), ("overlapping", 60..140), ("overlapping", 20..140)] {
        let all = [lab(0..60), lab(at_m.clone())].concat();
        let all = arrow::compute::concat_batches(&all[0].schema(), &all).unwrap();
        let whole = Spoke::new("region-h").offer("diabetes", "lab_forsker", hashed(vec![all]));
        let one = Build::new().spoke(&whole).await.start(&[("diabetes", &[ANNA])]).await;
        let h = Spoke::new("region-h").offer("diabetes", "lab_forsker", hashed(lab(0..60)));
        let m = Spoke::new("region-m").offer("diabetes", "lab", hashed(lab(at_m)));
        let build = Build::new();
        std::fs::create_dir(build.path().join("national")).unwrap();
        let declared = plainly.replace("\"overlapping\"", &format!("\"{persons}\""));
        std::fs::write(build.path().join("national/lab_forsker.toml"), declared).unwrap();
        let two = build.spoke(&h).await.spoke(&m).await.start(&[("diabetes", &[ANNA])]).await;
        let (mut one, mut two) = (one.client(ANNA, Zone::Open).await, two.client(ANNA, Zone::Open).await);
        let mut shown = Vec::new();
        let whats = [
            "sum(value) AS x",
            "avg(value) AS x",
            "stddev_pop(value) AS x, var_samp(value) AS y",
            "sum(value) AS x, avg(value) AS y, stddev(value) AS z, count(DISTINCT pnr) AS n",
        ];
        for what in whats {
            // everybody; without one who is at one spoke; without one who may be at both; others
            for who in ["value > 0", "value <> 150", "value <> 75", "value < 140", "kom = 101"] {
                let ask = |table: &str| format!("SELECT {what} FROM {table} WHERE {who}");
                let answer = two.shown(&ask("national.lab_forsker")).await;
                assert_eq!(answer, one.shown(&ask("\"region-h\".lab_forsker")).await, "{persons} {what} {who}");
                shown.push(answer);
            }
        }
        for answers in shown.chunks(5) {
            assert!(answers[1] == answers[0] && answers[2] == answers[0], "{answers:?}");
            assert!(answers[3] != answers[0] && answers[4] != answers[0], "{answers:?}");
            assert!(answers[0].contains("perturbed"), "{answers:?}");
        }
        // What a sum doesn't need doesn't travel: how many values somebody has, and their squares.
        let asked = m.asked();
        let sums = asked.iter().filter(|sql| !sql.contains("avg(") && !sql.contains("var_pop("));
        assert!(sums.clone().count() >= 5, "{asked:?}");
        for sql in sums {
            assert!(!sql.contains(") * ") && !sql.contains("count(coarse") && !sql.contains("contributions_"), "{sql}");
        }
    }
}

/// Every shape gives what it gives when nothing is known: sets, conditions, other values that are counted, unions, both zones.
#[tokio::test(flavor = "multi_thread")]
async fn disjoint_members_give_the_answers_of_overlapping_ones() {
    let (disjoint, overlapping) =
        (regions_of("disjoint", 0..60, 60..100).await, regions_of("overlapping", 0..60, 60..100).await);
    let table = "national.lab_forsker";
    for (zone, sql) in [
        (
            Zone::Enclave,
            format!("SELECT kom, count(DISTINCT pnr) AS p, count(*) AS n FROM {table} GROUP BY kom ORDER BY kom"),
        ),
        (
            Zone::Enclave,
            format!(
                "SELECT kode, kom, count(DISTINCT pnr) AS p FROM {table} GROUP BY ROLLUP (kode, kom) ORDER BY 1, 2"
            ),
        ),
        (Zone::Enclave, format!("SELECT count(DISTINCT pnr) AS p, count(DISTINCT kom) AS k FROM {table}")),
        (
            Zone::Enclave,
            format!("SELECT count(DISTINCT pnr) FILTER (WHERE value > 70) AS p, avg(value) AS a FROM {table}"),
        ),
        (Zone::Enclave, format!("SELECT count(DISTINCT pnr) AS p FROM {table} WHERE value > 1000")),
        (
            Zone::Enclave,
            format!(
                "SELECT count(DISTINCT pnr) AS p FROM (SELECT pnr FROM {table} UNION ALL SELECT pnr FROM {table}) q"
            ),
        ),
        (Zone::Enclave, format!("SELECT count(DISTINCT a.pnr) AS p FROM {table} a JOIN {table} b ON a.pnr = b.pnr")),
        (
            Zone::Enclave,
            format!("SELECT controller, count(DISTINCT pnr) AS p FROM {table} GROUP BY controller ORDER BY 1"),
        ),
        (Zone::Open, format!("SELECT kom, count(*) AS n, avg(value) AS a FROM {table} GROUP BY kom ORDER BY kom")),
        (Zone::Open, format!("SELECT count(DISTINCT pnr) AS p FROM {table} WHERE value > 42")),
        (
            Zone::Open,
            format!("SELECT kom, stddev(value) AS s, var_pop(value) AS v FROM {table} GROUP BY kom ORDER BY kom"),
        ),
        (Zone::Open, format!("SELECT kode, sum(value) AS s FROM {table} GROUP BY kode ORDER BY kode")),
    ] {
        let mut there = overlapping.house.client(ANNA, zone).await;
        let mut here = disjoint.house.client(ANNA, zone).await;
        // Rows of equal keys come in any order.
        let sorted = |shown: String| {
            let mut lines: Vec<_> = shown.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(here.shown(&sql).await), sorted(there.shown(&sql).await), "{sql}");
    }
    let asked = disjoint.h.asked();
    assert!(asked.iter().any(|sql| sql.contains("count(DISTINCT pnr)")), "{asked:?}");
}
