//! One person from two answers, or from four, or from hundreds.

use super::{
    super::{
        Rows, answer as exact,
        noise::{after, large},
    },
    days,
};
use policies::disclosure::{PERTURBED, SUPPRESSED};
use std::{collections::BTreeSet, sync::Arc};

/// One row a person, of the large register.
const EACH: &str = "(SELECT pnr, min(kom) AS k, min(del) AS d, min(syg) AS s, min(alder) AS a FROM bef GROUP BY pnr) x";

/// What trackers are built of: `target` is a condition that one person fulfils, if anybody.
fn trackers(target: &str) -> Vec<[(i64, String); 4]> {
    let ask = |condition: String| format!("SELECT count(DISTINCT pnr) AS n FROM {EACH} WHERE {condition}");
    ["k < 12", "a > 50", "d < 37"]
        .into_iter()
        .map(|pad| {
            // count(C) = count(C or T) + count(C or not T) - count(T) - count(not T)
            [
                (1, ask(format!("({target}) OR {pad}"))),
                (1, ask(format!("({target}) OR NOT {pad}"))),
                (-1, ask(pad.to_owned())),
                (-1, ask(format!("NOT {pad}"))),
            ]
        })
        .collect()
}

/// Learns: nothing; the sum of the four answers is the same whether the person has it or not. Off (plain SQL, and the noise without the
/// ledger): it is 1 or 0; with other noise each time.
#[tokio::test]
async fn attack_general_tracker_gives_the_same_with_and_without_the_person() {
    // person 3000 (k = 18, d = 0) is ill, person 3001 is not
    let (ill, well) = ("k = 18 AND d = 0 AND s = 1 AND a = 36", "k = 18 AND d = 1 AND s = 1 AND a = 43");
    for project in [1, 2, 3] {
        let ctx = large(project);
        for (with, without) in trackers(ill).into_iter().zip(trackers(well)) {
            let mut found = Vec::new();
            let mut truth = Vec::new();
            for asked in [&with, &without] {
                let ledger = Arc::default();
                let (mut sum, mut exactly) = (0, 0);
                for (sign, sql) in asked.iter().rev() {
                    sum += sign * after(&ctx, &ledger, sql).await[0][0].parse::<i64>().unwrap();
                    exactly += sign * exact(&ctx, sql).await[0][0].parse::<i64>().unwrap();
                }
                found.push(sum);
                truth.push(exactly);
            }
            assert_eq!(truth, [1, 0], "the attack doesn't work by itself: {with:?}");
            assert_eq!(found, [0, 0], "the same for both: {with:?}");
        }
    }
}

/// The padding that hides a small cell in two large ones. Learns: nothing. Off: the person.
#[tokio::test]
async fn attack_individual_tracker_gives_no_person() {
    let ctx = large(1);
    let ledger = Arc::default();
    let ask = |condition: &str| format!("SELECT count(DISTINCT pnr) AS n FROM {EACH} WHERE {condition}");
    // C = A and B is one person; T = A and not B
    let (whole, tracker) = (ask("k = 18"), ask("k = 18 AND NOT (d = 0 AND a = 36)"));
    let plainly = exact(&ctx, &whole).await[0][0].parse::<i64>().unwrap()
        - exact(&ctx, &tracker).await[0][0].parse::<i64>().unwrap();
    assert_eq!(plainly, 1, "the attack doesn't work by itself");
    assert_eq!(after(&ctx, &ledger, &whole).await[0][0], after(&ctx, &ledger, &tracker).await[0][0]);
    // The same with an attribute that the person may have.
    let with = ask("k = 18 AND NOT (d = 0 AND a = 36 AND s = 1)");
    assert_eq!(after(&ctx, &ledger, &with).await[0][0], after(&ctx, &ledger, &whole).await[0][0]);
}

