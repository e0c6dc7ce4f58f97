//! What becomes of a statistic when the people whom it is made of are counted with noise.
//!
//! A count of people is shown with its noise. The others follow it, so that they can't be used to work the noise out, and so
//! that two statistics whose people differ by one don't tell what the one contributed:
//!
//! | statistic | shown |
//! |---|---|
//! | count of rows | times shown people over people, of those who add something: `sum(CASE WHEN .. THEN 1 ELSE 0 END)` is the count that it is. Where they don't have equally many rows, moved by `w` times the most that counts of one person besides |
//! | sum | moved by `w` times the most that counts of one person |
//! | mean | times the same of those who add something, over the same of all who have a value; a share of ones and zeros is one shown count over the other, any other mean is moved by `w` times what one person whose values are at a limit moves it by |
//! | variance, standard deviation | moved by `w` times what such a person moves the variance by; a fall becomes a division, so that none is below zero |
//!
//! `w` is looked up as a count's noise is (mean 0, variance 3). Half of it is the people's, so that the same people asked for in other words have no new
//! noise; half of it is that of who adds how much ([`noise_of`]): with the people's alone, a sum of values that an attacker knows would
//! tell the noise of every other sum over the same people.
//!
//! **How large.** What one person may add is limited ([`super::limits`]), and the noise is that of somebody at the limit, as the noise of a count is that of people who
//! add one each: so a difference of two sums, or of two means, is off by some 2.4 times the most that anybody can have made of it. Noise of an
//! average person's would do where all add alike; but whoever writes a statement lets nine add much and all others little. In magnitude tables the
//! cell-key method does the same with the largest contributions (Thompson, Broadfoot & Elazar 2013; Giessing & Tent 2019). A
//! mean's own uncertainty is the standard deviation over the *square root* of the people, and so larger.
//!
//! Digits beyond that would still give numbers away: the exact mean of whole years has only one denominator that makes the sum
//! whole. So every statistic is rounded to a tenth of such a person's part: to the smallest of 1, 2 and 5 times a power of ten that isn't
//! below it.

/// How much finer than one average person's part a statistic is shown.
const FINER: u64 = 10;

/// Shown people over people, of those whom a statistic is made of; for a mean also of those whom it is a mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    shown: u64,
    people: u64,
    /// more people shown, in parts of [`PARTS`]
    more: i64,
}

/// Contributions that add up to more than so many times their sum have different signs.
const SIGNED: f64 = 1.000_001;

/// Parts of a person in which noise is added.
const PARTS: i64 = 1_000;

/// The noise of a statistic of which it is known who adds how much: of the people's and of their contributions', as uncertain as either.
#[must_use]
pub fn noise_of(people: i64, contributions: i64) -> f64 {
    (people + contributions) as f64 * std::f64::consts::FRAC_1_SQRT_2
}

impl Share {
    /// `None` of nobody: there is nothing to be hidden.
    #[must_use]
    pub const fn new(shown: u64, people: u64) -> Option<Self> {
        if people == 0 { None } else { Some(Self { shown, people, more: 0 }) }
    }

    /// As if so many more people were shown, or fewer.
    #[must_use]
    pub fn moved(self, noise: f64) -> Self {
        Self { more: (noise * PARTS as f64).round() as i64, ..self }
    }

    /// Shown people and all, in parts.
    fn parts(self) -> (i128, i128) {
        let parts = |people: u64| i128::from(people) * i128::from(PARTS);
        ((parts(self.shown) + i128::from(self.more)).max(0), parts(self.people))
    }

    fn factor(self) -> f64 {
        let (shown, people) = self.parts();
        shown as f64 / people as f64
    }

    /// A whole number, for example a count of rows or a decimal in its smallest units; one that doesn't fit is the largest or the least
    /// that does.
    #[must_use]
    pub fn whole(self, value: i128) -> i128 {
        let (shown, people) = self.parts();
        // The product may be larger than any number, where the quotient isn't.
        let (whole, rest) = (value / people, value % people);
        let scaled = whole.saturating_mul(shown).saturating_add(divided(rest.saturating_mul(shown), people));
        if scaled == i128::MAX || scaled == i128::MIN {
            return scaled;
        }
        let unit = value.unsigned_abs().div_ceil(u128::from(self.people.saturating_mul(FINER)));
        let step = i128::try_from(nice_whole(unit)).unwrap_or(i128::MAX);
        divided(scaled, step).saturating_mul(step)
    }

    /// A number with digits behind the point.
    #[must_use]
    pub fn number(self, value: f64) -> f64 {
        rounded(value * self.factor(), value.abs() / (self.people as f64 * FINER as f64))
    }

    /// [`Self::whole`] with the noise of people who add `size` together, without their signs, where that is more than the sum: it has the noise of those who
    /// add the most, and where signs differ a sum near zero would have none.
    #[must_use]
    pub fn whole_of(self, value: i128, size: Option<f64>) -> i128 {
        let Some(size) = size.filter(|size| *size > (value as f64).abs() * SIGNED) else {
            return self.whole(value);
        };
        self.number_of(value as f64, Some(size)).round() as i128
    }

