//! The zone, EXPLAIN, and statements built to break the analysis itself.

use super::{collect, plain, planned, refusal, registers, released};
use crate::release::{SchemaRoles, analyse, explain};
use datafusion::logical_expr::LogicalPlan;
use policies::{
    disclosure::{PERTURBED, Rule, Status},
    zone::Zone,
};
use std::{collections::BTreeSet, sync::Arc};

#[tokio::test]
async fn the_enclave_sees_the_statement_unchanged() {
    let ctx = registers();
    let plan = planned(&ctx, "SELECT * FROM bef").await;
    let released = analyse(plan.clone(), Zone::Enclave, &SchemaRoles, &Arc::default()).unwrap();
    assert_eq!(released.get(), &plan);
    assert_eq!(collect(&ctx, released.into_inner()).await.1.len(), 38);
}

#[tokio::test]
async fn explain_shows_the_rules_and_runs_nothing() {
    let ctx = registers();
    let plan = planned(&ctx, "EXPLAIN SELECT kom, count(*) AS n FROM bef GROUP BY kom").await;
    let released = analyse(plan, Zone::Open, &SchemaRoles, &Arc::default()).unwrap().into_inner();
    assert!(matches!(released, LogicalPlan::Explain(_)));
    let (_, rows) = collect(&ctx, released).await;
    let text = format!("{rows:?}");
    assert!(text.contains("contributions(bef.pnr, Float64(1))"), "{text}");
    let plan = planned(&ctx, "EXPLAIN SELECT * FROM bef").await;
    assert!(analyse(plan, Zone::Open, &SchemaRoles, &Arc::default()).is_err());
}

#[tokio::test]
async fn explain_release_names_rules_in_the_words_of_the_last_column() {
    let words: BTreeSet<String> = Rule::ALL.into_iter().map(|rule| Status::Suppressed(rule).to_string()).collect();
    let ctx = registers();
    let mut told = BTreeSet::new();
    for (sql, rules) in [
        ("SELECT kom, count(*) AS n FROM bef GROUP BY kom", 2),
        ("SELECT count(*) FILTER (WHERE koen = 1) AS n FROM bef", 2),
        ("SELECT avg(CASE WHEN koen = 1 THEN 1 ELSE 0 END) AS m FROM bef", 2),
        ("SELECT sum(indkomst) AS s FROM bef", 3),
        ("SELECT avg(indkomst) AS m FROM bef", 4),
        ("SELECT kom, sum(indkomst) AS s FROM bef GROUP BY ROLLUP (kom)", 5),
    ] {
        let (_, mut notes) = explain(&planned(&ctx, sql).await, &SchemaRoles);
        notes.retain(|note| note.rule != "resolution"); // which the last column doesn't name
        let rules_of: BTreeSet<String> = notes.iter().map(|note| note.rule.to_string()).collect();
        assert!(rules_of.iter().all(|rule| *rule == PERTURBED || words.contains(rule)), "{sql}: {notes:?}");
        assert_eq!(rules_of.len(), rules, "{sql}: {notes:?}");
        told.extend(rules_of);
    }
    assert_eq!(told.len(), 6, "{told:?}");
}

#[tokio::test]
async fn a_long_condition_is_no_deep_one() {
    let sql = |parts: u32| {
        let conditions: Vec<String> = (0..parts).map(|i| format!("kom <> {}", 1000 + i)).collect();
        format!("SELECT count(*) AS n FROM bef WHERE {}", conditions.join(" AND "))
    };
    let (_, rows) = released(&registers(), &sql(120)).await.unwrap();
    assert_eq!(rows, [["35", "released"]]);
    // the engine's own evaluation would end the stack, and with it the process
    assert!(released(&registers(), &sql(600)).await.unwrap_err().reason.contains("too many parts"));
}

#[test]
fn a_deep_statement_is_refused_before_the_stack_ends() {
    // the stack of a worker thread
    let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(|| {
        use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let plan = runtime.block_on(planned(&registers(), "SELECT * FROM bef"));
        for depth in [40, 90, 400] {
            let mut builder = LogicalPlanBuilder::from(plan.clone());
            for i in 0..depth {
                builder = builder.filter(col("kom").gt(lit(i))).unwrap();
            }
            let deep = builder.build().unwrap();
            assert!(analyse(deep, Zone::Open, &SchemaRoles, &Arc::default()).is_err());
            let mut expr = col("kom");
            for _ in 0..depth {
                expr = Expr::Negative(Box::new(expr));
            }
            let deep = LogicalPlanBuilder::from(plan.clone()).filter(expr.is_not_null()).unwrap().build().unwrap();
            assert!(analyse(deep, Zone::Open, &SchemaRoles, &Arc::default()).is_err());
        }
    });
    worker.unwrap().join().unwrap();
}

#[tokio::test]
async fn a_refusal_names_no_literal() {
    let text = refusal("SELECT count(*) FROM bef WHERE pnr = X'00112233445566778899aabbccddeeff' AND kom = 4711").await;
    assert!(!text.contains("4711") && !text.to_lowercase().contains("aabbcc"), "{text}");
}

#[tokio::test]
async fn what_is_refused_here_runs_in_plain_sql() {
    // otherwise the refusal tests would test the planner
    let ctx = registers();
    for sql in [
        "SELECT max(indkomst) FROM bef",
        "SELECT count(*) FROM bef b JOIN lab l ON b.kom = l.vaerdi",
        "SELECT count(*) FROM (SELECT kom FROM bef GROUP BY kom) x",
    ] {
        assert_eq!(plain(&ctx, sql).await.len(), 1);
    }
}
