//! Danish person numbers (CPR): `DDMMYYSSSS`.
//!
//! INVARIANT: the check digit and the date are reported, never a reason to reject: numbers issued since October 2007
//! may fail modulus 11, and hospital data hold replacement numbers with 60 added to the day.

use super::{Misfit, date::days_from_civil};

const NOT_TEN: Misfit =
    Misfit::new("not a person number: expected ten digits, with or without a hyphen after the sixth");

const WEIGHTS: [u64; 10] = [4, 3, 2, 7, 6, 5, 4, 3, 2, 1];

/// A normalised person number and what is odd about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PersonNumber {
    /// the ten digits as a number
    pub(crate) digits: u64,
    /// the check digit fits
    pub(crate) modulus_11: bool,
    /// the first six digits are a day that existed; replacement numbers (day + 60) count as such
    pub(crate) possible_date: bool,
}

/// Normalises a person number: spaces and one hyphen go, a lost leading zero comes back.
pub(crate) fn person(field: &[u8]) -> Result<PersonNumber, Misfit> {
    let mut digits: u64 = 0;
    let mut count = 0_u32;
    let mut hyphens = 0;
    let mut after_hyphen = 0;
    for byte in field {
        match byte {
            b'0'..=b'9' => {
                digits = digits.checked_mul(10).and_then(|d| d.checked_add(u64::from(byte - b'0'))).ok_or(NOT_TEN)?;
                count += 1;
                after_hyphen += hyphens;
            }
            b' ' => {}
            b'-' => hyphens += 1,
            _ => return Err(NOT_TEN),
        }
        if count > 10 {
            return Err(NOT_TEN);
        }
    }
    // Nine digits: a program took the number for a number and dropped its zero.
    if !(9..=10).contains(&count) || hyphens > 1 || (hyphens == 1 && after_hyphen != 4) {
        return Err(NOT_TEN);
    }
    Ok(PersonNumber { digits, modulus_11: modulus_11(digits), possible_date: possible_date(digits) })
}

/// Whether a value has the form of a person number: ten digits, hyphen allowed, that start with a day.
/// Used to catch person numbers in columns that were declared as something else.
pub(crate) fn looks_like_person_number(field: &[u8]) -> bool {
    let field = super::trimmed(field);
    let ten = match field.len() {
        10 => true,
        11 => field.get(6) == Some(&b'-'),
        _ => false,
    };
    ten && person(field).is_ok_and(|number| number.possible_date && real_day(number.digits))
}

fn modulus_11(digits: u64) -> bool {
    let mut rest = digits;
    let mut sum = 0;
    for weight in WEIGHTS.iter().rev() {
        sum += weight * (rest % 10);
        rest /= 10;
    }
    sum % 11 == 0
}

fn real_day(digits: u64) -> bool {
    (1..=31).contains(&(digits / 100_000_000))
}

fn possible_date(digits: u64) -> bool {
    let day = digits / 100_000_000;
    let month = digits / 1_000_000 % 100;
    let year = digits / 10_000 % 100;
    let serial = digits / 1_000 % 10;
    let day = if (61..=91).contains(&day) { day - 60 } else { day };
    let century = match (serial, year) {
        (0..=3, _) | (4 | 9, 37..) => 1900,
        (4 | 9, _) | (5..=8, 0..=57) => 2000,
        _ => 1800,
    };
    let (Ok(year), Ok(month), Ok(day)) = (i32::try_from(century + year), u32::try_from(month), u32::try_from(day))
    else {
        return false;
    };
    days_from_civil(year, month, day).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn digits(text: &str) -> Option<u64> {
        person(text.as_bytes()).ok().map(|number| number.digits)
    }

    #[test]
    fn spellings_of_one_number_are_one_number() {
        for text in ["0101901234", "010190-1234", "101901234", "10190-1234", " 010190 1234 ", "010190 - 1234"] {
            assert_eq!(digits(text), Some(101_901_234), "{text}");
        }
    }

    #[test]
    fn anything_but_ten_digits_is_refused() {
        for text in [
            "",
            "12345678",
            "12345678901",
            "010190-12345",
            "01-01901234",
            "010190--1234",
            "010190A234",
            "0101901234x",
            "99999999999999999999999",
        ] {
            assert_eq!(digits(text), None, "{text}");
        }
    }

    #[test]
    fn oddities_are_told_not_refused() {
        // the example of the CPR office's own description of modulus 11
        assert!(person(b"0707614285").unwrap().modulus_11);
        assert!(!person(b"0707614286").unwrap().modulus_11);
        assert!(person(b"0707614285").unwrap().possible_date);
        assert!(!person(b"3102904285").unwrap().possible_date, "31 February");
        assert!(person(b"6707614285").unwrap().possible_date, "replacement number, day 67 is day 7");
        assert!(!person(b"0013901234").unwrap().possible_date);
        // 29 February: 1900 was no leap year, 2000 was
        assert!(!person(b"2902000234").unwrap().possible_date);
        assert!(person(b"2902004234").unwrap().possible_date);
    }

    #[test]
    fn person_numbers_are_recognised_in_other_columns() {
        assert!(looks_like_person_number(b"0707614285"));
        assert!(looks_like_person_number(b" 070761-4285 "));
        assert!(!looks_like_person_number(b"707614285"));
        assert!(!looks_like_person_number(b"9907614285"));
        assert!(!looks_like_person_number(b"DE110707614285"));
    }

    proptest! {
        #[test]
        fn every_number_survives_with_and_without_hyphen(number in 0_u64..10_000_000_000) {
            let text = format!("{number:010}");
            prop_assert_eq!(digits(&text), Some(number));
            let hyphen = format!("{}-{}", &text[..6], &text[6..]);
            prop_assert_eq!(digits(&hyphen), Some(number));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = person(&bytes);
            let _ = looks_like_person_number(&bytes);
        }
    }
}