/// Counts in other words are in the ledger too. Learns: nothing. Off (plain SQL): the person.
#[tokio::test]
async fn attack_counts_in_other_words_are_answered_alike_with_and_without_a_person() {
    let ctx = large(1);
    let (with, without) = ("k = 18", "k = 18 AND NOT (d = 0 AND a = 36)");
    for (what, of) in [
        ("sum(2 * CASE WHEN {} THEN 1 ELSE 0 END)", EACH.to_owned()),
        ("-3 * sum(CASE WHEN {} THEN 1 ELSE 0 END)", EACH.to_owned()),
        ("count(*) FILTER (WHERE {})", format!("(SELECT * FROM {EACH} UNION ALL SELECT * FROM {EACH}) y")),
        ("count(d) FILTER (WHERE {})", format!("(SELECT * FROM {EACH} UNION ALL SELECT * FROM {EACH}) y")),
    ] {
        let ledger = Arc::default();
        let [with, without] =
            [with, without].map(|condition| format!("SELECT {} AS n FROM {of}", what.replace("{}", condition)));
        let plainly = [exact(&ctx, &with).await, exact(&ctx, &without).await];
        assert_ne!(plainly[0], plainly[1], "the attack doesn't work by itself");
        assert_eq!(after(&ctx, &ledger, &with).await, after(&ctx, &ledger, &without).await, "{what}");
    }
}

/// Statistics over sets with and without one person.
struct Sets {
    pairs: Vec<[String; 2]>,
}

impl Sets {
    /// Forty pairs of sets of which one differs from the other by the person alone.
    fn new() -> Self {
        let target = "(k = 18 AND d = 0 AND a = 36)";
        let pairs = (0..40).map(|part| {
            let set = format!("NOT {target} AND d % 41 <> {part} AND k <> {}", part % 18);
            [format!("({set}) OR {target}"), set]
        });
        Self { pairs: pairs.collect() }
    }
}

fn first_number(rows: &[Vec<String>]) -> f64 {
    rows[0][0].parse().unwrap()
}

fn mean_and_variance(of: &[f64]) -> (f64, f64) {
    let mean = of.iter().sum::<f64>() / of.len() as f64;
    (mean, of.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / of.len() as f64)
}

/// One statistic over many sets with and without a person. Learns: nothing, however many sets there are: each pair is answered alike. Off (the noise
/// without the ledger): the difference to half of what an average person makes, after as many statements as it prints; plain SQL: exactly,
/// after two.
#[tokio::test]
async fn attack_difference_of_sums_over_many_sets_is_answered_alike() {
    let ctx = large(1);
    let sets = Sets::new();
    for (what, one) in [
        ("sum(a)", "avg(a)"),
        ("avg(a)", "stddev_pop(a) / count(*)"),
        ("stddev_samp(a)", "stddev_pop(a) / count(*)"),
        ("var_pop(a)", "var_pop(a) / count(*)"),
    ] {
        // what one average person changes
        let unit = first_number(&exact(&ctx, &format!("SELECT {one} AS m FROM {EACH}")).await);
        let ledger = Arc::default();
        let (mut off, mut own) = (Vec::new(), BTreeSet::new());
        let enough = if what == "sum(a)" { 40 } else { 16 };
        for pair in sets.pairs.iter().take(enough) {
            let [with, without] = pair.each_ref().map(|set| format!("SELECT {what} AS s FROM {EACH} WHERE {set}"));
            let truth = first_number(&exact(&ctx, &with).await) - first_number(&exact(&ctx, &without).await);
            assert!(truth != 0.0, "the attack doesn't work by itself: {what}");
            let shown = after(&ctx, &ledger, &with).await;
            assert_eq!(after(&ctx, &ledger, &without).await, shown, "{what} {pair:?}");
            let alone = [&with, &without].map(|sql| async { first_number(&after(&ctx, &Arc::default(), sql).await) });
            let [with, without] = alone;
            let apart = with.await - without.await;
            own.insert(apart.to_bits());
            off.push((apart - truth) / unit);
        }
        let (_, variance) = mean_and_variance(&off);
        // known to half an average person, at twice the mean's own uncertainty
        let needed = 2.0 * variance * (2.0 / 0.5_f64).powi(2);
        println!(
            "one person in {what}: nothing from {} pairs; with noise alone off by {:.1} average persons a pair, known to half of one after {needed:.0} statements: {}",
            off.len(),
            variance.sqrt(),
            days(needed)
        );
        assert!(own.len() > 5, "one noise for all sets: {what}");
    }
}

