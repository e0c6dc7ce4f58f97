//! What researchers are told to write in place of what isn't answered, and how good it is.

use super::{
    answer as exact,
    noise::{answer, pseudonym},
    plain, register, released, role,
};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

fn session() -> SessionContext {
    // As the hub's sessions are.
    let config = SessionConfig::new().with_target_partitions(2);
    SessionContext::new_with_config(config.set_bool("datafusion.execution.skip_physical_aggregate_schema_check", true))
}

/// Thirty people of each age from 60 to 89, and two of each from 90 to 104.
fn old() -> SessionContext {
    let ctx = session();
    let ages: Vec<i32> = (60..105).flat_map(|age| std::iter::repeat_n(age, if age < 90 { 30 } else { 2 })).collect();
    let people = (0..u32::try_from(ages.len()).unwrap()).map(|person| pseudonym(person, 1));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(FixedSizeBinaryArray::try_from_iter(people).unwrap()), Arc::new(Int32Array::from(ages))];
    register(&ctx, "bef", vec![role("pnr", "person"), Field::new("alder", DataType::Int32, false)], columns, false);
    ctx
}

/// The few at the end of a scale are one group, in place of none.
#[tokio::test]
async fn small_tails_are_shown_in_a_top_code() {
    let ctx = old();
    let groups = async |key: &str| -> Vec<(String, i64)> {
        let rows =
            answer(&ctx, &format!("SELECT {key} AS age, count(DISTINCT pnr) AS n FROM bef GROUP BY {key}")).await;
        rows.into_iter().filter_map(|row| Some((row[0].clone(), row[1].parse().ok()?))).collect()
    };
    let fine = groups("alder").await;
    assert_eq!(fine.len(), 30, "{fine:?}");
    assert!(fine.iter().all(|(age, _)| age.as_str() < "90"), "the tail is hidden without a code for it: {fine:?}");
    for (key, top) in [
        ("least(alder, 90)", "90"),
        ("CASE WHEN alder >= 90 THEN '90+' ELSE CAST(alder AS text) END", "90+"),
        ("CASE WHEN alder < 90 THEN alder ELSE 90 END", "90"),
    ] {
        let coded = groups(key).await;
        assert_eq!(coded.len(), 31, "{key}: {coded:?}");
        let tail = coded.iter().find(|(age, _)| age == top).map(|(_, n)| *n);
        assert!(tail.is_some_and(|n| (25..=35).contains(&n)), "{key}: {tail:?}");
        // Who is below it is shown as ever.
        assert!(fine.iter().all(|group| coded.contains(group)), "{key}: {coded:?}");
    }
}

/// `n` people with two numbers that hang together: `x` as body mass indices are, `y` as blood pressures.
fn pairs(n: u32, project: u64) -> SessionContext {
    let ctx = session();
    let mut state = project.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    // twelve of them less six are nearly normal
    let mut normal = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    let x: Vec<f64> = (0..n).map(|_| 26.0 + 4.0 * normal()).collect();
    let y: Vec<f64> = x.iter().map(|x| 100.0 + 1.2 * x + 12.0 * normal()).collect();
    let people = (0..n).map(|person| pseudonym(person, project));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(FixedSizeBinaryArray::try_from_iter(people).unwrap()),
        Arc::new(Float64Array::from(x)),
        Arc::new(Float64Array::from(y)),
    ];
    let number = |name: &str| Field::new(name, DataType::Float64, false);
    register(&ctx, "maal", vec![role("pnr", "person"), number("x"), number("y")], columns, false);
    ctx
}

async fn numbers(ctx: &SessionContext, sql: &str) -> Vec<f64> {
    let row = answer(ctx, sql).await.remove(0);
    row.iter().filter_map(|cell| cell.parse().ok()).collect()
}

