//! Where an answer changes its kind: hidden or shown, as an earlier one or its own. Both happen at an exact number of people, so that
//! whoever can put together a set of just that size, or can move a limit in steps as small as they like, sees one person.
//!
//! These attacks succeed today: each test says what an attacker learns, after how many statements, and what for that has to be known
//! before. They are here so that it is noticed when that changes.

use super::super::{
    answer as exact,
    noise::{after, large, pseudonym},
    register, role,
};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// 400 people, each with an income of their own down to the last digit, which is high for those who come late.
fn incomes() -> (SessionContext, Vec<f64>) {
    let ctx = SessionContext::new();
    let people: Vec<[u8; 16]> = (0..400).map(|person| pseudonym(person, 7)).collect();
    let incomes: Vec<f64> = (0..400_u32).map(|n| 100_000.0 + f64::from(n) * 731.25 + f64::from(n * n % 89)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(FixedSizeBinaryArray::try_from_iter(people.iter()).unwrap()),
        Arc::new(Float64Array::from(incomes.clone())),
        Arc::new(Int32Array::from_iter_values(0..400)),
    ];
    let fields = vec![
        role("pnr", "person"),
        Field::new("indkomst", DataType::Float64, false),
        Field::new("nr", DataType::Int32, false),
    ];
    register(&ctx, "bef", fields, columns, false);
    (ctx, incomes)
}

/// Halves the interval until `beyond` is known to a hundredth; how many times it was asked.
async fn bisect(mut low: f64, mut high: f64, beyond: impl AsyncFn(f64) -> bool) -> (f64, u32) {
    let mut asked = 0;
    while high - low > 0.01 {
        let middle = f64::midpoint(low, high);
        asked += 1;
        if beyond(middle).await {
            high = middle;
        } else {
            low = middle;
        }
    }
    (high, asked)
}

/// Learns: the fifth largest value, exactly; not whose it is. Off (plain SQL): the largest.
#[tokio::test]
async fn attack_quantile_walk_finds_the_value_at_the_threshold() {
    let (ctx, mut incomes) = incomes();
    incomes.sort_by(|a, b| b.total_cmp(a));
    let ledger = Arc::default();
    let (found, asked) = bisect(100_000.0, 500_000.0, async |limit: f64| {
        let sql = format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE indkomst > {limit}");
        let shown = after(&ctx, &ledger, &sql).await[0][0].clone();
        shown == "NULL" || shown == "0"
    })
    .await;
    println!("the fifth largest value by walking: off by {:.2} after {asked} statements", (found - incomes[4]).abs());
    assert!((found - incomes[4]).abs() < 0.02, "{found} {}", incomes[4]);
    assert!(incomes[..4].iter().all(|above| above - found > 10.0), "nothing about the four above");
    // Off: min and max say it at once, and are refused.
    let largest = exact_max(&ctx).await;
    assert!((largest - incomes[0]).abs() < 1e-9);
}

async fn exact_max(ctx: &SessionContext) -> f64 {
    super::plain(ctx, "SELECT max(indkomst) AS m FROM bef").await[0][0].parse().unwrap()
}

/// Learns: a value at which the number of people passes one that is near to an earlier answer; not whose it is.
#[tokio::test]
async fn attack_quantile_walk_in_the_middle_finds_the_tenth_person_from_an_earlier_answer() {
    let (ctx, mut incomes) = incomes();
    incomes.sort_by(f64::total_cmp);
    let ledger = Arc::default();
    let everybody = after(&ctx, &ledger, "SELECT count(DISTINCT pnr) AS n FROM bef").await[0][0].clone();
    // Each of these is answered as everybody, or on its own, which is another number nearly always.
    let (found, asked) = bisect(incomes[0] - 1.0, incomes[19], async |limit: f64| {
        let sql = format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE indkomst > {limit}");
        after(&ctx, &ledger, &sql).await[0][0] != everybody
    })
    .await;
    println!("a value in the middle by walking: after {asked} statements");
    assert!(incomes.iter().any(|income| (income - found).abs() < 0.02), "{found}");
}

/// Learns: whether one known person has something, when four others are known to have what is asked. Off (plain SQL): at once.
#[tokio::test]
async fn attack_membership_by_four_known_others_sees_the_fifth() {
    let (ctx, _) = incomes();
    let four = "nr IN (10, 20, 30, 40)";
    for (target, rich) in [(399, true), (1, false)] {
        let sql =
            format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE {four} OR (nr = {target} AND indkomst > 300000)");
        let shown = after(&ctx, &Arc::default(), &sql).await[0][0].clone();
        assert_eq!(shown != "NULL", rich, "after one statement");
        assert_eq!(exact(&ctx, &sql).await[0][0] == "5", rich);
    }
}

/// The same by the ledger: nine known others beside a set that was asked before.
#[tokio::test]
async fn attack_membership_by_nine_known_others_sees_the_tenth() {
    let ctx = large(2);
    let set = "kom < 10";
    let nine = "pnr IN (SELECT pnr FROM bef WHERE kom = 15 AND del < 3)";
    let others = exact(&ctx, &format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE {nine}")).await[0][0].clone();
    assert_eq!(others, "9");
    let ask = |condition: String| format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE {set} OR {condition}");
    let mut told = Vec::new();
    for ill in [0, 1] {
        let ledger = Arc::default();
        let before = after(&ctx, &ledger, &ask("false".to_owned())).await[0][0].clone();
        let person = format!("kom = 16 AND del = 61 AND alder = 45 AND syg = {ill}");
        let sql = ask(format!("{nine} OR ({person})"));
        told.push(after(&ctx, &ledger, &sql).await[0][0] != before);
    }
    assert_eq!(told, [true, false], "the person is not ill: known after two statements");
}