/// The memory is of what each person adds, so that the same in another unit is another statistic, with noise of its own. Learns: a person's
/// value to half of what an average person adds, after as many statements as it prints. Off (plain SQL): exactly, after two.
#[tokio::test]
async fn attack_difference_of_sums_in_other_units_takes_many_statements() {
    let ctx = large(1);
    let average = first_number(&exact(&ctx, &format!("SELECT avg(a) AS m FROM {EACH}")).await);
    let ledger = Arc::default();
    let mut off = Vec::new();
    for (n, [with, without]) in Sets::new().pairs.iter().enumerate() {
        let factor = n + 2;
        let ask = |factor: usize, set: &str| format!("SELECT sum({factor} * a) AS s FROM {EACH} WHERE {set}");
        let (with, without) = (ask(1, with), ask(factor, without));
        let truth =
            first_number(&exact(&ctx, &with).await) - first_number(&exact(&ctx, &without).await) / factor as f64;
        assert!((truth - 36.0).abs() < 1e-6, "the attack doesn't work by itself: {truth}");
        let shown = first_number(&after(&ctx, &ledger, &with).await)
            - first_number(&after(&ctx, &ledger, &without).await) / factor as f64;
        off.push((shown - truth) / average);
    }
    let (_, variance) = mean_and_variance(&off);
    let needed = 2.0 * variance * (2.0 / 0.5_f64).powi(2);
    println!(
        "one person's value in sums of other units: off by {:.1} average persons a pair; known to half of one after {needed:.0} statements: {}",
        variance.sqrt(),
        days(needed)
    );
    assert!(needed > 40.0, "after {needed:.0} statements");
}

/// By way of others: the set with somebody and without thirteen more is far enough from the set without, and what the thirteen add is found the same
/// way. Learns: a person's value to half of what an average person adds, after as many statements as it prints. Off: after two.
#[tokio::test]
async fn attack_difference_of_sums_by_way_of_thirteen_others_takes_many_statements() {
    let ctx = large(1);
    let average = first_number(&exact(&ctx, &format!("SELECT avg(a) AS m FROM {EACH}")).await);
    let ledger = Arc::default();
    let number = async |condition: &str| -> [f64; 2] {
        let sql = format!("SELECT sum(a) AS s FROM {EACH} WHERE {condition}");
        [first_number(&after(&ctx, &ledger, &sql).await), first_number(&exact(&ctx, &sql).await)]
    };
    let mut off = Vec::new();
    for [with, without] in &Sets::new().pairs {
        // more than thirteen people, none of whom is the target
        let others = "(k = 17 AND d < 16)";
        let fewer = number(&format!("({with}) AND NOT {others}")).await;
        let all = number(without).await;
        // the same others beside other people
        let beside = number(&format!("({without}) AND a > 20")).await;
        let less = number(&format!("({without}) AND a > 20 AND NOT {others}")).await;
        let found = |of: usize| (fewer[of] - all[of]) + (beside[of] - less[of]);
        let truth = found(1);
        off.push((found(0) - truth) / average);
    }
    let (_, variance) = mean_and_variance(&off);
    let needed = 4.0 * variance * (2.0 / 0.5_f64).powi(2);
    println!(
        "one person's value by way of others: off by {:.1} average persons in four statements; known to half of one after {needed:.0} statements: {}",
        variance.sqrt(),
        days(needed)
    );
    assert!(needed > 40.0, "after {needed:.0} statements");
}

/// Whoever knows one value of a person asks for its sum over a set with and without them, and sees the noise of both sets; then for the sum of another
/// value. In another unit, since the ledger answers alike otherwise. Learns: no more than by a plain difference, since another value's sum has other
/// noise. Off (noise of the people alone): the other value, to a tenth of what an average person adds, after four statements.
#[tokio::test]
async fn attack_difference_of_sums_by_a_known_value_finds_no_noise_of_another() {
    let ctx = large(1);
    let unknown = "(k * 13 + d * 7) % 101 + 0.5 * a";
    let number = async |ledger: &Arc<_>, sql: &str| first_number(&after(&ctx, ledger, sql).await);
    let truly = async |sql: String| first_number(&exact(&ctx, &sql).await);
    let average = async |what: &str| truly(format!("SELECT avg({what}) AS m FROM {EACH}")).await;
    let (of_known, of_unknown) = (average("a").await, average(unknown).await);
    let (mut off, ledger) = (Vec::new(), Arc::default());
    for [with, without] in Sets::new().pairs.iter().take(16) {
        let ask = |what: &str, set: &str| format!("SELECT sum({what}) AS s FROM {EACH} WHERE {set}");
        let apart = async |what: &str| {
            let twice = format!("2 * ({what})");
            number(&ledger, &ask(what, with)).await - number(&ledger, &ask(&twice, without)).await / 2.0
        };
        let truth = truly(ask(unknown, with)).await - truly(ask(unknown, without)).await;
        let noise = ((apart("a").await - 36.0) / of_known).round();
        off.push(((apart(unknown).await - noise * of_unknown - truth) / of_unknown).abs());
    }
    let (mean, _) = mean_and_variance(&off);
    println!("another value of somebody of whom one is known: off by {mean:.1} average persons");
    assert!(mean > 0.8, "{off:?}");
}

