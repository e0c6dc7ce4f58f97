//! Statistical disclosure control: the rules by which numbers about people may be shown, written once for the hub's open
//! zone, the spokes and the airlock.
//!
//! | module | decides |
//! |---|---|
//! | [`threshold`] | whether a number is about enough people |
//! | [`lot`] | which of those who only just are, are taken for enough |
//! | [`limits`] | how much one person may add to a statistic |
//! | [`noise`] | how much a count is changed (cell-key method) |
//! | [`statistic`] | what becomes of the statistics of people who are counted with noise |
//! | [`dominance`] | whether a sum or mean tells what one person contributed |
//! | [`group`] | whether a number tells of everybody in a group |
//! | [`quantile`] | in which intervals of shown counts a quantile is |
//! | [`complementary`] | which more cells of a table have to go so that hidden ones can't be computed |
//! | [`status`] | what is said about it, in `release_status` |
//!
//! [`count`] and [`magnitude`] put together what holds for one number by itself; what holds between the numbers of a table
//! ([`group`], [`complementary`]) needs the table. `docs/disclosure.md` says what researchers have to know.
//!
//! INVARIANT: pure. Facts go in, a decision comes out; nothing is read, kept, or asked.
//! INVARIANT: fails closed. Facts that can't be true hide the number.

mod coarse;
pub mod complementary;
pub mod dominance;
pub mod group;
pub mod limits;
pub mod lot;
pub mod noise;
pub mod quantile;
pub mod statistic;
pub mod status;
pub mod threshold;

pub use coarse::{coarse, moved, thousands};
pub use status::{
    Outcome, PERTURBED, RELEASED, Rule, STATUS_COLUMN, SUPPRESSED, Status, is_small_groups, noise_and_hidden, of_row,
};
pub use threshold::{THRESHOLD, Threshold};

use dominance::Contributions;
use lot::Lot;
use noise::CellKey;

/// How many people a cell is about, their key and their lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Different people.
    pub people: u64,
    /// The sum of their keys.
    pub key: CellKey,
    /// What falls by lot for them.
    pub lot: Lot,
}

/// A count of people: hidden under the threshold, and by lot a little above it; else shown with noise. Nobody stays nobody.
#[must_use]
pub fn count(cell: Cell, threshold: Threshold) -> Outcome<u64> {
    if let Some(rule) = threshold.check_by_lot(cell.people, cell.lot) {
        return Outcome::suppressed(rule);
    }
    match noise::perturbed(cell.people, cell.key, threshold) {
        0 => Outcome::released(0),
        shown => Outcome::perturbed(shown),
    }
}

/// A count for a quick test: its own threshold, which a permit can raise, and rounded up or down as `lot` falls, which has to be
/// the same whenever the same is asked.
///
/// Unlike elsewhere nobody is a small group, too: whoever asks for one person after the other would otherwise learn who is
/// there from the difference between nobody and few.
#[must_use]
pub fn quick_test(people: u64, permit: u64, lot: u64) -> Outcome<u64> {
    let least = Threshold::QUICK_TEST.raised_to(permit).least();
    if people < least {
        return Outcome::suppressed(Rule::Few(least));
    }
    Outcome::perturbed(threshold::rounded(people, threshold::QUICK_TEST_STEP, lot))
}

/// A sum or mean over `people`, who make it up as `contributions` say: shown as it is or hidden.
#[must_use]
pub fn magnitude(value: f64, people: u64, contributions: &Contributions, threshold: Threshold) -> Outcome<f64> {
    let rule =
        threshold.check(people).or_else(|| threshold.check(contributions.people)).or_else(|| contributions.check());
    match rule {
        Some(rule) => Outcome::suppressed(rule),
        None => Outcome::released(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_zero_hidden_or_perturbed() {
        for key in 0..=255_u8 {
            let lot = Lot::new(key.wrapping_mul(37));
            let of = |people| count(Cell { people, key: CellKey::new(key), lot }, Threshold::DEFAULT);
            assert_eq!(of(0), Outcome::released(0));
            for people in 1..5 {
                assert_eq!(of(people), Outcome::suppressed(Rule::Few(5)));
            }
            for people in 5..100 {
                let shown = of(people);
                if !lot.reaches(5, people) {
                    assert!(people < 8);
                    assert_eq!(shown, Outcome::suppressed(Rule::Few(5)));
                    continue;
                }
                assert_eq!(shown.status, Status::Perturbed);
                assert!(
                    shown.value.is_some_and(|shown| shown >= 5 && shown.abs_diff(people) <= 5),
                    "{people} {shown:?}"
                );
            }
        }
    }

    #[test]
    fn a_quick_test_has_ten_people_at_least_and_is_rounded() {
        for lot in 0..10 {
            assert_eq!(quick_test(9, 0, lot), Outcome::suppressed(Rule::Few(10)));
            assert_eq!(quick_test(0, 0, lot), quick_test(9, 0, lot), "nobody can't be told from few");
            assert_eq!(quick_test(10, 0, lot).value, Some(10));
            assert_eq!(quick_test(24, 25, lot), Outcome::suppressed(Rule::Few(25)));
        }
        assert_eq!((quick_test(126, 5, 3).value, quick_test(126, 5, 4).value), (Some(120), Some(130)));
    }

    #[test]
    fn a_sum_needs_people_and_contributors() {
        let fine = Contributions::of([1.0; 12]);
        assert_eq!(magnitude(12.0, 40, &fine, Threshold::DEFAULT), Outcome::released(12.0));
        assert_eq!(magnitude(12.0, 3, &fine, Threshold::DEFAULT).status, Status::Suppressed(Rule::Few(5)));
        let few = Contributions::of([1.0; 4]);
        assert_eq!(magnitude(4.0, 40, &few, Threshold::DEFAULT).status, Status::Suppressed(Rule::Few(5)));
        let nobody = Contributions::of([]);
        assert_eq!(magnitude(0.0, 40, &nobody, Threshold::DEFAULT), Outcome::released(0.0));
    }
}
