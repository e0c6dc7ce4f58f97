#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::{declare::Text, ingest::survey};
use arrow::{
    array::{ArrayRef, Date32Array, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// A row: who, a code, a day, a number.
type Row = (u32, u8, i32, Option<f64>);

fn schema() -> Arc<Schema> {
    let person = HashMap::from([(ROLE.to_owned(), PERSON.to_owned())]);
    Arc::new(Schema::new(vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(person),
        Field::new("kode", DataType::Utf8, true),
        Field::new("dato", DataType::Date32, true),
        Field::new("value", DataType::Float64, true),
    ]))
}

fn snapshot(rows: &[Row]) -> Snapshot {
    let schema = schema();
    let mut survey = survey::Survey::new(&schema, Some(0));
    for rows in rows.chunks(8_192) {
        let person = |n: u32| crate::publish::value_hash(&n.to_le_bytes());
        let ids = rows.iter().map(|row| (u128::from(person(row.0)) << 64 | u128::from(row.0)).to_be_bytes());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(FixedSizeBinaryArray::try_from_iter(ids).unwrap()),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| format!("K{}", row.1)))),
            Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.2))),
            Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.3))),
        ];
        survey.add(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap());
    }
    Snapshot {
        table: "lab".parse().unwrap(),
        version: 0,
        schema,
        files: Vec::new(),
        rows: rows.len() as u64,
        bytes: rows.len() as u64 * 40,
        link_kid: String::new(),
        store_kid: String::new(),
        description: Text::default(),
        event_date: None,
        ingest: String::new(),
        statistics: Some(Arc::new(survey.finish())),
    }
}

fn secret(n: u64) -> OrderKey {
    OrderKey::new(&[(n % 251) as u8; 32])
}

/// People with a few rows each; a few of them with what nobody else has: a rare code, an early day, many rows.
fn people(n: u32, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for person in 0..n {
        let random = crate::publish::value_hash(&(seed ^ u64::from(person)).to_le_bytes());
        let many = if random.is_multiple_of(97) { 9 } else { 1 + random % 4 };
        for row in 0..many {
            let odd = random.is_multiple_of(61);
            let code = if odd { 100 + (random % 100) as u8 } else { (random % 30) as u8 };
            let day = if odd { -9_000 + person as i32 } else { 15_000 + (random % 3_000) as i32 };
            rows.push((person, code, day, (!(random + row).is_multiple_of(7)).then_some(row as f64)));
        }
    }
    rows
}

fn without(rows: &[Row], person: u32) -> Vec<Row> {
    rows.iter().copied().filter(|row| row.0 != person).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Of a small table nothing can be told apart, whoever is taken out, and whatever the secret.
    #[test]
    fn statistics_of_a_small_table_are_the_same_without_any_one_person(n in 1_u32..200, seed: u64, key: u64) {
        let rows = people(n, seed);
        let (all, secret) = (told(&snapshot(&rows), &secret(key)), secret(key));
        prop_assert_eq!((all.rows, all.persons, all.columns.len()), (FEW, FEW, 0));
        for person in 0..n {
            prop_assert_eq!(&told(&snapshot(&without(&rows, person)), &secret), &all, "without {}", person);
        }
    }
}

/// Of a larger one a class may begin just there. How rare that is, over many secrets and everybody odd.
#[test]
fn statistics_of_a_large_table_hardly_ever_change_with_one_person() {
    let rows = people(6_000, 5);
    let whole = snapshot(&rows);
    let keys: Vec<OrderKey> = (0..50).map(secret).collect();
    let before: Vec<Told> = keys.iter().map(|key| told(&whole, key)).collect();
    assert!(before.iter().all(|told| told.persons > FEW && told.columns.len() == 4));
    let odd: Vec<u32> = (0..6_000).filter(|p| rows.iter().any(|row| row.0 == *p && row.1 >= 100)).take(40).collect();
    let (mut changed, mut asked) = (0, 0);
    for person in odd.iter().copied().chain(0..20) {
        let less = snapshot(&without(&rows, person));
        for (key, before) in keys.iter().zip(&before) {
            asked += 1;
            changed += usize::from(told(&less, key) != *before);
        }
    }
    println!("statistics changed in {changed} of {asked} cases");
    assert!(asked >= 2_000 && changed * 50 < asked, "{changed} of {asked}");
    // What only odd people have is in none of them: their codes, their early days.
    for told in &before {
        assert!(told.columns[1].distinct <= 60, "{told:?}");
        assert_eq!(told.columns[2].years, Some((2011, 2019)), "{told:?}");
    }
}

