//! The cap on new numbers: what is beyond it, and what nobody learns from it.

use super::super::{
    collect,
    noise::{after, large},
    planned, registers,
};
use crate::release::{Caps, Ledger, Ledgers, SchemaRoles, analyse};
use datafusion::{common::DataFusionError, dataframe::DataFrame, prelude::SessionContext};
use policies::zone::Zone;
use proto::refusal::{Kind, Refusal};
use std::sync::Arc;

async fn asked(ctx: &SessionContext, ledger: &Arc<Ledger>, sql: &str) -> Result<(), DataFusionError> {
    let plan = analyse(planned(ctx, sql).await, Zone::Open, &SchemaRoles, ledger);
    let plan = plan.unwrap_or_else(|refusal| panic!("{sql}\n{refusal}")).into_inner();
    DataFrame::new(ctx.state(), plan).collect().await.map(|_| ())
}

/// What a statement costs in a project that has asked nothing before, or in `ledger`.
async fn cost(ctx: &SessionContext, ledger: &Arc<Ledger>, sql: &str) -> u64 {
    let before = ledger.cost();
    asked(ctx, ledger, sql).await.unwrap();
    ledger.cost() - before
}

/// Counts of sets that are far from each other, so many in one statement.
fn sets(from: usize, together: usize) -> String {
    let set = |n: usize| format!("count(DISTINCT pnr) FILTER (WHERE del % 41 <> {}) AS s{n}", from + n);
    format!("SELECT {} FROM bef", (0..together).map(set).collect::<Vec<_>>().join(", "))
}

/// Learns: nothing more than the cap's numbers a day. Off: averaging has no end.
#[tokio::test]
async fn attack_averaging_ends_at_the_cap() {
    let ctx = large(1);
    let ledger = Arc::new(Ledger::within(Caps { per_day: 20, per_key: 1_000 }));
    let first = after(&ctx, &ledger, &sets(0, 10)).await;
    assert_eq!(ledger.cost(), 10);
    asked(&ctx, &ledger, &sets(10, 10)).await.unwrap();
    let refused = asked(&ctx, &ledger, &sets(20, 1)).await.unwrap_err();
    let DataFusionError::External(refusal) = refused.find_root() else { panic!("{refused}") };
    let refusal = refusal.downcast_ref::<Refusal>().unwrap();
    assert_eq!(refusal.kind, Kind::Exhausted);
    for words in ["20 new ones a day (UTC)", "midnight UTC", "controllers", "airlock"] {
        assert!(refusal.message.contains(words), "{}", refusal.message);
    }
    // What was asked before is answered as it was.
    assert_eq!(after(&ctx, &ledger, &sets(0, 10)).await, first);
    assert_eq!(ledger.cost(), 20);
}

