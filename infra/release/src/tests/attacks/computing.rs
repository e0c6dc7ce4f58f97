//! Errors as answers: a computation that fails where, and only where, somebody has something.

use super::super::{TARGET_INCOME, collect, planned, register, registers, role};
use crate::release::{SchemaRoles, analyse, open};
use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int32Array},
    datatypes::{DataType, Field, Int64Type},
};
use datafusion::{dataframe::DataFrame, prelude::SessionContext};
use policies::zone::Zone;
use std::sync::Arc;

/// Whether it fails when it runs without the rules.
async fn fails_plainly(ctx: &SessionContext, sql: &str) -> bool {
    let plan = planned(ctx, sql).await;
    DataFrame::new(ctx.state(), plan).collect().await.is_err()
}

/// `CASE` that fails for the target alone. `{}` is 1 of everybody else.
fn for_the_target(bad: &str, good: &str) -> String {
    format!("CASE WHEN kom = 104 AND indkomst > 900000 THEN {bad} ELSE {good} END")
}

/// Conditions that fail where the target's income is high, and are true or false elsewhere.
fn conditions() -> Vec<String> {
    let of = for_the_target;
    vec![
        format!("1 / {} = 1", of("0", "1")),
        format!("7 % {} = 0", of("0", "1")),
        format!(
            "arrow_cast(1, 'Decimal128(5, 2)') / {} = 1",
            of("arrow_cast(0, 'Decimal128(5, 2)')", "arrow_cast(1, 'Decimal128(5, 2)')")
        ),
        format!("{} / -1 < 0", of("arrow_cast(-9223372036854775807 - 1, 'Int64')", "arrow_cast(1, 'Int64')")),
        format!("{} > 0", of("1 / 0", "1")),
        format!("CAST({} AS INT) = 1", of("'one'", "'1'")),
        format!("CAST({} AS BIGINT) % 2 = 1", of("1e30", "1e0")),
        format!("CAST({} AS SMALLINT) % 2 = 1", of("100000", "1")),
        format!("arrow_cast({}, 'Int32') = 1", of("'one'", "'1'")),
        format!("CAST({} AS DATE) > DATE '1900-01-01'", of("'2020-13-45'", "'2020-01-01'")),
        format!("to_date({}) > DATE '1900-01-01'", of("'soon'", "'2020-01-01'")),
        format!("make_date(2020, {}, 1) > DATE '1900-01-01'", of("13", "1")),
        format!("to_timestamp({}) > to_timestamp('1900-01-01')", of("'soon'", "'2020-01-01'")),
        format!("substr('abcdef', 1, {}) = 'a'", of("-1", "1")),
        format!("split_part('a,b', ',', {}) = 'a'", of("0", "1")),
        // The constant chooses whose day is moved beyond the last one that there is.
        format!("{} > 0", of("date_part('year', foed_dag + INTERVAL '262000 years')", "1")),
        format!("{} > 0", of("date_part('year', foed_dag - INTERVAL '290000 years')", "1")),
        format!("{} > 0", of("date_part('year', foed_dag + CAST('99999999 days' AS INTERVAL))", "1")),
        format!("abs({}) = 1", of("arrow_cast(-9223372036854775807 - 1, 'Int64')", "arrow_cast(1, 'Int64')")),
        format!("factorial({}) = 1", of("arrow_cast(40, 'Int64')", "arrow_cast(1, 'Int64')")),
        format!("'a' ~ {}", of("'('", "'a'")),
        format!("regexp_like('a', {})", of("'('", "'a'")),
        format!("'a' SIMILAR TO {}", of("'('", "'a'")),
        format!(
            "CAST({of} AS DECIMAL(38, 0)) * CAST({of} AS DECIMAL(38, 0)) > 0",
            of = of("'99999999999999999999999999999999999999'", "'1'")
        ),
        format!("encode(decode({}, 'hex'), 'hex') = '01'", of("'0z'", "'01'")),
        format!(
            "date_bin(INTERVAL '1 day', {}) > to_timestamp('1900-01-01')",
            of("to_timestamp('soon')", "to_timestamp('2020-01-01')")
        ),
    ]
}

