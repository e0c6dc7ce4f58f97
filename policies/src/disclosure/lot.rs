//! Boundaries that fall by lot: hidden or shown, nearly the same people or others.
//!
//! A rule that changes its mind at an exact number of people tells that number: whoever can name four others sees by one answer
//! whether a fifth is counted. So a number of people that is just at a boundary passes it for one lot in eight, one person above for one in two, two
//! above for seven in eight ([`PASSING`]), and from three above always. Below the boundary nobody passes: by lot more is hidden, never less.
//!
//! **Whose lot.** The people's: the first byte of a hash of what the project's pseudonyms of all of them add up to (their key and
//! their marks). The same people have the same lot, however and how often they are asked for, and at every boundary: asking
//! for the few as a cell, as the rest of a group, or as the difference to an earlier answer is one attempt and not three. Other people,
//! and the same in another project, have another one. It is not the byte that draws the noise, so that the noise of what is shown
//! stays right on average.
//!
//! **Why these.** They change in equal steps (of the angle whose squared sine the probability is), which makes the most informative
//! question as uninformative as the width allows; and more cells stay shown than under the rules that hide up to seven, or hide others beside small ones. ADR 15
//! has the figures, and what an attacker learns all the same.
//!
//! INVARIANT: whoever passes with so many people above a boundary passes with more, by the same lot.
//! INVARIANT: changing [`PASSING`] or the hash changes which cells are shown; it takes a new key epoch.

use super::noise::CellKey;
use sha2::{Digest, Sha256};

/// So many numbers of people, from a boundary on, fall by lot.
pub const WIDTH: u64 = PASSING.len() as u64;
/// How many of 256 lots pass: at the boundary, one person above it, two above.
pub const PASSING: [u16; 3] = [32, 128, 224];

/// What falls by lot for some people, 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lot(u8);

impl Lot {
    /// A lot as it was drawn elsewhere.
    #[must_use]
    pub const fn new(lot: u8) -> Self {
        Self(lot)
    }

    /// The lot of the people with this key and these marks (`proto`'s summary of a cell's people). Where only the key is known, as of a blind
    /// total, the marks are all zero and the key decides.
    #[must_use]
    pub fn of_people(key: CellKey, marks: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(b"eger lot").chain_update([key.get()]).chain_update(marks).finalize();
        let [first, ..] = <[u8; 32]>::from(hash);
        Self(first)
    }

    /// Whether people who are so many `above` a boundary (0: exactly at it) pass it.
    #[must_use]
    pub fn passes(self, above: u64) -> bool {
        let passing = usize::try_from(above).ok().and_then(|above| PASSING.get(above));
        passing.is_none_or(|passing| u16::from(self.0) < *passing)
    }

    /// Whether so many people reach a boundary of `least`, by this lot.
    #[must_use]
    pub fn reaches(self, least: u64, people: u64) -> bool {
        people.checked_sub(least).is_some_and(|above| self.passes(above))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn nobody_passes_below_a_boundary_and_everybody_well_above() {
        for lot in (0..=255).map(Lot::new) {
            assert!((0..5).all(|people| !lot.reaches(5, people)));
            assert!((8..100).all(|people| lot.reaches(5, people)));
            let passed: Vec<bool> = (5..8).map(|people| lot.reaches(5, people)).collect();
            assert!(passed.is_sorted(), "who passes passes with more: {passed:?}");
        }
        for (above, passing) in (0..).zip(PASSING) {
            let found = (0..=255).filter(|lot| Lot::new(*lot).passes(above)).count();
            assert_eq!(found, usize::from(passing));
        }
    }

    /// Equal steps of the angle: every question between two neighbouring numbers of people tells about as much.
    #[test]
    fn no_two_neighbouring_numbers_of_people_are_told_apart_much_better_than_others() {
        let passing = |above: i32| match usize::try_from(above) {
            Ok(above) => PASSING.get(above).map_or(1.0, |passing| f64::from(*passing) / 256.0),
            Err(_) => 0.0,
        };
        let steps: Vec<f64> =
            (-1..3).map(|above| passing(above + 1).sqrt().asin() - passing(above).sqrt().asin()).collect();
        let quarter = std::f64::consts::FRAC_PI_8;
        assert!(steps.iter().all(|step| (step - quarter).abs() < 0.04), "{steps:?}");
    }

    #[test]
    fn the_same_people_have_the_same_lot_and_lots_are_spread_evenly() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut counts = [0_u32; 256];
        for _ in 0..25_600 {
            let (key, marks): (u8, [u8; 32]) = (rng.random(), rng.random());
            let lot = Lot::of_people(CellKey::new(key), &marks);
            assert_eq!(lot, Lot::of_people(CellKey::new(key), &marks));
            counts[usize::from(lot.0)] += 1;
        }
        // 100 each, with a standard deviation of 10
        assert!(counts.iter().all(|count| (50..160).contains(count)), "{counts:?}");
        // by the key alone too
        let by_key: Vec<Lot> = (0..=255).map(|key| Lot::of_people(CellKey::new(key), &[0; 256])).collect();
        let passing = by_key.iter().filter(|lot| lot.passes(0)).count();
        assert!((16..52).contains(&passing), "{passing} of 256 keys pass at the boundary");
    }

    /// The noise of shown cells stays right on average: lot and noise are drawn from different bytes.
    #[test]
    fn who_passes_has_noise_like_everybody() {
        use crate::disclosure::noise;
        let mut rng = StdRng::seed_from_u64(4);
        for above in 0..3_u64 {
            let (mut sum, mut shown) = (0_i64, 0_i64);
            for _ in 0..20_000 {
                let key = CellKey::new(rng.random());
                let marks: [u8; 16] = rng.random();
                if Lot::of_people(key, &marks).passes(above) {
                    sum += noise::noise(above, key);
                    shown += 1;
                }
            }
            // at least 2,400 of variance 3: five standard deviations of the mean
            assert!((sum as f64 / shown as f64).abs() < 0.18, "{above} above: {sum} over {shown}");
        }
    }
}
