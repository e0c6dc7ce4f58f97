//! The last column: what happened to the row, and that nothing computed from a hidden cell comes out as a number.

use super::{answer, planned, registers, released};
use crate::release::{SchemaRoles, analyse};
use arrow::datatypes::DataType;
use policies::zone::Zone;
use std::sync::Arc;

#[tokio::test]
async fn the_schema_says_that_statistics_can_be_missing() {
    let ctx = registers();
    let plan = planned(&ctx, "SELECT kom, count(*) AS n, avg(indkomst) FROM bef GROUP BY kom").await;
    let released = analyse(plan, Zone::Open, &SchemaRoles, &Arc::default()).unwrap();
    let schema = released.schema().into_inner();
    let shown: Vec<_> =
        schema.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone(), f.is_nullable())).collect();
    assert_eq!(
        shown,
        [
            ("kom", DataType::Int32, true),
            ("n", DataType::Int64, true),
            ("avg(bef.indkomst)", DataType::Float64, true),
            ("release_status", DataType::Utf8, false),
        ]
    );
}

#[tokio::test]
async fn the_optimised_plan_announces_the_same_schema() {
    let ctx = registers();
    for sql in [
        "SELECT kom, count(*) AS n, avg(indkomst) FROM bef GROUP BY kom",
        "SELECT count(DISTINCT pnr) AS p FROM bef",
        "SELECT DISTINCT koen FROM bef",
        "SELECT navn FROM kommuner",
        "SELECT kom, count(*) AS n FROM bef GROUP BY kom UNION ALL SELECT koen, count(*) FROM bef GROUP BY koen",
        "SELECT kom, coalesce(sum(indkomst) FILTER (WHERE koen = 1), 0) AS s FROM bef GROUP BY kom ORDER BY s LIMIT 3",
    ] {
        let plan = planned(&ctx, sql).await;
        let released = analyse(plan, Zone::Open, &SchemaRoles, &Arc::default()).unwrap();
        let announced = released.schema().into_inner();
        let optimised = ctx.state().optimize(released.get()).unwrap();
        assert_eq!(announced.fields(), optimised.schema().as_arrow().fields(), "{sql}");
        let physical = ctx.state().create_physical_plan(released.get()).await.unwrap();
        assert_eq!(announced.fields(), physical.schema().fields(), "{sql}");
    }
}

#[tokio::test]
async fn a_hidden_statistic_is_named() {
    let mut rows = answer(
        &registers(),
        "SELECT kom, count(*) AS n, sum(indkomst) AS s, count(*) FILTER (WHERE koen = 1) AS maend \
         FROM bef WHERE kom IN (101, 102, 106) GROUP BY kom",
    )
    .await;
    rows.sort();
    assert_eq!(
        rows,
        [
            ["101", "12", "78000.0", "6", "released"],
            [
                "102",
                "5",
                "NULL",
                "NULL",
                "suppressed: fewer than 10 contributors in s; suppressed: fewer than 5 people in maend"
            ],
            ["106", "7", "NULL", "NULL", "suppressed: fewer than 5 people in s, maend"],
            ["NULL", "NULL", "NULL", "NULL", "suppressed: fewer than 5 people"],
        ]
    );
}

#[tokio::test]
async fn the_only_statistic_hidden_is_a_suppressed_row() {
    let rows = answer(&registers(), "SELECT count(*) FILTER (WHERE kom = 104) AS n FROM bef").await;
    assert_eq!(rows, [["NULL", "suppressed: fewer than 5 people"]]);
}

#[tokio::test]
async fn nothing_of_a_hidden_cell_becomes_a_number() {
    let rows = answer(
        &registers(),
        "SELECT coalesce(sum(indkomst), 0) AS a, CASE WHEN count(*) = 1 THEN 1 ELSE 0 END AS b, \
         count(*) IS NULL AS c, coalesce(count(*), 7) + 1 AS d, nullif(count(*), 1) AS e, 'fast' AS f, \
         coalesce(kom, -1) AS g FROM bef WHERE kom = 104 GROUP BY kom",
    )
    .await;
    let null = "NULL";
    assert_eq!(rows, [[null, null, null, null, null, "fast", null, "suppressed: fewer than 5 people"]]);
}

#[tokio::test]
async fn a_statistic_hidden_by_itself_stays_hidden_in_what_is_made_of_it() {
    let rows = answer(
        &registers(),
        "SELECT n, coalesce(s, 0) AS s, coalesce(s, 0) / n AS m, n + 1 AS k FROM \
         (SELECT count(*) AS n, sum(indkomst) AS s FROM bef WHERE kom = 106) x",
    )
    .await;
    assert_eq!(rows, [["7", "NULL", "NULL", "8", "suppressed: fewer than 5 people in s, m"]]);
}

#[tokio::test]
async fn there_is_one_row_for_all_small_groups() {
    let rows = answer(
        &registers(),
        "SELECT kom, koen, count(*) AS n, sum(indkomst) AS s, count(*) FILTER (WHERE koen = 1) AS m, koen * 2 AS d \
         FROM bef WHERE kom IN (103, 104, 105) OR kom IS NULL GROUP BY kom, koen",
    )
    .await;
    assert_eq!(rows.len(), 1, "{rows:?}");
}

#[tokio::test]
async fn no_name_of_the_rules_own_columns_comes_out() {
    let (names, _) = released(
        &registers(),
        "WITH c AS (SELECT kom, count(*) AS n, sum(indkomst) AS s FROM bef GROUP BY kom) \
         SELECT * FROM c CROSS JOIN (SELECT count(*) AS t FROM bef) x",
    )
    .await
    .unwrap();
    assert_eq!(names, ["kom", "n", "s", "t", "release_status"]);
}