/// The places of a statement in which a condition is computed for single rows.
fn places(condition: &str) -> Vec<String> {
    vec![
        format!("SELECT count(*) AS n FROM bef WHERE {condition}"),
        format!("SELECT count(*) FILTER (WHERE {condition}) AS n FROM bef"),
        format!("SELECT sum(CASE WHEN {condition} THEN 1 ELSE 0 END) AS n FROM bef"),
        format!("SELECT {condition} AS g, count(*) AS n FROM bef GROUP BY {condition}"),
        format!("SELECT count(*) AS n FROM (SELECT pnr, {condition} AS c FROM bef) x WHERE c"),
        format!(
            "SELECT count(*) AS n FROM (SELECT pnr, max(CASE WHEN {condition} THEN 1 ELSE 0 END) AS m FROM bef GROUP BY pnr) x"
        ),
        format!("SELECT count(*) AS n FROM lab WHERE pnr IN (SELECT pnr FROM bef WHERE {condition})"),
        format!("SELECT count(*) AS n FROM lab l JOIN bef b ON b.pnr = l.pnr AND {condition}"),
        format!(
            "SELECT count(*) AS n FROM kontakt k WHERE EXISTS (SELECT 1 FROM bef b WHERE b.pnr = k.pnr AND {condition})"
        ),
    ]
}

/// Learns: nothing. Off (the statement as it is written): an error exactly when the target's income is high.
#[tokio::test]
async fn attack_division_by_zero_casts_and_overflow_as_an_oracle() {
    const { assert!(TARGET_INCOME > 900_000.0) };
    let ctx = registers();
    let (mut plainly, mut harmless) = (0, Vec::new());
    for condition in conditions() {
        for sql in places(&condition) {
            plainly += usize::from(fails_plainly(&ctx, &sql).await);
            let released = open(planned(&ctx, &sql).await, &SchemaRoles, None);
            let released = released.unwrap_or_else(|refusal| panic!("{sql}\n{refusal}"));
            let answer = DataFrame::new(ctx.state(), released).collect().await;
            assert!(answer.is_ok(), "{sql}\n{answer:?}");
        }
        if !fails_plainly(&ctx, &places(&condition)[2]).await {
            harmless.push(condition);
        }
    }
    assert!(harmless.is_empty(), "never fail: {harmless:#?}");
    assert!(plainly > 100, "the attack doesn't work by itself: {plainly}");
}

/// What fails by the statement alone is refused before a row is read, the same whoever is in the tables.
#[tokio::test]
async fn attack_constants_that_fail_only_where_somebody_is_are_refused() {
    let ctx = registers();
    let long = format!("CASE WHEN CAST(koen AS VARCHAR) LIKE '{}' THEN 1 ELSE 0 END", "_".repeat(200_000));
    for bad in [
        "CAST('x' AS INT)",
        "CASE WHEN regexp_like('a', '(') THEN 1 ELSE 0 END",
        "character_length(substr('abc', 1, -1))",
        long.as_str(),
    ] {
        let sql = format!("SELECT sum({}) AS n FROM bef", for_the_target(bad, "1"));
        assert!(fails_plainly(&ctx, &sql).await, "{sql:.90}");
        let refused = open(planned(&ctx, &sql).await, &SchemaRoles, None).unwrap_err().to_string();
        assert!(refused.contains("constant") && !refused.contains("'x'"), "{refused}");
    }
    let wide = "SELECT avg(CAST(indkomst AS DECIMAL(38, 2))) AS m FROM bef";
    let refused = open(planned(&ctx, wide).await, &SchemaRoles, None).unwrap_err().to_string();
    assert!(refused.contains("CAST them to DOUBLE"), "{refused}");
}

/// The rewritten computation gives what the plain one gives, and NULL where that fails.
#[tokio::test]
async fn computations_are_as_in_plain_sql_and_null_where_they_fail() {
    let ctx = SessionContext::new();
    let people: Vec<u32> = (1..=40).collect();
    let columns: Vec<ArrayRef> = vec![
        super::super::pseudonyms(&people),
        Arc::new(Int32Array::from_iter_values((0..40).map(|n| n % 4))),
        Arc::new(Float64Array::from_iter_values((0..40).map(f64::from))),
    ];
    let fields =
        vec![role("pnr", "person"), Field::new("d", DataType::Int32, false), Field::new("x", DataType::Float64, false)];
    register(&ctx, "t", fields, columns, false);
    for (computed, instead) in [
        ("100 / d", "100 / nullif(d, 0)"),
        ("100 % d", "100 % nullif(d, 0)"),
        ("-d", "0 - d"),
        ("CAST(CASE d WHEN 0 THEN 'x' ELSE '7' END AS INT)", "CASE d WHEN 0 THEN NULL ELSE 7 END"),
        ("character_length(substr('abcdef', 1, d - 1))", "CASE d WHEN 0 THEN NULL ELSE d - 1 END"),
        ("arrow_cast(d, 'Utf8')", "CAST(d AS VARCHAR)"),
        ("CAST(x / 2 AS INT)", "CAST(floor(x / 2) AS INT)"),
        ("round(x / 3, 1)", "round(x / 3, 1)"),
    ] {
        let shown = open(
            planned(&ctx, &format!("SELECT {computed} AS g, count(*) AS n FROM t GROUP BY {computed}")).await,
            &SchemaRoles,
            None,
        )
        .unwrap();
        let (_, mut shown) = collect(&ctx, shown).await;
        let plain = format!("SELECT {instead} AS g, count(*) AS n FROM t GROUP BY {instead} HAVING count(*) > 4");
        let (_, mut plain) = collect(&ctx, planned(&ctx, &plain).await).await;
        shown.sort();
        plain.sort();
        let shown: Vec<_> = shown.iter().filter(|row| row[1] != "NULL").map(|row| row[..2].to_vec()).collect();
        assert_eq!(shown, plain, "{computed}");
    }
}

