//! What cannot be said is named, never dropped.

use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::expr::{AggregateFunctionParams, NullTreatment};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::scalar::ScalarValue;
use proto::plan::{Tables, encode_expr, encode_plan};

use crate::bench::{Form, plan, session, tables};

const CASES: &[(&str, &str)] = &[
    ("SELECT now() FROM t", "function now"),
    ("SELECT random() FROM t", "function random"),
    ("SELECT uuid() FROM t", "function uuid"),
    ("SELECT arrow_cast(i, 'Int8') FROM t", "function arrow_cast"),
    ("SELECT repeat(s, 1000) FROM t", "function repeat"),
    ("SELECT lpad(s, 10) FROM t", "function lpad"),
    ("SELECT regexp_replace(s, 'a', 'b') FROM t", "function regexp_replace"),
    ("SELECT to_timestamp(s) FROM t", "function to_timestamp"),
    ("SELECT make_array(i) FROM t", "function make_array"),
    ("SELECT replace(s, v, '') FROM t", "function replace"),
    ("SELECT replace(s, 'a', 'aaa') FROM t", "function replace"),
    ("SELECT regexp_like(s, v) FROM t", "function regexp_like"),
    ("SELECT s ~ v FROM t", "operator ~"),
    ("SELECT i & 1 FROM t", "operator &"),
    ("SELECT i << 1 FROM t", "operator <<"),
    ("SELECT s LIKE v FROM t", "LIKE with a pattern"),
    ("SELECT s SIMILAR TO 'a' FROM t", "SIMILAR TO"),
    ("SELECT CAST(i AS TIME) FROM t", "type Time64"),
    ("SELECT a.id FROM t a JOIN t b ON a.id < b.id", "Inner join without a column that is equal on both sides"),
    ("SELECT a.id FROM t a FULL JOIN t b ON a.id = b.id", "Full join"),
    ("SELECT id FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.id = t.i)", "subquery"),
    ("SELECT id FROM t WHERE i IN (SELECT id FROM t)", "subquery"),
    ("SELECT id FROM t WHERE i > (SELECT avg(i) FROM t)", "subquery"),
    ("SELECT id FROM t UNION ALL SELECT id FROM t", "node Union"),
    ("SELECT row_number() OVER (ORDER BY id) FROM t", "node Window"),
    ("SELECT DISTINCT ON (s) s, i FROM t", "DISTINCT ON"),
    ("SELECT s, count(*) FROM t GROUP BY ROLLUP (s)", "GROUPING SETS"),
    ("SELECT 1", "node EmptyRelation"),
    ("VALUES (1)", "node Values"),
    ("SELECT a.*, b.id FROM t a CROSS JOIN t b", "Inner join"),
    ("SELECT sum(DISTINCT i) FROM t", "aggregate sum with DISTINCT"),
    ("SELECT avg(DISTINCT f) FROM t", "aggregate avg with DISTINCT"),
    ("SELECT median(f) FROM t", "aggregate median"),
    ("SELECT approx_distinct(s) FROM t", "aggregate approx_distinct"),
    ("SELECT array_agg(s ORDER BY id) FROM t", "aggregate array_agg with ORDER BY"),
    ("SELECT first_value(s ORDER BY id) FROM t", "aggregate first_value with ORDER BY"),
    ("SELECT string_agg(s, ',') FROM t", "aggregate string_agg"),
    ("SELECT corr(f, i) FROM t", "aggregate corr"),
    ("SELECT count(i, f) FROM t", "aggregate count with 2 arguments"),
    ("SELECT count(DISTINCT i, f) FROM t", "aggregate count with 2 arguments"),
    ("SELECT bool_and(b) FROM t", "aggregate bool_and"),
    ("EXPLAIN SELECT id FROM t", "node Explain"),
];

#[tokio::test]
async fn each_is_named() {
    let session = session();
    for (sql, named) in CASES {
        let plan = plan(&session, sql, Form::Analysed).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let what = match encode_plan(&plan) {
            Err(unsayable) => unsayable.what,
            Ok(_) => panic!("{sql} was said"),
        };
        assert!(what.contains(named), "{sql}: {what}");
    }
}

