//! Answers about many that hang on one: what is missing where somebody has nothing, and values that only one person has.

use super::super::{
    answer as exact,
    noise::{after, large},
    plain, planned, registers,
};
use crate::release::{SchemaRoles, open};
use std::sync::Arc;

/// Person numbers of the one in municipality 104, where they have a sample of this kind; and else a missing one.
fn padded(kode: &str) -> String {
    format!("SELECT d.pnr FROM bef x LEFT JOIN lab d ON d.pnr = x.pnr AND d.kode = '{kode}' WHERE x.kom = 104")
}

/// The same, and else none at all.
fn matched(kode: &str) -> String {
    format!("SELECT x.pnr FROM bef x JOIN lab d ON d.pnr = x.pnr AND d.kode = '{kode}' WHERE x.kom = 104")
}

/// Learns: nothing, the answer is of everybody else whether the one has a sample or not. Off (plain SQL, and the rules as they stand in
/// SQL): of nobody, or of everybody else; with rows that have no number, or without.
#[tokio::test]
async fn attack_not_in_where_somebodys_number_is_missing_is_answered_alike() {
    let ctx = registers();
    let rows = "FROM bef a LEFT JOIN lab c ON c.pnr = a.pnr AND c.kode = 'A'";
    let asked = |kode: &str| {
        let (padded, matched) = (padded(kode), matched(kode));
        vec![
            format!("SELECT count(DISTINCT a.pnr) AS n FROM bef a WHERE a.pnr NOT IN ({padded})"),
            format!("SELECT count(DISTINCT a.pnr) AS n FROM bef a WHERE NOT a.pnr IN ({padded}) AND a.koen > 0"),
            format!("SELECT count(*) AS n FROM bef a WHERE a.pnr NOT IN (SELECT DISTINCT pnr FROM ({matched}) q)"),
            format!("SELECT count(*) AS n FROM bef a WHERE a.pnr NOT IN ({padded} UNION ALL {padded})"),
            format!(
                "SELECT count(*) AS n FROM bef a WHERE a.pnr IN (SELECT b.pnr FROM bef b WHERE b.pnr NOT IN ({padded}))"
            ),
            // who has no number themselves
            format!("SELECT count(*) AS n FROM bef a WHERE a.pnr NOT IN ({matched})"),
            format!("SELECT count(DISTINCT a.pnr) AS n {rows} WHERE c.pnr NOT IN ({matched})"),
        ]
    };
    for (has, has_not) in asked("A").into_iter().zip(asked("B")) {
        let counts =
            [plain(&ctx, &has).await, plain(&ctx, &has_not).await].map(|rows| rows[0][0].parse::<i64>().unwrap());
        assert!((counts[0] - counts[1]).abs() > 5, "the attack doesn't work by itself: {has}\n{counts:?}");
        let exactly =
            [exact(&ctx, &has).await, exact(&ctx, &has_not).await].map(|rows| rows[0][0].parse::<i64>().unwrap());
        assert_eq!(exactly[1] - exactly[0], 1, "but for the one: {has}\n{exactly:?}");
        let ledger = Arc::default();
        let first = after(&ctx, &ledger, &has).await;
        assert_ne!(first[0][0], "NULL", "{has}");
        assert_eq!(after(&ctx, &ledger, &has_not).await, first, "{has}");
    }
    // Where the engine itself doesn't see what is missing.
    for condition in
        ["a.koen = 3 OR a.pnr NOT IN ({})", "(a.pnr IN ({})) IS NOT TRUE", "NOT (a.pnr IN ({}) OR a.koen = 3)"]
    {
        let ask = |kode: &str| {
            let condition = condition.replace("{}", &padded(kode));
            format!("SELECT count(DISTINCT a.pnr) AS n FROM bef a WHERE {condition}")
        };
        let ledger = Arc::default();
        let first = after(&ctx, &ledger, &ask("A")).await;
        assert_ne!(first[0][0], "NULL", "{condition}");
        assert_eq!(after(&ctx, &ledger, &ask("B")).await, first, "{condition}");
    }
}

/// Learns: nothing; other words for the same are refused, and a lookup that is a value is unknown for whom has no number, whatever others have.
#[tokio::test]
async fn attack_not_in_in_other_words_is_refused_or_unknown_for_oneself_alone() {
    let ctx = registers();
    let padded = padded("A");
    for sql in [
        format!("SELECT count(*) AS n FROM (SELECT pnr FROM bef EXCEPT SELECT pnr FROM ({padded}) q) e"),
        format!("SELECT count(*) AS n FROM bef a WHERE a.pnr <> ALL ({padded})"),
        format!("SELECT count(*) AS n FROM bef a WHERE NOT a.pnr = ANY ({padded})"),
        format!(
            "SELECT kom, count(*) AS n FROM bef GROUP BY kom HAVING kom NOT IN (SELECT x.kom FROM ({padded}) q LEFT JOIN bef x ON x.pnr = q.pnr)"
        ),
                    "SELECT count(*) AS n FROM kommuner k WHERE k.kom NOT IN (SELECT x.kom FROM bef y LEFT JOIN bef x ON x.pnr = y.pnr)".to_owned(),
    ] {
        assert!(open(planned(&ctx, &sql).await, &SchemaRoles, None).is_err(), "{sql}");
    }
    for select in [
        "count(*) FILTER (WHERE a.pnr NOT IN ({})) AS n FROM bef a",
        "sum(CASE WHEN a.pnr IN ({}) THEN 1 ELSE 0 END) AS n FROM bef a",
        "count(q.x) AS n FROM (SELECT a.pnr, a.pnr IN ({}) AS x FROM bef a) q",
        "count(*) AS n FROM bef a JOIN lab l ON l.pnr = a.pnr AND a.pnr NOT IN ({})",
    ] {
        let sql = format!("SELECT {}", select.replace("{}", &padded));
        let plan = open(planned(&ctx, &sql).await, &SchemaRoles, None).unwrap();
        let text = plan.display_indent().to_string();
        assert!(
            text.contains("IS NULL AND Boolean(NULL)") && text.contains("Filter: d.pnr IS NOT NULL"),
            "{sql}\n{text}"
        );
    }
}

