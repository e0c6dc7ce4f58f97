//! Noise in shown numbers: bounded, the same for the same people however they are asked for, and not to be worked out.

use super::{Rows, answer as exact, collect, planned, register, registers, role};
use crate::release::{Ledger, SchemaRoles, analyse, range_functions, ranged};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::{SessionConfig, SessionContext};
use policies::{disclosure::PERTURBED, zone::Zone};
use std::{collections::BTreeSet, sync::Arc};

/// What the open zone answers of a project that asks for the first time, as text rows.
pub(super) async fn answer(ctx: &SessionContext, sql: &str) -> Rows {
    after(ctx, &Arc::default(), sql).await
}

/// What it answers after what is in the ledger.
pub(super) async fn after(ctx: &SessionContext, ledger: &Arc<Ledger>, sql: &str) -> Rows {
    let plan = ranged(planned(ctx, sql).await, Zone::Open, &SchemaRoles).unwrap();
    let released = analyse(plan, Zone::Open, &SchemaRoles, ledger);
    let released = released.unwrap_or_else(|refusal| panic!("{sql}\n{refusal}"));
    let (_, mut rows) = collect(ctx, released.into_inner()).await;
    rows.sort();
    rows
}

pub(super) async fn number(ctx: &SessionContext, sql: &str) -> f64 {
    answer(ctx, sql).await[0][0].parse().unwrap()
}

/// Pseudonyms as a project has them: as good as random, other ones under another key.
pub(super) fn pseudonym(person: u32, project: u64) -> [u8; 16] {
    let mut state = u64::from(person) ^ project.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        state = (state ^ (state >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *byte = state.to_be_bytes()[0];
    }
    bytes
}

/// 4,000 people: `kom` has 40 to 400 of them, `syg` one in five, `alder` whole years, rows of 1 to 3 visits.
pub(super) fn large(project: u64) -> SessionContext {
    // The engine's two ways of telling whether a CASE may be NULL differ; the hub's sessions do without that check.
    let config = SessionConfig::new().with_target_partitions(2);
    let config = config.set_bool("datafusion.execution.skip_physical_aggregate_schema_check", true);
    let ctx = SessionContext::new_with_config(config);
    range_functions().iter().for_each(|function| ctx.register_udaf(function.as_ref().clone()));
    let (mut who, mut kom, mut syg, mut alder, mut part) = (vec![], vec![], vec![], vec![], vec![]);
    for person in 0..4_000_u32 {
        for _ in 0..=person % 3 {
            who.push(pseudonym(person, project));
            kom.push(i32::try_from(f64::from(person).sqrt() as u32 / 3).unwrap());
            syg.push(i32::from(person % 5 == 0));
            alder.push(f64::from(20 + person * 7 % 61));
            part.push(i32::try_from(person % 100).unwrap());
        }
    }
    let people = FixedSizeBinaryArray::try_from_iter(who.iter()).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(people),
        Arc::new(Int32Array::from(kom)),
        Arc::new(Int32Array::from(syg)),
        Arc::new(Float64Array::from(alder)),
        Arc::new(Int32Array::from(part)),
    ];
    let value = |name: &str, kind| Field::new(name, kind, false);
    let fields = vec![
        role("pnr", "person"),
        value("kom", DataType::Int32),
        value("syg", DataType::Int32),
        value("alder", DataType::Float64),
        value("del", DataType::Int32),
    ];
    register(&ctx, "bef", fields, columns, false);
    ctx
}