    /// [`Self::number`], in the same way.
    #[must_use]
    pub fn number_of(self, value: f64, size: Option<f64>) -> f64 {
        let Some(size) = size.filter(|size| *size > value.abs() * SIGNED) else { return self.number(value) };
        rounded(value + size * (self.factor() - 1.0), size / (self.people as f64 * FINER as f64))
    }

    /// A mean over the people of `of`, of whom those of `self` add something, with noise. `reach`: so far one person can move it, times the people.
    #[must_use]
    pub fn mean(self, of: Self, value: f64, reach: f64, noise: f64) -> f64 {
        let factor = if self == of {
            1.0
        } else {
            (self.shown as f64 * of.people as f64) / (self.people as f64 * of.shown as f64)
        };
        // Of ones and zeros it is a share, which has the noise of both counts already.
        let ones = (value * of.people as f64 - self.people as f64).abs() <= self.people as f64 * 1e-9;
        let noise = if ones { 0.0 } else { noise };
        let step = reach / of.people as f64;
        // Without a spread everybody has the mean.
        let unit = if step.is_normal() { step } else { value.abs() / of.people as f64 };
        rounded(value * factor + noise * step, unit / FINER as f64)
    }

    /// A standard deviation of zeros and ones over these people, of whom those of `adding` have a one; `squared`: a variance. It follows from the
    /// share of ones, and is the one that goes with the shown share.
    #[must_use]
    pub fn spread_of_share(self, adding: Self, value: f64, squared: bool) -> f64 {
        let variance = |ones: u64, all: u64| {
            let share = (ones as f64 / all as f64).clamp(0.0, 1.0);
            share * (1.0 - share)
        };
        let (there, shown) = (variance(adding.people, self.people), variance(adding.shown, self.shown));
        let ratio = if there > 0.0 { shown / there } else { 1.0 };
        self.spread(value * if squared { ratio } else { ratio.sqrt() }, 1.0, 0.0, squared)
    }

    /// A variance (`squared`) or a standard deviation, with its noise. `reach`: what part of the variance one person can be, times the people.
    #[must_use]
    pub fn spread(self, value: f64, reach: f64, noise: f64, squared: bool) -> f64 {
        let part = reach / self.people as f64;
        let moved = noise * part;
        let factor = if moved < 0.0 { 1.0 / (1.0 - moved) } else { 1.0 + moved };
        let (factor, part) = if squared { (factor, part) } else { (factor.sqrt(), part / 2.0) };
        rounded(value * factor, (value * part).abs() / FINER as f64)
    }
}

/// The nearest whole number, halves away from zero, by a number above zero.
fn divided(value: i128, by: i128) -> i128 {
    let (whole, rest) = (value / by, value % by);
    if rest.unsigned_abs() >= by.unsigned_abs().div_ceil(2) { whole + value.signum() } else { whole }
}

/// The smallest of 1, 2, 5 times a power of ten that isn't below.
fn nice_whole(unit: u128) -> u128 {
    let mut power: u128 = 1;
    loop {
        for digit in [1, 2, 5] {
            if power * digit >= unit {
                return power * digit;
            }
        }
        match power.checked_mul(10) {
            Some(next) if next <= u128::MAX / 50 => power = next,
            _ => return power * 5,
        }
    }
}

