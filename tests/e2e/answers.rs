//! The five questions against the oracle: every cell in the enclave, suppression exactly where it belongs in the open.

use crate::fixture::{rows, start};
use anyhow::{Context, Result};
use demo::{
    oracle::{Oracle, small_cells},
    questions::QUESTIONS,
};
use policies::disclosure::{RELEASED, STATUS_COLUMN, SUPPRESSED};

#[tokio::test(flavor = "multi_thread")]
async fn five_questions_equal_the_oracle_in_both_zones() -> Result<()> {
    let running = start(3_000).await?;
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let (mut enclave, mut open) = (running.enclave().await?, running.open().await?);
    let mut suppressed = 0;
    for question in QUESTIONS {
        let truth = oracle.ask(question.sql).await?;
        assert!(truth.num_rows() > 0, "{}: the oracle's answer is empty", question.id);
        let inside = enclave.ask(question.sql).await.with_context(|| question.id)?;
        let wanted = rows(&truth)?;
        assert_eq!(rows(&inside)?, wanted, "{}, enclave", question.id);

        let small = small_cells(&truth)?;
        suppressed += small.len();
        let outside = open.ask(question.sql).await.with_context(|| question.id)?;
        let last = outside.schema().fields().last().map(|f| f.name().clone());
        assert_eq!(last.as_deref(), Some(STATUS_COLUMN), "{}", question.id);
        let (mut shown, mut folded) = (Vec::new(), Vec::new());
        for mut row in rows(&outside)? {
            let status = row.pop().context("a status")?;
            if status == SUPPRESSED { folded.push(row) } else { shown.push((status, row)) }
        }
        let expected: Vec<_> = wanted
            .iter()
            .enumerate()
            .filter(|(i, _)| !small.contains(i))
            .map(|(_, row)| (RELEASED.to_owned(), row.clone()))
            .collect();
        assert_eq!(shown, expected, "{}, open", question.id);
        assert_eq!(folded.len(), usize::from(!small.is_empty()), "{}: one row stands for all small cells", question.id);
        for row in folded {
            assert!(row.iter().all(|cell| cell == "NULL"), "{}: {row:?}", question.id);
        }
    }
    assert!(suppressed > 0, "no question has a small cell: the test shows nothing about suppression");
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
