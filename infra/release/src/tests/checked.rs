//! Cells that one side releases and the other takes as they are; thresholds that a permit raises.

use super::{Rows, collect, noise::pseudonym, plain, planned, register, registers, role};
use crate::release::{ColumnRole, Layout, Ledger, Roles, SchemaRoles, analyse, checked, explain, makes_cells};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Int32Array},
    datatypes::{DataType, Field},
    record_batch::RecordBatch,
};
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

/// Tables with such a column are there under a permit that asks for so many people.
struct Asks(&'static str, u64);

impl Roles for Asks {
    fn role(&self, source: &dyn TableSource, column: &str) -> ColumnRole {
        SchemaRoles.role(source, column)
    }

    fn has_people(&self, source: &dyn TableSource) -> bool {
        SchemaRoles.has_people(source)
    }

    fn least(&self, source: &dyn TableSource) -> Threshold {
        if source.schema().field_with_name(self.0).is_ok() { at(self.1) } else { Threshold::DEFAULT }
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
            let shown = row.iter().skip(1).take(2).filter(|count| *count != "NULL");
            assert!(shown.into_iter().all(|count| count.parse::<u64>().unwrap() >= least), "{least}: {row:?}");
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

/// 400 groups `g`: of 10 to 17 people with `s` = 1 and 14 with 0, under pseudonyms as a project has them.
fn near_ten() -> SessionContext {
    let ctx = registers();
    let (mut who, mut g, mut s) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..400 {
        let ill = 10 + group % 8;
        for person in 0..ill + 14 {
            who.push(pseudonym(u32::try_from(group * 100 + person).unwrap(), 1));
            g.push(group);
            s.push(i32::from(person < ill));
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(FixedSizeBinaryArray::try_from_iter(who.iter()).unwrap()),
        Arc::new(Int32Array::from(g)),
        Arc::new(Int32Array::from(s)),
    ];
    let whole = |name: &str| Field::new(name, DataType::Int32, false);
    register(&ctx, "near", vec![role("pnr", "person"), whole("g"), whole("s")], columns, false);
    ctx
}

/// Whoever knows that the threshold is ten and sees a seven knows that there are ten, eleven or twelve.
#[tokio::test]
async fn attack_a_count_below_a_raised_threshold_tells_that_it_is_just_above() {
    let ctx = near_ten();
    for sql in [
        "SELECT g, s, count(DISTINCT pnr) AS n, count(*) AS m FROM near GROUP BY g, s",
        "SELECT g, 0, count(DISTINCT pnr) FILTER (WHERE s = 1) AS n, sum(s) AS m FROM near GROUP BY g",
        "SELECT g, 0, sum(CASE WHEN s = 1 THEN 1 ELSE 0 END) AS n, count(nullif(s, 0)) AS m FROM near GROUP BY g",
    ] {
        let counts = |rows: Rows| -> Vec<u64> {
            let cells = rows.into_iter().flat_map(|row| [row[2].clone(), row[3].clone()]);
            cells.filter(|cell| cell != "NULL").map(|cell| cell.parse().unwrap()).collect()
        };
        // The platform's own threshold lets a ten be a five.
        let own = counts(open_zone(&ctx, &SchemaRoles, sql).await);
        assert!(own.iter().any(|n| *n < 10), "the attack doesn't work by itself");
        let hubs = counts(open_zone(&ctx, &Asks("g", 10), sql).await);
        let made = checked(planned(&ctx, sql).await, &SchemaRoles, &Arc::default(), at(10)).unwrap();
        let spokes = counts(collect(&ctx, made.into_parts().0.into_inner()).await.1);
        for shown in [hubs, spokes] {
            assert!(shown.len() > 300, "{}", shown.len());
            assert!(shown.iter().all(|n| *n >= 10), "{:?}", shown.iter().min());
        }
    }
}

/// A permit that asks for ten people, where the hub looks at the cells.
#[tokio::test]
async fn attack_small_groups_of_a_table_whose_permit_asks_for_more_people() {
    let ctx = registers();
    let ten = "suppressed: fewer than 10 people";
    let few = |rows: &Rows| rows.iter().filter(|row| row.last().is_some_and(|status| status == ten)).count();
    let groups = "SELECT kom, count(DISTINCT pnr) AS n FROM bef GROUP BY kom";
    let rows = open_zone(&ctx, &Asks("indkomst", 10), groups).await;
    let shown: Vec<&str> = rows.iter().filter(|row| row[1] != "NULL").map(|row| row[0].as_str()).collect();
    assert!(shown.iter().all(|kom| *kom == "101"), "{rows:?}");
    assert_eq!(few(&rows), 1, "{rows:?}");
    // Of whatever part of a statement: joined, in a condition, beside another table.
    for sql in [
        "SELECT count(DISTINCT l.pnr) AS n FROM lab l JOIN bef b ON b.pnr = l.pnr WHERE l.kode = 'B'",
        "SELECT count(DISTINCT pnr) AS n FROM lab WHERE kode = 'B' AND pnr IN (SELECT pnr FROM bef)",
        "SELECT count(DISTINCT pnr) AS n FROM lab WHERE kode = 'B' AND EXISTS (SELECT 1 FROM bef WHERE bef.pnr = lab.pnr)",
        "WITH b AS (SELECT count(*) AS n FROM bef), l AS (SELECT count(*) AS n FROM lab WHERE kode = 'B') \
         SELECT l.n FROM l CROSS JOIN b",
        "SELECT count(DISTINCT pnr) AS n FROM lab WHERE kode = 'B' UNION ALL SELECT count(*) FROM bef",
    ] {
        let rows = open_zone(&ctx, &Asks("indkomst", 10), sql).await;
        assert!(rows.iter().any(|row| row[0] == "NULL") && few(&rows) == 1, "{sql}: {rows:?}");
    }
    // A statement that doesn't read it has the platform's own.
    let other = "SELECT kode, count(DISTINCT pnr) AS n FROM lab GROUP BY kode";
    assert_eq!(open_zone(&ctx, &Asks("indkomst", 10), other).await, open_zone(&ctx, &SchemaRoles, other).await);
    let told = |notes: Vec<crate::release::Note>| notes.iter().any(|note| note.rule == ten);
    assert!(told(explain(&planned(&ctx, groups).await, &Asks("indkomst", 10)).1));
    assert!(!told(explain(&planned(&ctx, other).await, &Asks("indkomst", 10)).1));
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
