//! The five questions against the oracle: every cell in the enclave, suppression exactly where it belongs in the open.

use crate::fixture::{rows, start};
use anyhow::{Context, Result, ensure};
use demo::{
    oracle::{Oracle, small_cells},
    questions::{PEOPLE, QUESTIONS, Question, cell_by_lot},
};
use policies::disclosure::{PERTURBED, STATUS_COLUMN, SUPPRESSED};

/// Noise of five, in the answer of an earlier cell that is up to twelve people away.
const FURTHEST: f64 = 17.0;

/// A row that the open zone must show, and by how much its numbers may be off.
struct Wanted {
    cells: Vec<String>,
    off: Vec<f64>,
    /// falls by lot: which of the cells are empty, and what the last one says of it
    by_lot: Vec<bool>,
    /// and whether there is such a row
    whole_by_lot: bool,
}

/// What the open zone must show of the oracle's answer: cells of 1 to 4 people fold into one row without anything,
/// a statistic that a rule hides is empty and named, everything else stands as it is, but for its noise: up to
/// five people for a count, up to four times as many parts for what is made of their values.
async fn expected(oracle: &Oracle, question: &Question) -> Result<(Vec<Wanted>, usize)> {
    let truth = oracle.ask(&question.counted()).await?;
    let small = small_cells(&truth)?;
    let (schema, all) = (truth.schema(), rows(&truth)?);
    let people = schema.index_of(PEOPLE)?;
    let mut shown = Vec::new();
    for (_, mut row) in all.into_iter().enumerate().filter(|(i, _)| !small.contains(i)) {
        let counts = row.split_off(row.len() - question.behind.len());
        let mut named: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut off = vec![0.0; row.len() + 1];
        let mut by_lot = vec![false; row.len() + 1];
        let behind = row[people].parse::<f64>()?;
        for (at, (cell, off)) in row.iter().zip(&mut off).enumerate().skip(question.keys) {
            let value: f64 = cell.parse().unwrap_or_default();
            *off = if at == people || schema.field(at).name() == "seen" {
                FURTHEST
            } else {
                value.abs() * 20.0 / behind + 0.1
            };
        }
        for ((name, _, by), count) in question.behind.iter().zip(&counts) {
            let (at, count) = (schema.index_of(name)?, count.parse::<i64>()?);
            by_lot[at] = by.by_lot(count, row[people].parse()?);
            if let Some(rule) = by.hides(count, row[people].parse()?) {
                row[at] = "NULL".to_owned();
                match named.iter_mut().find(|(known, _)| *known == rule) {
                    Some((_, names)) => names.push(*name),
                    None => named.push((rule, vec![*name])),
                }
            } else if let Ok(value) = row[at].parse::<f64>() {
                off[at] = value.abs() * 20.0 / (count as f64).max(1.0) + 0.1;
            }
        }
        let words = named.iter().map(|(rule, names)| format!("suppressed: {rule} in {}", names.join(", ")));
        let words = words.collect::<Vec<_>>().join("; ");
        let noisy = row.iter().skip(question.keys).any(|cell| cell != "NULL").then(|| PERTURBED.to_owned());
        row.push(noisy.into_iter().chain(Some(words).filter(|words| !words.is_empty())).collect::<Vec<_>>().join("; "));
        let last = row.len() - 1;
        by_lot[last] = by_lot.contains(&true);
        let whole_by_lot = cell_by_lot(row[people].parse()?);
        shown.push(Wanted { cells: row, off, by_lot, whole_by_lot });
    }
    Ok((shown, small.len()))
}

/// Whether the answer is the wanted one: how many of its numbers are off, and how many rows are missing by lot.
fn noisy(shown: &[Vec<String>], wanted: &[Wanted], keys: usize) -> Result<(usize, usize)> {
    let (mut count, mut missing) = (0, 0);
    let mut left = shown.iter().peekable();
    for Wanted { cells, off, by_lot, whole_by_lot } in wanted {
        let Some(shown) = left.next_if(|shown| shown[..keys] == cells[..keys]) else {
            ensure!(*whole_by_lot, "{cells:?} is missing");
            missing += 1;
            continue;
        };
        for (((got, right), off), by_lot) in shown.iter().zip(cells).zip(off).zip(by_lot) {
            let hidden = got == "NULL" || got.starts_with("suppressed: ") || got.starts_with(PERTURBED);
            if got != right && !(*by_lot && hidden) {
                let (got, right) = (got.parse::<f64>(), right.parse::<f64>());
                let near = got.is_ok_and(|got| right.is_ok_and(|right| (got - right).abs() <= *off));
                ensure!(near, "{shown:?}, wanted {cells:?}");
                count += 1;
            }
        }
    }
    ensure!(left.next().is_none(), "{left:?} is too many");
    Ok((count, missing))
}

#[tokio::test(flavor = "multi_thread")]
async fn five_questions_equal_the_oracle_in_both_zones() -> Result<()> {
    let running = start(3_000).await?;
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let (mut enclave, mut open) = (running.enclave().await?, running.open().await?);
    let (mut suppressed, mut partly, mut off) = (0, 0, 0);
    for question in &QUESTIONS {
        let truth = oracle.ask(question.sql).await?;
        assert!(truth.num_rows() > 0, "{}: the oracle's answer is empty", question.id);
        let inside = enclave.ask(question.sql).await.with_context(|| question.id)?;
        assert_eq!(rows(&inside)?, rows(&truth)?, "{}, enclave", question.id);

        let (wanted, small) = expected(&oracle, question).await?;
        partly += wanted.iter().filter(|row| row.cells.last().is_some_and(|status| status != PERTURBED)).count();
        let outside = open.ask(question.sql).await.with_context(|| question.id)?;
        let last = outside.schema().fields().last().map(|f| f.name().clone());
        assert_eq!(last.as_deref(), Some(STATUS_COLUMN), "{}", question.id);
        let (folded, shown): (Vec<_>, Vec<_>) =
            rows(&outside)?.into_iter().partition(|row| row.last().is_some_and(|status| status == SUPPRESSED));
        let (noisy, by_lot) =
            noisy(&shown, &wanted, question.keys).with_context(|| format!("{}, open", question.id))?;
        off += noisy;
        suppressed += small + by_lot;
        assert_eq!(rows(&open.ask(question.sql).await?)?.len(), shown.len() + folded.len());
        assert_eq!(
            folded.len(),
            usize::from(question.keys > 0),
            "{}: one row stands for all small cells, if there are any",
            question.id
        );
        for row in folded {
            assert!(row.iter().rev().skip(1).all(|cell| cell == "NULL"), "{}: {row:?}", question.id);
        }
    }
    assert!(suppressed > 0 && partly > 0, "no small cells ({suppressed}, {partly}): the test shows nothing");
    assert!(off > 10, "{off} numbers have noise");
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
