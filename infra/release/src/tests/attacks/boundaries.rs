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
    array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int32Array, TimestampMicrosecondArray},
    datatypes::{DataType, Field, TimeUnit},
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

/// What the open zone computes with in place of an income of six digits.
fn thousands(income: f64) -> f64 {
    (income / 1_000.0).round() * 1_000.0
}

async fn above(ctx: &SessionContext, limit: f64) -> i64 {
    let sql = format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE indkomst > {limit}");
    super::plain(ctx, &sql).await[0][0].parse().unwrap()
}

/// Learns: one of the fifth to eighth largest values, to three digits; not which of them it is, nor whose. Off (plain SQL): to the last digit.
#[tokio::test]
async fn attack_quantile_walk_finds_three_digits_of_the_value_at_the_threshold() {
    let (ctx, mut incomes) = incomes();
    incomes.sort_by(|a, b| b.total_cmp(a));
    let ledger = Arc::default();
    let (found, asked) = bisect(100_000.0, 500_000.0, async |limit: f64| {
        let sql = format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE indkomst > {limit}");
        let shown = after(&ctx, &ledger, &sql).await[0][0].clone();
        shown == "NULL" || shown == "0"
    })
    .await;
    let wanted = &incomes[4..8];
    let off =
        |to: &dyn Fn(f64) -> f64| wanted.iter().map(|income| (found - to(*income)).abs()).fold(f64::MAX, f64::min);
    println!(
        "one of the fifth to eighth largest values by walking: off by {:.2} after {asked} statements",
        off(&|income| income)
    );
    assert!(off(&thousands) < 0.02, "{found} {wanted:?}");
    assert!(off(&|income| income) > 10.0, "{found} is a value itself");
    let (exactly, _) = bisect(100_000.0, 500_000.0, async |limit: f64| above(&ctx, limit).await < 5).await;
    assert!((exactly - incomes[4]).abs() < 0.02, "the attack works by itself");
}

/// Learns: a value to three digits, at which the number of people passes one that is near to an earlier answer; not whose it is. Off
/// (plain SQL): to the last digit.
#[tokio::test]
async fn attack_quantile_walk_in_the_middle_finds_three_digits_from_an_earlier_answer() {
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
    assert!((found - thousands(found)).abs() < 0.02, "{found}");
    assert!(incomes.iter().all(|income| (income - found).abs() > 1.0), "{found} is somebody's value");
    let (exactly, _) = bisect(incomes[0] - 1.0, incomes[19], async |limit: f64| above(&ctx, limit).await <= 390).await;
    assert!((exactly - incomes[9]).abs() < 0.02, "the attack works by itself");
}

/// Learns: nothing more than by the plain limit, which is the same everywhere between two steps. Off (plain SQL): how many are between.
#[tokio::test]
async fn attack_a_finer_limit_in_other_words_finds_no_finer_value() {
    let (ctx, _) = incomes();
    let between = [above(&ctx, 250_010.0).await, above(&ctx, 250_990.0).await];
    assert_ne!(between[0], between[1], "the attack works by itself");
    for condition in [
        "indkomst > {}",
        "indkomst - 123456 > {} - 123456",
        "indkomst * 1000 > {} * 1000",
        "-indkomst < -{}",
        "ln(indkomst) > ln({})",
        "NOT indkomst <= {}",
        "indkomst BETWEEN {} AND 900000",
        "CASE WHEN indkomst > {} THEN 1 ELSE 0 END = 1",
        "CAST(CAST(indkomst AS text) AS double) > {}",
        "CAST(indkomst * 100 AS bigint) > CAST({} * 100 AS bigint)",
        "indkomst % 1000000 > {}",
        "greatest(indkomst, {}) > {}",
        "pnr IN (SELECT pnr FROM bef WHERE indkomst > {})",
        "EXISTS (SELECT 1 FROM bef o WHERE o.pnr = bef.pnr AND o.indkomst > {})",
        "pnr IN (SELECT pnr FROM (SELECT pnr, sum(indkomst) AS s, max(indkomst) AS m FROM bef GROUP BY pnr) q WHERE s > {} OR m > {})",
        "pnr IN (SELECT pnr FROM (SELECT pnr, first_value(indkomst) OVER (PARTITION BY pnr ORDER BY nr) AS l FROM bef) q WHERE l > {})",
    ] {
        let mut shown = Vec::new();
        for limit in ["250010.0", "250990.0"] {
            let sql = format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE {}", condition.replace("{}", limit));
            shown.push(exact(&ctx, &sql).await);
        }
        assert_eq!(shown[0], shown[1], "{condition}");
    }
    for sql in [
        "SELECT sum(CASE WHEN indkomst > {} THEN 1 ELSE 0 END) AS n FROM bef",
        "SELECT count(*) FILTER (WHERE indkomst > {}) AS n FROM bef",
        "SELECT indkomst > {} AS k, count(*) AS n FROM bef GROUP BY indkomst > {}",
        "SELECT floor((indkomst - {}) / 1000000) AS k, count(*) AS n FROM bef GROUP BY floor((indkomst - {}) / 1000000)",
        "WITH x AS (SELECT pnr, indkomst AS i FROM bef UNION ALL SELECT pnr, indkomst FROM bef) \
         SELECT count(DISTINCT pnr) AS n FROM x WHERE i > {}",
        "SELECT count(DISTINCT bef.pnr) AS n FROM bef JOIN (VALUES ({})) AS v(c) ON bef.indkomst > v.c",
    ] {
        let mut shown = Vec::new();
        for limit in ["250010.0", "250990.0"] {
            let mut rows = exact(&ctx, &sql.replace("{}", limit)).await;
            rows.sort();
            shown.push(rows);
        }
        assert_eq!(shown[0], shown[1], "{sql}");
    }
}

