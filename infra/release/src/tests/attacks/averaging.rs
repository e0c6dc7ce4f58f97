//! Noise averaged away: many numbers about nearly the same people, none of which is near to another as the ledger sees it.
//!
//! These attacks succeed: each test says after how many numbers, and how many days those take at the cap on new numbers a day.

use super::{
    super::noise::{after, large},
    days,
};
use crate::release::Ledger;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// One row a person, of the large register.
const EACH: &str = "(SELECT pnr, min(kom) AS k, min(del) AS d, min(syg) AS s, min(alder) AS a FROM bef GROUP BY pnr) x";
/// Person 3000 is ill, person 3001 is not; both can be named.
const NAMED: [&str; 2] = ["(k = 18 AND d = 0 AND a = 36)", "(k = 18 AND d = 1 AND a = 43)"];
/// How many statistics stand in one statement.
const TOGETHER: usize = 24;
/// How many ways round, or pairs of partitions: as many as the noise's own variance asks for.
const WAYS: usize = 192;

fn mean_and_variance(of: &[f64]) -> (f64, f64) {
    let mean = of.iter().sum::<f64>() / of.len() as f64;
    (mean, of.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / of.len() as f64)
}

/// How many attempts of such a variance it takes until a mean is known to half of one, at twice its own uncertainty.
fn attempts(variance: f64) -> f64 {
    variance * (2.0 / 0.5_f64).powi(2)
}

/// The statistics of one statement after another, [`TOGETHER`] in each, as the open zone shows them.
async fn shown(ctx: &SessionContext, ledger: &Arc<Ledger>, statistics: &[String]) -> Vec<f64> {
    let mut numbers = Vec::with_capacity(statistics.len());
    for together in statistics.chunks(TOGETHER) {
        let columns: Vec<String> = together.iter().enumerate().map(|(n, what)| format!("{what} AS s{n}")).collect();
        let row = after(ctx, ledger, &format!("SELECT {} FROM {EACH}", columns.join(", "))).await.remove(0);
        numbers.extend(row[..together.len()].iter().map(|number| number.parse::<f64>().unwrap()));
    }
    numbers
}

/// The same, exactly.
async fn truly(ctx: &SessionContext, statistics: &[String]) -> Vec<f64> {
    let columns: Vec<String> = statistics.iter().enumerate().map(|(n, what)| format!("{what} AS s{n}")).collect();
    let row = super::plain(ctx, &format!("SELECT {} FROM {EACH}", columns.join(", "))).await.remove(0);
    row.iter().map(|number| number.parse().unwrap()).collect()
}

fn count(condition: &str) -> String {
    format!("count(DISTINCT pnr) FILTER (WHERE {condition})")
}

/// Whether somebody is ill, from such attempts at the ill one and at the well one.
fn told(what: &str, attempts_of: &[Vec<f64>; 2], numbers_each: f64) {
    let [(ill, spread), (well, other)] = attempts_of.each_ref().map(|of| mean_and_variance(of));
    let needed = attempts(f64::midpoint(spread, other)) * numbers_each;
    println!(
        "{what}: one attempt is off by {:.1} people; {} of them say {ill:.2} of one who has it and {well:.2} of one who hasn't; known to half a \
         person after {needed:.0} counts, {:.0} statements of {TOGETHER}: {}",
        f64::midpoint(spread, other).sqrt(),
        attempts_of[0].len(),
        (needed / TOGETHER as f64).ceil(),
        days(needed)
    );
    assert!(spread > 4.0 && other > 4.0, "there is no noise: {spread} {other}");
    assert!(needed > 400.0, "after {needed:.0} counts");
    assert!((ill - 1.0).abs() < 1.0 && well.abs() < 1.0, "more attempts tell no more: {ill} {well}");
}

