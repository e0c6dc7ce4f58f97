#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! The registers are plausible, and the questions have answers.

use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::generate::{self, Options};
use crate::questions::QUESTIONS;

#[tokio::test]
async fn the_questions_have_plausible_answers() {
    let dir = tempfile::tempdir().unwrap();
    let people = std::env::var("DEMO_PEOPLE").ok().and_then(|p| p.parse().ok()).unwrap_or(6_000);
    let started = std::time::Instant::now();
    let made = generate::registers(dir.path(), &Options { people, seed: 1 }, |_| ()).unwrap();
    println!("{made:#?} in {:?}", started.elapsed());
    let oracle = Oracle::open(dir.path()).unwrap();
    println!("read after {:?}", started.elapsed());
    for ((table, rejected), made) in oracle.rejected.iter().zip(&made) {
        assert_eq!((table.name, *rejected), (made.table, made.malformed), "{}", table.controller);
        assert!(made.malformed * 200 < made.rows, "{}: too many malformed rows", made.table);
    }
    let mut small = 0;
    for question in QUESTIONS {
        let answer = oracle.ask(question.sql).await.unwrap_or_else(|e| panic!("{}: {e}", question.id));
        println!("{}\n{}", question.title, pretty_format_batches(std::slice::from_ref(&answer)).unwrap());
        assert!(answer.num_rows() > 5, "{} has {} rows", question.id, answer.num_rows());
        assert!(answer.num_columns() > question.keys);
        let cells = small_cells(&answer).unwrap();
        println!("{} small cells after {:?}", cells.len(), started.elapsed());
        small += cells.len();
    }
    assert!(small > 0, "no cell is small");
}
