//! Joins over several spokes: which side is built, and in which order, by what spokes tell of their tables.

use crate::{
    client::Client,
    house::{ANNA, Build, House, people},
    spoke::Spoke,
};
use arrow::{
    array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use policies::zone::Zone;
use proto::schema;
use std::sync::Arc;

/// `rows` rows about `persons` people: a code of `codes`, a day in 2000 .. 2019, a number of its own.
fn table(rows: i64, persons: i64, codes: i64) -> Vec<RecordBatch> {
    let person = [(schema::ROLE.to_owned(), schema::PERSON.to_owned())].into();
    let fields = vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(person),
        Field::new("kode", DataType::Utf8, true),
        Field::new("dato", DataType::Date32, true),
        Field::new("nr", DataType::Int64, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        people((0..rows).map(|row| row % persons)),
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("K{}", row / 7 % codes)))),
        Arc::new(Date32Array::from_iter_values((0..rows).map(|row| 10_957 + (row * 31 % 7_300) as i32))),
        Arc::new(Int64Array::from_iter_values(0..rows)),
    ];
    vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()]
}

struct Joins {
    house: House,
    big: Spoke,
    small: Spoke,
}

const NATIONAL: &str = "persons = \"overlapping\"\n[[column]]\nname = \"pnr\"\ntype = \"person\"\n[[column]]\nname = \"kode\"\n\
                        type = \"text\"\n[[member]]\ncontroller = \"big\"\ntable = \"lmdb\"\n[[member]]\ncontroller = \"small\"\n\
                        table = \"lmdb\"\n";

/// `big.lmdb` has 30,000 rows about 10,000 people with 500 codes and `big.koen` 30,000 with two; `small.lab` has 2,000
/// rows about 2,000 people, `small.lmdb` 1,000 rows, `small.few` 40.
async fn joins() -> Joins {
    let big = Spoke::new("big").offer("diabetes", "lmdb", table(30_000, 10_000, 500)).offer(
        "diabetes",
        "koen",
        table(30_000, 10_000, 2),
    );
    let small = Spoke::new("small")
        .offer("diabetes", "lab", table(2_000, 2_000, 50))
        .offer("diabetes", "lmdb", table(1_000, 1_000, 50))
        .offer("diabetes", "few", table(40, 40, 4));
    let third = Spoke::new("third").offer("diabetes", "kontakt", table(9_000, 6_000, 20));
    for spoke in [&big, &small, &third] {
        spoke.terms.lock().unwrap().key_lists_to = ["big", "small", "third"].map(str::to_owned).to_vec();
    }
    let mut build = Build::new();
    build.cache = 600;
    std::fs::create_dir(build.path().join("national")).unwrap();
    std::fs::write(build.path().join("national/lmdb.toml"), NATIONAL).unwrap();
    let house = build.spoke(&big).await.spoke(&small).await.spoke(&third).await.start(&[("diabetes", &[ANNA])]).await;
    Joins { house, big, small }
}

