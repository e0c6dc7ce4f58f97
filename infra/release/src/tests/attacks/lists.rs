//! Lists that an attacker brings along, and joins so tight that few are left.

use super::super::{
    answer as exact,
    noise::{after, large},
    plain, registers, released,
};
use std::sync::Arc;

/// What is known of people (where they live, which part they are in), as a list; the last one is the target.
const KNOWN: [(i32, i32); 6] = [(9, 3), (9, 14), (9, 51), (12, 8), (12, 77), (18, 0)];

fn list(known: &[(i32, i32)]) -> String {
    let rows: Vec<String> = known.iter().map(|(kom, del)| format!("({kom}, {del})")).collect();
    format!("(VALUES {}) AS v(kom, del)", rows.join(", "))
}

/// Learns: nothing of the last one on the list; with and without them the answer is the same. Off (plain SQL): whether they are ill.
#[tokio::test]
async fn attack_own_list_with_and_without_a_person_is_answered_alike() {
    let ctx = large(1);
    let everybody: Vec<(i32, i32)> = (9..18).flat_map(|kom| (0..30).map(move |del| (kom, del))).collect();
    let with: Vec<(i32, i32)> = everybody.iter().copied().chain([(18, 41)]).collect();
    for form in ["JOIN", "CTE"] {
        let ask = |known: &[(i32, i32)]| match form {
            "JOIN" => format!(
                "SELECT count(DISTINCT b.pnr) AS n FROM bef b JOIN {} ON v.kom = b.kom AND v.del = b.del",
                list(known)
            ),
            _ => format!(
                "WITH mine AS (SELECT * FROM {}) SELECT count(DISTINCT b.pnr) AS n FROM bef b \
                 JOIN mine m ON m.kom = b.kom AND m.del = b.del",
                list(known)
            ),
        };
        let ledger = Arc::default();
        let first = after(&ctx, &ledger, &ask(&everybody)).await;
        assert_eq!(after(&ctx, &ledger, &ask(&with)).await, first, "{form}");
        assert_ne!(
            exact(&ctx, &ask(&with)).await,
            exact(&ctx, &ask(&everybody)).await,
            "the attack doesn't work by itself"
        );
    }
}

/// A list of six known people, or a join that leaves one: too few. Off (plain SQL): how many of them are ill, and the one's age.
#[tokio::test]
async fn attack_tiny_joins_show_nothing() {
    let ctx = large(1);
    let join = |known: &[(i32, i32)]| format!("bef b JOIN {} ON v.kom = b.kom AND v.del = b.del", list(known));
    for (sql, column) in [
        (format!("SELECT sum(b.syg) AS s, count(DISTINCT b.pnr) AS n FROM {}", join(&KNOWN[..2])), 0),
        (format!("SELECT avg(b.alder) AS a FROM {} WHERE b.alder = 36", join(&KNOWN[5..])), 0),
        (
            format!(
                "SELECT count(*) AS n FROM {} JOIN bef c ON c.pnr = b.pnr AND c.del = 0 WHERE b.alder = 36",
                join(&KNOWN[5..])
            ),
            0,
        ),
    ] {
        let ledger = Arc::default();
        assert_eq!(after(&ctx, &ledger, &sql).await[0][column], "NULL", "{sql}");
        assert_ne!(plain(&ctx, &sql).await[0][column], "NULL", "the attack doesn't work by itself: {sql}");
    }
}

/// A list that names somebody a thousand times is still about one person. Off (rows counted, not people): a large cell.
#[tokio::test]
async fn attack_a_list_that_repeats_a_person_makes_no_large_group() {
    let ctx = registers();
    let rows: Vec<String> = (0..200).map(|n| format!("(104, {n})")).collect();
    let sql = format!(
        "SELECT count(*) AS n, sum(b.indkomst) AS s FROM bef b JOIN (VALUES {}) AS v(kom, n) ON v.kom = b.kom",
        rows.join(", ")
    );
    assert_eq!(plain(&ctx, &sql).await[0][0], "200");
    assert_eq!(released(&ctx, &sql).await.unwrap().1[0][..2], ["NULL", "NULL"]);
}

/// A list of weights puts one person's value alone into a sum: hidden, since one person adds to it. Off (plain SQL): the value.
#[tokio::test]
async fn attack_a_list_of_weights_that_are_zero_but_for_one_is_hidden() {
    let ctx = registers();
    let sql = "SELECT sum(b.indkomst * v.w) AS s FROM bef b \
               JOIN (VALUES (101, 0), (102, 0), (106, 0), (104, 1)) AS v(kom, w) ON v.kom = b.kom";
    assert_eq!(plain(&ctx, sql).await[0][0], super::income());
    assert_eq!(released(&ctx, sql).await.unwrap().1[0][0], "NULL");
}
