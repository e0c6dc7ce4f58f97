//! The rules of disclosure as the airlock asks them: the one place that knows the library which holds them.
//!
//! How many people are enough is what the project's permits ask for, where one asks for more than the platform does.

use policies::disclosure::{
    self, Threshold,
    complementary::{Known, Range},
    dominance::{CONTRIBUTORS, Contributions},
};

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

    /// Whether a cell's text stands for a number that is not shown, and what it says of it.
    pub(super) fn hidden(self, cell: Option<&str>) -> Option<Hidden> {
        let Some(cell) = cell else { return Some(Hidden::Somehow) };
        let cell = cell.trim().to_ascii_lowercase();
        let marked = cell.starts_with(['<', '*', '-', '.', '…']) && cell.parse::<f64>().is_err();
        if !marked && !["na", "nan", "null", "none", "suppressed", "hidden", "c", "x"].contains(&cell.as_str()) {
            return None;
        }
        let below = cell.strip_prefix('<').and_then(|limit| limit.trim().parse::<u64>().ok());
        let few = below.filter(|below| (Threshold::DEFAULT.least()..=self.0.least()).contains(below));
        Some(few.map_or(Hidden::Somehow, |below| Hidden::Few(Threshold::DEFAULT.raised_to(below))))
    }

    /// The same as what a reader knows of the number.
    pub(super) fn known(self, hidden: Hidden) -> Known {
        match hidden {
            Hidden::Few(threshold) => Known::few(threshold),
            Hidden::Somehow => Known::nothing(self.0),
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

/// What a cell says of the number that it hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// that it is below a threshold
    Few(Threshold),
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
        let few = |below| Some(Hidden::Few(Threshold::DEFAULT.raised_to(below)));
        assert_eq!(
            [FIVE.hidden(Some("< 5")), TEN.hidden(Some("<5")), TEN.hidden(Some("<10"))],
            [few(5), few(5), few(10)]
        );
        for cell in [None, Some("<10"), Some("*"), Some("NA"), Some("suppressed"), Some("-")] {
            assert_eq!(FIVE.hidden(cell), Some(Hidden::Somehow), "{cell:?}");
        }
        assert!([Some("12"), Some("-3"), Some("0")].iter().all(|cell| FIVE.hidden(*cell).is_none()));
        assert_eq!(number(Some("18 211")), Some(18_211.0));
        assert_eq!(number(Some("inf")), None);
    }
}
