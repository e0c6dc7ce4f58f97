//! What a comparison of a coarse value with a constant says of the value itself.
//!
//! A coarse value grows with the value, so that `coarse(x) >= c` is `x >= m` of some `m`, which is found by halving. A spoke then
//! compares a table's own column, and can skip the row groups in which nothing passes.

use super::rule;
use arrow::datatypes::TimeUnit;
use datafusion::common::ScalarValue;
use std::cmp::Ordering;

/// Where coarse values reach a constant and pass it, as values of the column's own type.
#[derive(Debug, Clone, PartialEq)]
pub struct Edges {
    /// The least value whose coarse form isn't less; `None`: there is none.
    pub reached: Option<ScalarValue>,
    /// The least value whose coarse form is more; `None`: there is none.
    pub passed: Option<ScalarValue>,
}

impl Edges {
    /// The only value whose coarse form is the constant, when it is one.
    #[must_use]
    pub fn only(&self) -> Option<&ScalarValue> {
        let (reached, passed) = (self.reached.as_ref()?, self.passed.as_ref()?);
        let next = match (reached, passed) {
            (ScalarValue::Int16(Some(a)), ScalarValue::Int16(Some(b))) => a.checked_add(1) == Some(*b),
            (ScalarValue::Int32(Some(a)), ScalarValue::Int32(Some(b))) => a.checked_add(1) == Some(*b),
            (ScalarValue::Int64(Some(a)), ScalarValue::Int64(Some(b))) => a.checked_add(1) == Some(*b),
            (ScalarValue::UInt16(Some(a)), ScalarValue::UInt16(Some(b))) => a.checked_add(1) == Some(*b),
            (ScalarValue::UInt32(Some(a)), ScalarValue::UInt32(Some(b))) => a.checked_add(1) == Some(*b),
            (ScalarValue::UInt64(Some(a)), ScalarValue::UInt64(Some(b))) => a.checked_add(1) == Some(*b),
            _ => false,
        };
        next.then_some(reached)
    }
}

/// Where coarse values of a column reach and pass `constant`, which has the column's type; `None`: it isn't known of this type, or the
/// constant is NULL or no number.
#[must_use]
pub fn edges(constant: &ScalarValue) -> Option<Edges> {
    use ScalarValue as S;
    fn found(
        least: i128,
        most: i128,
        compared: impl Fn(i128) -> Ordering,
        shown: impl Fn(i128) -> Option<S>,
    ) -> Option<Edges> {
        let edge = |holds: &dyn Fn(Ordering) -> bool| match first(least, most, |at| holds(compared(at))) {
            Some(at) => shown(at).map(Some),
            None => Some(None),
        };
        Some(Edges { reached: edge(&Ordering::is_ge)?, passed: edge(&Ordering::is_gt)? })
    }
    macro_rules! whole {
        ($kind:ty, $scalar:path, $constant:expr, $rule:path) => {{
            let at = |at: i128| <$kind>::try_from(at).ok();
            let compared = |n: i128| at(n).map_or(Ordering::Less, |n| $rule(n).cmp($constant));
            found(<$kind>::MIN.into(), <$kind>::MAX.into(), compared, |n| at(n).map(|n| $scalar(Some(n))))
        }};
    }
    let moment = |at: i64, unit: TimeUnit, shown: &dyn Fn(i64) -> S| {
        let day = rule::day(unit);
        let compared = |n: i128| i64::try_from(n).map_or(Ordering::Less, |n| rule::begins(n, day).cmp(&at));
        found(i64::MIN.into(), i64::MAX.into(), compared, |n| i64::try_from(n).ok().map(shown))
    };
    match constant {
        S::Int16(Some(constant)) => whole!(i16, S::Int16, constant, rule::integer),
        S::Int32(Some(constant)) => whole!(i32, S::Int32, constant, rule::integer),
        S::Int64(Some(constant)) => whole!(i64, S::Int64, constant, rule::integer),
        S::UInt16(Some(constant)) => whole!(u16, S::UInt16, constant, rule::unsigned),
        S::UInt32(Some(constant)) => whole!(u32, S::UInt32, constant, rule::unsigned),
        S::UInt64(Some(constant)) => whole!(u64, S::UInt64, constant, rule::unsigned),
        S::Float64(Some(constant)) if !constant.is_nan() => {
            // The engine's two zeros are equal.
            let constant = constant + 0.0;
            let compared =
                |place: i128| float_at(place).map_or(Ordering::Less, |x| rule::float(x).total_cmp(&constant));
            let (least, most) = (place_of(f64::NEG_INFINITY), place_of(f64::INFINITY));
            found(least, most, compared, |place| float_at(place).map(|x| S::Float64(Some(x))))
        }
        S::Decimal128(Some(constant), digits, scale) if *scale >= 0 => {
            let most = 10_i128.checked_pow(u32::from(*digits))? - 1;
            let compared = |n: i128| rule::decimal(n, *digits, scale.unsigned_abs()).cmp(constant);
            found(-most, most, compared, |n| Some(S::Decimal128(Some(n), *digits, *scale)))
        }
        S::TimestampSecond(Some(at), zone) => {
            moment(*at, TimeUnit::Second, &|n| S::TimestampSecond(Some(n), zone.clone()))
        }
        S::TimestampMillisecond(Some(at), zone) => {
            moment(*at, TimeUnit::Millisecond, &|n| S::TimestampMillisecond(Some(n), zone.clone()))
        }
        S::TimestampMicrosecond(Some(at), zone) => {
            moment(*at, TimeUnit::Microsecond, &|n| S::TimestampMicrosecond(Some(n), zone.clone()))
        }
        S::TimestampNanosecond(Some(at), zone) => {
            moment(*at, TimeUnit::Nanosecond, &|n| S::TimestampNanosecond(Some(n), zone.clone()))
        }
        _ => None,
    }
}

