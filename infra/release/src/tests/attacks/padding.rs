//! One person's value among many that say nothing, in one statement: the attacker writes what everybody else adds.

use super::super::{
    noise::{after, large},
    plain,
};
use std::sync::Arc;

/// One row a person, of the large register, and the one person who is known by it: 36 years old, with `s = 1`.
const EACH: &str = "(SELECT pnr, min(kom) AS k, min(del) AS d, min(syg) AS s, min(alder) AS a FROM bef GROUP BY pnr) x";
const KNOWN: &str = "k = 18 AND d = 0 AND a = 36";

/// A list of numbers of one's own, to multiply rows with.
fn numbers(most: usize) -> String {
    let numbers: Vec<String> = (1..=most).map(|i| format!("({i})")).collect();
    format!("(VALUES {}) v(i)", numbers.join(", "))
}

/// What is asked; `{T}` stands for the person or nobody; and how far a shown answer may be from another one, which is a few average people's part.
fn statements() -> Vec<(&'static str, String, f64)> {
    let of = |what: &str| format!("SELECT {what} AS x FROM {EACH}");
    let many = numbers(4_000);
    let rows = |what: &str| format!("SELECT {what} AS x FROM {EACH} JOIN {many} ON v.i = 1 OR ({{T}} AND v.i > 0)");
    vec![
        ("a sum", of("sum(CASE WHEN {T} THEN a * 400 ELSE 1 END)"), 12.0),
        ("a large one", of("sum(CASE WHEN {T} THEN 1000000000 ELSE 1 END)"), 12.0),
        ("one below zero", of("sum(CASE WHEN {T} THEN a * -400 ELSE 1 END)"), 12.0),
        ("among signs", of("sum(CASE WHEN {T} THEN a * 400 WHEN d % 2 = 0 THEN 1 ELSE -1 END)"), 12.0),
        ("a decimal", of("sum(CASE WHEN {T} THEN 14400.25 ELSE 1.00 END)"), 12.0),
        ("no number", of("sum(CASE WHEN {T} THEN CAST('NaN' AS double) ELSE 1.0 END)"), 12.0),
        ("more than there is", of("sum(CASE WHEN {T} THEN 1e200 ELSE 1.0 END)"), 12.0),
        ("a mean", of("avg(CASE WHEN {T} THEN a * 400 ELSE d END)"), 1.0),
        ("a mean far from zero", of("avg(100000 + CASE WHEN {T} THEN a * 400 ELSE d END)"), 1.0),
        ("a variance", of("var_samp(CASE WHEN {T} THEN a * 400 ELSE d END)"), 20.0),
        ("a standard deviation", of("stddev_pop(CASE WHEN {T} THEN a * 400 ELSE d END)"), 1.0),
        ("rows", rows("count(*)"), 12.0),
        ("rows with a value", rows("count(a)"), 12.0),
        ("ones in many rows", rows("sum(CASE WHEN s = 1 THEN 1 ELSE 0 END)"), 12.0),
        ("a sum of many rows", rows("sum(a)"), 900.0),
        ("a share of many rows", rows("avg(CASE WHEN s = 1 THEN 1.0 ELSE 0.0 END)"), 0.01),
        ("a mean of many rows", rows("avg(d)"), 1.0),
        (
            "copies",
            format!(
                "SELECT sum(y) AS x FROM (SELECT pnr, d AS y FROM {EACH} UNION ALL SELECT pnr, a * 400 AS y FROM {EACH} WHERE {{T}}) u"
            ),
            2_500.0,
        ),
    ]
}

