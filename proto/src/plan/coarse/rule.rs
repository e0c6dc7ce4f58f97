//! The rule: three significant digits, but whole numbers up to [`WHOLE`] stay exact; the day of a point in time.
//!
//! Ages, years and most codes are whole numbers of up to four digits; what is measured with more digits than three is measured finer than
//! statistics need. Halves are rounded away from zero. What would get too large for its type is rounded towards zero.

use arrow::datatypes::TimeUnit;

/// The largest number up to which whole numbers stay as they are.
pub const WHOLE: u64 = 9_999;

/// Larger floating-point numbers are taken for it: up to here powers of ten are exact.
const LARGEST: f64 = 1e21;

/// Powers of ten, from 1.
const TENS: [f64; 22] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21,
];

/// Below each of them a number keeps one digit more behind the point, beginning with one.
const EDGES: [f64; 14] = [1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12];

/// A whole number of `size`, no larger than `most`.
fn whole(size: u64, most: u64) -> u64 {
    if size <= WHOLE {
        return size;
    }
    let step = 10_u64.pow(size.ilog10() - 2);
    let below = size - size % step;
    match below.checked_add(step) {
        Some(above) if size - below >= step / 2 && above <= most => above,
        _ => below,
    }
}

/// A whole number with a sign.
pub(super) fn integer<T: Copy + Into<i64> + TryFrom<i64> + Bounded>(value: T) -> T {
    let number: i64 = value.into();
    // The least number of a type is one further from zero than the largest.
    let size = whole(number.unsigned_abs(), T::MOST);
    let coarse = if number < 0 { size.cast_signed().wrapping_neg() } else { size.cast_signed() };
    T::try_from(coarse).unwrap_or(value)
}

/// A whole number without a sign.
pub(super) fn unsigned<T: Copy + Into<u64> + TryFrom<u64> + Bounded>(value: T) -> T {
    T::try_from(whole(value.into(), T::MOST)).unwrap_or(value)
}

/// How large a type's numbers get.
pub(super) trait Bounded {
    const MOST: u64;
}

macro_rules! bounded {
    ($($kind:ty)*) => {
        $(impl Bounded for $kind {
            const MOST: u64 = <$kind>::MAX as u64;
        })*
    };
}
bounded! { i16 i32 i64 u16 u32 u64 }

/// A floating-point number. What is no number, or has no end, stays.
pub(super) fn float(value: f64) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let size = value.abs();
    let coarse = if size >= LARGEST {
        LARGEST
    } else if size >= 10_000.0 {
        let decade = TENS.partition_point(|ten| *ten <= size);
        // Three digits before the step; there are at least five.
        let step = decade.checked_sub(3).and_then(|place| TENS.get(place)).copied().unwrap_or(LARGEST);
        (size / step).round() * step
    } else if size >= 100.0 {
        size.round()
    } else {
        let digits = 1 + EDGES.partition_point(|edge| *edge > size);
        let parts = TENS.get(digits).copied().unwrap_or(LARGEST);
        (size * parts).round() / parts
    };
    // There is one zero only.
    coarse.copysign(value) + 0.0
}

/// A decimal of so many digits, of which `scale` stand behind the point.
pub(super) fn decimal(value: i128, digits: u8, scale: u8) -> i128 {
    let ten = |power: u8| 10_u128.checked_pow(power.into()).unwrap_or(u128::MAX);
    let (size, one) = (value.unsigned_abs(), ten(scale));
    let step = if size >= one.saturating_mul(10_000) || (size < one.saturating_mul(100) && size >= 1_000) {
        10_u128.checked_pow(size.ilog10().saturating_sub(2)).unwrap_or(1)
    } else if size < one.saturating_mul(100) {
        1
    } else {
        one
    };
    let below = size - size % step;
    let coarse = match below.checked_add(step) {
        Some(above) if size - below >= step.div_ceil(2) && above < ten(digits) => above,
        _ => below,
    };
    if value < 0 { coarse.cast_signed().wrapping_neg() } else { coarse.cast_signed() }
}

/// How long a day is.
pub(super) const fn day(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 86_400,
        TimeUnit::Millisecond => 86_400_000,
        TimeUnit::Microsecond => 86_400_000_000,
        TimeUnit::Nanosecond => 86_400_000_000_000,
    }
}

