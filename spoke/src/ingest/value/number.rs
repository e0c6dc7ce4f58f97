//! Numbers with decimal point or comma, and yes/no.

use super::Misfit;

const NO_INTEGER: Misfit = Misfit::new("not a whole number");
const TOO_LARGE: Misfit = Misfit::new("a whole number too large for the column's type");
const NO_NUMBER: Misfit =
    Misfit::new("not a number in the declared form (decimal comma or point, no thousands separators)");
const TOO_PRECISE: Misfit = Misfit::new("a number with more decimals than the column's type has");
const TOO_MANY_DIGITS: Misfit = Misfit::new("a number with more digits than the column's type has");
const NO_BOOLEAN: Misfit = Misfit::new("not a yes or no (1/0, true/false, ja/nej, yes/no, j/n, y/n)");

/// A whole number. Decimals are taken when they are all zero, as programs write whole numbers that they hold as
/// floating point.
pub(crate) fn integer(field: &[u8], decimal: u8) -> Result<i64, Misfit> {
    let (negative, digits) = sign(field);
    let digits = match digits.iter().position(|byte| *byte == decimal) {
        Some(at) => {
            let (whole, decimals) = digits.split_at(at);
            if decimals.len() < 2 || decimals.iter().skip(1).any(|byte| *byte != b'0') {
                return Err(NO_INTEGER);
            }
            whole
        }
        None => digits,
    };
    if digits.is_empty() {
        return Err(NO_INTEGER);
    }
    // Summed below zero, where there is room for one more.
    let mut value: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return Err(NO_INTEGER);
        }
        value = value.checked_mul(10).and_then(|value| value.checked_sub(i64::from(byte - b'0'))).ok_or(TOO_LARGE)?;
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or(TOO_LARGE) }
}

/// A floating-point number.
pub(crate) fn float(field: &[u8], decimal: u8) -> Result<f64, Misfit> {
    let mut buffer = [0_u8; 64];
    let buffer = buffer.get_mut(..field.len()).ok_or(NO_NUMBER)?;
    let mut points = 0;
    let mut digits = 0;
    for (to, byte) in buffer.iter_mut().zip(field) {
        *to = match *byte {
            b if b == decimal => {
                points += 1;
                b'.'
            }
            b @ (b'0'..=b'9') => {
                digits += 1;
                b
            }
            b @ (b'+' | b'-' | b'e' | b'E') => b,
            // Also refuses what Rust itself would take: inf, nan, the other decimal sign.
            _ => return Err(NO_NUMBER),
        };
    }
    if points > 1 || digits == 0 {
        return Err(NO_NUMBER);
    }
    let value: f64 = std::str::from_utf8(buffer).ok().and_then(|text| text.parse().ok()).ok_or(NO_NUMBER)?;
    if value.is_finite() { Ok(value) } else { Err(NO_NUMBER) }
}

/// A fixed-point number, as the integer that stands for it at `scale`.
pub(crate) fn decimal(field: &[u8], point: u8, precision: u8, scale: i8) -> Result<i128, Misfit> {
    let (negative, digits) = sign(field);
    let mut value: i128 = 0;
    let mut decimals: Option<i8> = None;
    let mut seen = 0_usize;
    for byte in digits {
        match (*byte, decimals) {
            (b, None) if b == point => decimals = Some(0),
            (b'0'..=b'9', _) => {
                seen += 1;
                let digit = i128::from(byte - b'0');
                if let Some(count) = &mut decimals {
                    if *count == scale {
                        if digit != 0 {
                            return Err(TOO_PRECISE);
                        }
                        continue;
                    }
                    *count += 1;
                }
                value = value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or(TOO_MANY_DIGITS)?;
            }
            _ => return Err(NO_NUMBER),
        }
    }
    if seen == 0 {
        return Err(NO_NUMBER);
    }
    for _ in decimals.unwrap_or(0)..scale {
        value = value.checked_mul(10).ok_or(TOO_MANY_DIGITS)?;
    }
    let limit = 10_i128.checked_pow(u32::from(precision)).ok_or(TOO_MANY_DIGITS)?;
    if value >= limit {
        return Err(TOO_MANY_DIGITS);
    }
    Ok(if negative { -value } else { value })
}

