//! Cells that one side releases and the other takes as they are; thresholds that a permit raises.

use super::{Rows, collect, plain, planned, registers};
use crate::release::{ColumnRole, Layout, Ledger, Roles, SchemaRoles, analyse, checked, makes_cells};
use arrow::record_batch::RecordBatch;
use datafusion::{
    datasource::MemTable,
    logical_expr::{LogicalPlan, TableSource},
    prelude::SessionContext,
};
use policies::{disclosure::Threshold, zone::Zone};
use std::{collections::HashMap, sync::Arc};

/// Table `cells` has what another side released.
struct Taken(Layout);

impl Roles for Taken {
    fn role(&self, source: &dyn TableSource, column: &str) -> ColumnRole {
        SchemaRoles.role(source, column)
    }

    fn has_people(&self, source: &dyn TableSource) -> bool {
        SchemaRoles.has_people(source)
    }

    fn cells(&self, _source: &dyn TableSource) -> Option<Layout> {
        Some(self.0.clone())
    }
}

fn at(least: u64) -> Threshold {
    Threshold::DEFAULT.raised_to(least)
}

async fn open_zone(ctx: &SessionContext, roles: &dyn Roles, sql: &str) -> Rows {
    let released = analyse(planned(ctx, sql).await, Zone::Open, roles, &Arc::default()).unwrap();
    let (_, mut rows) = collect(ctx, released.into_inner()).await;
    rows.sort();
    rows
}

#[tokio::test]
async fn what_follows_in_a_statement_sees_cells_of_another_side_as_its_own() {
    let ctx = registers();
    let cells = "SELECT kom, count(*) AS n, count(DISTINCT pnr) FILTER (WHERE koen = 1) AS m, avg(indkomst) AS x FROM bef GROUP BY kom";
    let ledger = Arc::new(Ledger::default());
    let made = checked(planned(&ctx, cells).await, &SchemaRoles, &ledger, Threshold::DEFAULT).unwrap();
    assert_eq!(made.layout().shown(), 4);
    let (plan, layout) = made.into_parts();
    let schema = Arc::new(plan.get().schema().as_arrow().clone());
    let frame = ctx.execute_logical_plan(plan.into_inner()).await.unwrap();
    let batches: Vec<RecordBatch> = frame.collect().await.unwrap();
    let other = SessionContext::new();
    other.register_table("cells", Arc::new(MemTable::try_new(schema, vec![batches]).unwrap())).unwrap();
    let taken = Taken(layout);
    for statement in [
        "SELECT kom, n, m, x FROM cells",
        "SELECT kom, coalesce(n, 0) AS n, coalesce(m, -1) + 1 AS m FROM cells",
        "SELECT kom, n FROM cells WHERE n > 6",
        "SELECT kom, x, sum(n) OVER () AS t FROM cells",
        "SELECT n FROM cells UNION ALL SELECT m FROM cells",
        "SELECT a.kom, a.n, b.x FROM cells a JOIN cells b ON a.kom = b.kom",
    ] {
        let own = open_zone(&ctx, &SchemaRoles, &format!("WITH cells AS ({cells}) {statement}")).await;
        assert!(!own.is_empty(), "{statement}");
        assert_eq!(open_zone(&other, &taken, statement).await, own, "{statement}");
    }
}

#[tokio::test]
async fn under_a_raised_threshold_nothing_is_shown_of_fewer() {
    let ctx = registers();
    let sql = "SELECT kom, count(DISTINCT pnr) AS n, count(DISTINCT pnr) FILTER (WHERE koen = 1) AS m, \
               avg(CASE WHEN koen = 1 THEN 1 ELSE 0 END) AS s, sum(indkomst) AS x FROM bef GROUP BY kom";
    let exact: HashMap<String, (u64, u64)> = plain(&ctx, sql)
        .await
        .into_iter()
        .map(|row| (row[0].clone(), (row[1].parse().unwrap(), row[2].parse().unwrap())))
        .collect();
    let mut most = usize::MAX;
    for least in [5, 6, 7, 8, 12, 13, 400] {
        let made = checked(planned(&ctx, sql).await, &SchemaRoles, &Arc::default(), at(least)).unwrap();
        let (_, rows) = collect(&ctx, made.into_parts().0.into_inner()).await;
        let (shown, hidden): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row[1] != "NULL");
        for row in &shown {
            let (people, part) = exact[&row[0]];
            assert!(people >= least, "{least}: {row:?}");
            if row[2] != "NULL" || row[3] != "NULL" {
                assert!(part >= least && people - part >= least, "{least}: {row:?}");
            }
        }
        // All that are too few are one row; rows without people another, where the platform's own rule is the one that hides them.
        assert!((1..=2).contains(&hidden.len()), "{least}: {hidden:?}");
        assert!(shown.len() <= most, "{least}");
        most = shown.len();
    }
    assert_eq!(most, 0);
}

#[tokio::test]
async fn the_node_that_makes_cells_is_found() {
    fn nodes(plan: &LogicalPlan, found: &mut Vec<String>) {
        if makes_cells(plan, &SchemaRoles).unwrap() {
            found.push(plan.display().to_string());
        }
        plan.inputs().into_iter().for_each(|input| nodes(input, found));
    }
    let ctx = registers();
    for (sql, made) in [
        ("SELECT kom, count(*) AS n FROM bef GROUP BY kom HAVING count(*) > 3 ORDER BY n LIMIT 3", 1),
        ("WITH e AS (SELECT pnr, count(*) AS n FROM lab GROUP BY pnr) SELECT n, count(*) FROM e GROUP BY n", 1),
        ("SELECT DISTINCT kom FROM bef", 1),
        ("SELECT DISTINCT n FROM (SELECT kom, count(*) AS n FROM bef GROUP BY kom) g", 1),
        (
            "WITH a AS (SELECT kom, count(*) AS n FROM bef GROUP BY kom), b AS (SELECT count(*) AS t FROM lab) SELECT * FROM a CROSS JOIN b",
            2,
        ),
        ("SELECT count(*) FROM kommuner", 0),
    ] {
        let mut found = Vec::new();
        nodes(&planned(&ctx, sql).await, &mut found);
        assert_eq!(found.len(), made, "{sql}: {found:?}");
    }
}