/// Rounded to the smallest nice step that isn't below `unit`.
fn rounded(value: f64, unit: f64) -> f64 {
    if !unit.is_normal() {
        return value;
    }
    let power = unit.log10().floor();
    // Logarithms of powers of ten may come out a little below or above.
    let digit = unit / 10_f64.powf(power);
    let (digit, power) = match digit {
        d if d <= 1.0 => (1.0, power),
        d if d <= 2.0 => (2.0, power),
        d if d <= 5.0 => (5.0, power),
        _ => (1.0, power + 1.0),
    };
    // Divided by a power of ten, not multiplied with its inverse, so that 54.3 is the number nearest to 54.3.
    let shown = if power < 0.0 {
        let up = 10_f64.powf(-power);
        (value * up / digit).round() * digit / up
    } else {
        let step = digit * 10_f64.powf(power);
        (value / step).round() * step
    };
    if shown.is_finite() { shown } else { value }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn share(shown: u64, people: u64) -> Share {
        Share::new(shown, people).unwrap()
    }

    #[test]
    fn a_count_of_one_row_a_person_is_the_shown_count() {
        for (shown, people) in [(7, 5), (998, 1_000), (5, 9)] {
            assert_eq!(share(shown, people).whole(i128::from(people)), i128::from(shown));
        }
    }

    #[test]
    fn a_statistic_keeps_a_tenth_of_what_one_person_adds() {
        // 340 rows of 100 people: one adds 3.4, a tenth is 0.34, so whole numbers stay.
        assert_eq!(share(100, 100).whole(340), 340);
        // 12,345,678 of 100 people: a tenth of one person is 12,346, shown in steps of 20,000.
        assert_eq!(share(100, 100).whole(12_345_678), 12_340_000);
        assert_eq!(share(100, 100).whole(-12_345_678), -12_340_000);
        assert_eq!(share(100, 100).number(54.317_9), 54.3);
        assert_eq!(share(1_000, 1_000).number(54.317_9), 54.32);
        assert_eq!(share(10, 10).number(54.317_9), 54.0);
        assert_eq!(share(10, 10).number(0.0), 0.0);
        assert!(share(10, 10).number(f64::NAN).is_nan());
    }

    #[test]
    fn a_share_is_one_shown_count_over_the_other() {
        // 20 of 100, shown as 22 of 97
        assert_eq!(share(22, 20).mean(share(97, 100), 0.2, 0.4, 0.0), 0.227);
    }

    #[test]
    fn a_mean_moves_by_persons_steps() {
        // one of 100 people can be 15 away: steps of 0.15, shown to 0.02
        let all = share(103, 100);
        assert_eq!(all.mean(all, 54.317, 15.0, 0.0), 54.32);
        assert_eq!(all.mean(all, 54.317, 15.0, -2.0), 54.02);
        assert_eq!(all.mean(all, 54.0, 0.0, 3.0), 54.0);
        // one person can be as much as five hundredths of the variance
        assert_eq!(all.spread(200.0, 5.0, 3.0, true), 230.0);
        assert_eq!(all.spread(200.0, 5.0, -3.0, true), 174.0);
        assert_eq!(all.spread(15.0, 5.0, 3.0, false), 16.1);
        assert!(all.spread(15.0, 500.0, -7.0, false) > 0.0);
        assert_eq!(all.spread(0.0, 5.0, 3.0, false), 0.0);
    }

    #[test]
    fn noise_moves_a_statistic_by_parts_of_a_person() {
        // 5,000 of 100 people, one of whom adds 50 and a half 25
        assert_eq!(share(100, 100).moved(0.5).whole(5_000), 5_025);
        assert_eq!(share(100, 100).moved(-0.5).number(5_000.0), 4_975.0);
        assert_eq!(share(103, 100).moved(0.0), share(103, 100));
        assert_eq!(share(1, 1).moved(-7.0).whole(10), 0);
        let halves: f64 = noise_of(3, 3).powi(2);
        assert!((halves - 18.0).abs() < 1e-9);
    }

    #[test]
    fn the_spread_of_a_share_goes_with_the_shown_share() {
        // 20 of 100, shown as 22 of 97
        let (ones, all) = (share(22, 20), share(97, 100));
        let p: f64 = 22.0 / 97.0;
        assert!((all.spread_of_share(ones, 0.4, false) - (p * (1.0 - p)).sqrt()).abs() < 0.0004);
        assert!((all.spread_of_share(ones, 0.16, true) - p * (1.0 - p)).abs() < 0.0002);
        assert_eq!(all.spread_of_share(share(97, 100), 0.0, false), 0.0);
    }

    /// Incomes of six million people as `DECIMAL(38, 20)`: times the shown people it is larger than any whole number.
    #[test]
    fn a_whole_number_is_shown_where_its_product_with_the_people_does_not_fit() {
        let (people, income) = (6_000_000, 400_000 * 10_i128.pow(20));
        let sum = income * i128::from(people);
        assert!(sum.checked_mul(i128::from(people)).is_none());
        for (shown, value) in [(people, sum), (people - 5, -sum), (people + 3, sum)] {
            let exact = value / i128::from(people) * i128::from(shown);
            let off = share(shown, people).whole(value).abs_diff(exact);
            assert!(off <= income.unsigned_abs() / 8, "{off}");
        }
        assert_eq!(share(7, 5).whole(i128::MAX), i128::MAX);
        assert_eq!(share(7, 5).whole(i128::MIN), i128::MIN);
        assert!(share(5, 7).whole(i128::MAX) < i128::MAX / 7 * 5 + i128::MAX / 70);
    }

    proptest! {
        #[test]
        fn rounding_is_never_off_by_more_than_a_step(value in -1e12_f64..1e12, people in 1_u64..10_000_000) {
            let shown = share(people, people).number(value);
            // a step is less than 2.5 times what it must be, and rounding goes half of it
            let most = 1.25 * value.abs() / (people as f64 * 10.0) + value.abs() * 1e-12;
            prop_assert!((shown - value).abs() <= most, "{} {}", shown, value);
        }

        #[test]
        fn whole_numbers_and_numbers_agree(value in -1_000_000_000_i128..1_000_000_000, people in 5_u64..100_000, off in 0_u64..10) {
            let share = share(people + off - 5, people);
            let (whole, number) = (share.whole(value) as f64, share.number(value as f64));
            let step = (2.5 * value as f64 / (people as f64 * 10.0)).abs().max(1.0);
            prop_assert!((whole - number).abs() <= step, "{} {}", whole, number);
        }

        #[test]
        fn nothing_overflows(value: i128, shown: u64, people in 1_u64.., other in 1_u64..) {
            let _ = share(shown, people).whole(value);
            let _ = share(shown, people).mean(share(other, other), value as f64, value as f64, 5.0);
        }
    }
}