/// The set with somebody and without others is far enough from the set without, and how many those others are is found the same way. Learns:
/// whether somebody who can be named has something, after as many counts as it prints. Off (plain SQL): after four.
#[tokio::test]
async fn attack_difference_of_counts_by_way_of_thirteen_others_takes_many_counts() {
    let ctx = large(1);
    let others = "(k = 17 AND d < 16 AND a > 20)";
    let mut found = [Vec::new(), Vec::new()];
    for (named, found) in NAMED.iter().zip(&mut found) {
        let ledger = Arc::default();
        let ways: Vec<String> = (0..WAYS)
            .flat_map(|n| {
                let set = format!(
                    "NOT {} AND NOT {} AND d % 41 <> {} AND k <> {}",
                    NAMED[0],
                    NAMED[1],
                    n % 41,
                    2 + n / 41 * 3 + n % 3
                );
                let with = format!("(({set}) OR ({named} AND s = 1))");
                [
                    count(&format!("{with} AND NOT {others}")),
                    count(&set),
                    count(&format!("{set} AND a > 20")),
                    count(&format!("{set} AND a > 20 AND NOT {others}")),
                ]
            })
            .collect();
        let differences = |of: &[f64]| -> Vec<f64> {
            of.as_chunks::<4>().0.iter().map(|[fewer, all, beside, less]| fewer - all + beside - less).collect()
        };
        let ill = f64::from(u8::from(*named == NAMED[0]));
        assert_eq!(differences(&truly(&ctx, &ways[..8]).await), [ill; 2], "the attack doesn't work by itself");
        *found = differences(&shown(&ctx, &ledger, &ways).await);
    }
    told("one person in counts by way of others", &found, 4.0);
}

/// The total of partitions of the set with somebody, against that of other partitions of the set without. Learns: the same, after as many
/// counts as it prints. Off (plain SQL): after four.
#[tokio::test]
async fn attack_difference_of_totals_of_other_partitions_takes_many_counts() {
    let ctx = large(1);
    let mut found = [Vec::new(), Vec::new()];
    for (named, found) in NAMED.iter().zip(&mut found) {
        let ledger = Arc::default();
        let without = format!("NOT {} AND NOT {}", NAMED[0], NAMED[1]);
        let with = format!("(({without}) OR ({named} AND s = 1))");
        let parts: Vec<String> = (0..2 * WAYS)
            .flat_map(|n| {
                let set = if n % 2 == 0 { &with } else { &without };
                let part = format!("(d * {} + a * {} + k * {}) % 11 < 5", n % 11, n / 11 % 11, 1 + n / 121);
                [count(&format!("{set} AND {part}")), count(&format!("{set} AND NOT {part}"))]
            })
            .collect();
        let differences =
            |of: &[f64]| -> Vec<f64> { of.as_chunks::<4>().0.iter().map(|[a, b, c, d]| (a + b) - (c + d)).collect() };
        let ill = f64::from(u8::from(*named == NAMED[0]));
        assert_eq!(differences(&truly(&ctx, &parts[..8]).await), [ill; 2], "the attack doesn't work by itself");
        *found = differences(&shown(&ctx, &ledger, &parts).await);
    }
    told("one person in totals of other partitions", &found, 4.0);
}

/// A tracker of sums. Learns: nothing, it is the same for who has something and who hasn't. Off (plain SQL): the value, or nothing.
#[tokio::test]
async fn attack_general_tracker_of_sums_gives_the_same_with_and_without_the_person() {
    let sum = |condition: &str| format!("sum(a) FILTER (WHERE {condition})");
    let mut off: Vec<f64> = Vec::new();
    for project in 1..=3 {
        let ctx = large(project);
        for pad in ["k < 12", "a > 50", "d < 37"] {
            let (mut found, mut truth) = (Vec::new(), Vec::new());
            for named in NAMED {
                let asked = [
                    sum(pad),
                    sum(&format!("NOT {pad}")),
                    sum(&format!("({named} AND s = 1) OR {pad}")),
                    sum(&format!("({named} AND s = 1) OR NOT {pad}")),
                ];
                let of = |numbers: Vec<f64>| numbers[2] + numbers[3] - numbers[0] - numbers[1];
                truth.push(of(truly(&ctx, &asked).await));
                found.push(of(shown(&ctx, &Arc::default(), &asked).await));
                // Each by itself, as if nothing were remembered.
                let mut alone = Vec::new();
                for one in &asked {
                    alone.extend(shown(&ctx, &Arc::default(), std::slice::from_ref(one)).await);
                }
                off.push((of(alone) - truth[truth.len() - 1]).abs() / 50.0);
            }
            assert_eq!(truth, [36.0, 0.0], "the attack doesn't work by itself: {pad}");
            assert!(found.iter().all(|found| found.abs() < 1e-6), "the same for both: {found:?}");
        }
    }
    let (mean, _) = mean_and_variance(&off);
    println!("a tracker of sums: the same for both; without the ledger off by {mean:.1} average persons");
}

