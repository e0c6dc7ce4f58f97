//! Group disclosure: a number that says something about each member of a group.
//!
//! "All 37 patients of this clinic have the diagnosis" names nobody and tells of everybody who was there. The same is told by a cell
//! that equals its margin, by a share of 0 % or 100 %, and nearly by a cell that leaves only few people over.
//! Source: Hundepool et al., Statistical Disclosure Control (2012), chapter 5 (group attribute disclosure); ACRO calls it
//! class disclosure.
//!
//! In a breakdown into many values, zeros are what one expects, and are shown. They tell of everybody only when all people of
//! the group are in one cell: then [`line()`] hides the whole line, the zeros too, since they would say which cell it is.

use super::{lot::Lot, status::Rule, threshold::Threshold};

/// A count of people beside the count of the group that they are part of: hidden when it is all of them, or all but a few.
#[must_use]
pub fn count(part: u64, whole: u64, threshold: Threshold) -> Option<Rule> {
    if part == 0 {
        return None;
    }
    if part >= whole {
        return Some(Rule::Group);
    }
    threshold.hides(whole - part).then_some(Rule::Rest(threshold.least()))
}

/// The same for those who are left over, by their lot: a rest that is hidden at four people and shown at five would tell the fifth.
#[must_use]
pub fn rest_by_lot(rest: u64, lot: Lot, threshold: Threshold) -> Option<Rule> {
    threshold.check_by_lot(rest, lot).map(|_| Rule::Rest(threshold.least()))
}

/// A share, or the mean of a yes/no column: hidden when it is everybody or nobody, or nearly.
#[must_use]
pub fn share(part: u64, whole: u64, threshold: Threshold) -> Option<Rule> {
    match (part, whole) {
        (_, 0) => None,
        (0, _) => Some(Rule::Group),
        _ => threshold.check(part).or_else(|| count(part, whole, threshold)),
    }
}

/// The cells of one group by the values of a variable: the whole line is hidden when all people are in one cell.
///
/// What is left over is not looked at here: other cells that are too small are hidden by the threshold, and
/// [`super::complementary`] sees to it that they can't be computed.
#[must_use]
pub fn line(parts: &[u64]) -> Option<Rule> {
    let peopled = parts.iter().filter(|part| **part > 0).count();
    (peopled == 1 && parts.len() > 1).then_some(Rule::Group)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Threshold = Threshold::DEFAULT;

    #[test]
    fn a_cell_that_equals_its_margin_is_hidden() {
        assert_eq!(count(37, 37, FIVE), Some(Rule::Group));
        assert_eq!(count(38, 37, FIVE), Some(Rule::Group), "counts of different days");
        assert_eq!(count(30, 37, FIVE), None);
    }

    #[test]
    fn a_cell_that_leaves_one_to_four_people_over_is_hidden() {
        let hidden: Vec<u64> = (0..=37).filter(|part| count(*part, 37, FIVE).is_some()).collect();
        assert_eq!(hidden, [33, 34, 35, 36, 37]);
        assert_eq!(count(33, 37, FIVE), Some(Rule::Rest(5)));
    }

    #[test]
    fn a_rest_falls_by_its_own_lot() {
        let hidden =
            |rest| (0..=255).filter(|lot| rest_by_lot(rest, Lot::new(*lot), FIVE) == Some(Rule::Rest(5))).count();
        assert_eq!([0, 1, 4, 5, 6, 7, 8].map(hidden), [0, 256, 256, 224, 128, 32, 0]);
    }

    #[test]
    fn a_share_of_all_or_nothing_is_hidden() {
        assert_eq!(share(0, 37, FIVE), Some(Rule::Group));
        assert_eq!(share(37, 37, FIVE), Some(Rule::Group));
        assert_eq!(share(2, 37, FIVE), Some(Rule::Few(5)));
        assert_eq!(share(35, 37, FIVE), Some(Rule::Rest(5)));
        assert_eq!(share(20, 37, FIVE), None);
        assert_eq!(share(0, 0, FIVE), None, "a share of nobody is not about anybody");
    }

    #[test]
    fn zeros_are_shown_unless_everybody_is_in_one_cell() {
        assert_eq!(line(&[0, 37, 0]), Some(Rule::Group));
        assert_eq!(line(&[0, 30, 7]), None);
        assert_eq!(line(&[0, 0]), None);
        assert_eq!(line(&[37]), None, "a breakdown into one value says nothing");
    }
}