#[tokio::test]
async fn counts_of_people_have_bounded_noise_that_is_no_shift() {
    let ctx = large(1);
    let sql = "SELECT kom, count(DISTINCT pnr) AS n FROM bef GROUP BY kom";
    let (mut shown, mut truth) = (answer(&ctx, sql).await, exact(&ctx, sql).await);
    for rows in [&mut shown, &mut truth] {
        rows.retain(|row| row[0] != "NULL");
        rows.sort();
    }
    assert_eq!(shown.len(), truth.len());
    let mut off = Vec::new();
    for (shown, truth) in shown.iter().zip(&truth) {
        assert_eq!((&shown[0], shown[2].as_str()), (&truth[0], PERTURBED));
        off.push(shown[1].parse::<i64>().unwrap() - truth[1].parse::<i64>().unwrap());
    }
    let most = off.iter().map(|off| off.abs()).max().unwrap();
    assert!((1..=policies::disclosure::noise::BOUND).contains(&most), "{off:?}");
    let mean = off.iter().sum::<i64>() as f64 / off.len() as f64;
    assert!(mean.abs() < 2.0, "{off:?}");
}

#[tokio::test]
async fn attack_averaging_over_repetition_and_equal_questions_gains_nothing() {
    let ctx = large(1);
    let mut shown = BTreeSet::new();
    for sql in [
        "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 9",
        "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 9",
        "SELECT count(DISTINCT pnr) FILTER (WHERE kom = 9) AS n FROM bef",
        "SELECT n FROM (SELECT kom, count(DISTINCT pnr) AS n FROM bef GROUP BY kom) x WHERE kom = 9",
        "SELECT count(*) AS n FROM (SELECT pnr, min(kom) AS k FROM bef GROUP BY pnr) x WHERE k = 9",
        "SELECT sum(CASE WHEN k = 9 THEN 1 ELSE 0 END) AS n FROM (SELECT pnr, min(kom) AS k FROM bef GROUP BY pnr) x",
        "SELECT count(DISTINCT a.pnr) AS n FROM bef a JOIN bef b ON a.pnr = b.pnr WHERE a.kom = 9 AND b.alder > 0",
        "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom > 8 AND NOT kom > 9",
        "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 9 AND pnr IN (SELECT pnr FROM bef)",
    ] {
        shown.insert(answer(&ctx, sql).await[0][0].clone());
    }
    let truth = exact(&ctx, "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 9").await[0][0].clone();
    assert_eq!(shown.len(), 1, "the same people, other numbers: {shown:?}");
    let unlike = "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 9";
    assert!(
        !shown.contains(&truth) || number(&large(2), unlike).await.to_string() != truth,
        "there is no noise at all"
    );
}

/// The sum of the parts of a partition has the noise of all parts, and each partition other noise: that does recover, slowly. Partitions in two
/// take the fewest counts.
#[tokio::test]
async fn attack_averaging_over_partitions_takes_many_of_them() {
    let ctx = large(1);
    let ledger = Arc::default();
    let each = "(SELECT pnr, min(kom) AS k, min(del) AS d, min(alder) AS a FROM bef GROUP BY pnr) x";
    let truth = exact(&ctx, "SELECT count(DISTINCT pnr) AS n FROM bef").await[0][0].parse::<f64>().unwrap();
    let (mut all, mut needed) = (Vec::new(), None);
    for statement in 0..30 {
        // twelve partitions in a statement
        let parts = (statement * 12..statement * 12 + 12).map(|n| {
            let part = format!("(d * {} + a * {} + k * {}) % 11 < 5", n % 11, n / 11 % 11, 1 + n / 121);
            format!("count(DISTINCT pnr) FILTER (WHERE {part}) AS a{n}, count(DISTINCT pnr) FILTER (WHERE NOT {part}) AS b{n}")
        });
        let sql = format!("SELECT {} FROM {each}", parts.collect::<Vec<_>>().join(", "));
        let row = after(&ctx, &ledger, &sql).await.remove(0);
        let numbers: Vec<f64> = row[..24].iter().map(|number| number.parse().unwrap()).collect();
        for parts in numbers.as_chunks::<2>().0 {
            all.push(parts.iter().sum::<f64>());
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let spread = all.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / all.len() as f64;
            // A mean that is known to within half a person, at twice its own uncertainty.
            if all.len() > 2 && 2.0 * (spread / all.len() as f64).sqrt() < 0.5 {
                needed.get_or_insert((all.len(), mean - truth));
            }
        }
        if needed.is_some() {
            break;
        }
    }
    let (needed, off) = needed.unwrap_or_else(|| panic!("not known after {} partitions", all.len()));
    println!(
        "the number of people from partitions: known to half a person after {needed} of them in two, in one ledger, and then off by {off:.1}: {} \
         counts, {}",
        2 * needed,
        super::attacks::days(2.0 * needed as f64)
    );
    assert!(needed > 40, "after {needed} partitions");
    assert!(off.abs() < 1.0, "{off}");
}

