//! Where intervals begin and end.
//!
//! Ends are decimal numbers (0.3, not three times 0.1), each as the floating-point number nearest to it, so that a value that is written
//! like an end is the first of its interval.

/// Up to here whole numbers are exact as floating-point numbers, and so are [`TENS`].
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Powers of ten that are exact.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// How numbers are cut into intervals. Each holds its lower end and not its upper one; together they hold every number once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grid(Cut);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Cut {
    /// Numbers that begin with the same digit at the same place; zero by itself.
    Digit,
    /// Multiples of a step, whose bits are kept.
    Steps(u64),
}

impl Grid {
    /// Numbers that begin with the same digit: 20 to 30, 300,000 to 400,000, 0.01 to 0.02, -30 to -20.
    #[must_use]
    pub const fn digit() -> Self {
        Self(Cut::Digit)
    }

    /// Multiples of `step`; `None` unless it is a number above zero.
    #[must_use]
    pub fn of(step: f64) -> Option<Self> {
        (step.is_normal() && step > 0.0).then(|| Self(Cut::Steps(step.to_bits())))
    }

    /// The step, if there is one.
    #[must_use]
    pub fn step(self) -> Option<f64> {
        match self.0 {
            Cut::Digit => None,
            Cut::Steps(bits) => Some(f64::from_bits(bits)),
        }
    }

    /// Where the interval of `value` begins; `None` for what is no number, is infinite, or is too far away for the step.
    #[must_use]
    pub fn begins(self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        let Some(step) = self.step() else { return Some(first_digit(value)) };
        let multiple = Multiples::of(step);
        let mut number = (value / step).floor();
        // The quotient is rounded, so that it may be next to the right one.
        if number.is_finite() && multiple.at(number) > value {
            number -= 1.0;
        } else if number.is_finite() && multiple.at(number + 1.0) <= value {
            number += 1.0;
        }
        let begins = multiple.at(number);
        begins.is_finite().then_some(begins)
    }

    /// Where the interval ends that begins at `low`: the first number above it that is in another one. That of zero by itself ends at zero.
    #[must_use]
    pub fn ends(self, low: f64) -> f64 {
        match self.step() {
            Some(step) => Multiples::of(step).at((low / step).round() + 1.0),
            None if low == 0.0 => 0.0,
            None => {
                let (digit, place, _) = digits(low.abs());
                match (low > 0.0, digit) {
                    (true, _) => scaled(f64::from(digit) + 1.0, place),
                    (false, 1) => -scaled(9.0, place - 1),
                    (false, _) => -scaled(f64::from(digit) - 1.0, place),
                }
            }
        }
    }
}

/// Multiples of a step that was written in decimal digits.
struct Multiples {
    step: f64,
    /// the step's digits as a whole number, and the power of ten that they are multiplied by
    written: Option<(f64, i32)>,
}

impl Multiples {
    fn of(step: f64) -> Self {
        let text = format!("{step:e}");
        let written = text.split_once('e').and_then(|(digits, place)| {
            let behind = digits.split_once('.').map_or(0, |(_, behind)| behind.len());
            let parts: f64 = digits.replace('.', "").parse().ok()?;
            Some((parts, place.parse::<i32>().ok()? - i32::try_from(behind).ok()?))
        });
        Self { step, written }
    }

    fn at(&self, number: f64) -> f64 {
        let multiple = match self.written {
            Some((parts, power)) if (number * parts).abs() <= EXACT => scaled(number * parts, power),
            _ => number * self.step,
        };
        // There is one zero only.
        multiple + 0.0
    }
}

/// The numbers of the same sign that begin like it begin here.
fn first_digit(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let (digit, place, exact) = digits(value.abs());
    if value > 0.0 {
        scaled(digit.into(), place)
    } else {
        -scaled(f64::from(digit) + f64::from(u8::from(!exact)), place)
    }
}

