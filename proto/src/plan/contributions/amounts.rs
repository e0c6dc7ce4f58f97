//! Marks of who adds how much: as those of people are (`persons`), but what is mixed in is a hash of the person and of what they add.
//!
//! Two statistics of which all but `n` people add the same differ in `n` marks at the most; of other values, or of other people, in nearly all.
//! So a sum over somebody more is known as nearly the same sum, and the same people's sum of another year as another one.
//!
//! The hash is keyed by the person's pseudonym, of which whoever reads marks has three bytes: values can't be tried out. Whoever has whole
//! pseudonyms of a project sees the values beside them.
//!
//! Numbers of rows that come in another order add up to a little more or less: they are rounded to 40 bits of the mantissa. Somebody
//! whose sum falls to the other side of a rounding counts as one who adds something else.
//!
//! INVARIANT: changing the hash or the rounding makes the platform forget which statistics were shown; it takes a new key epoch.

use super::MOST;
use crate::plan::{
    gathered::BYTES,
    persons::{MARKS, Summary, summary::of_person},
};
use siphasher::sip::SipHasher24;

/// Bytes of a number.
const NUMBER: usize = size_of::<f64>();
/// Bits of the mantissa that don't count.
const LOOSE: u64 = 52 - 40;
/// Below it a sum is one of values that add up to nothing.
const NOTHING: f64 = 1e-300;
/// Rows of nobody change so many marks: with and without them a statistic is not nearly the same.
const NOBODYS: usize = 16;

/// Which mark somebody changes by adding these numbers, what is mixed into it, and their key.
#[inline]
pub(super) fn amount(person: &[u8; BYTES], adds: &[f64]) -> [u8; 3] {
    let [place, _, key] = of_person(person);
    let [mark, ..] = hash(person, adds).to_le_bytes();
    [place, mark, key]
}

/// Adds what somebody adds who isn't in it: the numbers that `Tells` says, in their order.
pub fn add(summary: &mut Summary, person: &[u8; BYTES], adds: &[f64]) {
    summary.put(amount(person, adds));
}

/// Changes the marks by what rows without a person number add up to, who are nobody.
pub(super) fn add_nobody(marks: &mut [u8; MARKS], sum: f64) {
    let mixed = hash(&[0; BYTES], &[sum]).to_le_bytes();
    let again = hash(&[u8::MAX; BYTES], &[sum]).to_le_bytes();
    let bytes = mixed.into_iter().chain(again);
    for (mark, byte) in marks.iter_mut().step_by(MARKS / NOBODYS).zip(bytes) {
        *mark ^= byte;
    }
}

#[inline]
fn hash(person: &[u8; BYTES], adds: &[f64]) -> u64 {
    let mut bytes = [[0; NUMBER]; MOST];
    bytes.iter_mut().zip(adds).for_each(|(bytes, number)| *bytes = rounded(*number).to_le_bytes());
    let bytes = bytes.as_flattened();
    SipHasher24::new_with_key(person).hash(bytes.get(..adds.len() * NUMBER).unwrap_or(bytes))
}

/// The bits of a number that count.
fn rounded(number: f64) -> u64 {
    if number.abs() < NOTHING {
        return 0;
    }
    if !number.is_finite() {
        // all that are none are alike, and infinities by their sign
        return if number.is_nan() { f64::NAN } else { number }.to_bits();
    }
    // A carry goes into the exponent, as it should.
    (number.to_bits() + (1 << (LOOSE - 1))) >> LOOSE << LOOSE
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(person: u8, adds: &[f64]) -> [u8; 3] {
        amount(&[person; BYTES], adds)
    }

    #[test]
    fn an_amount_is_of_its_person_and_of_every_number() {
        let people = 0..=255_u8;
        let same = |a: &[f64], b: &[f64]| people.clone().filter(|person| of(*person, a) == of(*person, b)).count();
        assert_eq!(same(&[2.0, 1.0, 4.0], &[2.0, 1.0, 4.0]), 256);
        for (a, b) in [(&[2.0][..], &[3.0][..]), (&[2.0], &[2.0, 1.0]), (&[2.0, 1.0], &[2.0, 2.0])] {
            assert!(same(a, b) < 8, "{a:?} {b:?}");
        }
        let marks = |sum| people.clone().map(|person| of(person, &[sum])[1]).collect::<std::collections::BTreeSet<_>>();
        assert!(marks(1.0).len() > 120, "nearly all sums of one are the same mark");
    }

    #[test]
    fn what_adds_up_to_nothing_is_told_from_other_numbers_alone() {
        for nothing in [0.0, -0.0, f64::MIN_POSITIVE, 1e-320] {
            assert_eq!(rounded(nothing), 0);
        }
        assert_ne!(rounded(1e-12), 0);
        assert_eq!(rounded(f64::NAN), rounded(-f64::NAN));
        assert_ne!(rounded(f64::INFINITY), rounded(f64::NEG_INFINITY));
    }

    #[test]
    fn rows_of_nobody_make_another_statistic() {
        let (mut with, without) = ([0; MARKS], [0; MARKS]);
        add_nobody(&mut with, 12.0);
        assert!(with.iter().zip(&without).filter(|(a, b)| a != b).count() > 12);
        add_nobody(&mut with, 12.0);
        assert_eq!(with, without);
    }

    proptest! {
        #[test]
        fn the_order_of_rows_changes_few_sums(values in prop::collection::vec(0.01_f64..1e6, 2..40)) {
            let there: f64 = values.iter().sum();
            let back: f64 = values.iter().rev().sum();
            let (a, b) = (f64::from_bits(rounded(there)), f64::from_bits(rounded(back)));
            prop_assert!(a == b || (a - b).abs() <= there.abs() * 2e-12, "{} {}", a, b);
            prop_assert!((a - there).abs() <= there.abs() * 1e-12);
        }
    }
}
