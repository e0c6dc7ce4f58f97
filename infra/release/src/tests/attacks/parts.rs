//! What several controllers' parts tell beside their total.

use super::super::{
    noise::{after, pseudonym},
    plain, register, role,
};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Float64Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Two controllers: one has 300 people, the other so many.
fn two(few: u32) -> SessionContext {
    let ctx = SessionContext::new();
    for (table, people) in [("nord", 0..300), ("syd", 1_000..1_000 + few)] {
        let who: Vec<[u8; 16]> = people.clone().map(|person| pseudonym(person, 5)).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(FixedSizeBinaryArray::try_from_iter(who.iter()).unwrap()),
            Arc::new(Float64Array::from_iter_values(people.map(|person| f64::from(person % 90)))),
        ];
        register(&ctx, table, vec![role("pnr", "person"), Field::new("x", DataType::Float64, false)], columns, false);
    }
    ctx
}

const BOTH: &str = "(SELECT pnr, 'nord' AS c FROM nord UNION ALL SELECT pnr, 'syd' AS c FROM syd) u";

/// Learns: that the small controller has fewer than ten people; how many of these is the same for all. Off (plain SQL): how many.
#[tokio::test]
async fn attack_the_total_less_the_shown_parts_is_the_same_for_one_to_four_people() {
    let mut told = Vec::new();
    for few in 1..=4 {
        let ctx = two(few);
        for total_first in [false, true] {
            let ledger = Arc::default();
            let total = format!("SELECT count(DISTINCT pnr) AS n FROM {BOTH}");
            let parts = format!("SELECT c, count(DISTINCT pnr) AS n FROM {BOTH} GROUP BY c");
            let mut before = String::new();
            if total_first {
                before = after(&ctx, &ledger, &total).await[0][0].clone();
            }
            let shown = after(&ctx, &ledger, &parts).await;
            if !total_first {
                before = after(&ctx, &ledger, &total).await[0][0].clone();
            }
            let nord = &shown.iter().find(|row| row[0] == "nord").unwrap()[1];
            assert!(shown.iter().any(|row| row[1] == "NULL"), "{shown:?}");
            told.push(before.parse::<i64>().unwrap() - nord.parse::<i64>().unwrap());
            let exactly = plain(&ctx, &total).await[0][0].parse::<i64>().unwrap() - 300;
            assert_eq!(exactly, i64::from(few), "the attack doesn't work by itself");
        }
    }
    assert_eq!(told, [0; 8]);
}

/// The same when each part is asked by itself, and the small one as everybody who is not in the large one.
#[tokio::test]
async fn attack_parts_asked_one_by_one_tell_no_small_one() {
    let ctx = two(3);
    let ledger = Arc::default();
    let all = after(&ctx, &ledger, &format!("SELECT count(DISTINCT pnr) AS n FROM {BOTH}")).await[0][0].clone();
    let nord = after(&ctx, &ledger, "SELECT count(DISTINCT pnr) AS n FROM nord").await[0][0].clone();
    assert_eq!(all, nord);
    for sql in [
        "SELECT count(DISTINCT pnr) AS n FROM syd".to_owned(),
        format!("SELECT count(DISTINCT pnr) AS n FROM {BOTH} WHERE pnr NOT IN (SELECT pnr FROM nord)"),
        format!("SELECT count(DISTINCT pnr) FILTER (WHERE c = 'syd') AS n FROM {BOTH}"),
    ] {
        assert_eq!(plain(&ctx, &sql).await[0][0], "3");
        assert_eq!(after(&ctx, &ledger, &sql).await[0][0], "NULL", "{sql}");
    }
}
