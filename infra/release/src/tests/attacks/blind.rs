//! Blind totals: of one member's part nobody sees single contributions, so that it is put under the rules before it is masked. What an attacker
//! has here is that part alone: the other members let everybody add next to nothing.

use super::super::{collect, noise::pseudonym, planned, register, role};
use crate::release::{Ledger, Unshared, shared};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Int64Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::{SessionConfig, SessionContext};
use proto::plan::persons::persons_udaf;
use std::sync::Arc;

const PEOPLE: u32 = 2_000;
/// The one person who is known by it: the eighteenth of part 3, who is ill and has this income.
const KNOWN: &str = "k = 3 AND d = 17";
const INCOME: i64 = 10_000 + 167 * 7_919 % 50_000;

/// One row a person: parts of fifty, incomes that differ, everybody ill but the first of each part.
fn member() -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(2);
    let config = config.set_bool("datafusion.execution.skip_physical_aggregate_schema_check", true);
    let ctx = SessionContext::new_with_config(config);
    ctx.register_udaf(persons_udaf().as_ref().clone());
    let who: Vec<[u8; 16]> = (0..PEOPLE).map(|person| pseudonym(person, 1)).collect();
    let number = |of: fn(i64) -> i64| Arc::new((0..i64::from(PEOPLE)).map(of).collect::<Int64Array>()) as ArrayRef;
    let value = |name: &str| Field::new(name, DataType::Int64, false);
    register(
        &ctx,
        "bef",
        vec![role("pnr", "person"), value("k"), value("d"), value("s"), value("x")],
        vec![
            Arc::new(FixedSizeBinaryArray::try_from_iter(who.iter()).unwrap()),
            number(|i| i / 50),
            number(|i| i % 50),
            number(|i| i64::from(i % 50 > 0)),
            number(|i| 10_000 + i * 7_919 % 50_000),
        ],
        false,
    );
    ctx
}

/// The part that is masked, of a member that has released what is in its ledger; `None`: nothing.
async fn part(ctx: &SessionContext, ledger: &Arc<Ledger>, what: &str, from: &str) -> Option<f64> {
    let plan = planned(ctx, &format!("SELECT {what} AS x, persons(pnr) AS p FROM {from}")).await;
    let (_, rows) = collect(ctx, shared(&plan, ledger).unwrap().into_inner()).await;
    assert_eq!(rows.len(), 1);
    (rows[0][0] != "NULL").then(|| rows[0][0].parse().unwrap_or_else(|_| panic!("{what}: {rows:?}")))
}

/// The same before it is under the rules.
async fn exact(ctx: &SessionContext, what: &str, from: &str) -> Option<f64> {
    let plan = planned(ctx, &format!("SELECT {what} AS x, persons(pnr) AS p FROM {from}")).await;
    let (_, rows) = collect(ctx, plan).await;
    (rows[0][0] != "NULL").then(|| rows[0][0].parse().unwrap())
}

/// Learns: nothing of the one person; their member's part is the same as without, but for the noise of a few who add 1. Off: their value, and whether they
/// are ill.
#[tokio::test]
async fn attack_blind_parts_of_padded_statistics_tell_nothing_of_one_person() {
    let ctx = member();
    let copies = "bef JOIN (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16), \
                  (17), (18), (19), (20), (21), (22), (23), (24), (25), (26), (27), (28), (29), (30)) v(i) ON v.i = 1 OR {T}";
    for (name, what, from) in [
        ("a sum", "sum(CASE WHEN {T} THEN x ELSE 1 END)", "bef"),
        ("one below zero", "sum(CASE WHEN {T} THEN -x ELSE 1 END)", "bef"),
        ("a decimal", "sum(CASE WHEN {T} THEN CAST(x AS decimal(15, 2)) ELSE 1.00 END)", "bef"),
        ("as much as there is", "sum(CASE WHEN {T} THEN 9000000000000000000 ELSE 1 END)", "bef"),
        ("too large with others", "sum(CASE WHEN {T} THEN 9223372036854775807 ELSE 1 END)", "bef"),
        ("rows", "count(*)", copies),
        ("rows with a value", "count(x)", copies),
        ("a sum of rows", "sum(1)", copies),
    ] {
        let mut told = Vec::new();
        for ill in [1, 0] {
            let of = |text: &str| text.replace("{T}", &format!("({KNOWN} AND s = {ill})"));
            let (what, from) = (of(what), of(from));
            let there = part(&ctx, &Arc::default(), &what, &from).await.unwrap();
            told.push((there, exact(&ctx, &what, &from).await.unwrap()));
        }
        let [(with, really), (without, not)] = told[..] else { panic!("two answers") };
        assert!((really - not).abs() > 20.0, "{name}: the attack doesn't work by itself: {told:?}");
        println!("{name}: {with} with the person and {without} without, of {really} and {not}");
        assert!((with - without).abs() <= 12.0, "{name}: {told:?}");
        assert!((without - f64::from(PEOPLE)).abs() <= 12.0, "{name}: {told:?}");
    }
}