/// Learns: nothing; refused. Off (plain SQL): whether the one is ill, and how many codes they have, among thousands.
#[tokio::test]
async fn attack_distinct_values_that_one_person_has_are_refused() {
    let ctx = large(1);
    // person 3000 is ill, person 3001 is not
    let [ill, well] =
        ["kom = 18 AND del = 0 AND alder = 36 AND syg = 1", "kom = 18 AND del = 1 AND alder = 43 AND syg = 1"];
    for form in [
        "SELECT count(DISTINCT CASE WHEN {} THEN 1 ELSE 0 END) AS n FROM bef",
        "SELECT count(DISTINCT CASE WHEN {} THEN alder ELSE 0 END) AS n FROM bef",
        "SELECT count(DISTINCT x) AS n FROM (SELECT pnr, CASE WHEN {} THEN alder END AS x FROM bef UNION ALL SELECT pnr, 0 FROM bef) q",
        "SELECT count(DISTINCT kom) FILTER (WHERE kom = 9 OR ({})) AS n FROM bef",
        "SELECT count(DISTINCT kom) AS n FROM bef WHERE kom = 9 OR ({})",
        "SELECT sum(DISTINCT CASE WHEN {} THEN 1 ELSE 0 END) AS n FROM bef",
        "SELECT avg(DISTINCT CASE WHEN {} THEN 1 ELSE 0 END) AS n FROM bef",
        "SELECT 1 AS n FROM bef HAVING count(DISTINCT CASE WHEN {} THEN 1 ELSE 0 END) > 1",
        "SELECT kom, count(*) AS n FROM bef GROUP BY kom ORDER BY count(DISTINCT CASE WHEN {} THEN kom END) DESC, kom LIMIT 1",
    ] {
        let [with, without] = [ill, well].map(|condition| form.replace("{}", condition));
        assert_ne!(plain(&ctx, &with).await, plain(&ctx, &without).await, "the attack doesn't work by itself: {form}");
        let refused = open(planned(&ctx, &with).await, &SchemaRoles, None).unwrap_err();
        assert!(refused.reason.contains("(DISTINCT ..) of values"), "{form}: {refused}");
    }
    // Ids that are other things than ids, or people, for one person.
    let ctx = registers();
    for (k, from) in [
        ("k", "(SELECT pnr, kontakt_id AS k FROM kontakt UNION ALL SELECT pnr, pnr AS k FROM bef) q"),
        ("k", "(SELECT pnr, min(kode) AS k FROM lab GROUP BY pnr) q"),
        ("kode, kontakt_id", "diag"),
    ] {
        let refused =
            open(planned(&ctx, &format!("SELECT count(DISTINCT {k}) AS n FROM {from}")).await, &SchemaRoles, None);
        assert!(refused.unwrap_err().reason.contains("(DISTINCT ..) of values"), "{from}");
    }
}

/// What works instead: people, ids of their things, by those who have such a thing, and groups that are shown.
#[tokio::test]
async fn people_and_contacts_are_counted_distinct_and_shown_groups_too() {
    let ctx = registers();
    let beside = "SELECT count(*) AS n, count(DISTINCT d.kontakt_id) AS c FROM bef b LEFT JOIN diag d ON d.pnr = b.pnr WHERE b.pnr IS NOT NULL";
    assert_eq!(exact(&ctx, beside).await, [["40", "24", "released"]], "16 of 32 have contacts");
    let all = "SELECT count(DISTINCT d.kontakt_id) AS n FROM bef b LEFT JOIN diag d ON d.pnr = b.pnr WHERE b.kom = 101";
    assert_eq!(exact(&ctx, all).await, [["NULL", "suppressed: everybody or nobody in the group"]]);
    let one = "SELECT count(*) AS n, count(DISTINCT d.kontakt_id) AS c FROM bef b LEFT JOIN diag d ON d.pnr = b.pnr AND d.kode = 'DE11' \
               AND b.foed_dag = DATE '1990-01-01' WHERE b.kom = 101";
    assert_eq!(exact(&ctx, one).await, [["12", "NULL", "suppressed: fewer than 5 people in c"]]);
    let two = "SELECT count(*) AS n, count(DISTINCT d.kontakt_id) AS c FROM bef b LEFT JOIN diag d ON d.pnr = b.pnr AND b.indkomst < 3000 \
               WHERE b.kom = 101";
    assert_eq!(exact(&ctx, two).await[0][1..], ["NULL", "suppressed: fewer than 5 people in c"]);
    for (through, contacts) in [
        ("kontakt", "24"),
        ("(SELECT pnr, kontakt_id, min(afd) AS a FROM kontakt GROUP BY pnr, kontakt_id) q", "24"),
        ("(SELECT pnr, kontakt_id FROM kontakt UNION ALL SELECT pnr, kontakt_id FROM diag) q", "24"),
    ] {
        let sql = format!("SELECT count(DISTINCT kontakt_id) AS n FROM {through}");
        assert_eq!(exact(&ctx, &sql).await, [[contacts, "released"]], "{through}");
    }
    let shown = "WITH g AS (SELECT kom FROM bef GROUP BY kom) \
                 SELECT DISTINCT count(kom) OVER () AS shown_values FROM g WHERE kom IS NOT NULL";
    assert_eq!(exact(&ctx, shown).await, [["3", "released"]], "101, 102 and 106");
}
