//! The least people that a number may be about.
//!
//! Source of the default: Statistics Denmark and Sundhedsdatastyrelsen show no cell of fewer than 5 people. Ten is what HDR
//! UK's cohort discovery and ACRO use; with it comes rounding to tens, since a quick test is asked without a
//! project, so that nobody looks at what is asked one after the other.

use super::{lot::Lot, status::Rule};

/// The fewest distinct people that a released number may be about.
pub const THRESHOLD: i64 = 5;

/// Counts of a quick test are shown in multiples of ten.
pub const QUICK_TEST_STEP: u64 = 10;

/// The least people that a number may be about, in one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

impl Threshold {
    /// What holds when no permit says more.
    pub const DEFAULT: Self = Self(THRESHOLD.unsigned_abs());
    /// What holds for a count without a project.
    pub const QUICK_TEST: Self = Self(10);

    /// The threshold under a permit. A permit can raise it, and not lower it.
    #[must_use]
    pub fn raised_to(self, permit: u64) -> Self {
        Self(self.0.max(permit))
    }

    /// The least people.
    #[must_use]
    pub const fn least(self) -> u64 {
        self.0
    }

    /// Whether a number about so many people is hidden. Nobody is not a small group: zero is shown.
    #[must_use]
    pub const fn hides(self, people: u64) -> bool {
        people > 0 && people < self.0
    }

    /// The rule that hides it, if one does, where nobody's lot is known: a number that people look at before it leaves.
    #[must_use]
    pub fn check(self, people: u64) -> Option<Rule> {
        self.hides(people).then_some(Rule::Few(self.0))
    }

    /// The rule that hides it, if one does: under the threshold always, a little above it by the people's lot ([`super::lot`]). The rule
    /// has one name for both, since telling them apart would tell that there are five or more.
    #[must_use]
    pub fn check_by_lot(self, people: u64, lot: Lot) -> Option<Rule> {
        (people > 0 && !lot.reaches(self.0, people)).then_some(Rule::Few(self.0))
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A neighbouring multiple of `step`: the lower or the upper one, as `lot` falls (of which only the rest modulo `step` counts). Over
/// all lots the mean is `people`; a multiple stays as it is. `step` 0 changes nothing.
///
/// Rounding is for the quick test, in place of noise. Always to the nearest one would tell a single person: whoever can add
/// people one by one finds where the number jumps, with that person and without, in a dozen requests.
#[must_use]
pub const fn rounded(people: u64, step: u64, lot: u64) -> u64 {
    match (people.checked_rem(step), lot.checked_rem(step)) {
        (Some(over), Some(lot)) if over + lot >= step => people.saturating_add(step - over),
        (Some(over), _) => people - over,
        (None, _) => people,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_four_people_are_hidden_and_nobody_is_not() {
        let hidden: Vec<u64> = (0..12).filter(|people| Threshold::DEFAULT.hides(*people)).collect();
        assert_eq!(hidden, [1, 2, 3, 4]);
        assert_eq!(Threshold::DEFAULT.check(4), Some(Rule::Few(5)));
        assert_eq!(Threshold::DEFAULT.check(5), None);
    }

    #[test]
    fn by_lot_more_are_hidden_and_never_fewer() {
        for threshold in [Threshold::DEFAULT, Threshold::DEFAULT.raised_to(8)] {
            let least = threshold.least();
            for lot in (0..=255).map(Lot::new) {
                assert_eq!(threshold.check_by_lot(0, lot), None);
                for people in 1..least {
                    assert_eq!(threshold.check_by_lot(people, lot), Some(Rule::Few(least)));
                }
                assert!((least + super::super::lot::WIDTH..100).all(|n| threshold.check_by_lot(n, lot).is_none()));
            }
            let hidden = |people| (0..=255).filter(|n| threshold.check_by_lot(people, Lot::new(*n)).is_some()).count();
            assert_eq!([hidden(least), hidden(least + 1), hidden(least + 2)], [224, 128, 32]);
        }
    }

    #[test]
    fn a_permit_raises_the_threshold_and_never_lowers_it() {
        assert_eq!(Threshold::DEFAULT.raised_to(8).least(), 8);
        assert_eq!(Threshold::DEFAULT.raised_to(0).least(), 5);
        assert_eq!(Threshold::QUICK_TEST.raised_to(5).least(), 10);
    }

    #[test]
    fn a_quick_test_rounds_to_one_of_two_neighbouring_tens_and_is_right_on_average() {
        for people in 10..200 {
            let shown: Vec<u64> = (0..10).map(|lot| rounded(people, QUICK_TEST_STEP, lot)).collect();
            assert!(
                shown.iter().all(|shown| shown % 10 == 0 && shown.abs_diff(people) < 10 && *shown >= 10),
                "{people}"
            );
            assert_eq!(shown.iter().sum::<u64>(), people * 10);
        }
        assert_eq!(rounded(1_230, 10, 9), 1_230, "a multiple stays");
        assert_eq!((rounded(7, 0, 3), rounded(u64::MAX, 10, 9)), (7, u64::MAX), "stays in range");
    }
}