/// Learns: the day. Off (plain SQL): the second.
#[tokio::test]
async fn attack_walking_a_point_in_time_finds_the_day() {
    let ctx = SessionContext::new();
    let people: Vec<[u8; 16]> = (0..40).map(|person| pseudonym(person, 7)).collect();
    // one every three hours and some
    let moments = TimestampMicrosecondArray::from_iter_values((0..40_i64).map(|n| n * 11_111_111_111));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(FixedSizeBinaryArray::try_from_iter(people.iter()).unwrap()), Arc::new(moments)];
    let time = Field::new("tid", DataType::Timestamp(TimeUnit::Microsecond, None), false);
    register(&ctx, "kontakt", vec![role("pnr", "person"), time], columns, false);
    for condition in
        ["tid > TIMESTAMP '1970-01-03 {}'", "date_part('epoch', tid) > date_part('epoch', TIMESTAMP '1970-01-03 {}')"]
    {
        let (mut shown, mut plain) = (Vec::new(), Vec::new());
        for time in ["02:00:00", "22:00:00"] {
            let sql = format!("SELECT count(DISTINCT pnr) AS n FROM kontakt WHERE {}", condition.replace("{}", time));
            shown.push(exact(&ctx, &sql).await);
            plain.push(super::plain(&ctx, &sql).await);
        }
        assert_eq!(shown[0], shown[1], "{condition}");
        assert_ne!(plain[0], plain[1], "the attack works by itself");
    }
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
         times in 20 after {needed:.0} sets. One statement that tells nothing moves even odds to {:.2}; {}",
        100.0 * share,
        all.len(),
        told.len(),
        (1.0 - share) / (2.0 - share),
        super::days(needed)
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

/// The same where five, six or seven others are named: no certainty but that seven who are hidden are not eight. Off (plain SQL): at once.
#[tokio::test]
async fn attack_membership_by_more_known_others_takes_several_sets_of_them() {
    let what = "count(DISTINCT pnr)";
    for known in 5..=7 {
        let shares = told(known, what, None).await.map(|told| {
            let all: Vec<bool> = told.into_iter().flatten().collect();
            all.iter().filter(|shown| **shown).count() as f64 / all.len() as f64
        });
        // Of sets with the person and without: how many are shown.
        let [with, without] = shares;
        for (share, people) in [(with, known + 1), (without, known)] {
            let published = PASSING.get(people - 5).map_or(1.0, |passing| f64::from(*passing) / 256.0);
            assert!((share - published).abs() < 0.09, "{people} people are shown in {share} of sets, not {published}");
        }
        // the expected logarithm of how much likelier an answer is with the person than without, where the person is counted
        let hidden = if with < 1.0 { (1.0 - with) * ((1.0 - with) / (1.0 - without)).ln() } else { 0.0 };
        let told = with * (with / without).ln() + hidden;
        let needed = 19.0_f64.ln() / told;
        println!(
            "beside {known} known others: of {} sets {:.1} % are shown with the person and {:.1} % without; shown makes it {:.1} times as \
             likely, hidden {:.2} times; 19 to 1 after {needed:.0} sets",
            PROJECTS as usize * SETS,
            100.0 * with,
            100.0 * without,
            with / without,
            (1.0 - with) / (1.0 - without)
        );
        assert!(needed > 5.0, "{known} {needed}");
        assert!(with / without <= 6.0, "{known}");
        let (ctx, _) = incomes();
        for (target, rich) in TARGETS {
            let counted = (known + usize::from(rich)).to_string();
            let plainly = super::plain(&ctx, &beside(known, target, what, "false")).await.remove(0);
            assert!(plainly.iter().all(|n| *n == counted), "the attack works by itself: {plainly:?}");
        }
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