/// Learns: nothing of the one person; what is shown is the same as without, but for the noise. Off (plain SQL): their value, and
/// whether they have something.
#[tokio::test]
async fn attack_padding_one_person_with_values_that_say_nothing() {
    let ctx = large(1);
    for (what, sql, few) in statements() {
        let [with, without] = [1, 0].map(|has| sql.replace("{T}", &format!("({KNOWN} AND s = {has})")));
        let plain = [plain(&ctx, &with).await[0][0].clone(), plain(&ctx, &without).await[0][0].clone()];
        let [there, not] = plain.each_ref().map(|number| number.parse::<f64>().unwrap());
        assert!(
            (there - not).is_nan() || (there - not).abs() > 2.0 * few,
            "{what}: the attack doesn't work by itself: {plain:?}"
        );
        let shown = [after(&ctx, &Arc::default(), &with).await, after(&ctx, &Arc::default(), &without).await];
        let [there, missing] = shown.each_ref().map(|rows| rows[0].clone());
        assert_eq!(there[1], missing[1], "{what}: {shown:?}");
        let number = |row: &[String]| row[0].parse::<f64>().unwrap_or_else(|_| panic!("{what}: {row:?}"));
        assert!((number(&there) - number(&missing)).abs() <= few, "{what}: {shown:?} of {plain:?}");
        assert!((number(&missing) - not).abs() <= 2.0 * few, "{what}: {shown:?} of {plain:?}");
    }
}

/// Learns: nothing; a statistic is hidden or not whatever one person adds. Off (in the test: equal values): it is hidden where they have something.
#[tokio::test]
async fn attack_by_whether_a_statistic_is_hidden_for_one_person() {
    let ctx = large(1);
    for what in [
        "avg(CASE WHEN {T} THEN 7 ELSE 8 END)",
        "stddev_pop(CASE WHEN {T} THEN 7 ELSE 8 END)",
        "sum(CASE WHEN {T} THEN 1e12 ELSE 1.5 END)",
        "var_samp(CASE WHEN {T} THEN 1e12 ELSE 1.5 END)",
        "count(*) FILTER (WHERE NOT {T})",
        "avg(CASE WHEN {T} THEN 0.0 ELSE 1.0 END)",
    ] {
        let mut told = Vec::new();
        for has in [1, 0] {
            let what = what.replace("{T}", &format!("({KNOWN} AND s = {has})"));
            let sql = format!("SELECT {what} AS x FROM {EACH}");
            let rows = after(&ctx, &Arc::default(), &sql).await;
            told.push(rows[0][1].clone());
        }
        assert_eq!(told[0], told[1], "{what}");
    }
}

/// One person among a few dozen others who add as much as they might, while thousands add next to nothing: noise of an average person's would be none beside it.
/// The others are known to the attacker. Learns: the value, off by more than it is, and nothing of whether there is one. Off: to a few in a hundred.
#[tokio::test]
async fn attack_fellows_who_add_as_much_give_no_value_away() {
    const FELLOWS: &str = "k = 18 AND d BETWEEN 1 AND 8";
    let value = |others: &str| format!("CASE WHEN {{T}} THEN a * 10 WHEN {FELLOWS} THEN 300 ELSE {others} END");
    let whole = |shown: &[f64]| shown[0];
    let times = |shown: &[f64]| shown[0] * shown[1];
    type Found = fn(&[f64]) -> f64;
    for (what, columns, found) in [
        ("a sum", format!("sum({})", value("1")), whole as Found),
        ("a sum of signs", format!("sum({})", value("CASE WHEN d % 2 = 0 THEN 1 ELSE -1 END")), whole),
        ("a mean", format!("avg({}) AS m, count(*)", value("d % 3")), times),
        ("a variance", format!("var_pop({}) AS v, count(*)", value("d % 3")), times),
    ] {
        let (mut off, mut part) = (Vec::new(), 0.0);
        for project in 0..12 {
            let ctx = large(project);
            let sql = |of: &str| format!("SELECT {columns} AS n FROM {EACH}").replace("{T}", of);
            let numbers = |row: &[String]| row.iter().filter_map(|cell| cell.parse().ok()).collect::<Vec<f64>>();
            let [with, without] = [KNOWN, "false"].map(sql);
            let [with, without, shown] = [
                numbers(&plain(&ctx, &with).await[0]),
                numbers(&plain(&ctx, &without).await[0]),
                numbers(&after(&ctx, &Arc::default(), &with).await[0]),
            ];
            part = found(&with) - found(&without);
            off.push((found(&shown) - found(&with)) / part);
        }
        let root = (off.iter().map(|off| off * off).sum::<f64>() / off.len() as f64).sqrt();
        println!("beside {what} of fellows: a person's part of {part:.0} is off by {root:.2} of itself");
        assert!(part.abs() > 100.0, "{what}: the attack doesn't work by itself: {part}");
        assert!(root > 1.0, "{what}: {off:?}");
    }
}