/// The first digit of a number above zero, its place (0: ones, 1: tens), and whether there are no others.
fn digits(size: f64) -> (u8, i32, bool) {
    let written = format!("{size:e}");
    let (digits, place) = written.split_once('e').unwrap_or((&written, "0"));
    let first = digits.bytes().next().unwrap_or(b'0').saturating_sub(b'0');
    (first, place.parse().unwrap_or_default(), !digits.contains('.'))
}

/// The number nearest to `whole`, which is one up to [`EXACT`], times a power of ten.
fn scaled(whole: f64, power: i32) -> f64 {
    let exact = |power: i32| usize::try_from(power).ok().and_then(|power| TENS.get(power));
    match (exact(power), exact(-power)) {
        (Some(tens), _) => whole * tens,
        (None, Some(parts)) => whole / parts,
        (None, None) => format!("{whole}e{power}").parse().unwrap_or(f64::INFINITY),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_are_those_that_people_would_write() {
        let digit = Grid::digit();
        for (value, low, high) in [
            (0.002_f64, 0.002_f64, 0.003_f64),
            (47.0, 40.0, 50.0),
            (40.0, 40.0, 50.0),
            (99.9, 90.0, 100.0),
            (100.0, 100.0, 200.0),
            (523_456.25, 500_000.0, 600_000.0),
            (0.3, 0.3, 0.4),
            (0.299_999_999_999_999_9, 0.2, 0.3),
            (0.0123, 0.01, 0.02),
            (0.0, 0.0, 0.0),
            (-0.0, 0.0, 0.0),
            (-45.0, -50.0, -40.0),
            (-40.0, -40.0, -30.0),
            (-95.0, -100.0, -90.0),
            (-10.0, -10.0, -9.0),
            (1.0, 1.0, 2.0),
        ] {
            assert_eq!(digit.begins(value), Some(low), "{value}");
            assert_eq!(digit.ends(low).to_bits(), high.to_bits(), "{value}");
        }
        for (step, value, low, high) in [
            (10.0, 47.0, 40.0, 50.0),
            (0.1, 0.3, 0.3, 0.4),
            (0.1, 0.7, 0.7, 0.8),
            (0.1, -0.05, -0.1, 0.0),
            (0.25, 1.1, 1.0, 1.25),
            (50_000.0, 523_456.0, 500_000.0, 550_000.0),
            (1e25, 3.2e25, 3e25, 4e25),
        ] {
            let grid = Grid::of(step).unwrap();
            assert_eq!(grid.begins(value), Some(low), "{step} {value}");
            assert_eq!(grid.ends(low), high, "{step} {value}");
        }
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!((digit.begins(none), Grid::of(none)), (None, None));
        }
        assert_eq!((Grid::of(0.0), Grid::of(-1.0)), (None, None));
        assert_eq!(Grid::of(1e-300).unwrap().begins(1e300), None);
    }

    proptest! {
        /// Every number is in the interval that it is said to be in, and that interval's ends are in it and in the next.
        #[test]
        fn a_value_is_in_its_interval(
            value in prop_oneof![any::<f64>(), -1e6..1e6_f64, (-100_000..100_000_i32).prop_map(|n| f64::from(n) / 100.0)],
            step in prop_oneof![Just(None), (1..100_000_u32, 0..5_i32).prop_map(|(n, place)| Some(f64::from(n) / 10_f64.powi(place)))],
        ) {
            prop_assume!(value.is_finite());
            let grid = step.map_or(Grid::digit(), |step| Grid::of(step).unwrap());
            let low = grid.begins(value).unwrap();
            let high = grid.ends(low);
            // So far out, steps are smaller than the distance of two numbers.
            prop_assume!(step.is_none_or(|step| value.abs() / step < 1e12));
            prop_assert!(low <= value && (value < high || (value == 0.0 && high == 0.0)), "{low} {value} {high}");
            prop_assert_eq!(grid.begins(low), Some(low));
            if high != 0.0 && high.is_finite() {
                prop_assert_eq!(grid.begins(high), Some(high));
            }
        }
    }
}
