//! In which intervals a quantile is, as counts of people in intervals tell it.
//!
//! A median is somebody's value. What can be told of it is a range of intervals with enough people in it and on both sides of it, found from
//! the counts that are shown anyway, so that it tells nothing that they don't.
//!
//! A range is as wide as it has to be to hold the quantile: wherever the people are who are counted in intervals that aren't shown, and
//! for noise of up to [`DEVIATIONS`] standard deviations.
//!
//! INVARIANT: a function of shown counts. Exact counts come in only where everything may be seen ([`exactly`]).

use super::noise::VARIANCE;

/// At least so many shown people are in a range, as many below it and as many above it.
pub const BESIDE: u64 = 10;

/// Standard deviations of the noise, by which a count has to be clear of the quantile to count as below or above it.
pub const DEVIATIONS: f64 = 1.0;

/// The interval of `counts`, in the order of values, in which the part `fraction` of the people is reached; `None` of nobody.
#[must_use]
pub fn exactly(counts: &[u64], fraction: f64) -> Option<usize> {
    let all: u64 = counts.iter().sum();
    // A part like 0.1 of 30 is a little more than 3 as a floating-point number.
    let wanted = fraction * all as f64 * (1.0 - 1e-12);
    let mut so_far = 0;
    counts.iter().position(|count| {
        so_far += count;
        *count > 0 && so_far as f64 >= wanted
    })
}