#[tokio::test]
async fn attack_averaging_over_projects_takes_many_of_them() {
    let sql = "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 9";
    let truth = exact(&large(1), sql).await[0][0].parse::<f64>().unwrap();
    let mut shown = Vec::new();
    for project in 0..24 {
        shown.push(number(&large(project), sql).await);
    }
    let mean = shown.iter().sum::<f64>() / shown.len() as f64;
    let spread = shown.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / shown.len() as f64;
    let needed = (2.0 / 0.5_f64).powi(2) * spread;
    println!(
        "one count in 24 projects: off by {:.2} in the mean; known to half a person after {needed:.0} projects, one number in each",
        mean - truth
    );
    assert!(shown.iter().collect::<Vec<_>>().windows(2).any(|pair| pair[0] != pair[1]), "one noise in all projects");
    assert!(needed > 10.0, "after {needed:.0} projects");
}

#[tokio::test]
async fn attack_sum_of_ones_is_no_way_around_the_noise_of_a_count() {
    let ctx = large(1);
    let count = number(&ctx, "SELECT count(DISTINCT pnr) FILTER (WHERE syg = 1) AS n FROM bef WHERE kom = 9").await;
    let per_person = "(SELECT pnr, min(syg) AS s, min(kom) AS k FROM bef GROUP BY pnr) x";
    assert_eq!(number(&ctx, &format!("SELECT sum(s) AS n FROM {per_person} WHERE k = 9")).await, count);
    assert_eq!(
        number(&ctx, &format!("SELECT count(*) FILTER (WHERE s = 1) AS n FROM {per_person} WHERE k = 9")).await,
        count
    );
    // A share is one shown count over the other.
    let all = number(&ctx, &format!("SELECT count(*) AS n FROM {per_person} WHERE k = 9")).await;
    let share = number(&ctx, &format!("SELECT avg(s) AS m FROM {per_person} WHERE k = 9")).await;
    assert!((share - count / all).abs() < 0.5 / all, "{share} {count} {all}");
}

/// With all its digits a mean gives the number of people away, as the only one that makes the sum whole.
#[tokio::test]
async fn attack_denominator_of_a_mean_is_not_found() {
    let ctx = large(1);
    let of = "FROM (SELECT pnr, min(alder) AS a, min(kom) AS k FROM bef GROUP BY pnr) x WHERE k = 9";
    let people = number(&ctx, &format!("SELECT count(*) AS n {of}")).await;
    let row = exact(&ctx, &format!("SELECT count(*) AS n, avg(a) AS m, stddev_pop(a) AS s {of}")).await.remove(0);
    let [truth, mean, deviation] = [0, 1, 2].map(|at: usize| row[at].parse::<f64>().unwrap());
    let shown = number(&ctx, &format!("SELECT avg(a) AS m {of}")).await;
    let step = deviation / truth;
    assert!((shown - mean).abs() <= 5.2 * step, "{shown} {mean}");
    // Which numbers of people near the shown one have a whole sum of years within the digits shown?
    let fits = |mean: f64, digits: f64| -> Vec<f64> {
        let near = (-10..=10).map(|off| people + f64::from(off));
        near.filter(|n| (mean * n - (mean * n).round()).abs() <= digits * n + 1e-9).collect()
    };
    assert_eq!(fits(mean, 0.0), [truth], "with all digits the attack finds it");
    assert_ne!(fits(shown, 0.0), [truth], "what is shown, taken as exact");
    assert!(fits(shown, step / 20.0).len() > 5, "{:?}", fits(shown, step / 20.0));
}