/// The first of `least..=most` of which `holds` is true; from there on it is true of all.
fn first(least: i128, most: i128, holds: impl Fn(i128) -> bool) -> Option<i128> {
    let (mut low, mut high) = (least, most);
    if !holds(high) {
        return None;
    }
    while low < high {
        // Half of their sum, which may be too large a number itself.
        let middle = (low & high) + ((low ^ high) >> 1);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// The place of a number among all, in their order; of neighbours it differs by one.
fn place_of(x: f64) -> i128 {
    let bits = x.to_bits().cast_signed();
    // Negative numbers are laid out from zero downwards.
    i128::from(bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed())
}

fn float_at(place: i128) -> Option<f64> {
    let bits = i64::try_from(place).ok()?;
    Some(f64::from_bits((bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()).cast_unsigned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_are_where_the_rule_rounds() {
        let found = edges(&ScalarValue::Int32(Some(250_000))).unwrap();
        assert_eq!(found.reached, Some(ScalarValue::Int32(Some(249_500))));
        assert_eq!(found.passed, Some(ScalarValue::Int32(Some(250_500))));
        assert_eq!(found.only(), None);
        let small = edges(&ScalarValue::Int32(Some(101))).unwrap();
        assert_eq!(small.only(), Some(&ScalarValue::Int32(Some(101))));
        let between = edges(&ScalarValue::Float64(Some(250_123.0))).unwrap();
        assert_eq!(between.reached, between.passed, "no coarse value is this number");
        let none = edges(&ScalarValue::Int32(Some(i32::MAX))).unwrap();
        assert_eq!((none.reached, none.passed), (None, None));
        let cents = edges(&ScalarValue::Decimal128(Some(537), 10, 2)).unwrap();
        assert_eq!(cents.reached, Some(ScalarValue::Decimal128(Some(537), 10, 2)));
        let noon = edges(&ScalarValue::TimestampSecond(Some(86_400 + 43_200), None)).unwrap();
        assert_eq!(noon.reached, Some(ScalarValue::TimestampSecond(Some(2 * 86_400), None)));
        assert_eq!(edges(&ScalarValue::Float64(None)), None);
        assert_eq!(edges(&ScalarValue::Float64(Some(f64::NAN))), None);
        assert_eq!(edges(&ScalarValue::from("x")), None);
    }

    proptest! {
        #[test]
        fn places_are_in_order_and_lead_back(x: f64, y: f64) {
            prop_assert_eq!(float_at(place_of(x)).unwrap().to_bits(), x.to_bits());
            prop_assert_eq!(place_of(x).cmp(&place_of(y)), x.total_cmp(&y));
        }

        #[test]
        fn a_limit_on_the_coarse_value_is_one_on_the_value(
            x in prop_oneof![any::<f64>(), -1e6..1e6_f64, -10.0..10.0_f64],
            c in prop_oneof![any::<f64>(), -1e6..1e6_f64, -10.0..10.0_f64],
            near in 0.99..1.01_f64,
            n: i64, m: i64, small in -20_000..20_000_i64,
        ) {
            for (x, c) in [(x, c), (x, x * near), (x, rule::float(x))] {
                let Some(found) = edges(&ScalarValue::Float64(Some(c))) else { continue };
                let past = |edge: Option<ScalarValue>| {
                    edge.is_some_and(|edge| matches!(edge, ScalarValue::Float64(Some(edge)) if x.total_cmp(&edge).is_ge()))
                };
                let coarse = rule::float(x);
                if !x.is_nan() {
                    prop_assert_eq!(past(found.reached), coarse >= c);
                    prop_assert_eq!(past(found.passed), coarse > c);
                }
            }
            for (x, c) in [(n, m), (n, n.saturating_add(small)), (small, small + n % 100)] {
                let found = edges(&ScalarValue::Int64(Some(c))).unwrap();
                let past = |edge: Option<ScalarValue>| {
                    edge.is_some_and(|edge| matches!(edge, ScalarValue::Int64(Some(edge)) if x >= edge))
                };
                prop_assert_eq!(past(found.reached), rule::integer(x) >= c);
                prop_assert_eq!(past(found.passed), rule::integer(x) > c);
            }
        }
    }
}