#[test]
fn options_of_an_aggregate_are_not_dropped() {
    let said = |change: fn(&mut AggregateFunctionParams)| {
        let Expr::AggregateFunction(mut max) = max(col("i")) else {
            panic!("an aggregate");
        };
        change(&mut max.params);
        let plan = LogicalPlanBuilder::from(scan("t"));
        let plan = plan.aggregate(Vec::<Expr>::new(), vec![Expr::AggregateFunction(max)]);
        encode_plan(&plan.unwrap().build().unwrap()).map_err(|unsayable| unsayable.what)
    };
    assert!(said(|_| {}).is_ok());
    let ordered = said(|p| p.order_by = vec![col("id").sort(true, false)]);
    assert_eq!(ordered.unwrap_err(), "aggregate max with ORDER BY");
    for treatment in [NullTreatment::IgnoreNulls, NullTreatment::RespectNulls] {
        let treated = match treatment {
            NullTreatment::IgnoreNulls => said(|p| p.null_treatment = Some(NullTreatment::IgnoreNulls)),
            NullTreatment::RespectNulls => said(|p| p.null_treatment = Some(NullTreatment::RespectNulls)),
        };
        assert_eq!(treated.unwrap_err(), "aggregate max with IGNORE NULLS or RESPECT NULLS");
    }
}

#[tokio::test]
async fn a_limit_that_is_no_constant_is_named() {
    let session = session();
    let state = session.state();
    let plan = state.create_logical_plan("SELECT id FROM t LIMIT 1 + 1").await.unwrap();
    match encode_plan(&plan) {
        Err(unsayable) => assert_eq!(unsayable.what, "LIMIT that is not a constant"),
        Ok(f) => panic!("{f:?}"),
    }
}

fn scan(table: &str) -> LogicalPlan {
    let source = tables().table("t").unwrap();
    LogicalPlanBuilder::scan(table, source, None).unwrap().build().unwrap()
}

#[test]
fn a_table_that_no_spoke_could_have_is_named() {
    let plan = scan("\"../etc\"");
    let what = encode_plan(&plan).unwrap_err().what;
    assert!(what.contains("a scan of this table"), "{what}");
}

#[test]
fn deep_expressions_are_named_before_the_stack_ends() {
    let mut e = col("i");
    for _ in 0..3_000 {
        e = e + lit(1);
    }
    let what = encode_expr(&e).unwrap_err().what;
    assert!(what.contains("nested more than"), "{what}");
    // between our own bound and that of the wire
    let mut e = col("i");
    for _ in 0..60 {
        e = e + lit(1);
    }
    assert!(encode_expr(&e).unwrap_err().what.contains("levels deep"));

    let mut plan = scan("t");
    for _ in 0..60 {
        plan = LogicalPlanBuilder::from(plan).limit(0, Some(1)).unwrap().build().unwrap();
    }
    assert!(encode_plan(&plan).unwrap_err().what.contains("levels deep"));
}

#[test]
fn constants_of_other_types_are_named_without_their_value() {
    for (value, named) in [
        (ScalarValue::Time64Nanosecond(Some(271_828_182)), "Time64"),
        (ScalarValue::Date64(Some(271_828_182)), "Date64"),
        (ScalarValue::LargeBinary(Some(b"271828182".to_vec())), "LargeBinary"),
        (ScalarValue::IntervalYearMonth(Some(271_828_182)), "Interval"),
        (ScalarValue::Decimal128(Some(271_828_182), 10, -2), "Decimal128"),
        (
            ScalarValue::Dictionary(
                Box::new(datafusion::arrow::datatypes::DataType::Int8),
                Box::new(ScalarValue::Utf8(Some("271828182".into()))),
            ),
            "Dictionary",
        ),
        (
            ScalarValue::List(ScalarValue::new_list_nullable(
                &[ScalarValue::Int64(Some(271_828_182))],
                &datafusion::arrow::datatypes::DataType::Int64,
            )),
            "List",
        ),
    ] {
        let what = encode_expr(&col("x").eq(lit(value))).unwrap_err().what;
        assert!(what.contains(named) && !what.contains("271828182"), "{what}");
    }
}

#[test]
fn columns_of_the_same_name_are_named() {
    let same = vec![col("t.id"), col("t.i").alias_qualified(Some("u"), "id")];
    let plan = LogicalPlanBuilder::from(scan("t")).project(same).unwrap().build().unwrap();
    assert_eq!(encode_plan(&plan).unwrap_err().what, "two columns of the same name");
}
