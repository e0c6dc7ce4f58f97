//! Sums, means and spreads that are remembered: the same is shown the same, nearly the same as the first, and other values as their own.

use super::{
    answer as exact,
    noise::{after, pseudonym},
    register, role,
};
use crate::release::{Ledger, Ledgers};
use arrow::{
    array::{ArrayRef, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Payments of 400 people in two years, the second year's of everybody another one than the first's; in groups of 10, 90 and 300. Whoever
/// has an odd number has two of equal amount a year.
fn payments() -> SessionContext {
    let ctx = super::noise::large(9);
    let (mut who, mut year, mut group, mut part, mut amount) = (vec![], vec![], vec![], vec![], vec![]);
    for person in 0..400_u32 {
        for in_year in [2021, 2022] {
            for _ in 0..=person % 2 {
                who.push(pseudonym(person, 1));
                year.push(in_year);
                group.push(if person < 10 {
                    10
                } else if person < 100 {
                    90
                } else {
                    300
                });
                part.push(i32::try_from(person).unwrap());
                amount.push(i64::from(300 + person * 7 % 211) + if in_year == 2021 { 0 } else { 20 });
            }
        }
    }
    let decimal: Decimal128Array = amount.iter().map(|amount| Some(i128::from(*amount) * 100)).collect();
    let float: Vec<f64> = amount.iter().map(|amount| *amount as f64).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(FixedSizeBinaryArray::try_from_iter(who.iter()).unwrap()),
        Arc::new(Int32Array::from(year)),
        Arc::new(Int32Array::from(group)),
        Arc::new(Int32Array::from(part)),
        Arc::new(Int64Array::from(amount)),
        Arc::new(decimal.with_precision_and_scale(15, 2).unwrap()),
        Arc::new(Float64Array::from(float)),
    ];
    let value = |name: &str, kind| Field::new(name, kind, false);
    let fields = vec![
        role("pnr", "person"),
        value("aar", DataType::Int32),
        value("gruppe", DataType::Int32),
        value("del", DataType::Int32),
        value("beloeb", DataType::Int64),
        value("kroner", DataType::Decimal128(15, 2)),
        value("tal", DataType::Float64),
    ];
    register(&ctx, "betaling", fields, columns, false);
    ctx
}

async fn shown(ctx: &SessionContext, ledger: &Arc<Ledger>, what: &str, of: &str) -> String {
    let rows = after(ctx, ledger, &format!("SELECT {what} AS x FROM betaling {of}")).await;
    assert_eq!((rows.len(), rows[0].last().unwrap().as_str()), (1, "perturbed"), "{what} {of}");
    rows[0][0].clone()
}

async fn truth(ctx: &SessionContext, what: &str, of: &str) -> f64 {
    exact(ctx, &format!("SELECT {what} AS x FROM betaling {of}")).await[0][0].parse().unwrap()
}

const STATISTICS: [(&str, f64); 6] = [
    ("sum(tal)", 0.2),
    ("avg(tal)", 0.2),
    ("stddev_pop(tal)", 0.2),
    ("stddev(tal)", 0.2),
    ("var_pop(tal)", 0.4),
    ("var_samp(tal)", 0.4),
];

/// What differencing is answered with must not be what honest questions are answered with.
#[tokio::test]
async fn the_same_people_in_two_years_are_two_statistics() {
    let ctx = payments();
    for group in [90, 300] {
        let ledger = Arc::default();
        for (what, _) in STATISTICS {
            // The spread is the same in both years, the values are not.
            let what = what.replace("tal", "tal * (aar - 2020)");
            let mut seen = Vec::new();
            for year in [2021, 2022] {
                let of = format!("WHERE gruppe = {group} AND aar = {year}");
                let number: f64 = shown(&ctx, &ledger, &what, &of).await.parse().unwrap();
                let exactly = truth(&ctx, &what, &of).await;
                let off = 16.0 / f64::from(group);
                assert!((number - exactly).abs() <= exactly * off, "{what} {of}: {number} {exactly}");
                seen.push(number);
            }
            assert!(seen[1] > seen[0] * 1.5, "{what}: {seen:?}");
        }
    }
}

/// Ten contributors whose contributions all differ have nothing in common, though they differ by no more than ten.
#[tokio::test]
async fn two_columns_of_ten_people_are_two_statistics() {
    let ctx = payments();
    let mut answered = 0;
    for from in 0..39 {
        let ledger = Arc::default();
        // those ten whose sum is shown
        let of = format!("WHERE aar = 2021 AND del >= {} AND del < {}", from * 10, from * 10 + 12);
        for what in ["sum(tal)", "sum(1000 * tal)", "sum(del + 10000)"] {
            let rows = after(&ctx, &ledger, &format!("SELECT {what} AS x FROM betaling {of}")).await;
            if rows[0][0] == "NULL" {
                continue;
            }
            let (number, exactly) = (rows[0][0].parse::<f64>().unwrap(), truth(&ctx, what, &of).await);
            assert!((number - exactly).abs() < exactly * 0.7, "{what} {of}: {number} {exactly}");
            answered += 1;
        }
    }
    assert!(answered > 20, "{answered}");
}

#[tokio::test]
async fn the_same_statistic_is_the_same_number_in_whatever_words_and_type() {
    let ctx = payments();
    let ledger = Arc::default();
    let of = "WHERE gruppe = 90 AND aar = 2021";
    for (what, others) in [
        (
            "sum(tal)",
            &[
                "sum(beloeb)",
                "sum(kroner)",
                "sum(CAST(beloeb AS decimal(20, 3)))",
                "sum(tal) FILTER (WHERE del >= 0)",
                "sum(CASE WHEN del >= 0 THEN tal ELSE 0 END)",
                "sum(tal + 0)",
            ][..],
        ),
        ("avg(tal)", &["avg(beloeb)", "avg(tal) FILTER (WHERE del >= 0)", "avg(CASE WHEN del >= 0 THEN tal END)"]),
        ("stddev_pop(tal)", &["stddev_pop(beloeb)", "stddev_pop(tal) FILTER (WHERE del >= 0)"]),
        ("var_samp(tal)", &["var_samp(beloeb)"]),
    ] {
        let first: f64 = shown(&ctx, &ledger, what, of).await.parse().unwrap();
        let kept = ledger.size().0;
        for other in [what].iter().chain(others) {
            let again: f64 = shown(&ctx, &ledger, other, of).await.parse().unwrap();
            assert!((again - first).abs() < 1e-9 * first, "{other}: {again} {first}");
        }
        // One row a person with the sum of theirs is the same sum, and another mean.
        if what == "sum(tal)" {
            let each = format!("(SELECT pnr, sum(tal) AS s FROM betaling {of} GROUP BY pnr) q");
            let rows = after(&ctx, &ledger, &format!("SELECT sum(s) AS x FROM {each}")).await;
            assert!((rows[0][0].parse::<f64>().unwrap() - first).abs() < 1e-9 * first);
            assert_eq!(ledger.size().0, kept, "nothing new was remembered");
            let mean = after(&ctx, &ledger, &format!("SELECT avg(s) AS x FROM {each}")).await;
            let by_row: f64 = shown(&ctx, &ledger, "avg(tal)", of).await.parse().unwrap();
            assert!(mean[0][0].parse::<f64>().unwrap() > by_row * 1.3, "{mean:?} {by_row}");
        }
    }
}

/// Variances and deviations are one statistic: none of them is a second look at the same values.
#[tokio::test]
async fn spreads_of_the_same_values_go_with_each_other() {
    let ctx = payments();
    let of = "FROM (SELECT pnr, min(tal) AS x FROM betaling WHERE gruppe = 300 GROUP BY pnr) q";
    let ledger = Arc::default();
    let number = async |what: &str, more: &str| -> f64 {
        after(&ctx, &ledger, &format!("SELECT {what}(x) AS s {of} {more}")).await[0][0].parse().unwrap()
    };
    let deviation = number("stddev_pop", "").await;
    let people = 300.0;
    // the digits that are shown of each
    let near = |a: f64, b: f64| (a - b).abs() < b * 0.2 / people;
    for more in ["", "WHERE x <> 333"] {
        assert_eq!(number("stddev_pop", more).await, deviation);
        assert!(near(number("var_pop", more).await, deviation.powi(2)));
        assert!(near(number("stddev_samp", more).await, deviation * (people / (people - 1.0_f64)).sqrt()));
        assert!(near(number("var_samp", more).await, deviation.powi(2) * people / (people - 1.0)));
    }
}

/// A spread of zeros and ones says which share has a one, and goes with the shown share.
#[tokio::test]
async fn attack_the_spread_of_zeros_and_ones_is_the_shown_shares() {
    let ctx = super::noise::large(1);
    let each = "(SELECT pnr, min(kom) AS k, min(del) AS d, min(syg) AS s FROM bef GROUP BY pnr) x";
    let ledger = Arc::default();
    let one = "CASE WHEN s = 1 THEN 1 ELSE 0 END";
    let mut told = 0;
    for left_out in 0..20 {
        let [with, without] = ["".to_owned(), format!("AND NOT d = {}", 5 * left_out)].map(|more| {
            format!("SELECT stddev_pop({one}) AS s, avg({one}) AS m, count(*) FILTER (WHERE s = 1) AS n FROM {each} WHERE k = 18 {more}")
        });
        let plainly = [exact(&ctx, &with).await, exact(&ctx, &without).await];
        told += usize::from(plainly[0][0][0] != plainly[1][0][0]);
        let shown = after(&ctx, &ledger, &with).await;
        assert_eq!(after(&ctx, &ledger, &without).await, shown, "{without}");
        let [spread, share] = [0, 1].map(|at: usize| shown[0][at].parse::<f64>().unwrap());
        assert!((spread - (share * (1.0 - share)).sqrt()).abs() < 0.01, "{shown:?}");
    }
    assert!(told > 10, "the attack doesn't work by itself: {told}");
}

/// Which person was left out isn't told after a restart either, and what is hidden is never remembered.
#[tokio::test]
async fn what_was_shown_of_statistics_is_known_after_a_restart() {
    let ctx = payments();
    let folder = tempfile::tempdir().unwrap();
    let project = "diabetes".parse().unwrap();
    let (all, less) = ("WHERE gruppe = 90 AND aar = 2021", "WHERE gruppe = 90 AND aar = 2021 AND del <> 57");
    let mut first = Vec::new();
    {
        let ledgers = Ledgers::new(folder.path().to_owned());
        for (what, _) in STATISTICS {
            first.push(shown(&ctx, &ledgers.of(&project, 1), what, all).await);
        }
    }
    let ledgers = Ledgers::new(folder.path().to_owned());
    ledgers.read();
    let ledger = ledgers.of(&project, 1);
    let kept = ledger.size().0;
    assert!(kept > 3, "{kept}");
    let mut told = 0;
    for ((what, _), first) in STATISTICS.iter().zip(&first) {
        assert_eq!(&shown(&ctx, &ledger, what, all).await, first);
        assert_eq!(&shown(&ctx, &ledger, what, less).await, first);
        told += usize::from(shown(&ctx, &Arc::default(), what, less).await != *first);
    }
    assert!(told > 2, "noise of their own would have told");
    assert_eq!(ledger.size().0, kept);
    // another key, other noise and another memory
    let _ = shown(&ctx, &ledgers.of(&project, 2), "sum(tal)", less).await;
    let hidden = "SELECT sum(CASE WHEN del < 3 THEN tal ELSE 0 END) AS x FROM betaling WHERE aar = 2021";
    assert_eq!(after(&ctx, &ledger, hidden).await[0][0], "NULL");
    assert_eq!(ledger.size().0, kept, "what was hidden is not remembered");
}
