//! Attempts to learn something about one person: each succeeds without the release rules and fails with them.
//!
//! What one answer tells of one cell stands here, one statement an attack; what takes several answers, or something else than an answer,
//! stands below. `docs/attacks.md` lists them all, with what an attacker learns.

mod averaging;
mod blind;
mod boundaries;
mod caps;
mod channels;
mod computing;
mod differencing;
mod index;
mod lists;
mod others;
mod padding;
mod parts;
mod probing;

use super::{TARGET_INCOME, plain, register, registers, released, role};
use crate::release::Caps;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::{
    logical_expr::{ColumnarValue, Volatility, create_udf},
    prelude::SessionContext,
};
use policies::disclosure::SUPPRESSED;
use std::sync::Arc;

/// `bef` with a function that hides the person number in another value.
fn registers_with_md5() -> SessionContext {
    let ctx = registers();
    ctx.register_udf(create_udf(
        "md5",
        vec![DataType::FixedSizeBinary(16)],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|args| {
            let rows = match &args[0] {
                ColumnarValue::Array(array) => Arc::clone(array),
                ColumnarValue::Scalar(value) => value.to_array()?,
            };
            let rows = rows.as_fixed_size_binary();
            let text: StringArray =
                (0..rows.len()).map(|i| rows.is_valid(i).then(|| format!("{:?}", rows.value(i)))).collect();
            Ok(ColumnarValue::Array(Arc::new(text) as ArrayRef))
        }),
    ));
    ctx
}

/// How many days it takes to be shown so many new numbers.
pub(super) fn days(numbers: f64) -> String {
    let cap = Caps::default().per_day as f64;
    format!("{:.2} days at the cap of {cap} numbers a day, {:.1} where it is 100", numbers / cap, numbers / 100.0)
}

fn income() -> String {
    format!("{TARGET_INCOME:?}")
}

/// Answered, without the secret.
const SHOWN: &str = "";

/// Without release some cell of the answer is `secret`; with release the statement is refused with the words `refused`, or [`SHOWN`] and no
/// cell is.
async fn attack(sql: &str, secret: &str, refused: &str) {
    let ctx = registers_with_md5();
    let open = plain(&ctx, sql).await;
    assert!(open.iter().flatten().any(|cell| cell == secret), "the attack doesn't work by itself: {sql}\n{open:?}");
    match released(&ctx, sql).await {
        Err(refusal) => assert!(refused != SHOWN && refusal.reason.contains(refused), "{sql}\n{refusal}"),
        Ok((_, rows)) => {
            assert_eq!(refused, SHOWN, "{sql} is answered\n{rows:?}");
            assert!(rows.iter().flatten().all(|cell| cell != secret), "{sql}\n{rows:?}");
        }
    }
}

macro_rules! attacks {
    ($($name:ident: $sql:expr, $secret:expr, $refused:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            attack($sql, &$secret, $refused).await;
        })*
    };
}

