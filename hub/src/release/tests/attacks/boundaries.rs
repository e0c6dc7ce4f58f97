//! Where an answer changes its kind: hidden or shown, as an earlier one or its own. Both happen at a number of people that falls by lot, for
//! the same people always the same. Whoever can put together a set of just that size sees one person for some of the sets, and whoever
//! can move a limit in steps as small as they like sees where the kind changes.
//!
//! These attacks succeed in part: each test says what an attacker learns, after how many statements, and what for that has to be known
//! before. They are here so that it is noticed when that changes.

use super::super::{
    answer as exact,
    noise::{after, pseudonym},
    register, role,
};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::SessionContext;
use policies::disclosure::lot::PASSING;
use std::sync::Arc;

/// 400 people, each with an income of their own down to the last digit, which is high for those who come late.
fn incomes() -> (SessionContext, Vec<f64>) {
    incomes_of(7)
}

/// The same people in another project.
fn incomes_of(project: u64) -> (SessionContext, Vec<f64>) {
    let ctx = SessionContext::new();
    let people: Vec<[u8; 16]> = (0..400).map(|person| pseudonym(person, project)).collect();
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

/// Learns: one of the fifth to eighth largest values, exactly; not which of them it is, nor whose. Off (plain SQL): the largest.
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
    let near = incomes[4..8].iter().map(|income| (found - income).abs()).fold(f64::MAX, f64::min);
    println!("one of the fifth to eighth largest values by walking: off by {near:.2} after {asked} statements");
    assert!(near < 0.02, "{found} {:?}", &incomes[4..8]);
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

/// How many projects are attacked, each with its own pseudonyms, and with how many sets of others in each.
const PROJECTS: u64 = 20;
const SETS: usize = 24;
/// Whom the attacker is after: who is rich, and who isn't.
const TARGETS: [(i32, bool); 2] = [(399, true), (1, false)];

/// One statistic of each set of `others` people whom the attacker can name, none of them twice, and of the target if it is rich; beside those of `base`.
fn beside(others: usize, target: i32, what: &str, base: &str) -> String {
    let set = |set: usize| {
        let named: Vec<String> = (0..others).map(|other| (2 + set * others + other).to_string()).collect();
        let named = named.join(", ");
        format!("{what} FILTER (WHERE {base} OR nr IN ({named}) OR (nr = {target} AND indkomst > 300000)) AS s{set}")
    };
    format!("SELECT {} FROM bef", (0..SETS).map(set).collect::<Vec<_>>().join(", "))
}

/// What is told of a target by each set of each project.
async fn told(others: usize, what: &str, base: Option<&str>) -> [Vec<Vec<bool>>; 2] {
    let mut told = [Vec::new(), Vec::new()];
    for project in 0..PROJECTS {
        let (ctx, _) = incomes_of(project);
        for ((target, _), told) in TARGETS.into_iter().zip(&mut told) {
            let ledger = Arc::default();
            let before = match base {
                Some(base) => {
                    let sql = format!("SELECT {what} FILTER (WHERE {base}) AS n FROM bef");
                    after(&ctx, &ledger, &sql).await[0][0].clone()
                }
                None => "NULL".to_owned(),
            };
            let row = after(&ctx, &ledger, &beside(others, target, what, base.unwrap_or("false"))).await.remove(0);
            told.push(row[..SETS].iter().map(|shown| *shown != before).collect());
        }
    }
    told
}

/// Prints and gives the share of sets by which the attacker is certain, and how many sets it takes to be certain 19 times in 20.
fn certain(what: &str, told: &[Vec<bool>]) -> (f64, f64) {
    let all: Vec<bool> = told.iter().flatten().copied().collect();
    let share = all.iter().filter(|told| **told).count() as f64 / all.len() as f64;
    let needed = 0.05_f64.ln() / (1.0 - share).ln();
    let within = told.iter().filter(|told| told.contains(&true)).count();
    println!(
        "{what}: certain by one statement in {:.1} % of {} attempts, and with {SETS} sets of others in {within} of {} projects; certain 19 \
         times in 20 after {needed:.0} sets. One statement that tells nothing moves even odds to {:.2}",
        100.0 * share,
        all.len(),
        told.len(),
        (1.0 - share) / (2.0 - share)
    );
    (share, needed)
}

/// Learns: whether one known person has something, when four others can be named exactly, for one set of four in eight; nothing else is
/// certain. Off (plain SQL, and the rules without lots): at once.
#[tokio::test]
async fn attack_membership_by_four_known_others_takes_many_sets_of_them() {
    let what = "count(DISTINCT pnr)";
    let [rich, other] = told(4, what, None).await;
    let (share, needed) = certain("one person beside four known others", &rich);
    assert!(other.iter().flatten().all(|told| !told), "four people are never shown");
    assert!((0.08..0.18).contains(&share) && needed > 15.0, "{share} {needed}");
    // Off: the rules whose boundaries are exact, and no rules.
    for (target, rich) in TARGETS {
        let sql = beside(4, target, what, "false");
        let (ctx, _) = incomes();
        let shown = exact(&ctx, &sql).await.remove(0);
        assert!(shown[..SETS].iter().all(|n| (n == "5") == rich && (n == "NULL") != rich), "{shown:?}");
        let wanted = if rich { "5" } else { "4" };
        assert!(super::plain(&ctx, &sql).await[0].iter().all(|n| n == wanted), "the attack works by itself");
    }
}

/// The same where five, six or seven others are named: no certainty but that seven who are hidden are not eight.
#[test]
fn attack_membership_by_more_known_others_takes_several_sets_of_them() {
    let passing = |people: usize| match people.checked_sub(5) {
        Some(above) => PASSING.get(above).map_or(1.0, |passing| f64::from(*passing) / 256.0),
        None => 0.0,
    };
    for known in 5..=7 {
        let [without, with] = [passing(known), passing(known + 1)];
        // the expected logarithm of how much likelier an answer is with the person than without, where the person is counted
        let hidden = if with < 1.0 { (1.0 - with) * ((1.0 - with) / (1.0 - without)).ln() } else { 0.0 };
        let told = with * (with / without).ln() + hidden;
        let needed = 19.0_f64.ln() / told;
        println!(
            "beside {known} known others: shown makes it {:.1} times as likely, hidden {:.2} times; 19 to 1 after {needed:.0} sets",
            with / without,
            (1.0 - with) / (1.0 - without)
        );
        assert!(needed > 5.0, "{known} {needed}");
        assert!(with / without <= 4.0, "{known}");
    }
}

/// The same by the sum of what ten contribute: it is hidden under ten.
#[tokio::test]
async fn attack_membership_by_nine_known_contributors_takes_many_sets_of_them() {
    let what = "sum(indkomst)";
    let [rich, other] = told(9, what, None).await;
    let (share, needed) = certain("one person beside nine known contributors to a sum", &rich);
    assert!(other.iter().flatten().all(|told| !told), "sums of nine are never shown");
    assert!((0.08..0.18).contains(&share) && needed > 15.0, "{share} {needed}");
    let shown = exact(&incomes().0, &beside(9, 399, what, "false")).await.remove(0);
    assert!(shown.iter().all(|sum| sum != "NULL"), "without lots it works at once: {shown:?}");
}

/// The same by the ledger: nine known others beside a set that was asked before.
#[tokio::test]
async fn attack_membership_by_nine_known_others_takes_many_sets_of_them() {
    let what = "count(DISTINCT pnr)";
    let [rich, other] = told(9, what, Some("nr BETWEEN 230 AND 380")).await;
    let (share, needed) = certain("one person beside nine known others and an earlier answer", &rich);
    assert!(other.iter().flatten().all(|told| !told), "a difference of nine is never seen");
    assert!((0.03..0.16).contains(&share) && needed > 15.0, "{share} {needed}");
}