/// A sum that only just fits its type, and doesn't with its noise, or with somebody whose part is as large as the type's largest number: half
/// of all contributions, so that no rule of dominance hides it. Learns: that somebody's part is so large, as of any sum in which it is half.
/// Off: the noise of the sum's people, by an error in place of the largest number; or how often one person has rows, since the sum that doesn't
/// fit begins anew at the smallest number.
#[tokio::test]
async fn attack_a_sum_that_is_too_large_with_its_noise_as_an_oracle() {
    // 7,999 rows of it are an eighth of a thousandth less than the largest number
    let part = i64::MAX / 8_000;
    let (mut largest, mut wrapped) = (0, 0);
    for project in 0..8 {
        let ctx = super::super::noise::large(project);
        for (condition, alike) in [("kom = 18 AND del = 0 AND alder = 36 AND syg = 1", false), ("false", true)] {
            let sql = format!("SELECT sum(CASE WHEN {condition} THEN {} ELSE {part} END) AS s FROM bef", i64::MAX);
            let plan = planned(&ctx, &sql).await;
            let exact = DataFrame::new(ctx.state(), plan.clone()).collect().await.unwrap();
            wrapped += i32::from(exact[0].column(0).as_primitive::<Int64Type>().value(0) < 0);
            let released = analyse(plan, Zone::Open, &SchemaRoles, &Arc::default()).unwrap().into_inner();
            let shown = DataFrame::new(ctx.state(), released).collect().await.unwrap();
            let shown = shown[0].column(0).as_primitive::<Int64Type>().iter().flatten().next();
            if alike {
                // 7,999 rows of the same, off by five people at most
                assert!(shown.unwrap() > i64::MAX - 16 * part, "{shown:?}");
                largest += i32::from(shown == Some(i64::MAX));
            } else {
                assert_eq!(shown, Some(i64::MAX));
            }
        }
    }
    assert_eq!(wrapped, 8, "the attack doesn't work by itself");
    println!("the largest number of the type is shown in {largest} of 8 projects");
    assert!(largest > 0 && largest < 8, "{largest}");
}

/// Sums of people's values that no number of their type can be: the largest one stands for all of them.
#[tokio::test]
async fn attack_by_sums_that_begin_anew_when_they_are_too_large() {
    let ctx = super::super::noise::large(1);
    let max = i64::MAX.to_string();
    let decimal = "9".repeat(38);
    for (value, shown) in [
        // Off: the smallest number and so many more, of which each tells how many people there are, or how many rows they have.
        (format!("{max} * syg"), &max),
        (format!("{max} * CASE WHEN syg = 1 THEN 1 ELSE 0 END"), &max),
        (format!("CASE WHEN syg = 1 THEN {max} ELSE 0 END"), &max),
        (format!("CAST(-{max} AS bigint) + syg"), &max),
        (format!("CAST({decimal} AS DECIMAL(38, 0)) - syg"), &decimal),
    ] {
        let sql = format!("SELECT sum({value}) AS s FROM bef");
        let rows = super::super::noise::answer(&ctx, &sql).await;
        assert_eq!(rows[0][0], **shown, "{sql}");
    }
    // Six million people's incomes would do; here each has as much as a thousand.
    let sql = "SELECT sum(CAST(alder AS DECIMAL(38, 20)) * 1000000) AS s FROM bef";
    let exact: f64 =
        super::super::plain(&ctx, "SELECT sum(alder) * 1000000 AS s FROM bef").await[0][0].parse().unwrap();
    let shown: f64 = super::super::noise::answer(&ctx, sql).await[0][0].parse().unwrap();
    assert!((shown / exact - 1.0).abs() < 0.002, "{shown} {exact}");
}