/// Yes or no, in the spellings that are common.
pub(crate) fn boolean(field: &[u8]) -> Result<bool, Misfit> {
    let mut lower = [0_u8; 5];
    let lower = lower.get_mut(..field.len()).ok_or(NO_BOOLEAN)?;
    lower.copy_from_slice(field);
    lower.make_ascii_lowercase();
    match &*lower {
        b"1" | b"true" | b"t" | b"ja" | b"j" | b"yes" | b"y" => Ok(true),
        b"0" | b"false" | b"f" | b"nej" | b"n" | b"no" => Ok(false),
        _ => Err(NO_BOOLEAN),
    }
}

fn sign(field: &[u8]) -> (bool, &[u8]) {
    match field {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers() {
        assert_eq!(integer(b"42", b','), Ok(42));
        assert_eq!(integer(b"-7", b','), Ok(-7));
        assert_eq!(integer(b"3,00", b','), Ok(3));
        assert_eq!(integer(b"-9223372036854775808", b'.'), Ok(i64::MIN));
        assert_eq!(integer(b"9223372036854775808", b'.'), Err(TOO_LARGE));
        for wrong in ["", "-", "3,5", "3,", "3.0", "1e3", "12a", "1 000"] {
            assert!(integer(wrong.as_bytes(), b',').is_err(), "{wrong}");
        }
    }

    #[test]
    fn decimals_and_booleans() {
        assert_eq!(decimal(b"12,5", b',', 6, 2), Ok(1250));
        assert_eq!(decimal(b"-0,05", b',', 6, 2), Ok(-5));
        assert_eq!(decimal(b"12,500", b',', 6, 2), Ok(1250));
        assert_eq!(decimal(b"12,505", b',', 6, 2), Err(TOO_PRECISE));
        assert_eq!(decimal(b"12345", b',', 6, 2), Err(TOO_MANY_DIGITS));
        assert_eq!(decimal(b",", b',', 6, 2), Err(NO_NUMBER));
        assert_eq!(decimal(b"1,2,3", b',', 6, 2), Err(NO_NUMBER));
        assert_eq!(boolean(b"Ja"), Ok(true));
        assert_eq!(boolean(b"FALSE"), Ok(false));
        assert!(boolean(b"maybe").is_err());
        assert!(boolean(b"").is_err());
    }

    #[test]
    fn floats_take_one_decimal_sign_only() {
        assert_eq!(float(b"1,5", b','), Ok(1.5));
        assert_eq!(float(b"-1,5E-3", b','), Ok(-1.5e-3));
        for wrong in ["", "1.5", "1,5,2", "inf", "nan", "1.234,5", "1e999", "--1", "e", ","] {
            assert!(float(wrong.as_bytes(), b',').is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_integer_survives(value: i64) {
            prop_assert_eq!(integer(value.to_string().as_bytes(), b','), Ok(value));
        }

        #[test]
        fn any_float_survives(value in proptest::num::f64::NORMAL) {
            let text = format!("{value:e}").replace('.', ",");
            prop_assert_eq!(float(text.as_bytes(), b','), Ok(value));
        }

        #[test]
        fn any_decimal_survives(value in -99_999_999_i128..=99_999_999) {
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{},{:03}", value.abs() / 1000, value.abs() % 1000);
            prop_assert_eq!(decimal(text.as_bytes(), b',', 8, 3), Ok(value));
        }

        #[test]
        fn no_bytes_make_a_parser_panic(bytes: Vec<u8>, scale in 0_i8..10) {
            let _ = integer(&bytes, b',');
            let _ = float(&bytes, b',');
            let _ = decimal(&bytes, b',', 12, scale);
            let _ = boolean(&bytes);
        }
    }
}