/// Learns: nothing; a cap that is nearly used up is enough for a statement or it isn't, whoever is in the tables. Off (cells that the ledger has not
/// seen count): whether two sets are near, and how many small groups there are.
#[tokio::test]
async fn attack_by_what_a_statement_costs_tells_nothing() {
    let ctx = large(1);
    let each = "(SELECT pnr, min(kom) AS k, min(del) AS d, min(syg) AS s, min(alder) AS a FROM bef GROUP BY pnr) x";
    // near to an earlier set, or far from it
    let ledger = Arc::default();
    let of = |condition: &str| format!("SELECT count(*) AS n, sum(a) AS s FROM {each} WHERE {condition}");
    for condition in ["k = 18", "k = 18 AND NOT d = 0", "k = 17", "k = 18 AND d = 0 AND a = 36", "k = 99"] {
        assert_eq!(cost(&ctx, &ledger, &of(condition)).await, 2, "{condition}");
        assert_eq!(cost(&ctx, &ledger, &of(condition)).await, 0, "{condition}, again");
    }
    // two sets in one statement, that differ by one person or not at all
    for second in ["k = 18", "k = 18 AND NOT (d = 0 AND a = 36)"] {
        let sql = format!("SELECT sum(a) FILTER (WHERE k = 18) AS s, sum(a) FILTER (WHERE {second}) AS t FROM {each}");
        assert_eq!(
            cost(&ctx, &Arc::default(), &sql).await,
            if second == "k = 18" { 1 } else { 2 },
            "{second}: as it is written"
        );
        let keys = format!(
            "SELECT q, sum(a) AS s FROM (SELECT pnr, a, 1 AS q FROM {each} WHERE k = 18 UNION ALL SELECT pnr, a, 2 AS q FROM {each} WHERE {second}) y GROUP BY q"
        );
        assert_eq!(cost(&ctx, &Arc::default(), &keys).await, 3, "{second}");
    }
    // small groups, none or several of them; hidden statistics of a group that is shown, and of one that isn't
    for few in ["false", "d = 0 AND k = 18", "d IN (0, 1) AND k > 16", "d = 99"] {
        let sql = format!(
            "SELECT CASE WHEN {few} THEN d + k * 100 END AS g, count(*) AS n, sum(a) AS s FROM {each} WHERE k > 10 GROUP BY 1"
        );
        assert_eq!(cost(&ctx, &Arc::default(), &sql).await, 4, "{few}");
    }
    for hidden in ["d < 0", "d = 0", "d < 50", "d >= 0"] {
        let sql = format!("SELECT k, count(*) FILTER (WHERE {hidden}) AS n FROM {each} WHERE k IN (17, 18) GROUP BY k");
        assert_eq!(cost(&ctx, &Arc::default(), &sql).await, 3, "{hidden}");
    }
    // HAVING and LIMIT see what is shown
    let all = format!("SELECT k, count(*) AS n FROM {each} WHERE k > 15 GROUP BY k");
    let groups = cost(&ctx, &Arc::default(), &all).await;
    for end in ["HAVING count(*) > 100000", "ORDER BY n LIMIT 1"] {
        let told = cost(&ctx, &Arc::default(), &format!("{all} {end}")).await;
        assert!((groups..=2 * groups).contains(&told), "{end}: {told} {groups}");
    }
    // keys alone, and tables without people
    assert_eq!(cost(&ctx, &Arc::default(), "SELECT DISTINCT syg FROM bef").await, 3);
    assert_eq!(cost(&registers(), &Arc::default(), "SELECT * FROM kommuner").await, 0);
    // Long lists of values are told apart.
    let ledger = Arc::default();
    for last in [6, 7] {
        let sql = format!(
            "SELECT count(DISTINCT bef.pnr) AS n FROM bef JOIN (VALUES (1), (2), (3), (4), (5), ({last})) AS v(c) ON bef.kom = v.c"
        );
        assert_eq!(cost(&ctx, &ledger, &sql).await, 1, "{last}");
    }
}

#[tokio::test]
async fn what_was_asked_counts_after_a_restart_and_ends_with_the_project() {
    let ctx = large(1);
    let folder = tempfile::tempdir().unwrap();
    let project = "diabetes".parse().unwrap();
    let caps = Caps { per_day: 12, per_key: 1_000 };
    {
        let ledgers = Ledgers::new(folder.path().to_owned()).with_caps(caps);
        asked(&ctx, &ledgers.of(&project, 1), &sets(0, 10)).await.unwrap();
    }
    let ledgers = Ledgers::new(folder.path().to_owned()).with_caps(caps);
    asked(&ctx, &ledgers.of(&project, 1), &sets(0, 10)).await.unwrap();
    asked(&ctx, &ledgers.of(&project, 1), &sets(10, 3)).await.unwrap_err();
    asked(&ctx, &ledgers.of(&project, 2), &sets(10, 3)).await.unwrap();
    let (plan, held) = (planned(&ctx, &sets(30, 2)).await, ledgers.of(&project, 1));
    let plan = analyse(plan, Zone::Open, &SchemaRoles, &held).unwrap().into_inner();
    assert_eq!(ledgers.end(&project).unwrap().0, 4, "cells and what was asked, of two keys");
    assert!(DataFrame::new(ctx.state(), plan).collect().await.is_err(), "the project has ended");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // A plan that nobody counts is none of a project.
    assert_eq!(collect(&ctx, planned(&ctx, "SELECT 1 AS x").await).await.1, [["1"]]);
}