attacks! {
    attack_rows: "SELECT indkomst FROM bef WHERE kom = 104", income(), "rows about single people";
    attack_sum_over_one: "SELECT sum(indkomst) FROM bef WHERE kom = 104", income(), SHOWN;
    attack_mean_over_one: "SELECT kom, avg(indkomst) FROM bef GROUP BY kom", income(), SHOWN;
    attack_max: "SELECT max(indkomst) FROM bef", income(), "max() shows the value";
    attack_max_by_group: "SELECT kom, max(indkomst) FROM bef GROUP BY kom", income(), "max() shows the value";
    attack_first_value: "SELECT first_value(indkomst ORDER BY indkomst DESC NULLS LAST) FROM bef", income(), "first_value() shows values";
    attack_percentile: "SELECT approx_percentile_cont(1.0) WITHIN GROUP (ORDER BY indkomst) FROM bef", income(), "approx_percentile_cont() shows the value";
    attack_list: "SELECT array_agg(indkomst) FROM bef WHERE kom = 104", format!("[{}]", income()), "array_agg() shows values";
    attack_text: "SELECT string_agg(indkomst::text, ',') FROM bef WHERE kom = 104", income(), "string_agg() shows values";
    attack_limit_below_sum: "SELECT sum(indkomst) FROM (SELECT indkomst FROM bef ORDER BY indkomst DESC NULLS LAST LIMIT 1) x", income(), "LIMIT below an aggregate";
    attack_order_and_limit: "SELECT kom, sum(indkomst) AS s FROM bef GROUP BY kom ORDER BY s DESC LIMIT 1", income(), SHOWN;
    attack_smallest_group_first: "SELECT kom, sum(indkomst) AS s FROM bef GROUP BY kom ORDER BY count(*) LIMIT 1", income(), SHOWN;
    attack_having_one: "SELECT sum(indkomst) FROM bef GROUP BY kom HAVING count(*) = 1", income(), SHOWN;
    attack_having_shows_that_it_is_one: "SELECT 'one' AS x FROM bef GROUP BY kom HAVING count(*) = 1", "one", SHOWN;
    attack_case_on_the_count: "SELECT CASE WHEN count(*) = 1 THEN 'one' ELSE 'more' END FROM bef WHERE kom = 104", "one", SHOWN;
    attack_coalesce: "SELECT coalesce(sum(indkomst), 0) FROM bef WHERE kom = 104", income(), SHOWN;
    attack_arithmetic: "SELECT sum(indkomst) * 1 + count(*) - 1 FROM bef WHERE kom = 104", income(), SHOWN;
    attack_filter: "SELECT sum(indkomst) FILTER (WHERE kom = 104) FROM bef", income(), SHOWN;
    attack_conditional_sum: "SELECT sum(CASE WHEN kom = 104 THEN indkomst END) FROM bef", income(), SHOWN;
    attack_conditional_sum_with_zeros: "SELECT sum(CASE WHEN kom = 104 THEN indkomst ELSE 0 END) FROM bef", income(), SHOWN;
    attack_conditional_count: "SELECT count(CASE WHEN indkomst > 900000 THEN 1 END) AS n FROM bef", "1", SHOWN;
    attack_count_distinct_of_few: "SELECT count(DISTINCT indkomst) FILTER (WHERE kom = 104) AS n FROM bef", "1", "of values isn't released";
    attack_group_by_person: "SELECT pnr, indkomst FROM bef GROUP BY pnr, indkomst", income(), "rows about single people";
    attack_group_by_person_as_text: "SELECT max(s)::text FROM (SELECT sum(indkomst) AS s FROM bef GROUP BY md5(pnr)) x", income(), "can't be used in md5()";
    attack_group_by_a_hash_of_the_person: "SELECT md5(pnr) AS h, sum(indkomst) FROM bef GROUP BY md5(pnr)", income(), "can't be used in md5()";
    attack_group_by_a_case_of_the_person:
        "SELECT sum(indkomst) FROM bef GROUP BY CASE WHEN pnr = arrow_cast(X'160000000000000000000000e675c498', 'FixedSizeBinary(16)') \
         THEN 1 ELSE 0 END HAVING count(*) = 1", income(), "can't be compared with a value";
    attack_nested_maximum: "SELECT max(s) FROM (SELECT kom, sum(indkomst) AS s FROM bef GROUP BY kom) x", income(), "aggregates groups that are aggregates already";
    attack_count_of_small_groups:
        "SELECT count(*) FROM (SELECT kom FROM bef GROUP BY kom HAVING count(*) = 1) x", "1", "aggregates groups that are aggregates already";
    attack_window_over_rows: "SELECT max(indkomst) OVER () FROM bef", income(), "rows about single people";
    attack_window_below_an_aggregate:
        "SELECT sum(m) / count(*) FROM (SELECT max(indkomst) OVER () AS m FROM bef) x", income(), "looks at the rows of several people";
    attack_window_over_groups: "SELECT max(sum(indkomst)) OVER () FROM bef GROUP BY kom", income(), SHOWN;
    attack_lag_over_groups:
        "SELECT lag(sum(indkomst)) OVER (ORDER BY kom) FROM bef GROUP BY kom", income(), SHOWN;
    attack_scalar_subquery: "SELECT count(*), (SELECT max(indkomst) FROM bef) FROM kommuner", income(), "max() shows the value";
    attack_scalar_subquery_probing:
        "SELECT count(*) AS n FROM kommuner WHERE (SELECT indkomst FROM bef WHERE kom = 104) = 988000", "6", "in place of a value";
    attack_exists_probing:
        "SELECT 'yes' AS x FROM kommuner WHERE kom = 101 AND EXISTS (SELECT 1 FROM bef WHERE kom = 104 AND indkomst > 900000)", "yes", "linked by the person";
    attack_exists_beside_people:
        "SELECT count(*) AS n FROM bef b WHERE b.kom = 101 AND EXISTS \
         (SELECT 1 FROM bef c WHERE c.kom = 104 AND c.indkomst > 900000)", "12", "linked by the person";
    attack_unlinked_in: "SELECT count(*) AS n FROM bef WHERE kom = 101 AND 1 IN (SELECT 1 FROM bef WHERE indkomst > 900000)", "12", "linked by the person";
    attack_cross_join_pads_the_people:
        "SELECT sum(t.indkomst) / count(*) FROM bef t CROSS JOIN bef b WHERE t.kom = 104", income(), "hang together by the person";
    attack_join_without_the_person:
        "SELECT avg(t.indkomst) FROM bef t JOIN bef b ON t.koen = b.koen WHERE t.kom = 104", income(), "hang together by the person";
    attack_join_by_another_person:
        "SELECT avg(t.indkomst) FROM bef t JOIN bef b ON t.pnr <> b.pnr WHERE t.kom = 104", income(), "hang together by the person";
    attack_join_with_a_list_of_values:
        "SELECT sum(b.indkomst) FROM bef b JOIN (VALUES (104)) AS v(kom) ON v.kom = b.kom", income(), SHOWN;
    attack_a_list_of_persons:
        "SELECT sum(b.indkomst) FROM bef b JOIN (SELECT pnr FROM bef WHERE kom = 104) v ON v.pnr = b.pnr", income(), SHOWN;
    attack_union_pads_the_people:
        "SELECT sum(x) FROM (SELECT pnr, indkomst AS x FROM bef WHERE kom = 104 UNION ALL SELECT pnr, 0 AS x FROM bef) u", income(), SHOWN;
    attack_union_of_groups:
        "SELECT sum(indkomst) FROM bef WHERE kom = 101 UNION ALL SELECT sum(indkomst) FROM bef WHERE kom = 104", income(), SHOWN;
    attack_union_with_a_constant_beside_people:
        "SELECT sum(x) FROM (SELECT indkomst AS x FROM bef WHERE kom = 104 UNION ALL SELECT 0.0 AS x FROM kommuner) u", income(), "parts of a UNION must be alike";
    attack_distinct: "SELECT DISTINCT indkomst FROM bef", income(), SHOWN;
    attack_distinct_on: "SELECT DISTINCT ON (kom) indkomst FROM bef ORDER BY kom, indkomst", income(), "DISTINCT ON";
    attack_except: "SELECT indkomst FROM bef EXCEPT SELECT indkomst FROM bef WHERE kom <> 104", income(), "joins groups that are aggregates already";
    attack_intersect: "SELECT indkomst FROM bef INTERSECT SELECT indkomst FROM bef WHERE kom = 104", income(), "joins groups that are aggregates already";
    attack_unnest: "SELECT unnest(array_agg(indkomst)) FROM bef", income(), "unnest()";
    attack_recursive:
        "WITH RECURSIVE r AS (SELECT indkomst FROM bef WHERE kom = 104 UNION ALL SELECT indkomst FROM r WHERE false) \
         SELECT indkomst FROM r", income(), "WITH RECURSIVE";
    attack_table_function:
        "SELECT sum(b.indkomst) FROM generate_series(104, 104) g JOIN bef b ON b.kom = g.value", income(), "isn't marked as a table without people";
    attack_left_join_keeps_constant_rows:
        "SELECT sum(coalesce(b.indkomst, 0)) FROM kommuner k LEFT JOIN bef b ON b.kom = k.kom AND b.kom = 104", income(), "match nobody";
    attack_rollup: "SELECT kom, sum(indkomst) FROM bef GROUP BY ROLLUP (kom)", income(), SHOWN;
    attack_grouping_sets: "SELECT kom, sum(indkomst) FROM bef GROUP BY GROUPING SETS ((kom), ())", income(), SHOWN;
    attack_sum_distinct: "SELECT sum(DISTINCT CASE WHEN kom = 104 THEN indkomst ELSE 0 END) FROM bef", income(), "of values isn't released";
    attack_person_shown_by_count: "SELECT count(DISTINCT pnr) AS n FROM bef WHERE kom = 104", "1", SHOWN;
    attack_missing_person_numbers: "SELECT count(*) AS n FROM bef WHERE kom = 105", "6", SHOWN;
}

