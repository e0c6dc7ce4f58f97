//! The rules of disclosure as the airlock asks them: the one place that knows the library which holds them.
//!
//! How many people are enough is what the project's permits ask for, where one asks for more than the platform does.

use policies::disclosure::{
    self, Threshold,
    complementary::{Known, Range},
    dominance::{CONTRIBUTORS, Contributions},
};

/// Marks of a number that is not shown, in small letters. They are all that there are: one that may be followed by anything would carry it.
const MARKS: [&str; 21] = [
    "<",
    "*",
    "**",
    "***",
    "-",
    "--",
    "---",
    "–",
    "—",
    ".",
    "..",
    "...",
    "…",
    "na",
    "nan",
    "null",
    "none",
    "suppressed",
    "hidden",
    "c",
    "x",
];

/// The rules of one project: those that ask how many people are enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules(pub(super) Threshold);

impl Rules {
    /// Whether a number of people is too small to leave. Nobody is no number of people.
    pub(super) fn is_small(self, people: f64) -> bool {
        match whole_number(people) {
            Some(people) => self.0.hides(people),
            // A part of a person is somebody.
            None => people > 0.0 && people < self.threshold(),
        }
    }

    /// The fewest people that a number may be about.
    pub(super) fn threshold(self) -> f64 {
        // Exact: a small whole number.
        self.0.least() as f64
    }

    /// What a cell says whose text is no number.
    pub(super) fn mark(self, cell: Option<&str>) -> Mark {
        let Some(cell) = cell else { return Mark::Hides(Hidden::Somehow) };
        let cell = cell.trim().to_ascii_lowercase();
        if MARKS.contains(&cell.as_str()) {
            return Mark::Hides(Hidden::Somehow);
        }
        if let Some(limit) = cell.strip_prefix('<').map(str::trim)
            && let Some(below) = limit.parse::<u32>().ok().filter(|below| below.to_string() == limit)
        {
            let enough = u64::from(below) >= self.0.least();
            return if enough { Mark::Hides(Hidden::Below(below)) } else { Mark::Few };
        }
        if cell.starts_with(['<', '*', '-', '.', '…', '–', '—']) { Mark::Tells } else { Mark::None }
    }

    /// Whether a cell's text stands for a number that is not shown, and what it says of it.
    pub(super) fn hidden(self, cell: Option<&str>) -> Option<Hidden> {
        match self.mark(cell) {
            Mark::Hides(hidden) => Some(hidden),
            Mark::Few | Mark::Tells | Mark::None => None,
        }
    }

    /// The same as `mark` of a sum: the only limit that says nothing of one is that of how many people are too few.
    pub(super) fn sum_mark(self, cell: Option<&str>) -> Mark {
        match self.mark(cell) {
            Mark::Hides(Hidden::Below(below)) if u64::from(below) != self.0.least() => Mark::Tells,
            Mark::Few => Mark::Tells,
            mark => mark,
        }
    }

    /// The same as what a reader knows of the number.
    pub(super) fn known(self, hidden: Hidden) -> Known {
        let nothing = Known::nothing(self.0);
        match hidden {
            Hidden::Below(below) => Known { from: 1, to: Some(i64::from(below) - 1), ..nothing },
            Hidden::Somehow => nothing,
        }
    }

    /// Whether what can be computed of a hidden number is too close, and may be a number of few people.
    pub(super) fn tells_few(self, range: &Range) -> bool {
        let few = i64::try_from(self.0.least()).unwrap_or(i64::MAX);
        range.told() && range.from < few && range.to.is_none_or(|to| to > 0)
    }
}

/// Why a sum may not leave, if it may not: by how many make it up, where that is known, and by the two who contribute most.
pub(super) fn of_sum(sum: f64, people: Option<f64>, first: f64, second: f64) -> Option<disclosure::Rule> {
    let (total, largest, second) = (sum.abs(), first.abs().max(second.abs()), first.abs().min(second.abs()));
    if largest > total {
        // What is negative takes away what others add, so that the sum is no bound of anybody's part.
        return Some(disclosure::Rule::Dominated);
    }
    let people = people.map_or(Some(CONTRIBUTORS), whole_number);
    Contributions { people: people.unwrap_or_default(), total, largest, second }.check()
}

/// Whether all people of a total are in one of its cells.
pub(super) fn is_everybody(parts: &[f64]) -> bool {
    let parts: Option<Vec<u64>> = parts.iter().map(|part| whole_number(*part)).collect();
    parts.is_some_and(|parts| disclosure::group::line(&parts).is_some())
}

/// What stands in a cell in place of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// that it is not shown
    Hides(Hidden),
    /// that it is below a limit of fewer people than a number may be about
    Few,
    /// more than a mark says: it may be the number
    Tells,
    /// nothing that is known here
    None,
}