/// How many rows somebody has, from two counts of rows, of a set with them and of the set without. Learns: nothing, both are answered alike. Off
/// (plain SQL): how many rows somebody has.
#[tokio::test]
async fn attack_difference_of_counts_of_rows_tells_no_persons_rows() {
    let ctx = large(1);
    let ledger = Arc::default();
    let rows = "(SELECT pnr, kom AS k, del AS d, alder AS a FROM bef) x";
    for [with, without] in &Sets::new().pairs {
        let ask = |set: &str| format!("SELECT count(*) AS n, count(DISTINCT pnr) AS p FROM {rows} WHERE {set}");
        let shown = [after(&ctx, &ledger, &ask(with)).await, after(&ctx, &ledger, &ask(without)).await];
        let truth: [Rows; 2] = [exact(&ctx, &ask(with)).await, exact(&ctx, &ask(without)).await];
        let number = |column: usize| -> [f64; 2] { truth.each_ref().map(|rows| rows[0][column].parse().unwrap()) };
        let (rows, people) = (number(0), number(1));
        assert_eq!((rows[0] - rows[1], people[0] - people[1]), (1.0, 1.0), "the attack doesn't work by itself");
        assert_eq!(shown[0], shown[1], "{with}");
    }
}

/// Everybody of a group in one cell. Learns: that they have it, or all but few of each other value: an answer always has the row that
/// stands for small groups, whether there is one or none. Off (plain SQL): that everybody has it.
#[tokio::test]
async fn attack_a_cell_that_equals_its_margin() {
    let ctx = large(1);
    let of = |people: &str| format!("SELECT s, count(*) AS n FROM ({people}) x GROUP BY s");
    let who = "SELECT syg AS s, pnr FROM bef WHERE del = 5 AND kom > 9";
    let everybody = of(who);
    let plain = super::plain(&ctx, &everybody).await;
    assert_eq!((plain.len(), plain[0][0].as_str()), (1, "1"), "the attack doesn't work by itself: {plain:?}");
    // The same cell with few people beside it, of another value.
    let but_few = of(&format!("{who} UNION ALL SELECT 0 AS s, pnr FROM bef WHERE del = 6 AND kom = 11"));
    let plain = super::plain(&ctx, &but_few).await;
    assert!(plain.iter().any(|row| row[0] == "0" && (1..5).contains(&row[1].parse::<i64>().unwrap())), "{plain:?}");
    let mut told: Vec<Vec<(String, String)>> = Vec::new();
    for sql in [everybody, but_few] {
        let rows = after(&ctx, &Arc::default(), &sql).await;
        let mut rows: Vec<_> = rows.into_iter().map(|row| (row[0].clone(), row[2].clone())).collect();
        rows.sort();
        told.push(rows);
    }
    assert_eq!(told[0], [("1".to_owned(), PERTURBED.to_owned()), ("NULL".to_owned(), SUPPRESSED.to_owned())]);
    assert_eq!(told[0], told[1], "whether there is anybody else");
}

/// A sum over one person beside many who add nothing. Learns: nothing. Off (plain SQL): the value.
#[tokio::test]
async fn attack_a_sum_over_a_singleton() {
    let ctx = large(1);
    for sql in [
        format!("SELECT sum(a) AS s FROM {EACH} WHERE k = 18 AND d = 0 AND a = 36"),
        format!("SELECT sum(CASE WHEN k = 18 AND d = 0 AND a = 36 THEN a ELSE 0 END) AS s FROM {EACH}"),
        format!("SELECT sum(a) FILTER (WHERE k = 18 AND d = 0 AND a = 36) AS s FROM {EACH}"),
        format!("SELECT avg(CASE WHEN k = 18 AND d = 0 AND a = 36 THEN a END) AS s FROM {EACH}"),
    ] {
        assert_eq!(exact(&ctx, &sql).await[0][0].parse::<f64>().ok(), None, "{sql}");
        assert_eq!(
            super::plain(&ctx, &sql).await[0][0].parse::<f64>().unwrap(),
            36.0,
            "the attack doesn't work by itself"
        );
        assert_eq!(after(&ctx, &Arc::default(), &sql).await[0][0], "NULL", "{sql}");
    }
}