/// What the rules do not prevent without noise: stated in `docs/release.md`, and here so that it's noticed when it changes.
#[tokio::test]
async fn attack_by_difference_still_works() {
    let ctx = registers();
    let sum = async |sql: &str| released(&ctx, sql).await.unwrap().1[0][0].parse::<f64>().unwrap();
    let with = sum("SELECT sum(indkomst) FROM bef WHERE kom = 101").await;
    let without = sum("SELECT sum(indkomst) FROM bef WHERE kom = 101 AND indkomst <> 12000").await;
    assert!((with - without - 12_000.0).abs() < 1e-6);
}

/// One person's value among many that say nothing.
#[tokio::test]
async fn attack_padding_with_small_values_is_seen_as_dominance() {
    for (what, sql) in [
        ("a sum", "SELECT sum(CASE WHEN kom = 104 THEN indkomst ELSE 0.001 END) FROM bef"),
        ("a mean", "SELECT avg(CASE WHEN kom = 104 THEN indkomst ELSE 0.001 END) FROM bef"),
        ("a spread", "SELECT stddev_pop(CASE WHEN kom = 104 THEN indkomst ELSE 0.001 END) FROM bef"),
        ("by a join", "SELECT sum(indkomst) FROM bef WHERE kom IN (101, 104)"),
        ("with signs", "SELECT sum(CASE WHEN kom = 104 THEN -indkomst ELSE 0.001 END) FROM bef"),
        (
            "in rows",
            "SELECT sum(x) FROM (SELECT pnr, indkomst / 2 AS x FROM bef WHERE kom = 104 UNION ALL \
                     SELECT pnr, indkomst / 2 FROM bef WHERE kom = 104 UNION ALL SELECT pnr, 1 FROM bef WHERE kom <> 104) u",
        ),
    ] {
        assert!(
            plain(&registers(), sql).await[0][0].parse::<f64>().unwrap() > 1000.0 || what == "with signs",
            "{what}"
        );
        let rows = released(&registers(), sql).await.unwrap().1;
        assert_eq!(rows, [["NULL", "suppressed: dominated by two people"]], "{what}");
    }
}