/// Learns: nothing about up to four people: not whether there are any, and of many others neither their codes nor their days. Off (the
/// controller's own statistics): the rows without a value, different codes, the first year.
#[test]
fn attack_statistics_tell_nothing_of_what_four_people_have() {
    let keys: Vec<OrderKey> = (0..100).map(secret).collect();
    for key in &keys {
        let nobody = told(&snapshot(&[]), key);
        for n in 1..=4 {
            assert_eq!(told(&snapshot(&people(n, 5)), key), nobody, "{n} people");
        }
    }
    // Everybody has three rows, a common code, a day within eight years, and a value.
    let ordinary: Vec<Row> = (0..18_000_u32)
        .map(|n| (n / 3, (n % 30) as u8, 15_000 + (n * 7 % 3_000) as i32, Some(f64::from(n % 10))))
        .collect();
    let four = |row: &Row| row.0 % 1_500 == 77;
    let with = |change: fn(Row) -> Row| -> Vec<Row> {
        ordinary.iter().map(|row| if four(row) { change(*row) } else { *row }).collect()
    };
    let lacking = |(who, code, day, _): Row| (who, code, day, None);
    // what is compared, and whether a class, of shares or of how many days there are, may begin just there
    let cases: [(&str, Vec<Row>, Vec<Row>, bool); 5] = [
        ("codes", ordinary.clone(), with(|(who, _, day, value)| (who, 100 + (day % 100) as u8, day, value)), false),
        ("early days", ordinary.clone(), with(|(who, code, day, value)| (who, code, day - 20_000, value)), true),
        ("late days", ordinary.clone(), with(|(who, code, day, value)| (who, code, day + 20_000, value)), true),
        ("no value", ordinary.clone(), with(lacking), true),
        (
            "a value",
            ordinary.iter().copied().map(lacking).collect(),
            ordinary.iter().map(|row| if four(row) { *row } else { lacking(*row) }).collect(),
            true,
        ),
    ];
    for (what, without, with, by_class) in cases {
        let differ = without.iter().zip(&with).filter(|(a, b)| a != b);
        assert_eq!(differ.map(|(row, _)| row.0).collect::<BTreeSet<_>>().len(), 4, "{what}");
        let exact = |rows: &[Row]| {
            let codes: BTreeSet<u8> = rows.iter().map(|row| row.1).collect();
            let days: BTreeSet<i32> = rows.iter().map(|row| row.2).collect();
            (
                codes.len(),
                days.first().copied(),
                days.last().copied(),
                rows.iter().filter(|row| row.3.is_none()).count(),
            )
        };
        assert_ne!(exact(&without), exact(&with), "the attack doesn't work by itself: {what}");
        let (without, with) = (snapshot(&without), snapshot(&with));
        let changed = keys.iter().filter(|key| told(&without, key) != told(&with, key)).count();
        let years = |snapshot: &Snapshot| told(snapshot, &keys[0]).columns[2].years;
        assert!(years(&without).is_some() && years(&without) == years(&with), "{what}");
        assert!(changed <= if by_class { keys.len() / 25 } else { 0 }, "{what}: {changed} of {}", keys.len());
    }
}

/// The defence switched off is seen: exact numbers differ for everybody.
#[test]
fn statistics_without_rounding_would_tell_of_everybody() {
    let rows = people(50, 9);
    let exact = |rows: &[Row]| {
        let snapshot = snapshot(rows);
        Coarse { table: "lab", secret: None }.size("", "rows", snapshot.rows, FEW)
    };
    let all = exact(&rows);
    assert!((0..50).all(|person| exact(&without(&rows, person)) != all));
}

#[test]
fn statistics_tell_sizes_in_classes_and_the_share_of_nulls() {
    let (rows, key) = (people(20_000, 3), secret(3));
    let whole = told(&snapshot(&rows), &key);
    let near = |told: u64, is: usize| told as f64 / is as f64 > 0.6 && (told as f64) < is as f64 * 1.6;
    assert!(near(whole.rows, rows.len()) && near(whole.persons, 20_000), "{whole:?}");
    assert!(near(whole.columns[0].distinct, 20_000) && near(whole.columns[1].distinct, 30), "{whole:?}");
    assert!([10, 20].contains(&whole.columns[3].nulls), "{whole:?}");
    // Two digits, and the same each time.
    let digits = whole.rows.to_string();
    assert!(digits.trim_end_matches('0').len() <= 2, "{digits}");
    assert_eq!(told(&snapshot(&rows), &key), whole);
}

#[test]
fn statistics_of_added_files_merge() {
    let rows = people(4_000, 8);
    let (first, second) = rows.split_at(rows.len() / 2);
    let of = |rows: &[Row]| snapshot(rows).statistics.unwrap().as_ref().clone();
    let both = of(first).and(&of(second)).unwrap();
    let whole = of(&rows);
    assert_eq!((both.rows, both.columns[0].different.estimate()), (whole.rows, whole.columns[0].different.estimate()));
    assert_eq!(both.columns[3].nulls, whole.columns[3].nulls);
    assert_eq!(both.columns[2].years, whole.columns[2].years);
    assert!(of(first).and(&crate::publish::Statistics::default()).is_none());
}
