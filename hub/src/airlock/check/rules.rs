//! The rules of disclosure as the airlock asks them: the one place that knows the library which holds them.

use policies::disclosure::THRESHOLD;

/// A sum is refused when its two largest contributions are this share of it or more: (n,k) = (2, 0.9).
const SHARE: f64 = 0.9;
/// A sum is refused when the second contributor can tell the first one's to this part of it: p% = 10.
const PART: f64 = 0.1;

/// Whether a number of people is too small to leave. Nobody is no number of people.
pub(super) fn is_small(people: f64) -> bool {
    people > 0.0 && people < threshold()
}

/// The fewest people that a number may be about.
pub(super) fn threshold() -> f64 {
    // Exact: a small whole number.
    f64::from(i32::try_from(THRESHOLD).unwrap_or(i32::MAX))
}

/// Whether a sum of positive contributions tells its largest.
pub(super) fn is_dominated(sum: f64, first: f64, second: f64) -> bool {
    let (sum, first, second) = (sum.abs(), first.abs().max(second.abs()), first.abs().min(second.abs()));
    first + second >= SHARE * sum || sum - first - second < PART * first
}

/// Whether a cell's text stands for a number that is not shown.
pub(super) fn is_hidden(cell: Option<&str>) -> bool {
    let Some(cell) = cell else { return true };
    let cell = cell.trim().to_ascii_lowercase();
    cell.starts_with(['<', '*', '-', '.', '…']) && cell.parse::<f64>().is_err()
        || ["na", "nan", "null", "none", "suppressed", "hidden", "c", "x"].contains(&cell.as_str())
}

/// A number as tables write it.
pub(super) fn number(cell: Option<&str>) -> Option<f64> {
    let cell: String = cell?.chars().filter(|c| *c != ' ' && *c != '\u{a0}').collect();
    cell.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_counts_dominated_sums_and_hidden_cells() {
        for (people, small) in [(0.0, false), (1.0, true), (4.0, true), (5.0, false), (-3.0, false)] {
            assert_eq!(is_small(people), small, "{people}");
        }
        assert!(is_dominated(100.0, 60.0, 30.0) && is_dominated(100.0, 30.0, 60.0));
        assert!(!is_dominated(100.0, 50.0, 20.0));
        // 100 - 60 - 35 = 5 is less than a tenth of 60.
        assert!(is_dominated(100.0, 60.0, 35.0) && is_dominated(10.0, 10.0, 0.0));
        for hidden in [None, Some("<5"), Some("*"), Some("NA"), Some("suppressed"), Some("-")] {
            assert!(is_hidden(hidden), "{hidden:?}");
        }
        assert!(!is_hidden(Some("12")) && !is_hidden(Some("-3")) && !is_hidden(Some("0")));
        assert_eq!(number(Some("18 211")), Some(18_211.0));
        assert_eq!(number(Some("inf")), None);
    }
}