/// A handful of people who know their own values, and want the last one's.
#[tokio::test]
async fn attack_by_the_other_contributors_of_a_small_sum() {
    let sql = "SELECT sum(indkomst) AS s, count(*) AS n FROM bef WHERE kom = 102";
    let known = "SELECT sum(indkomst) AS s, count(*) AS n FROM bef WHERE kom = 102 AND indkomst <> 17000";
    let sum = async |sql: &str| plain(&registers(), sql).await[0][0].parse::<f64>().unwrap();
    assert!((sum(sql).await - sum(known).await - 17_000.0).abs() < 1e-6, "the attack works by itself");
    let rows = released(&registers(), sql).await.unwrap().1;
    assert_eq!(rows, [["NULL", "5", "suppressed: fewer than 10 contributors in s"]]);
}

/// What holds of everybody in a group holds of each whom one knows to be in it.
#[tokio::test]
async fn attack_by_what_is_true_of_everybody_in_a_group() {
    let everybody = "suppressed: everybody or nobody in the group";
    for (select, words) in [
        ("count(*) FILTER (WHERE indkomst < 13000) AS x", everybody),
        ("count(*) FILTER (WHERE indkomst < 9000) AS x", everybody),
        ("count(DISTINCT pnr) FILTER (WHERE indkomst < 13000) AS x", everybody),
        ("sum(CASE WHEN indkomst < 13000 THEN 1 ELSE 0 END) AS x", everybody),
        ("count(CASE WHEN indkomst < 13000 THEN 1 END) AS x", everybody),
        ("avg(CASE WHEN indkomst < 13000 THEN 1.0 ELSE 0.0 END) AS x", everybody),
        ("avg(CASE WHEN indkomst > 13000 THEN 1.0 ELSE 0.0 END) AS x", everybody),
        ("avg(CAST(indkomst > 9000 AS int)) AS x", everybody),
        ("stddev(CASE WHEN indkomst < 13000 THEN 1.0 ELSE 0.0 END) AS x", everybody),
        ("stddev(koen * 0 + 7) AS x", everybody),
        ("avg(koen * 0 + 7) AS x", everybody),
        ("avg(x) AS x FROM (SELECT pnr, kom, CAST(indkomst < 13000 AS int) AS x FROM bef) bef", everybody),
    ] {
        let from = if select.contains("FROM") { "" } else { " FROM bef" };
        let rows = released(&registers(), &format!("SELECT {select}{from} WHERE kom = 101")).await.unwrap().1;
        assert_eq!(rows, [["NULL", words]], "{select}");
    }
    let shown = "SELECT count(*) FILTER (WHERE indkomst < 7000) AS a, \
                 avg(CASE WHEN indkomst < 7000 THEN 1.0 ELSE 0.0 END) AS c FROM bef WHERE kom = 101";
    assert_eq!(released(&registers(), shown).await.unwrap().1, [["6", "0.5", "released"]]);
    // Nobody has the contrary: asked for those, nobody is told from few.
    for select in [
        "count(*) FILTER (WHERE NOT indkomst < 13000) AS x FROM bef WHERE kom = 101",
        "count(*) AS x FROM bef WHERE kom = 101 AND NOT indkomst < 13000",
        "count(DISTINCT pnr) AS x FROM bef WHERE kom = 101 AND NOT indkomst < 13000",
        "sum(CASE WHEN indkomst < 13000 THEN 0 ELSE 1 END) AS x FROM bef WHERE kom = 101",
        "sum(CASE WHEN indkomst < 13000 THEN 0 ELSE indkomst END) AS x FROM bef WHERE kom = 101",
        "avg(CASE WHEN indkomst < 13000 THEN 0 ELSE indkomst END) AS x FROM bef WHERE kom = 101",
        "sum(indkomst) AS x FROM bef WHERE kom = 101 AND indkomst > 13000",
        "avg(indkomst) FILTER (WHERE indkomst > 13000) AS x FROM bef WHERE kom = 101",
    ] {
        let nobody = released(&registers(), &format!("SELECT {select}")).await.unwrap().1;
        assert_eq!(nobody, [["NULL", SUPPRESSED]], "{select}");
        let few = select.replace("13000", "11000");
        assert_eq!(released(&registers(), &format!("SELECT {few}")).await.unwrap().1, nobody, "{few}");
    }
}

/// A table whose roles the session doesn't know is people. Off (plain SQL): its rows.
#[tokio::test]
async fn attack_on_an_unmarked_table() {
    let ctx = registers();
    let fields = vec![Field::new("navn", DataType::Utf8, false)];
    register(&ctx, "ukendt", fields, vec![Arc::new(StringArray::from(vec!["x"]))], false);
    // marked as a reference table, but a column identifies
    register(&ctx, "falsk", vec![role("id", "key")], vec![super::pseudonyms(&[1])], true);
    for (sql, told) in [
        ("SELECT navn FROM ukendt", "x"),
        ("SELECT count(*) FROM ukendt", "1"),
        ("SELECT arrow_typeof(id) FROM falsk", "FixedSizeBinary(16)"),
    ] {
        assert_eq!(plain(&ctx, sql).await, [[told]], "the attack doesn't work by itself: {sql}");
        assert!(released(&ctx, sql).await.is_err(), "{sql}");
    }
}