/// What a cell says of the number that it hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// that it is below this
    Below(u32),
    /// nothing
    Somehow,
}

/// A whole number of people, in a cell.
pub(super) fn whole(cell: Option<&str>) -> Option<i64> {
    whole_number(number(cell)?).and_then(|people| i64::try_from(people).ok())
}

fn whole_number(people: f64) -> Option<u64> {
    // Beyond that a float has no single units, and a population has no such number.
    (people >= 0.0 && people.fract() == 0.0 && people < 1e15).then_some(people as u64)
}

/// A number as tables write it.
pub(super) fn number(cell: Option<&str>) -> Option<f64> {
    let cell: String = cell?.chars().filter(|c| *c != ' ' && *c != '\u{a0}').collect();
    cell.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Rules = Rules(Threshold::DEFAULT);
    const TEN: Rules = Rules(Threshold::QUICK_TEST);

    #[test]
    fn small_counts_dominated_sums_and_hidden_cells() {
        for (people, small) in [(0.0, false), (1.0, true), (4.0, true), (5.0, false), (-3.0, false)] {
            assert_eq!(FIVE.is_small(people), small, "{people}");
        }
        for (people, small) in [(0.0, false), (4.0, true), (9.0, true), (9.5, true), (10.0, false)] {
            assert_eq!(TEN.is_small(people), small, "{people}");
        }
        use disclosure::Rule;
        let of = |sum, first, second| of_sum(sum, Some(40.0), first, second);
        assert_eq!([of(100.0, 60.0, 30.0), of(100.0, 30.0, 60.0)], [Some(Rule::Dominated); 2]);
        assert_eq!([of(100.0, 50.0, 20.0), of(0.0, 0.0, 0.0)], [None, Some(Rule::Near)]);
        assert_eq!(of_sum(0.0, Some(0.0), 0.0, 0.0), None, "nobody's sum");
        assert_eq!(of_sum(100.0, Some(9.0), 20.0, 10.0), Some(Rule::Contributors));
        assert_eq!(of_sum(100.0, Some(9.5), 20.0, 10.0), Some(Rule::Contributors), "no number of people");
        assert_eq!(of_sum(100.0, None, 20.0, 10.0), None, "nothing said of how many");
        assert_eq!(of(1.0, 1_000.0, -999.0), Some(Rule::Dominated));
        assert!(is_everybody(&[0.0, 12.0, 0.0]) && !is_everybody(&[12.0]) && !is_everybody(&[12.0, 1.0]));
        assert_eq!(number(Some("18 211")), Some(18_211.0));
        assert_eq!(number(Some("inf")), None);
    }

    #[test]
    fn a_mark_says_that_a_number_is_hidden_and_not_which() {
        let below = |limit| Mark::Hides(Hidden::Below(limit));
        for (cell, five, ten) in [
            ("< 5", below(5), Mark::Few),
            ("<10", below(10), below(10)),
            ("<4", Mark::Few, Mark::Few),
            ("<0", Mark::Few, Mark::Few),
            ("<05", Mark::Tells, Mark::Tells),
            ("<5.0", Mark::Tells, Mark::Tells),
            ("<=4", Mark::Tells, Mark::Tells),
            ("<99999999999", Mark::Tells, Mark::Tells),
        ] {
            assert_eq!([FIVE.mark(Some(cell)), TEN.mark(Some(cell))], [five, ten], "{cell}");
        }
        for cell in [None, Some("*"), Some("NA"), Some("suppressed"), Some("-"), Some("...")] {
            assert_eq!(FIVE.mark(cell), Mark::Hides(Hidden::Somehow), "{cell:?}");
        }
        for cell in ["*3", "****", "* 3", "-3", "..3", "…³", "*three", "-x"] {
            assert_eq!(FIVE.mark(Some(cell)), Mark::Tells, "{cell}");
        }
        assert!(["12", "0", "three", "n3", "x3"].iter().all(|cell| FIVE.mark(Some(cell)) == Mark::None));
        assert_eq!([FIVE.sum_mark(Some("<5")), TEN.sum_mark(Some("<10"))], [below(5), below(10)]);
        assert_eq!([FIVE.sum_mark(Some("<948713")), TEN.sum_mark(Some("<5"))], [Mark::Tells; 2]);
        let known = FIVE.known(Hidden::Below(10));
        assert_eq!((known.from, known.to, known.width), (1, Some(9), 2));
        assert_eq!(FIVE.known(Hidden::Below(5)), Known::few(Threshold::DEFAULT));
    }

    #[test]
    fn numbers_as_tables_write_them() {
        assert_eq!(number(Some("18 211")), Some(18_211.0));
        assert_eq!(number(Some("inf")), None);
    }
}