/// What one person adds to a mean, to a sum and to a spread, from two statistics whose people differ by that one.
#[tokio::test]
async fn attack_difference_of_statistics_is_off_by_more_than_a_person() {
    let (mut off, mut found) = (Vec::new(), Vec::new());
    for project in 0..12 {
        let ctx = large(project);
        let of = "FROM (SELECT pnr, min(alder) AS a, min(kom) AS k, min(del) AS d FROM bef GROUP BY pnr) x WHERE k = 9";
        let person = "AND NOT d = 41";
        let ask = async |what: &str| {
            let with = format!("SELECT {what} AS m {of}");
            let without = format!("SELECT {what} AS m {of} {person}");
            let exactly = exact(&ctx, &with).await[0][0].parse::<f64>().unwrap()
                - exact(&ctx, &without).await[0][0].parse::<f64>().unwrap();
            (number(&ctx, &with).await - number(&ctx, &without).await, exactly)
        };
        let people = exact(&ctx, &format!("SELECT count(*) AS n {of}")).await[0][0].parse::<f64>().unwrap();
        for what in ["sum(a)", "avg(a)", "stddev_pop(a)"] {
            let (shown, truth) = ask(what).await;
            // in what one average person adds
            let unit = match what {
                "sum(a)" => exact(&ctx, &format!("SELECT avg(a) AS m {of}")).await,
                _ => exact(&ctx, &format!("SELECT stddev_pop(a) AS m {of}")).await,
            };
            let unit = unit[0][0].parse::<f64>().unwrap() / if what == "sum(a)" { 1.0 } else { people };
            off.push(((shown - truth) / unit).abs());
            found.push(shown == truth);
        }
    }
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    println!("what one person adds: off by {mean:.1} average persons in the mean of {} attempts", off.len());
    assert!(mean > 1.0, "{off:?}");
    assert!(found.iter().all(|found| !found), "{off:?}");
}

#[tokio::test]
async fn nobody_and_few_stay_hidden_alike() {
    let ctx = registers();
    let rows = answer(&ctx, "SELECT count(*) AS n, sum(indkomst) AS s FROM bef WHERE kom = 999").await;
    assert_eq!(rows, [["NULL", "NULL", "suppressed: fewer than 5 people"]]);
    let rows = answer(&ctx, "SELECT kom, count(*) AS n FROM bef WHERE kom IN (103, 104) GROUP BY kom").await;
    assert_eq!(rows, [["NULL", "NULL", "suppressed: fewer than 5 people"]]);
    // No shown number is one that would be hidden.
    let rows = answer(&ctx, "SELECT kom, count(DISTINCT pnr) AS n FROM bef GROUP BY kom").await;
    for row in rows.iter().filter(|row| row[1] != "NULL") {
        assert!(row[1].parse::<i64>().unwrap() >= 5, "{row:?}");
    }
}