/// The first and last interval of `counts`, shown ones in the order of values, of the range in which the quantile is. `people` are shown to
/// have a value at all. `None` when no range has enough people in it and beside it.
#[must_use]
pub fn range(counts: &[u64], people: u64, fraction: f64) -> Option<(usize, usize)> {
    let shown: u64 = counts.iter().sum();
    // With noise, and where somebody has values in several intervals, more are shown in intervals than have a value.
    let people = people.max(shown) as f64;
    let above = 1.0 - fraction;
    let below: Vec<u64> = std::iter::once(0)
        .chain(counts.iter().scan(0, |so_far, count| {
            *so_far += count;
            Some(*so_far)
        }))
        .collect();
    let margin = |cells: usize, part: f64| DEVIATIONS * (VARIANCE as f64 * (cells as f64 + part * part)).sqrt();
    // Of intervals up to `at`: those of nobody else are below its end, even if all who aren't shown are above.
    let certainly_below = |at: &usize| {
        let left = below.get(*at).copied().unwrap_or(shown);
        left as f64 - fraction * people >= margin(*at, fraction)
    };
    let certainly_above = |at: &usize| {
        let right = shown.saturating_sub(below.get(*at).copied().unwrap_or(shown));
        right as f64 - above * people >= margin(counts.len().saturating_sub(*at), above)
    };
    let mut last = (1..=counts.len()).find(certainly_below)?.checked_sub(1)?;
    let mut first = (0..counts.len()).rev().find(certainly_above)?;
    if first > last {
        return None;
    }
    loop {
        let people_below = below.get(first).copied()?;
        let people_above = shown.checked_sub(*below.get(last + 1)?)?;
        if people_below < BESIDE || people_above < BESIDE {
            return None;
        }
        if shown - people_below - people_above >= BESIDE {
            return Some((first, last));
        }
        if people_below > people_above { first -= 1 } else { last += 1 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        super::{
            Cell, count,
            lot::Lot,
            noise::{CellKey, perturbed},
            threshold::Threshold,
        },
        *,
    };
    use proptest::prelude::*;

    #[test]
    fn a_quantile_of_exact_counts_is_in_one_interval() {
        assert_eq!(exactly(&[0, 3, 0, 3], 0.5), Some(1), "as many are below its end as above");
        assert_eq!(exactly(&[2, 1, 3], 0.5), Some(1));
        assert_eq!(exactly(&[3, 27], 0.1), Some(0));
        assert_eq!((exactly(&[0, 0], 0.5), exactly(&[], 0.5)), (None, None));
    }

    #[test]
    fn a_range_has_people_in_it_and_on_both_sides() {
        assert_eq!(range(&[100, 100, 100, 100, 100], 500, 0.5), Some((2, 2)));
        assert_eq!(range(&[100, 100, 100, 100], 400, 0.5), Some((1, 2)), "it may be in either");
        assert_eq!(range(&[30, 8, 30], 68, 0.5), None, "widened, nobody would be above");
        assert_eq!(range(&[20, 30, 8, 30, 20], 108, 0.5), Some((2, 3)), "widened until ten are in it");
        assert_eq!(range(&[100, 100, 9], 209, 0.5), None, "fewer than ten above");
        assert_eq!(range(&[9, 100, 100], 209, 0.5), None, "fewer than ten below");
        assert_eq!(range(&[500], 500, 0.5), None, "an interval of everybody");
        assert_eq!(range(&[200, 200, 200, 200, 200], 1_000, 0.99), None, "nobody is above the last");
        assert_eq!(range(&[], 0, 0.5), None);
    }

    #[test]
    fn people_who_are_not_shown_may_be_anywhere() {
        let shown = [50, 50, 50, 50, 50, 50, 50];
        assert_eq!(range(&shown, 350, 0.5), Some((3, 3)));
        assert_eq!(range(&shown, 450, 0.5), Some((2, 4)), "a hundred of 450 are in no interval that is shown");
        assert_eq!(range(&shown, 900, 0.5), None, "most are");
    }

    proptest! {
        /// Counts without noise, small ones hidden: the range always holds the quantile.
        #[test]
        fn a_range_of_counts_without_noise_holds_the_quantile(
            truth in proptest::collection::vec(0..60_u64, 1..30),
            fraction in 0.01..0.99_f64,
        ) {
            let shown: Vec<(usize, u64)> =
                truth.iter().copied().enumerate().filter(|(_, count)| *count >= 5).collect();
            let counts: Vec<u64> = shown.iter().map(|(_, count)| *count).collect();
            if let Some((first, last)) = range(&counts, truth.iter().sum(), fraction) {
                let at = exactly(&truth, fraction).unwrap();
                prop_assert!(shown[first].0 <= at && at <= shown[last].0, "{truth:?} {fraction}: {at} {first} {last}");
                let within: u64 = counts[first..=last].iter().sum();
                prop_assert!(within >= BESIDE && counts[..first].iter().sum::<u64>() >= BESIDE);
                prop_assert!(counts[last + 1..].iter().sum::<u64>() >= BESIDE);
            }
        }
    }

    /// With noise it holds it but for a few in a thousand, and is one interval where that is clear.
    #[test]
    fn a_range_of_noisy_counts_nearly_always_holds_the_quantile() {
        let mut state = 1_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut told, mut missed, mut width) = (0_u32, 0_u32, 0);
        for table in 0..20_000_u64 {
            let cells = 3 + draw(20);
            let size = 4 + draw(100);
            let truth: Vec<u64> = (0..cells).map(|_| draw(size)).collect();
            let fraction = [0.5, 0.25, 0.75, 0.1, 0.9][usize::try_from(table % 5).unwrap()];
            let mut show =
                |people: u64| perturbed(people, CellKey::new(u8::try_from(draw(256)).unwrap()), Threshold::DEFAULT);
            let all = show(truth.iter().sum());
            let shown: Vec<(usize, u64)> = truth
                .iter()
                .enumerate()
                .filter(|(_, count)| **count >= 5)
                .map(|(at, count)| (at, show(*count)))
                .collect();
            let counts: Vec<u64> = shown.iter().map(|(_, count)| *count).collect();
            let Some((first, last)) = range(&counts, all, fraction) else { continue };
            let at = exactly(&truth, fraction).unwrap();
            told += 1;
            missed += u32::from(at < shown[first].0 || shown[last].0 < at);
            width += last - first + 1;
        }
        println!(
            "of {told} ranges {missed} don't hold the quantile; {:.2} intervals in the mean",
            width as f64 / f64::from(told)
        );
        assert!(told > 10_000 && missed * 100 < told, "{missed} of {told}");
    }

    /// How many people a group needs, for the page on decisions: ages in tens and in fives, through threshold, lots and noise.
    #[test]
    fn a_median_of_a_hundred_people_is_told_and_a_decile_of_five_hundred() {
        let mut state = 7_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut told = |people: u64, width: u64, fraction: f64| {
            let mut told = 0;
            for _ in 0..300 {
                let mut truth = vec![0_u64; 20];
                for _ in 0..people {
                    // ages with most people in the middle
                    let age = (draw(34) + draw(34) + draw(34)) / width;
                    if let Some(count) = truth.get_mut(usize::try_from(age).unwrap()) {
                        *count += 1;
                    }
                }
                let mut show = |people: u64| {
                    let byte = |drawn: u64| u8::try_from(drawn).unwrap();
                    let (key, lot) = (CellKey::new(byte(draw(256))), Lot::new(byte(draw(256))));
                    count(Cell { people, key, lot }, Threshold::DEFAULT).value
                };
                let counts: Vec<u64> = truth.into_iter().filter_map(&mut show).filter(|shown| *shown > 0).collect();
                told += u32::from(show(people).is_some_and(|people| range(&counts, people, fraction).is_some()));
            }
            told / 3
        };
        for width in [10, 5] {
            for people in [60, 100, 200, 500, 1_000] {
                let [median, quartile, decile] = [0.5, 0.25, 0.9].map(|fraction| told(people, width, fraction));
                println!(
                    "{people} people in intervals of {width}: {median} % of medians are told, {quartile} % of lower quartiles, {decile} % of ninth deciles"
                );
            }
        }
        assert!(told(100, 10, 0.5) > 90 && told(200, 10, 0.25) > 90 && told(500, 10, 0.9) > 80);
        assert_eq!(told(30, 10, 0.9), 0);
    }
}