/// A total in one statement, and its parts in another, of which one is hidden. Learns: the hidden sum of six people, off by as many average persons as it
/// prints. Off (plain SQL): the sum.
#[tokio::test]
async fn attack_a_hidden_sum_is_a_total_less_the_parts_of_another_statement() {
    let mut off = Vec::new();
    for project in 0..24_usize {
        let ctx = large(u64::try_from(project).unwrap());
        let ledger = Arc::default();
        let of =
            |n: usize| format!("CASE WHEN d IN (41, 42) THEN 'few' WHEN (d + a * {n}) % 7 < 3 THEN 'a' ELSE 'b' END");
        let total = format!("SELECT sum(a) AS s FROM {EACH} WHERE k = 18");
        let part = of(1 + project % 6);
        let parts = format!("SELECT {part} AS p, sum(a) AS s FROM {EACH} WHERE k = 18 GROUP BY 1");
        let less = |total: &[Vec<String>], parts: &[Vec<String>]| {
            let number = |text: &String| text.parse::<f64>().unwrap();
            number(&total[0][0])
                - parts
                    .iter()
                    .filter(|row| ["a", "b"].contains(&row[0].as_str()))
                    .map(|row| number(&row[1]))
                    .sum::<f64>()
        };
        let plainly = [super::plain(&ctx, &total).await, super::plain(&ctx, &parts).await];
        let truth = less(&plainly[0], &plainly[1]);
        let few = plainly[1].iter().find(|row| row[0] == "few").unwrap();
        assert_eq!(few[1].parse::<f64>().unwrap(), truth, "the attack doesn't work by itself");
        let totalled = after(&ctx, &ledger, &total).await;
        let shown = after(&ctx, &ledger, &parts).await;
        assert!(shown.iter().all(|row| row[0] != "few" || row[1] == "NULL"), "{shown:?}");
        let average = truth / 6.0;
        off.push((less(&totalled, &shown) - truth) / average);
    }
    let (_, variance) = mean_and_variance(&off);
    let needed = 3.0 * attempts(variance);
    println!(
        "a hidden sum of six from a total and two parts: off by {:.1} average persons; if other totals and parts are asked for, known to half of one \
         after {needed:.0} numbers: {}",
        variance.sqrt(),
        days(needed)
    );
    assert!(variance.sqrt() > 1.5, "{off:?}");
    assert!(needed > 90.0, "after {needed:.0} numbers");
}

/// What a column of three values is made of.
const VALUES: &str = "CASE WHEN s = 1 THEN {2} WHEN d < 50 THEN {0} ELSE {1} END";

fn with_values(values: [f64; 3]) -> String {
    (0..3).fold(VALUES.to_owned(), |text, n| text.replace(&format!("{{{n}}}"), &format!("{:.6}", values[n])))
}

