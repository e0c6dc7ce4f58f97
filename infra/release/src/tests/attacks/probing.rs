//! HAVING, ORDER BY, CASE and windows over results: they see what is shown, and nothing closer.

use super::super::{
    answer as exact,
    noise::{after, large},
};
use std::{collections::BTreeSet, sync::Arc};

const GROUPS: &str = "SELECT kom, count(DISTINCT pnr) AS n FROM bef GROUP BY kom";

const PARTS: &str = "SELECT del % 19 AS kom, count(DISTINCT pnr) AS n FROM bef WHERE alder > 37 GROUP BY del % 19";

/// Learns: the shown number, once more. Off (without noise): the exact number of people of every group.
#[tokio::test]
async fn attack_having_and_case_probing_find_the_shown_number_only() {
    let ctx = large(1);
    let ledger = Arc::default();
    let shown = after(&ctx, &ledger, &format!("SELECT n FROM ({GROUPS}) g WHERE kom = 9")).await[0][0].clone();
    let truth = exact(&ctx, &format!("SELECT n FROM ({GROUPS}) g WHERE kom = 9")).await[0][0].clone();
    assert_ne!(shown, truth, "there is no noise on this group: choose another");
    let near: i64 = truth.parse().unwrap();
    let (mut by_having, mut by_case, mut plainly) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for guess in near - 8..=near + 8 {
        let having = format!(
            "SELECT kom, count(*) AS rows FROM bef WHERE kom = 9 GROUP BY kom HAVING count(DISTINCT pnr) = {guess}"
        );
        if !after(&ctx, &ledger, &having).await.is_empty() {
            by_having.insert(guess.to_string());
        }
        if !exact(&ctx, &having).await.is_empty() {
            plainly.insert(guess.to_string());
        }
        let case = format!(
            "SELECT CASE WHEN count(DISTINCT pnr) = {guess} THEN 'yes' ELSE 'no' END AS x FROM bef WHERE kom = 9"
        );
        if after(&ctx, &ledger, &case).await[0][0] == "yes" {
            by_case.insert(guess.to_string());
        }
    }
    assert_eq!((by_having, by_case), (BTreeSet::from([shown.clone()]), BTreeSet::from([shown])));
    assert_eq!(plainly, BTreeSet::from([truth]), "the attack doesn't work by itself");
}

/// Learns: the order of the shown numbers. Off (without noise): who has one person more than whom.
#[tokio::test]
async fn attack_ordering_groups_follows_the_shown_numbers() {
    let ctx = large(1);
    let ledger = Arc::default();
    // Parts are nearly of one size, so that noise decides their order.
    let mut numbers = after(&ctx, &ledger, PARTS).await;
    numbers.retain(|row| row[0] != "NULL");
    let of = |kom: &str| numbers.iter().find(|row| row[0] == kom).unwrap()[1].parse::<i64>().unwrap();
    for ordered in [
        format!("SELECT kom FROM ({PARTS}) g ORDER BY n DESC NULLS LAST, kom LIMIT 6"),
        format!(
            "SELECT kom FROM (SELECT kom, rank() OVER (ORDER BY n DESC NULLS LAST, kom) AS r FROM ({PARTS}) g) h WHERE r <= 6"
        ),
    ] {
        let first: BTreeSet<String> = after(&ctx, &ledger, &ordered).await.iter().map(|row| row[0].clone()).collect();
        let mut by_shown: Vec<&str> = numbers.iter().map(|row| row[0].as_str()).collect();
        by_shown.sort_by_key(|kom| (-of(kom), kom.parse::<i64>().unwrap()));
        assert_eq!(first, by_shown.iter().take(6).map(|kom| (*kom).to_owned()).collect(), "{ordered}");
    }
    // Off: some two groups come in another order by their exact numbers.
    let exactly = exact(&ctx, PARTS).await;
    let truth = |kom: &str| exactly.iter().find(|row| row[0] == kom).unwrap()[1].parse::<i64>().unwrap();
    let turned = numbers.iter().flat_map(|a| numbers.iter().map(move |b| (&a[0], &b[0])));
    assert!(turned.filter(|(a, b)| of(a) > of(b) && truth(a) < truth(b)).count() > 0, "noise moves no order");
}

/// What a group of few has is not seen by anything that is computed from it. Off: it is.
#[tokio::test]
async fn attack_probing_a_suppressed_group_sees_nothing() {
    let ctx = super::registers();
    for sql in [
        "SELECT kom, count(*) AS n FROM bef GROUP BY kom HAVING count(*) BETWEEN 1 AND 4",
        "SELECT kom, count(*) AS n FROM bef GROUP BY kom HAVING NOT count(*) > 4",
        "SELECT n FROM (SELECT kom, count(*) AS n FROM bef GROUP BY kom) g WHERE kom = 104",
        "SELECT kom, n FROM (SELECT kom, count(*) AS n, row_number() OVER (ORDER BY count(*)) AS r FROM bef GROUP BY kom) g WHERE r = 1",
    ] {
        let plain = super::plain(&ctx, sql).await;
        assert!(plain.iter().flatten().any(|cell| cell == "1"), "the attack doesn't work by itself: {sql}");
        let shown = super::released(&ctx, sql).await.unwrap().1;
        assert!(
            shown.iter().all(|row| row.iter().all(|cell| !["1", "4", "104"].contains(&cell.as_str()))),
            "{shown:?}"
        );
    }
}
