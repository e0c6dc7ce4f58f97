//! What leaves of a quick test: cells of enough people, rounded to tens, and nothing that gives the others away.
//!
//! Cells of fewer people are left out whether there are any or not, and so are cells of nobody: an answer looks the same with
//! them and without. There is no total, since with one hidden cell it would tell how many are in it.
//!
//! INVARIANT: a [`Counted`] is made by [`released`] alone.

use super::lot::Lots;
use policies::disclosure::quick_test;
use proto::ids::QueryId;
use serde::{Deserialize, Serialize};

/// The fewest people that are shown.
pub const LEAST: u64 = 10;

/// One cell as it was counted; for [`released`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exact {
    /// values of the columns that people were counted by; `None`: no value
    pub(super) values: Vec<Option<String>>,
    /// different people
    pub(super) people: u64,
}

/// A cell that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CountCell)]
pub struct Cell {
    /// values of the columns that people are counted by; null: no value
    pub values: Vec<Option<String>>,
    /// people, rounded to a neighbouring multiple of ten; null: fewer than are shown, perhaps nobody
    pub people: Option<u64>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Counted {
    /// the request's id, the same in every log
    pub query: String,
    /// what people are counted by
    pub by: Vec<String>,
    /// in the order of their values; of a request without columns to count by, one
    pub cells: Vec<Cell>,
    /// cells of fewer people than this are left out, and so are those of nobody
    pub least: u64,
    /// the same request was answered a short time ago, and this is that answer
    pub kept: bool,
    /// requests that this person may still ask within the hour
    pub left_this_hour: u32,
}

/// Hides and rounds. `least`: what the permits demand; `asked`: the digest of what the request means.
pub(super) fn released(
    query: QueryId,
    by: Vec<String>,
    exact: Vec<Exact>,
    least: u64,
    (lots, asked): (&Lots, &[u8; 32]),
) -> Counted {
    let shown = |cell: Exact| {
        let lot = lots.of_cell(asked, &cell.values);
        Cell { people: quick_test(cell.people, least, lot).value, values: cell.values }
    };
    let mut cells: Vec<Cell> = exact.into_iter().map(shown).collect();
    if !by.is_empty() {
        cells.retain(|cell| cell.people.is_some());
    }
    // No order of rows tells anything.
    cells.sort_by(|a, b| a.values.cmp(&b.values));
    Counted { query: query.to_string(), by, cells, least: least.max(LEAST), kept: false, left_this_hour: 0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cell(value: &str, people: u64) -> Exact {
        Exact { values: vec![Some(value.to_owned())], people }
    }

    /// A single number of people, of the `n`-th request.
    fn single(people: u64, n: u64) -> Option<u64> {
        let mut asked = [0; 32];
        asked[..8].copy_from_slice(&n.to_le_bytes());
        let exact = vec![Exact { values: vec![], people }];
        released(QueryId::new(), vec![], exact, 0, (&Lots::for_tests(3), &asked)).cells[0].people
    }

    fn answer(cells: Vec<Exact>, least: u64) -> Vec<(String, Option<u64>)> {
        let by = vec!["dst.bef.koen".to_owned()];
        let counted = released(QueryId::new(), by, cells, least, (&Lots::for_tests(3), &[0; 32]));
        counted.cells.into_iter().map(|cell| (cell.values[0].clone().unwrap(), cell.people)).collect()
    }

    #[test]
    fn attack_by_small_cells_shows_neither_them_nor_whether_there_are_any() {
        let with = answer(vec![cell("K", 1230), cell("M", 9), cell("X", 1)], 0);
        assert_eq!(with, answer(vec![cell("K", 1230)], 0));
        assert_eq!(with, [("K".to_owned(), Some(1230))]);
        assert_eq!(answer(vec![cell("K", 24)], 25), []);
        assert_eq!(answer(vec![cell("K", 30)], 25), [("K".to_owned(), Some(30))]);
        // A single number: nobody can't be told from few.
        assert_eq!((single(0, 0), single(9, 0), single(10, 0)), (None, None, Some(10)));
    }

    /// Whoever asks for a set of people and for the same without one of them reads the same number nine times of ten, and otherwise
    /// one that is ten more or less: never one. Off (the numbers as they were counted): one, each time.
    #[test]
    fn attack_by_a_difference_of_one_person_finds_none_of_one() {
        let mut told = 0;
        for people in 11..2_011 {
            let (with, without) = (single(people, people).unwrap(), single(people - 1, people).unwrap());
            assert!(with == without || with == without + 10, "{people}: {with} {without}");
            assert!(with.abs_diff(people) < 10 && without.abs_diff(people - 1) < 10, "{people}: {with} {without}");
            told += u32::from(with != without);
        }
        assert!((100..300).contains(&told), "{told} of 2000");
    }

    /// Whoever can add people one by one looks for where the number jumps, with the person and without. Rounding to the nearest ten
    /// would give it away in two dozen requests: with the person it jumps one step earlier.
    #[test]
    fn attack_by_adding_people_one_by_one_finds_no_jump() {
        let jump = |people: u64, words: u64| {
            let first = single(people, words);
            (1..10).find(|more| single(people + more, words + more) > first).unwrap_or(10)
        };
        let told = |n: u64| (jump(1_000 + n, 100 * n) + 1) % 10 == jump(999 + n, 100 * n + 50) % 10;
        let found = (0..400).filter(|n| told(*n)).count();
        assert!(found < 160, "{found} of 400");
    }

    /// Then there is averaging over requests that differ in words alone.
    #[test]
    fn attack_by_averaging_over_words_takes_more_requests_than_an_hour_has() {
        // The mean over `n` requests for the same people, each in other words.
        let mean = |people: u64, n: u64, from: u64| {
            (0..n).map(|word| single(people, from + word).unwrap()).sum::<u64>() as f64 / n as f64
        };
        // How often the attacker, who knows that there are 1,233 or 1,234, says which, with `n` requests.
        let right = |n: u64| {
            let said = |people: u64, trial: u64| mean(people, n, trial * n) > 1233.5;
            (0..400).filter(|trial| !said(1233, *trial) && said(1234, 1_000 + *trial)).count() as f64 / 400.0
        };
        let within = u64::from(super::super::MOST);
        // Guessing is right in a quarter of both.
        assert!(right(within) < 0.8, "{} of {within}", right(within));
        assert!(right(4 * within) > 0.9, "the attack is none: {}", right(4 * within));
    }
}