/// Count, mean and variance of a column with three values say how many have each. Learns: how many have the third value, off by as much as it prints, which is
/// more than their own count is. Off (plain SQL): exactly.
#[tokio::test]
async fn attack_moments_of_three_values_tell_how_many_have_the_third() {
    for few in [false, true] {
        let (mut by_moments, mut by_sums, mut by_count, mut wanted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for project in 0..4 {
            let ctx = large(project);
            for k in 12..20 {
                // the third value is that of the ill, or of three or four of them
                let of = if few { format!("k = {k} AND (s = 0 OR d = 25)") } else { format!("k = {k}") };
                let x = with_values([1.0, 2.0, 3.0]);
                let select = format!(
                    "SELECT count(*) AS n, avg({x}) AS m, var_pop({x}) AS v, sum({x}) AS s, sum({x} * {x}) AS q, \
                     count(*) FILTER (WHERE s = 1) AS c FROM {EACH} WHERE {of}"
                );
                let row = |rows: Vec<Vec<String>>| -> [f64; 6] {
                    std::array::from_fn(|at| rows[0][at].parse().unwrap_or_default())
                };
                let shown = row(after(&ctx, &Arc::default(), &select).await);
                let truth = row(super::plain(&ctx, &select).await);
                // who has a three: half of the mean of (x - 1) * (x - 2)
                let from_moments = |[n, m, v, ..]: [f64; 6]| n * (v + (m - 1.0) * (m - 2.0)) / 2.0;
                let from_sums = |[n, _, _, s, q, _]: [f64; 6]| (q - 3.0 * s + 2.0 * n) / 2.0;
                for from in [from_moments(truth), from_sums(truth)] {
                    assert!((from - truth[5]).abs() < 1e-6, "the attack doesn't work by itself");
                }
                by_moments.push(from_moments(shown) - truth[5]);
                by_sums.push(from_sums(shown) - truth[5]);
                by_count.push(shown[5] - truth[5]);
                wanted.push(truth[5]);
            }
        }
        let root = |of: &[f64]| (of.iter().map(|off| off * off).sum::<f64>() / of.len() as f64).sqrt();
        let right = |of: &[f64]| of.iter().filter(|off| off.abs() < 0.5).count();
        println!(
            "how many have the third of three values, {} of them: off by {:.1} people from count, mean and variance, by {:.1} from count and two sums, \
             by {:.1} by its own count (root mean square of {}); right to the person {}, {} and {} times",
            if few { "one to four" } else { "many" },
            root(&by_moments),
            root(&by_sums),
            root(&by_count),
            by_count.len(),
            right(&by_moments),
            right(&by_sums),
            right(&by_count)
        );
        let range = if few { 1.0..5.0 } else { 20.0..100.0 };
        assert!(wanted.iter().all(|third| range.contains(third)), "{wanted:?}");
        assert!(root(&by_moments) > 1.0 && root(&by_sums) > 1.0, "{by_moments:?} {by_sums:?}");
    }
}

/// Sums of many columns that have the same three values but for a ten thousandth: the half of their noise that is the people's is the same in all of
/// them, so that it falls out of a difference, and the rest is averaged away. Learns: how many have the third value, to half a person
/// after as many sums as it prints. Off (plain SQL): after one.
#[tokio::test]
async fn attack_many_sums_over_the_same_people_tell_how_many_have_a_value() {
    let ctx = large(1);
    let sum = |values: [f64; 3], of: &str| format!("sum({}) FILTER (WHERE {})", with_values(values), of);
    let of = "k = 18";
    let ledger = Arc::default();
    let third = truly(&ctx, &[count(&format!("{of} AND s = 1"))]).await;
    let third = third.first().copied().unwrap_or_default();
    let near = |n: usize, part: usize| 1.0 + 0.0001 * ((n * 37 + part * 61) % 97) as f64;
    let asked: Vec<String> = (0..WAYS)
        .flat_map(|n| {
            let (one, other) = ([near(n, 0), 0.5 + near(n, 1), 2.0], [near(n, 2), 0.5 + near(n, 3), 1.0]);
            [sum(one, of), sum(other, of)]
        })
        .collect();
    let all = truly(&ctx, &asked[..2]).await;
    assert!((all[0] - all[1] - third).abs() < 4.0, "the attack doesn't work by itself: {all:?} {third}");
    // What a hundredth more or less makes is known well enough from shown counts.
    let found: Vec<f64> =
        shown(&ctx, &ledger, &asked).await.as_chunks::<2>().0.iter().map(|[one, other]| one - other).collect();
    let (mean, variance) = mean_and_variance(&found);
    let needed = 2.0 * attempts(variance);
    println!(
        "how many have a value: {third} do; {WAYS} pairs of sums say {mean:.1}, off by {:.1} each; known to half a person after {needed:.0} \
         sums: {}",
        variance.sqrt(),
        days(needed)
    );
    assert!((mean - third).abs() < 3.0 && needed > 20.0, "{mean} {third} {needed}");
}

/// The mean of many sums of what is nearly one for everybody has only the half of their noise that is the people's. Learns: not how many people there are: the
/// count has other noise. Off (the count's noise in sums): the exact count of any group, from its shown count and some hundred sums.
#[tokio::test]
async fn attack_many_sums_beside_a_count_do_not_tell_its_noise() {
    let (mut solved, mut averaged) = (Vec::new(), Vec::new());
    for project in 0..10 {
        let ctx = large(project);
        let ledger = Arc::default();
        let near_one = |n: usize| {
            let each = |part: usize| 1.0 + 0.00001 * ((n * 37 + part * 61) % 97) as f64;
            format!("sum({}) FILTER (WHERE k = 18)", with_values([each(0), each(1), each(2)]))
        };
        let asked: Vec<String> = std::iter::once(count("k = 18")).chain((0..95).map(near_one)).collect();
        let truth = truly(&ctx, &asked[..1]).await[0];
        let numbers = shown(&ctx, &ledger, &asked).await;
        let (mean, _) = mean_and_variance(&numbers[1..]);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        solved.push((mean - half * numbers[0]) / (1.0 - half) - truth);
        averaged.push(mean - truth);
    }
    let root = |of: &[f64]| (of.iter().map(|off| off * off).sum::<f64>() / of.len() as f64).sqrt();
    println!(
        "a count from itself and 95 sums of nearly one: off by {:.1} people; the mean of the sums by itself by {:.1}",
        root(&solved),
        root(&averaged)
    );
    assert!(root(&solved) > 1.5 && root(&averaged) > 0.5, "{solved:?} {averaged:?}");
}