/// The first leaf below each join of a plan, outermost first: what is built.
async fn built(anna: &mut Client, sql: &str) -> Vec<String> {
    let shown = anna.shown(&format!("EXPLAIN {sql}")).await;
    let lines: Vec<&str> = shown.lines().collect();
    let joins = lines.iter().enumerate().filter(|(_, line)| line.contains("HashJoinExec"));
    let built = joins.map(|(at, _)| {
        let leaf = lines[at..].iter().find_map(|line| line.split_once("SpokeScanExec: spoke="));
        let (_, leaf) = leaf.unwrap_or_else(|| panic!("{shown}"));
        leaf.split([' ', '|']).next().unwrap().trim_end_matches(',').to_owned()
            + "."
            + leaf.split_once("table=").unwrap().1.split([' ', ',', '|']).next().unwrap()
    });
    built.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_build_the_smaller_side() {
    let joins = joins().await;
    let mut anna = joins.house.client(ANNA, Zone::Enclave).await;
    for (join, smaller) in [
        // whichever is named first
        ("big.lmdb a JOIN small.lab b ON a.pnr = b.pnr", "small.lab"),
        ("small.lab b JOIN big.lmdb a ON a.pnr = b.pnr", "small.lab"),
        // one of 500 codes is less than 2,000 rows; one of two isn't
        ("big.lmdb a JOIN small.lab b ON a.pnr = b.pnr WHERE a.kode = 'K7'", "big.lmdb"),
        ("big.koen a JOIN small.lab b ON a.pnr = b.pnr WHERE a.kode = 'K1'", "small.lab"),
        ("big.lmdb a JOIN small.lab b ON a.pnr = b.pnr WHERE a.kode IN ('K1', 'K2', 'K3')", "big.lmdb"),
        ("big.lmdb a JOIN small.lab b ON a.pnr = b.pnr WHERE a.kode <> 'K1'", "small.lab"),
        ("big.lmdb a JOIN small.lab b ON a.pnr = b.pnr WHERE a.kode = 'K7' OR a.kode = 'K8'", "big.lmdb"),
        ("big.lmdb a JOIN small.lab b ON a.pnr = b.pnr WHERE a.kode = 'K7' AND b.kode = 'K3'", "small.lab"),
        // one of twenty years, and eighteen of them
        (
            "big.lmdb a JOIN small.lab b ON a.pnr = b.pnr WHERE a.dato >= DATE '2004-01-01' AND a.dato < DATE '2005-01-01'",
            "big.lmdb",
        ),
        (
            "big.lmdb a JOIN small.lab b ON a.pnr = b.pnr WHERE a.dato BETWEEN DATE '2001-01-01' AND DATE '2018-12-31'",
            "small.lab",
        ),
        // groups: 500 codes, 10,000 people
        ("(SELECT kode, count(*) AS n FROM big.lmdb GROUP BY kode) a JOIN small.lab b ON a.kode = b.kode", "big.lmdb"),
        ("(SELECT pnr, count(*) AS n FROM big.lmdb GROUP BY pnr) a JOIN small.lab b ON a.pnr = b.pnr", "small.lab"),
        // joined at its spoke: 300 people with a rare code, each of three rows
        (
            "(SELECT x.pnr FROM big.lmdb x JOIN big.koen y ON x.pnr = y.pnr WHERE x.kode = 'K7') a JOIN small.lab b ON a.pnr = b.pnr",
            "big.lmdb+koen",
        ),
        (
            "(SELECT x.pnr FROM big.lmdb x JOIN big.koen y ON x.pnr = y.pnr) a JOIN small.lab b ON a.pnr = b.pnr",
            "small.lab",
        ),
        // a table over both
        ("national.lmdb a JOIN third.kontakt b ON a.pnr = b.pnr", "third.kontakt"),
        ("national.lmdb a JOIN third.kontakt b ON a.pnr = b.pnr WHERE a.kode = 'K7'", "big.lmdb"),
    ] {
        let built = built(&mut anna, &format!("SELECT count(*) AS n FROM {join}")).await;
        assert_eq!(built, [smaller], "{join}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_of_several_spokes_begin_with_what_keeps_least() {
    let joins = joins().await;
    let mut anna = joins.house.client(ANNA, Zone::Enclave).await;
    // However it is written, 40 people come first, and only their rows leave the others.
    for from in [
        "big.lmdb a JOIN third.kontakt k ON k.pnr = a.pnr JOIN small.few f ON f.pnr = a.pnr",
        "third.kontakt k JOIN big.lmdb a ON k.pnr = a.pnr JOIN small.few f ON f.pnr = k.pnr",
        "small.few f JOIN big.lmdb a ON f.pnr = a.pnr JOIN third.kontakt k ON k.pnr = a.pnr",
    ] {
        let sql = format!("SELECT count(*) AS n FROM {from}");
        let built = built(&mut anna, &sql).await;
        assert_eq!(built.last().map(String::as_str), Some("small.few"), "{from}: {built:?}");
        let shown = anna.shown(&sql).await;
        // 40 people of three prescriptions and one or two contacts
        assert!(shown.contains("| 240 |"), "{shown}");
        let asked = joins.big.asked().pop().unwrap();
        assert!(asked.contains("key list"), "{from}: {asked}");
    }
    assert!(joins.small.asked().iter().all(|asked| !asked.contains("key list")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_meet_by_keys_that_follow_from_those_written() {
    let joins = joins().await;
    let mut anna = joins.house.client(ANNA, Zone::Enclave).await;
    // Nobody wrote that people with contacts are the few; it follows, and gives half as many rows as big.lmdb would.
    let sql =
        "SELECT count(*) AS n FROM big.lmdb a JOIN third.kontakt k ON k.pnr = a.pnr JOIN small.few f ON f.pnr = a.pnr";
    let shown = anna.shown(&format!("EXPLAIN {sql}")).await;
    let leaves: Vec<&str> =
        shown.split("SpokeScanExec: spoke=").skip(1).map(|leaf| leaf.split(',').next().unwrap()).collect();
    assert_eq!(leaves, ["small", "third", "big"], "{shown}");
    assert!(anna.shown(sql).await.contains("| 240 |"));
    // A pair that follows from the others, and one that doesn't.
    for (written, rows) in [
        ("a.nr = b.nr AND b.nr = k.nr", 2_000),
        ("a.nr = b.nr AND b.nr = k.nr AND a.nr = k.nr", 2_000),
        ("a.nr = b.nr AND b.nr = k.nr AND a.nr = k.nr + 1", 0),
        ("a.nr = b.nr AND b.nr = k.nr AND a.kode = b.kode AND b.pnr = k.pnr", 350),
    ] {
        let sql = format!("SELECT count(*) AS n FROM big.lmdb a, small.lab b, third.kontakt k WHERE {written}");
        let shown = anna.shown(&sql).await;
        assert!(shown.contains(&format!("| {rows} ")), "{written}: {shown}");
    }
}