/// Learns: of sums nothing, and of rows that there is somebody. Off: the value of whoever is alone at a member, or beside few.
#[tokio::test]
async fn attack_blind_parts_of_few_people_hold_nothing_of_their_values() {
    let ctx = member();
    let ledger = Arc::new(Ledger::default());
    for (people, from) in [
        (1.0, format!("bef WHERE {KNOWN}")),
        (4.0, "bef WHERE k = 3 AND d BETWEEN 15 AND 18".to_owned()),
        (9.0, "bef WHERE k = 3 AND d BETWEEN 13 AND 21".to_owned()),
    ] {
        assert!(exact(&ctx, "sum(x)", &from).await.unwrap() >= INCOME as f64);
        assert_eq!(part(&ctx, &ledger, "sum(x)", &from).await, None, "{from}");
        let rows = format!("{} AND v.i > 0", from.replace("bef WHERE", "bef JOIN (VALUES (1), (2), (3)) v(i) ON"));
        assert_eq!(exact(&ctx, "count(*)", &rows).await, Some(3.0 * people));
        assert_eq!(part(&ctx, &ledger, "count(*)", &rows).await, Some(people), "{rows}");
    }
    // Nobody adds anything, and nobody is there.
    for what in [
        "sum(CASE WHEN k = 3 AND d = 17 AND s = 0 THEN x ELSE 0 END)",
        "sum(CASE WHEN k = 3 AND d = 17 THEN x ELSE 0 END)",
    ] {
        assert_eq!(part(&ctx, &ledger, what, "bef").await, None, "{what}");
    }
    assert_eq!(part(&ctx, &ledger, "count(*)", "bef WHERE k = -1").await, Some(0.0));
}

/// Learns: nothing, both are the same number. Off: one person's value, by two statements over a group of others.
#[tokio::test]
async fn attack_blind_parts_by_the_difference_of_one_person_are_alike() {
    let ctx = member();
    let (with, without) =
        ("sum(CASE WHEN k = 3 THEN x ELSE 1 END)", "sum(CASE WHEN k = 3 AND d <> 17 THEN x ELSE 1 END)");
    let apart = exact(&ctx, with, "bef").await.unwrap() - exact(&ctx, without, "bef").await.unwrap();
    assert_eq!(apart, (INCOME - 1) as f64);
    let ledger = Arc::new(Ledger::default());
    let first = part(&ctx, &ledger, with, "bef").await;
    assert_eq!(part(&ctx, &ledger, without, "bef").await, first);
    // The same question is answered alike for ever.
    assert_eq!(part(&ctx, &ledger, with, "bef").await, first);
}

#[tokio::test]
async fn parts_are_as_many_people_as_there_are_and_sums_are_near() {
    let ctx = member();
    let ledger = Arc::new(Ledger::default());
    for from in ["bef", "bef WHERE k = 5", "bef WHERE k = 5 AND d < 7"] {
        for what in ["count(*)", "count(x)", "count(*) FILTER (WHERE s = 1)", "count(CASE WHEN x > 20000 THEN 1 END)"] {
            assert_eq!(part(&ctx, &ledger, what, from).await, exact(&ctx, what, from).await, "{what} {from}");
        }
    }
    for (what, from, people) in [("sum(x)", "bef", 2_000.0), ("sum(x)", "bef WHERE k = 5", 50.0)] {
        let (there, really) = (part(&ctx, &ledger, what, from).await.unwrap(), exact(&ctx, what, from).await.unwrap());
        assert!((there - really).abs() <= 8.0 * really / people, "{there} of {really}");
    }
    // What its type can't hold is the largest number that it can.
    let large = part(&ctx, &ledger, "sum(9000000000000000000 + x)", "bef").await;
    assert_eq!(large, Some(i64::MAX as f64));
}

#[tokio::test]
async fn what_is_no_part_is_refused_by_name() {
    let ctx = member();
    for (sql, says) in [
        ("SELECT sum(x) AS x FROM bef", "no people"),
        ("SELECT count(DISTINCT k) AS x, persons(pnr) AS p FROM bef", "anything but people"),
        ("SELECT avg(x) AS x, persons(pnr) AS p FROM bef", "doesn't add up"),
        ("SELECT sum(DISTINCT x) AS x, persons(pnr) AS p FROM bef", "doesn't add up"),
        ("SELECT max(x) AS x, persons(pnr) AS p FROM bef", "doesn't add up"),
        ("SELECT k, sum(x) AS x, persons(pnr) AS p FROM bef GROUP BY k", "one aggregate without groups"),
        ("SELECT x FROM bef", "one aggregate without groups"),
    ] {
        let refused = shared(&planned(&ctx, sql).await, &Arc::default()).map(|_| ()).unwrap_err();
        assert!(matches!(refused, Unshared::Has(_)) && refused.to_string().contains(says), "{sql}: {refused}");
    }
}
