//! What is told beside the answer: EXPLAIN RELEASE, refusals, errors.

use super::super::{
    noise::{after, large},
    planned, pseudonyms, register, registers, role,
};
use crate::release::{SchemaRoles, explain};
use arrow::{
    array::{ArrayRef, Float64Array, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::{dataframe::DataFrame, prelude::SessionContext};
use std::{collections::BTreeSet, sync::Arc};

/// The same table with and without the target.
fn with_and_without() -> [SessionContext; 2] {
    [true, false].map(|there| {
        let ctx = SessionContext::new();
        let people: Vec<u32> = (1..=if there { 31 } else { 30 }).collect();
        let columns: Vec<ArrayRef> = vec![
            pseudonyms(&people),
            Arc::new(Int32Array::from_iter_values(people.iter().map(|n| if *n == 31 { 104 } else { 101 }))),
            Arc::new(Float64Array::from_iter_values(people.iter().map(|n| f64::from(*n) * 1000.5))),
        ];
        let fields = vec![
            role("pnr", "person"),
            Field::new("kom", DataType::Int32, false),
            Field::new("indkomst", DataType::Float64, false),
        ];
        register(&ctx, "bef", fields, columns, false);
        ctx
    })
}

const STATEMENTS: [&str; 6] = [
    "SELECT kom, count(*) AS n FROM bef GROUP BY kom",
    "SELECT sum(indkomst) AS s FROM bef WHERE kom = 104",
    "SELECT count(*) AS n FROM bef WHERE kom = 104 AND 1 / (kom - 104) = 1",
    "SELECT max(indkomst) AS m FROM bef WHERE kom = 104",
    "SELECT indkomst FROM bef WHERE kom = 104",
    "SELECT count(*) AS n FROM bef a JOIN bef b ON a.kom = b.kom",
];

/// Learns: nothing, since nothing is read. Off (the statement is run): the answers differ.
#[tokio::test]
async fn attack_explain_release_tells_the_same_whoever_is_in_the_tables() {
    let [with, without] = with_and_without();
    let mut differ = 0;
    for sql in STATEMENTS {
        let notes = [&with, &without].map(async |ctx| explain(&planned(ctx, sql).await, &SchemaRoles));
        let [(first, told), (second, also)] = {
            let [a, b] = notes;
            [a.await, b.await]
        };
        assert_eq!(told, also, "{sql}");
        for plan in [first, second] {
            let ran = DataFrame::new(with.state(), plan.into_inner()).collect().await.unwrap();
            assert_eq!(ran.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 0);
        }
        let answers = [&with, &without].map(async |ctx| {
            DataFrame::new(ctx.state(), planned(ctx, sql).await).collect().await.map(|all| format!("{all:?}")).ok()
        });
        let [a, b] = answers;
        differ += usize::from(a.await != b.await);
    }
    assert_eq!(differ, STATEMENTS.len(), "the attack doesn't work by itself");
}

/// Learns: nothing; a refusal is made of the statement, and an answer never fails. Off: a statement that fails, fails with a value.
#[tokio::test]
async fn attack_error_texts_are_the_same_whoever_is_in_the_tables() {
    let [with, without] = with_and_without();
    for sql in STATEMENTS {
        let texts: BTreeSet<Option<String>> = {
            let mut texts = BTreeSet::new();
            for ctx in [&with, &without] {
                texts.insert(super::released(ctx, sql).await.err().map(|refusal| refusal.to_string()));
            }
            texts
        };
        assert_eq!(texts.len(), 1, "{sql}: {texts:?}");
    }
    let sql = "SELECT count(*) AS n FROM bef WHERE CAST(CASE WHEN kom = 104 THEN concat('kr. ', indkomst) ELSE '1' END AS INT) = 1";
    let plain = DataFrame::new(with.state(), planned(&with, sql).await).collect().await.unwrap_err().to_string();
    assert!(plain.contains("31015.5"), "the attack doesn't work by itself: {plain}");
    let rows = after(&with, &Arc::default(), sql).await;
    assert_eq!(after(&without, &Arc::default(), sql).await, rows);
}

/// Learns: nothing of the small groups, nor whether there are any. Off: by their rows.
#[tokio::test]
async fn attack_the_number_of_rows_tells_no_number_of_small_groups() {
    let ctx = registers();
    let (mut plain, mut shown) = (Vec::new(), Vec::new());
    for groups in ["101", "101, 104", "101, 103, 104", "101, 999"] {
        let sql = format!("SELECT kom, count(*) AS n FROM bef WHERE kom IN ({groups}) GROUP BY kom");
        plain.push(super::plain(&ctx, &sql).await.len());
        let mut rows = super::released(&ctx, &sql).await.unwrap().1;
        rows.sort();
        shown.push(rows);
    }
    assert_eq!(plain, [1, 2, 3, 1], "the attack doesn't work by itself");
    assert_eq!(shown[0].len(), 2);
    assert!(shown.iter().all(|rows| *rows == shown[0]), "{shown:?}");
}

/// The middle of so many milliseconds.
fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Learns: what the time tells, which isn't masked. Prints how long a cell takes in which few people are, and how long one in which nobody is;
/// both are answered alike.
#[tokio::test]
async fn attack_by_the_time_of_a_hidden_cell_beside_an_empty_one_is_printed() {
    let ctx = large(1);
    let of = |condition: &str| {
        format!(
            "SELECT count(DISTINCT pnr) AS n, sum(alder) AS s, avg(alder) AS m, stddev_pop(alder) AS d FROM bef WHERE kom = 18 AND {condition}"
        )
    };
    // Four people at the most, and nobody.
    let (few, nobody) = (of("del = 41"), of("del = 1000"));
    let there = |rows: Vec<Vec<String>>| rows[0][0].parse::<u64>().unwrap();
    let people = there(super::plain(&ctx, &few).await);
    assert!((1..=4).contains(&people) && there(super::plain(&ctx, &nobody).await) == 0, "{people}");
    let (mut hidden, mut empty) = (Vec::new(), Vec::new());
    let mut answers = BTreeSet::new();
    for turn in 0..60 {
        // in turns, and each before the other as often as after it
        for (sql, times) in if turn % 2 == 0 { [(&few, 0), (&nobody, 1)] } else { [(&nobody, 1), (&few, 0)] } {
            let started = std::time::Instant::now();
            let answer = after(&ctx, &Arc::default(), sql).await;
            let took = started.elapsed().as_secs_f64() * 1e3;
            answers.insert(answer);
            if times == 0 { hidden.push(took) } else { empty.push(took) }
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let low = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    let (fastest, of_nobody) = (low(&hidden), low(&empty));
    println!(
        "a cell of {people} people that is hidden: {:.2} ms in the middle, {fastest:.2} at the least; one of nobody: {:.2} and {of_nobody:.2} \
         (60 statements each, planned and run)",
        middle(hidden),
        middle(empty)
    );
}