/// When the day of a point in time begins.
pub(super) const fn begins(at: i64, day: i64) -> i64 {
    match at.div_euclid(day).checked_mul(day) {
        Some(first) => first,
        None => i64::MIN,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_digits_stay_and_whole_numbers_up_to_four() {
        for (value, coarse) in [
            (0, 0),
            (47, 47),
            (2_021, 2_021),
            (9_999, 9_999),
            (10_049, 10_000),
            (10_050, 10_100),
            (523_456, 523_000),
            (-523_500, -524_000),
            (i32::MAX, 2_140_000_000),
            (i32::MIN, -2_140_000_000),
        ] {
            assert_eq!(integer(value), coarse, "{value}");
        }
        assert_eq!(integer(i64::from(i32::MAX)), 2_150_000_000);
        assert_eq!((integer(i64::MAX), integer(i64::MIN)), (9_220_000_000_000_000_000, -9_220_000_000_000_000_000));
        assert_eq!((unsigned(u64::MAX), unsigned(65_535_u16)), (18_400_000_000_000_000_000, 65_500));
    }

    #[test]
    fn numbers_with_a_point_keep_three_digits_or_the_whole_number() {
        for (value, coarse) in [
            (5.37, 5.37),
            (5.374, 5.37),
            (0.012_345, 0.0123),
            (0.1, 0.1),
            (9.996, 10.0),
            (52.349, 52.3),
            (523.4, 523.0),
            (2_021.4, 2_021.0),
            (9_999.6, 10_000.0),
            (523_456.25, 523_000.0),
            (-523_456.25, -523_000.0),
            (4.2e-7, 4.2e-7),
            (1e300, 1e21),
            (-1e-300, 0.0),
        ] {
            assert_eq!(float(value), coarse, "{value}");
        }
        assert!(float(-0.0).is_sign_positive() && float(f64::NAN).is_nan());
        assert_eq!(float(f64::NEG_INFINITY), f64::NEG_INFINITY);
        for (value, coarse) in [
            (537, 537),
            (5_374, 5_370),
            (52_340, 52_300),
            (202_149, 202_100),
            (52_345_625, 52_300_000),
            (-99_999, -100_000),
        ] {
            assert_eq!(decimal(value, 15, 2), coarse, "{value} hundredths");
        }
        assert_eq!((decimal(99_999, 5, 2), decimal(7, 38, 38), decimal(0, 1, 0)), (99_900, 7, 0));
    }

    #[test]
    fn a_point_in_time_is_its_day() {
        let day = day(TimeUnit::Second);
        for (at, first) in [(0, 0), (86_399, 0), (86_400, 86_400), (-1, -86_400), (i64::MIN, i64::MIN)] {
            assert_eq!(begins(at, day), first, "{at}");
        }
    }

    proptest! {
        #[test]
        fn larger_values_never_get_smaller(a: i64, b: i64, x: f64, y: f64, p in -1e6..1e6_f64, q in -100.0..100.0_f64) {
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(integer(a) <= integer(b));
            prop_assert!(decimal(a.into(), 19, 4) <= decimal(b.into(), 19, 4));
            prop_assert!(begins(a, 86_400) <= begins(b, 86_400));
            for (x, y) in [(x, y), (p, q), (q, q * 1.0001), (p, p.next_up())] {
                let (x, y) = if x.total_cmp(&y).is_le() { (x, y) } else { (y, x) };
                prop_assert!(float(x).total_cmp(&float(y)).is_le(), "{} {}", x, y);
            }
        }

        #[test]
        fn nothing_is_off_by_more_than_half_a_percent(a: i64, p in -1e9..1e9_f64, d in -1_000_000_000_i128..1_000_000_000) {
            // Where there is no room to round up, it is one percent.
            let off = |a: i64| u128::from(integer(a).abs_diff(a));
            prop_assert!(off(a) * 100 <= u128::from(a.unsigned_abs()));
            prop_assert!(off(a / 2) * 200 <= u128::from((a / 2).unsigned_abs()));
            prop_assert!((float(p) - p).abs() <= p.abs() * 0.005 + f64::EPSILON);
            prop_assert!(decimal(d, 15, 3).abs_diff(d) * 200 <= d.unsigned_abs());
            prop_assert_eq!(float(float(p)), float(p), "of a coarse value it is the same");
        }
    }
}