/// Differencing and its kin: whether one person is in a set, asked as a set with and without them, by a condition, by their
/// complement, and through other statistics.
#[tokio::test]
async fn attack_difference_by_one_person_is_answered_alike() {
    let each = "(SELECT pnr, min(kom) AS k, min(del) AS d, min(alder) AS a FROM bef GROUP BY pnr) x";
    // few of the municipality have this part
    let target = "k = 18 AND d = 41";
    let pairs = [
        (
            format!("SELECT count(*) AS n FROM {each} WHERE k = 18"),
            format!("SELECT count(*) AS n FROM {each} WHERE k = 18 AND NOT d = 41"),
        ),
        (
            format!("SELECT count(DISTINCT pnr) FILTER (WHERE k = 18) AS n FROM {each}"),
            format!("SELECT sum(CASE WHEN k = 18 AND d <> 41 THEN 1 ELSE 0 END) AS n FROM {each}"),
        ),
        (
            format!("SELECT n FROM (SELECT k, count(*) AS n FROM {each} GROUP BY k) g WHERE k = 18"),
            format!(
                "SELECT n FROM (SELECT k, count(*) AS n FROM {each} WHERE NOT ({target}) GROUP BY k) g WHERE k = 18"
            ),
        ),
        (
            "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 18".to_owned(),
            "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 18 AND pnr NOT IN (SELECT pnr FROM bef WHERE kom = 18 AND del = 41)".to_owned(),
        ),
    ];
    let mut told = 0;
    for project in 0..6 {
        let ctx = large(project);
        for (with, without) in &pairs {
            let truth =
                [exact(&ctx, with).await, exact(&ctx, without).await].map(|rows| rows[0][0].parse::<i64>().unwrap());
            assert_ne!(truth[0], truth[1], "{without} leaves nobody out");
            for (first, second) in [(with, without), (without, with)] {
                let ledger = Arc::default();
                let one = after(&ctx, &ledger, first).await[0][0].clone();
                assert_eq!(after(&ctx, &ledger, second).await[0][0], one, "{second}");
                assert_eq!(after(&ctx, &ledger, first).await[0][0], one, "the same question, the same answer");
            }
            // Off: each with the noise of its own people.
            told += usize::from(answer(&ctx, with).await[0][0] != answer(&ctx, without).await[0][0]);
        }
    }
    assert!(told > 6, "without the ledger the answers would be alike too: {told}");
}

/// The answer is the same whether the target is in the set or not, so that its being the same tells nothing.
#[tokio::test]
async fn attack_membership_by_the_ledgers_behaviour_tells_nothing() {
    let ctx = large(3);
    let ledger = Arc::default();
    let first = after(&ctx, &ledger, "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 17").await;
    for condition in [
        "AND del <> 41",
        "AND del <> 41 AND del <> 42",
        "AND NOT (alder > 1000)",
        "OR pnr IN (SELECT pnr FROM bef WHERE kom = 3 AND del = 41)",
    ] {
        let sql = format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 17 {condition}");
        assert_eq!(after(&ctx, &ledger, &sql).await, first, "{condition}");
    }
}

/// A row of which a part is hidden says that what is shown has noise, and only if something is.
#[tokio::test]
async fn a_row_that_is_hidden_in_part_says_that_the_rest_has_noise() {
    let ctx = large(1);
    let cells = "SELECT kom, count(DISTINCT pnr) AS n, sum(alder) FILTER (WHERE del < 3) AS s FROM bef WHERE kom = 18 GROUP BY kom";
    let hidden = "suppressed: fewer than 10 contributors in s";
    for (sql, words) in [
        (cells.to_owned(), format!("perturbed; {hidden}")),
        (format!("SELECT kom, n + 1 AS m, s / n AS s FROM ({cells}) c"), format!("perturbed; {hidden}")),
        (format!("SELECT kom, rank() OVER (ORDER BY n) AS r, s FROM ({cells}) c"), format!("perturbed; {hidden}")),
        (format!("{cells} HAVING count(DISTINCT pnr) > 20 ORDER BY n"), format!("perturbed; {hidden}")),
        (
            format!(
                "SELECT kom, n, s FROM ({cells}) c WHERE n > 0 UNION ALL SELECT kom, n, s FROM ({cells}) c WHERE n > 0 LIMIT 1"
            ),
            format!("perturbed; {hidden}"),
        ),
        (format!("SELECT kom, s FROM ({cells}) c"), hidden.to_owned()),
        (format!("SELECT kom, s, 'a' AS a FROM ({cells}) c"), hidden.to_owned()),
        (format!("SELECT s FROM ({cells}) c"), "suppressed: fewer than 10 contributors".to_owned()),
        (format!("SELECT kom, n FROM ({cells}) c"), PERTURBED.to_owned()),
    ] {
        let mut rows = answer(&ctx, &sql).await;
        // but for the row of small groups
        rows.retain(|row| row.last().unwrap() != policies::disclosure::SUPPRESSED);
        assert_eq!(rows.iter().map(|row| row.last().unwrap().as_str()).collect::<Vec<_>>(), [words], "{sql}");
    }
}
