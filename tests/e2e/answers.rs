//! The five questions against the oracle: every cell in the enclave, suppression exactly where it belongs in the open.

use crate::fixture::{rows, start};
use anyhow::{Context, Result};
use demo::{
    oracle::{Oracle, small_cells},
    questions::{QUESTIONS, Question},
};
use policies::disclosure::{RELEASED, STATUS_COLUMN, SUPPRESSED};

/// Whose values a statistic of a question is made of, beside the people of the cell: statistic and condition.
const CONTRIBUTORS: [(&str, &[(&str, &str)]); 4] = [
    (
        "hba1c-around-metformin",
        &[
            ("tests", "CASE WHEN l.value IS NOT NULL THEN m.pnr END"),
            ("mean_hba1c", "CASE WHEN l.value <> 0 THEN m.pnr END"),
        ],
    ),
    ("metformin-by-municipality", &[("packs", "CASE WHEN l.packs <> 0 THEN b.pnr END")]),
    (
        "contacts-of-people-with-diabetes",
        &[
            ("contacts", "CASE WHEN k.contacts <> 0 THEN b.pnr END"),
            ("per_person", "CASE WHEN k.contacts <> 0 THEN b.pnr END"),
        ],
    ),
    (
        "tested-within-90-days",
        &[
            ("tested", "CASE WHEN d.tested <> 0 THEN d.pnr END"),
            ("percent_tested", "CASE WHEN d.tested <> 0 THEN d.pnr END"),
        ],
    ),
];

/// What the open zone must show of the oracle's answer: cells of 1 to 4 people fold into one row without anything,
/// a statistic to which 1 to 4 people contribute is empty and named, everything else stands as it is.
async fn expected(oracle: &Oracle, question: &Question) -> Result<(Vec<Vec<String>>, usize)> {
    let contributors = CONTRIBUTORS.iter().find(|(id, _)| *id == question.id).map_or(&[][..], |(_, list)| list);
    let counts: String =
        contributors.iter().map(|(name, who)| format!(", COUNT(DISTINCT {who}) AS by_{name}")).collect();
    let truth = oracle.ask(&question.sql.replacen("\nFROM ", &format!("{counts}\nFROM "), 1)).await?;
    let small = small_cells(&truth)?;
    let (schema, all) = (truth.schema(), rows(&truth)?);
    let mut shown = Vec::new();
    for (_, mut row) in all.into_iter().enumerate().filter(|(i, _)| !small.contains(i)) {
        let counts = row.split_off(row.len() - contributors.len());
        let mut named = Vec::new();
        for ((name, _), count) in contributors.iter().zip(&counts) {
            if (1..5).contains(&count.parse::<i64>()?) {
                row[schema.index_of(name)?] = "NULL".to_owned();
                named.push(*name);
            }
        }
        row.push(if named.is_empty() { RELEASED.to_owned() } else { format!("{SUPPRESSED} in {}", named.join(", ")) });
        shown.push(row);
    }
    Ok((shown, small.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn five_questions_equal_the_oracle_in_both_zones() -> Result<()> {
    let running = start(3_000).await?;
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let (mut enclave, mut open) = (running.enclave().await?, running.open().await?);
    let (mut suppressed, mut partly) = (0, 0);
    for question in &QUESTIONS {
        let truth = oracle.ask(question.sql).await?;
        assert!(truth.num_rows() > 0, "{}: the oracle's answer is empty", question.id);
        let inside = enclave.ask(question.sql).await.with_context(|| question.id)?;
        assert_eq!(rows(&inside)?, rows(&truth)?, "{}, enclave", question.id);

        let (wanted, small) = expected(&oracle, question).await?;
        suppressed += small;
        partly += wanted.iter().filter(|row| row.last().is_some_and(|status| status != RELEASED)).count();
        let outside = open.ask(question.sql).await.with_context(|| question.id)?;
        let last = outside.schema().fields().last().map(|f| f.name().clone());
        assert_eq!(last.as_deref(), Some(STATUS_COLUMN), "{}", question.id);
        let (folded, shown): (Vec<_>, Vec<_>) =
            rows(&outside)?.into_iter().partition(|row| row.last().is_some_and(|status| status == SUPPRESSED));
        assert_eq!(shown, wanted, "{}, open", question.id);
        assert_eq!(folded.len(), usize::from(small > 0), "{}: one row stands for all small cells", question.id);
        for row in folded {
            assert!(row.iter().rev().skip(1).all(|cell| cell == "NULL"), "{}: {row:?}", question.id);
        }
    }
    assert!(suppressed > 0 && partly > 0, "no small cells ({suppressed}, {partly}): the test shows nothing");
    running.platform.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_zone_gives_no_rows_and_says_how_to_ask() -> Result<()> {
    let running = start(200).await?;
    let mut open = running.open().await?;
    for sql in [
        "SELECT * FROM dst.bef",
        "SELECT pnr FROM dst.bef",
        "SELECT pnr, COUNT(*) FROM dst.bef GROUP BY pnr",
        "SELECT MIN(foed_dag) FROM dst.bef",
        "SELECT COUNT(*) FROM dst.bef b JOIN sds.lmdb l ON b.koen = l.apk",
    ] {
        let refused = open.ask(sql).await.err().with_context(|| format!("answered: {sql}"))?.to_string();
        assert!(refused.contains("SELECT"), "no example that works: {refused}");
    }
    let mut enclave = running.enclave().await?;
    assert!(enclave.ask("SELECT * FROM dst.bef LIMIT 3").await?.num_rows() == 3);
    running.platform.stop().await?;
    Ok(())
}
