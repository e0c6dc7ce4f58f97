//! Limits on what one person adds to a statistic.
//!
//! Who writes a statement chooses what each person adds: `sum(CASE WHEN (one person) THEN income ELSE 1 END)` over 100,000 people is that
//! person's income but for the noise of a count, and no rule on shares of the total sees it. A rule that hides a sum for its largest
//! contribution tells by hiding whether that person has one. So what is shown of sums, means and spreads is made of contributions within limits that
//! no few people decide on: what is beyond a limit counts as the limit.
//!
//! **The limits.** Let `h` be the fifth largest number of the people of the cell and `l` the fifth smallest. What counts is from
//! `l - (h - l) / 2` to `h + (h - l) / 2`: where people differ, the outermost four of each side are brought nearer if they are very far out, and all others
//! stay. Where all but four of each side have the same, everybody has it. Fifth is by lot, as all boundaries are ([`super::lot`]): the fifth, sixth,
//! seventh or eighth; of fewer than ten people nobody beyond the middle.
//!
//! **What it costs.** Outliers: a sum of very skewed values comes out too small. Of 1,000 people with a log-normal value (of variance 1 on the
//! scale of logarithms) it is 0.3 % of the sum, of 20 it is a fifth. It is a form of what is known as winsorising (Tukey 1962; Hundepool et
//! al., Statistical Disclosure Control, 2012, chapter 3: top and bottom coding).
//!
//! **Noise.** What is shown has the noise of somebody at a limit ([`super::statistic`]): of an average person's, one who adds far more than most would be seen
//! beside eight others who do. It follows from the limits alone, so that its size tells of nobody either.
//!
//! INVARIANT: numbers of four people, whatever they are, move a limit no further than to the number of a fifth.

use super::{
    lot::{Lot, WIDTH},
    threshold::Threshold,
};
use sha2::{Digest, Sha256};

/// Numbers that differ by less than this part of them are equal.
const SAME: f64 = 1e-9;
const LEAST: u64 = Threshold::DEFAULT.least();

/// The number of somebody who is among the outermost, and what tells them from others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// the number
    pub number: f64,
    /// the same for the same person
    pub tag: u16,
}

/// The least and the most that counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    low: f64,
    high: f64,
}

impl Limits {
    /// Of a cell of so many people, the outermost first: eight from each end, or all where there are fewer.
    #[must_use]
    pub fn of(lowest: &[Ranked], highest: &[Ranked], people: u64) -> Self {
        let (low, high) = (place(lowest, people), place(highest, people));
        // of an even number of few people the two in the middle
        let (low, high) = (low.min(high), low.max(high));
        let more = (high - low) / 2.0;
        Self { low: low - more, high: high + more }
    }

    /// The number, or the limit that it is beyond.
    #[must_use]
    pub const fn within(self, number: f64) -> f64 {
        number.clamp(self.low, self.high)
    }

    /// How far what counts goes from a number, to the farther end.
    #[must_use]
    pub fn reach(self, from: f64) -> f64 {
        if self.alike() { 0.0 } else { (self.high - from).max(from - self.low) }
    }