/// Slope and correlation by the statement that the refusal of `corr` gives, and by sums of what is left over some number near the mean.
#[tokio::test]
async fn regressions_are_made_of_spreads_and_moments() {
    for (n, times, spreads, moments) in [(100, 20_u32, 7.0, 3.0), (1_000, 20, 7.0, 1.6), (10_000, 4, 4.0, 0.4)] {
        let [mut by_spreads, mut by_moments, mut by_raw, mut of_correlation] = [0.0_f64; 4];
        let [mut of_mean, mut of_variance] = [0.0_f64; 2];
        for project in 1..=u64::from(times) {
            let ctx = pairs(n, project);
            let refused = released(&ctx, "SELECT regr_slope(y, x) AS b FROM maal").await.unwrap_err();
            assert!(refused.reason.contains("var_samp(x + y)"), "{refused}");
            let truth =
                plain(&ctx, "SELECT regr_slope(y, x), corr(y, x), stddev(y) / stddev(x) FROM maal").await.remove(0);
            let [slope, correlation, scale] = [0, 1, 2].map(|at: usize| truth[at].parse::<f64>().unwrap());
            // what chance alone makes of the slope
            let uncertainty = scale * ((1.0 - correlation * correlation) / f64::from(n)).sqrt();
            let shown = numbers(&ctx, &refused.example).await;
            let [_, _, _, x, y, both] = shown[..] else { panic!("{shown:?}") };
            let together = (both - x - y) / 2.0;
            let sums = async |x: &str, y: &str| {
                let sql = format!(
                    "SELECT count(*) AS n, sum({x}) AS x, sum({y}) AS y, sum(({x}) * ({x})) AS xx, sum(({x}) * ({y})) AS xy FROM maal"
                );
                let shown = numbers(&ctx, &sql).await;
                let [n, x, y, xx, xy] = shown[..] else { panic!("{shown:?}") };
                (xy - x * y / n) / (xx - x * x / n)
            };
            let off = |found: f64| (found - slope).abs() / uncertainty;
            by_spreads = by_spreads.max(off(together / x));
            by_moments = by_moments.max(off(sums("x - 26", "y - 130").await));
            by_raw = by_raw.max(off(sums("x", "y").await));
            // how far off a mean and a variance are, in what chance alone makes of them
            let sql = "SELECT avg(x) AS m, var_samp(x) AS v FROM maal";
            let (own, exact) = (numbers(&ctx, sql).await, plain(&ctx, sql).await.remove(0));
            let exact: Vec<f64> = exact.iter().map(|number| number.parse().unwrap()).collect();
            of_mean += (own[0] - exact[0]).abs() / (exact[1] / f64::from(n)).sqrt() / f64::from(times);
            of_variance += (own[1] - exact[1]).abs() / (exact[1] * (2.0 / f64::from(n)).sqrt()) / f64::from(times);
            of_correlation = of_correlation.max((together / (x * y).sqrt() - correlation).abs());
        }
        println!(
            "{n} people, {times} times: the slope is off by {by_spreads:.3} of its own standard error at most by spreads, {by_moments:.3} by \
             sums about the mean, {by_raw:.3} by sums as they are; a correlation by {of_correlation:.4}; on average a mean by {of_mean:.2} of \
             its standard error, a variance by {of_variance:.2}"
        );
        assert!(by_spreads < spreads && by_moments < moments, "{n}: {by_spreads} {by_moments}");
    }
}

/// Without its rows the example is a statement that is answered, exactly where there is no noise.
#[tokio::test]
async fn the_example_for_a_correlation_gives_it() {
    let ctx = pairs(500, 3);
    let refused = released(&ctx, "SELECT corr(x, y) AS r FROM maal").await.unwrap_err();
    let row = exact(&ctx, &refused.example).await.remove(0);
    let [x, y, both] = [3, 4, 5].map(|at: usize| row[at].parse::<f64>().unwrap());
    let truth: f64 = plain(&ctx, "SELECT corr(x, y) AS r FROM maal").await[0][0].parse().unwrap();
    assert!(((both - x - y) / 2.0 / (x * y).sqrt() - truth).abs() < 0.002);
}
