//! Broken off at every stage, tidily or as by a kill: the previous snapshot stays, the next run is right and clean.

use super::*;
use crate::ingest::Outcome;

const STAGES: [Stage; 6] =
    [Stage::Started, Stage::Read, Stage::Sorted, Stage::Written, Stage::Prepared, Stage::Committed];

fn spoke(role: &str, mode: &str) -> Spoke {
    let spoke = Spoke::with("[ingest]\nmemory = \"0\"\n");
    let person = if role == "person" { "role = \"person\"" } else { "type = \"text\"" };
    spoke.declare(
        "t",
        role,
        &format!("mode = \"{mode}\"\n"),
        &format!("[[column]]\nname = \"pnr\"\n{person}\n[[column]]\nname = \"x\"\ntype = \"text\"\n"),
    );
    spoke
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_every_way() {
    for role in ["person", "reference"] {
        for at in STAGES {
            for tidy in [true, false] {
                let spoke = spoke(role, "replace");
                let row = |x: &str| {
                    if role == "person" {
                        format!("{}|{x}", hex(person(707_614_285)))
                    } else {
                        format!("0707614285|{x}")
                    }
                };
                spoke.file("in/t.csv", "pnr;x\n0707614285;a\n");
                spoke.ingest().await;
                spoke.file("in/t.csv", "pnr;x\n0707614285;b\n");
                let error = spoke.try_ingest(interrupted(at, tidy)).await.unwrap_err();
                assert!(error.to_string().contains(&format!("interrupted at {at:?}")), "{error}");
                let committed = at == Stage::Committed;
                assert_eq!(spoke.rows("t").await, [row(if committed { "b" } else { "a" })], "{at:?} {tidy}");
                if tidy {
                    assert!(spoke.files("spill").is_empty(), "{at:?}");
                    let parts = spoke.files("data").iter().filter(|file| file.contains("part-")).count();
                    assert_eq!(parts, if committed { 2 } else { 1 }, "{at:?}");
                }
                // a half-written file of a local store, as a kill leaves it
                spoke.file("data/t/part-killed.parquet#1", "half");
                let summary = &spoke.ingest().await[0];
                let expected = if committed { Outcome::NothingNew } else { Outcome::Published };
                assert_eq!((summary.outcome, summary.snapshot), (expected, 1), "{at:?} {tidy}");
                assert_eq!(spoke.rows("t").await, [row("b")]);
                assert!(spoke.files("spill").is_empty(), "{at:?} {tidy}");
                let parts: Vec<String> =
                    spoke.files("data").into_iter().filter(|file| file.contains("part-")).collect();
                assert_eq!(parts.len(), 2, "{at:?} {tidy}: {parts:?}");
                assert_eq!(spoke.ingest().await[0].outcome, Outcome::NothingNew);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_ingest_that_is_cut_off_leaves_no_table() {
    for at in STAGES.into_iter().filter(|at| *at != Stage::Committed) {
        let spoke = spoke("person", "append");
        spoke.file("in/t.csv", "pnr;x\n0707614285;a\n");
        spoke.try_ingest(interrupted(at, false)).await.unwrap_err();
        assert!(spoke.snapshot("t").await.is_none(), "{at:?}");
        assert_eq!(spoke.ingest().await[0].rows_in_table, 1, "{at:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_files_are_neither_lost_nor_doubled() {
    for at in STAGES {
        let spoke = spoke("person", "append");
        spoke.file("in/t1.csv", "pnr;x\n0707614285;a\n");
        spoke.ingest().await;
        spoke.file("in/t2.csv", "pnr;x\n0707614285;b\n");
        spoke.try_ingest(interrupted(at, false)).await.unwrap_err();
        spoke.ingest().await;
        spoke.ingest().await;
        let mut rows = spoke.rows("t").await;
        rows.sort();
        let person = hex(person(707_614_285));
        assert_eq!(rows, [format!("{person}|a"), format!("{person}|b")], "{at:?}");
    }
}