    /// The most that somebody adds, without its sign.
    #[must_use]
    pub fn most(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// Whether all have the same, or all but few. Numbers that differ by what rounding leaves are the same.
    #[must_use]
    pub fn alike(self) -> bool {
        self.high - self.low <= self.high.abs().max(self.low.abs()) * SAME
    }
}

/// The number from which on others count as it, before it is moved outwards.
fn place(outermost: &[Ranked], people: u64) -> f64 {
    let middle = people.div_ceil(2);
    let first = (LEAST..LEAST + WIDTH).find(|rank| lot(outermost, *rank).reaches(LEAST, *rank));
    let rank = first.unwrap_or(LEAST + WIDTH).min(middle).max(1);
    let at = usize::try_from(rank).unwrap_or(usize::MAX).min(outermost.len());
    outermost.get(at.saturating_sub(1)).map_or(0.0, |ranked| ranked.number)
}

/// The lot of the first of them, whatever order they are in.
fn lot(outermost: &[Ranked], rank: u64) -> Lot {
    let first = outermost.iter().take(usize::try_from(rank).unwrap_or(usize::MAX));
    let mut tags: Vec<u16> = first.map(|ranked| ranked.tag).collect();
    tags.sort_unstable();
    let hash =
        tags.iter().fold(Sha256::new().chain_update(b"eger limits"), |hash, tag| hash.chain_update(tag.to_le_bytes()));
    let [first, ..] = <[u8; 32]>::from(hash.finalize());
    Lot::new(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(numbers: &[f64], seed: u16) -> Limits {
        let mut ranked: Vec<Ranked> =
            (0..).zip(numbers).map(|(at, number)| Ranked { number: *number, tag: seed.wrapping_add(at) }).collect();
        ranked.sort_by(|a, b| a.number.total_cmp(&b.number));
        let lowest: Vec<Ranked> = ranked.iter().take(8).copied().collect();
        let highest: Vec<Ranked> = ranked.iter().rev().take(8).copied().collect();
        Limits::of(&lowest, &highest, numbers.len() as u64)
    }

    #[test]
    fn of_equal_numbers_a_few_others_count_as_they_do() {
        for few in 0..=4 {
            let mut numbers = vec![1.0; 100];
            numbers[..few].fill(1e6);
            for seed in 0..40 {
                let limits = limits(&numbers, seed);
                assert!(limits.alike(), "{few}");
                assert_eq!((limits.within(1e6), limits.within(-1e6)), (1.0, 1.0));
            }
        }
    }

    #[test]
    fn whether_five_others_do_falls_by_lot() {
        for (others, shares) in [(5, 10..50), (6, 100..170), (7, 200..245), (8, 256..257)] {
            let mut numbers = vec![1.0; 100];
            numbers[..others].fill(1e6);
            let seen = (0..256).filter(|seed| !limits(&numbers, seed * 100).alike()).count();
            assert!(shares.contains(&seen), "{others}: {seen} of 256");
        }
    }

    #[test]
    fn numbers_that_differ_keep_their_places_but_for_the_far_ones() {
        let numbers: Vec<f64> = (0..100).map(f64::from).collect();
        let limits = limits(&numbers, 0);
        assert!(numbers.iter().all(|number| limits.within(*number) == *number));
        assert!((130.0..145.0).contains(&limits.within(1e9)));
        assert!((-45.0..-30.0).contains(&limits.within(-1e9)));
        assert_eq!(limits.most(), limits.within(1e9));
        assert_eq!(limits.reach(50.0), (limits.within(1e9) - 50.0).max(50.0 - limits.within(-1e9)));
    }

    #[test]
    fn of_few_people_nobody_decides() {
        for people in 1..10 {
            let mut numbers = vec![1.0; people];
            numbers[0] = 1e6;
            let limits = limits(&numbers, 3);
            assert!(people < 3 || limits.alike(), "{people}");
        }
        assert!(limits(&[], 0).alike());
    }

    /// The sum of very different numbers (log-normal, variance 1 of the logarithms) is too small by what the document says.
    #[test]
    fn skewed_numbers_lose_a_part_that_gets_small() {
        let mut state = 7_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        for (people, draws, most) in [(20, 4_000, 0.3), (100, 1_000, 0.1), (1_000, 200, 0.02)] {
            let mut lost = Vec::new();
            for draw in 0..draws {
                let numbers: Vec<f64> = (0..people)
                    .map(|_| {
                        let (a, b) = (1.0 - uniform(), uniform());
                        ((-2.0 * a.ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()).exp()
                    })
                    .collect();
                let limits = limits(&numbers, draw * 13 % 60_000);
                let (sum, limited) = numbers.iter().fold((0.0, 0.0), |(a, b), n| (a + n, b + limits.within(*n)));
                lost.push(1.0 - limited / sum);
            }
            let mean = lost.iter().sum::<f64>() / lost.len() as f64;
            println!("{people} people: {:.1} % of the sum are beyond the limits, in the mean", 100.0 * mean);
            assert!((0.0..most).contains(&mean), "{people}: {mean}");
        }
    }

    proptest! {
        /// Four numbers are replaced by whatever others.
        #[test]
        fn four_people_move_no_limit_beyond_the_others(
            numbers in proptest::collection::vec(-100_i8..100, 12..60),
            others in proptest::array::uniform4(-1e12_f64..1e12),
        ) {
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let mut changed = numbers.clone();
            changed[..4].copy_from_slice(&others);
            let rest = &numbers[4..];
            let (least, most) = rest.iter().fold((f64::MAX, f64::MIN), |(a, b), n| (a.min(*n), b.max(*n)));
            let limits = limits(&changed, 9);
            prop_assert!(limits.low >= least - (most - least) && limits.high <= most + (most - least));
        }
    }
}
