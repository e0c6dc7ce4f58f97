//! Sums and means that say too much about who contributes most.
//!
//! Three rules on the contributions of the people of one cell, largest first `x1 >= x2 >= ..`, their total `T`:
//! - **contributors**: at least 10 (ACRO's `safe_threshold` and degrees of freedom);
//! - **(n,k) = (2, 0.9)**: hidden when `(x1 + x2) / T >= 0.9`. As ACRO: from 90 %, not above it;
//! - **p% = 10**: hidden when `(T - x1 - x2) / x1 < 0.1`: whoever is second knows the own contribution, and could estimate
//!   the largest one within 10 %. With `x1 = 0` the cell is hidden: each of its people is known to have zero.
//!
//! These are ACRO's definitions (`check_nk_dominance` and `check_ppercent_dominance` in `acro/sdcchecks.py`, read in 1.0.2), and the usual
//! ones: Hundepool et al., Statistical Disclosure Control (2012), chapter 4. (ACRO's comment says that a cell with `x1 = 0`
//! is let pass; its code hides it.) With these numbers p% hides nothing beyond (n,k) but cells of zeros, since 0.1 is less than
//! 1/9; it is looked at by itself so that it still holds when a number is changed.
//!
//! **What a contribution is.** One person's, however many rows: the absolute value of the sum of that person's values in the cell.
//! **Negative values** count by their absolute value, in the total too; so do R's `GaussSuppression::MagnitudeRule`. Otherwise
//! +1,000 and -999 would be a cell of 1 in which nobody dominates. ACRO doesn't decide such tables: it hands every cell with a negative value
//! to a person for review, and looks at no cell of that table. Without negative values the two are the same.
//!
//! INVARIANT: facts that can't be (negative, not a number, a largest below the second) hide the cell.

use super::{lot::Lot, status::Rule};

/// The least people that a sum or mean is made of.
pub const CONTRIBUTORS: u64 = 10;
/// The share of the total from which on two people dominate it.
pub const SHARE: f64 = 0.9;
/// How near to the largest contribution the second contributor may come, as a share of it.
pub const NEAR: f64 = 0.1;

/// What a sum or a mean is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contributions {
    /// Different people whose contribution counts: in the platform those whose value is not zero (ADR 4).
    pub people: u64,
    /// Sum of the absolute contributions.
    pub total: f64,
    /// The largest absolute contribution of one person.
    pub largest: f64,
    /// The largest of another person; 0 when there is none.
    pub second: f64,
}

impl Contributions {
    /// From one number a person: that person's values in the cell, added up.
    #[must_use]
    pub fn of(people: impl IntoIterator<Item = f64>) -> Self {
        let mut all = Self { people: 0, total: 0.0, largest: 0.0, second: 0.0 };
        for value in people {
            all.people += 1;
            all.total += value.abs();
            // NaN is neither above nor below; it stands in the total, where `possible` finds it
            if value.abs() > all.largest {
                all.second = all.largest;
                all.largest = value.abs();
            } else if value.abs() > all.second {
                all.second = value.abs();
            }
        }
        all
    }

    /// The first rule that hides the sum or mean, if one does. Nobody's sum is not hidden.
    #[must_use]
    pub fn check(&self) -> Option<Rule> {
        if self.people == 0 && self.total == 0.0 {
            return None;
        }
        if !self.possible() || self.few() {
            return Some(Rule::Contributors);
        }
        if self.dominated() {
            return Some(Rule::Dominated);
        }
        self.near().then_some(Rule::Near)
    }

    /// [`Self::check`], with as many more contributors as the lot of those people says: nine known ones would tell the tenth.
    #[must_use]
    pub fn check_by_lot(&self, lot: Lot) -> Option<Rule> {
        let short = self.people > 0 && !lot.reaches(CONTRIBUTORS, self.people);
        // named before the others, as too few always are
        if short { Some(Rule::Contributors) } else { self.check() }
    }

    /// Fewer than [`CONTRIBUTORS`] people.
    #[must_use]
    pub fn few(&self) -> bool {
        self.people < CONTRIBUTORS
    }

    /// The (n,k) rule: two people make up [`SHARE`] of the total or more.
    #[must_use]
    pub fn dominated(&self) -> bool {
        // divided as ACRO does, so that a share of exactly 0.9 is the same on both sides; 0 / 0 is not >= 0.9
        self.people > 0 && (self.largest + self.second) / self.total >= SHARE
    }

    /// The p% rule: what the others contribute is less than [`NEAR`] of the largest contribution.
    #[must_use]
    pub fn near(&self) -> bool {
        let others = self.total - (self.largest + self.second);
        self.people > 0 && if self.largest > 0.0 { others / self.largest < NEAR } else { others < NEAR }
    }

    fn possible(&self) -> bool {
        self.total.is_finite() && self.second >= 0.0 && self.largest >= self.second && self.total >= self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twelve(first: f64, second: f64, others: f64) -> Contributions {
        Contributions::of([first, second].into_iter().chain([others / 10.0; 10]))
    }

    #[test]
    fn ten_people_of_whom_none_stands_out_are_shown_and_nine_are_not() {
        assert_eq!(Contributions::of([1.0; 10]).check(), None);
        assert_eq!(Contributions::of([1.0; 9]).check(), Some(Rule::Contributors));
        assert_eq!(Contributions::of([]).check(), None, "nobody's sum is no sum");
    }

    #[test]
    fn two_people_with_nine_tenths_of_the_total_hide_it() {
        assert_eq!(twelve(45.0, 45.0, 10.0).check(), Some(Rule::Dominated), "exactly 0.9");
        assert_eq!(twelve(44.0, 45.0, 11.0).check(), None);
    }

    #[test]
    fn the_second_may_not_come_within_ten_percent_of_the_first() {
        assert!(twelve(100.0, 50.0, 9.0).near());
        assert!(!twelve(100.0, 50.0, 10.0).near(), "exactly 0.1");
        assert_eq!(Contributions::of([0.0; 12]).check(), Some(Rule::Near), "everybody's value would be known: zero");
    }

    #[test]
    fn negative_values_count_by_their_size() {
        let cell = Contributions::of([1_000.0, -999.0].into_iter().chain([1.0; 10]));
        assert_eq!(cell.total, 2_009.0);
        assert_eq!(cell.check(), Some(Rule::Dominated), "the sum is 11, of which nobody has 90 %");
    }

    #[test]
    fn impossible_facts_hide_the_cell() {
        let fine = Contributions { people: 20, total: 100.0, largest: 10.0, second: 9.0 };
        assert_eq!(fine.check(), None);
        for broken in [
            Contributions { total: f64::NAN, ..fine },
            Contributions { total: f64::INFINITY, ..fine },
            Contributions { total: -100.0, ..fine },
            Contributions { largest: 8.0, ..fine },
            Contributions { second: -1.0, ..fine },
            Contributions { largest: f64::NAN, ..fine },
            Contributions { people: 0, ..fine },
        ] {
            assert!(broken.check().is_some(), "{broken:?}");
        }
        assert!(Contributions::of([f64::NAN; 12]).check().is_some());
    }
}
