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
    array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int32Array, TimestampMicrosecondArray},
    datatypes::{DataType, Field, TimeUnit},
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

/// What the open zone computes with in place of an income of six digits.
fn thousands(income: f64) -> f64 {
    (income / 1_000.0).round() * 1_000.0
}

async fn above(ctx: &SessionContext, limit: f64) -> i64 {
    let sql = format!("SELECT count(DISTINCT pnr) AS n FROM bef WHERE indkomst > {limit}");
    super::plain(ctx, &sql).await[0][0].parse().unwrap()
}

/// Learns: the fifth largest value to three digits; not whose it is. Off (plain SQL): to the last digit.
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
    println!("the fifth largest value by walking: off by {:.2} after {asked} statements", (found - incomes[4]).abs());
    assert!((found - thousands(incomes[4])).abs() < 0.02, "{found} {}", incomes[4]);
    assert!((found - incomes[4]).abs() > 10.0, "{found} is the value itself");
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
