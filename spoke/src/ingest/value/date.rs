//! Days and points in time in the forms of Danish registers and SAS.

use super::Misfit;
use crate::declare::DateForm;

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;

const NOT_DAY_FIRST: Misfit = Misfit::new("not a date of the form dd-mm-yyyy");
const NOT_ISO: Misfit = Misfit::new("not a date of the form yyyy-mm-dd");
const NOT_DAY_FIRST_DIGITS: Misfit = Misfit::new("not a date of the form ddmmyyyy");
const NOT_ISO_DIGITS: Misfit = Misfit::new("not a date of the form yyyymmdd");
const NOT_DATE9: Misfit = Misfit::new("not a date of the form ddMONyyyy");
const IMPOSSIBLE: Misfit = Misfit::new("a date that does not exist");
const NOT_MIDNIGHT: Misfit = Misfit::new("a date with a time of day; declare the column as timestamp");
const NO_TIME: Misfit = Misfit::new("not a time of the form hh:mm:ss after the date");
const IMPOSSIBLE_TIME: Misfit = Misfit::new("a time of day that does not exist");

/// Days since 1970-01-01. A time of day is taken when it is midnight.
pub(crate) fn day(field: &[u8], form: DateForm) -> Result<i32, Misfit> {
    let (day, rest) = leading_day(field, form)?;
    if !rest.is_empty() && time_of_day(rest)? != 0 {
        return Err(NOT_MIDNIGHT);
    }
    Ok(day)
}

/// Microseconds since 1970-01-01 00:00. A day alone is its midnight.
pub(crate) fn timestamp(field: &[u8], form: DateForm) -> Result<i64, Misfit> {
    let (day, rest) = leading_day(field, form)?;
    let time = if rest.is_empty() { 0 } else { time_of_day(rest)? };
    Ok(i64::from(day) * DAY + time)
}

fn leading_day(field: &[u8], form: DateForm) -> Result<(i32, &[u8]), Misfit> {
    let wrong = match form {
        DateForm::DayFirst => NOT_DAY_FIRST,
        DateForm::Iso => NOT_ISO,
        DateForm::DayFirstDigits => NOT_DAY_FIRST_DIGITS,
        DateForm::IsoDigits => NOT_ISO_DIGITS,
        DateForm::Date9 => NOT_DATE9,
    };
    let parts = match form {
        DateForm::DayFirst => day_first(field),
        DateForm::Iso => iso(field),
        DateForm::DayFirstDigits => day_first_digits(field),
        DateForm::IsoDigits => iso_digits(field),
        DateForm::Date9 => date9(field),
    };
    let (year, month, day, rest) = parts.ok_or_else(|| wrong.clone())?;
    // A time must be set off from the day; a longer run of digits is another form altogether.
    if rest.first().is_some_and(u8::is_ascii_alphanumeric) && rest.first() != Some(&b'T') {
        return Err(wrong);
    }
    Ok((days_from_civil(year, month, day).ok_or(IMPOSSIBLE)?, rest))
}

type Parts<'a> = Option<(i32, u32, u32, &'a [u8])>;

/// One or two digits are taken for day and month, as spreadsheets drop leading zeros.
fn day_first(field: &[u8]) -> Parts<'_> {
    let (day, rest) = number(field, 1, 2)?;
    let (separator, rest) = rest.split_first()?;
    if !b"-/.".contains(separator) {
        return None;
    }
    let (month, rest) = number(rest, 1, 2)?;
    let rest = rest.strip_prefix(std::slice::from_ref(separator))?;
    let (year, rest) = number(rest, 4, 4)?;
    Some((i32::try_from(year).ok()?, month, day, rest))
}

fn iso(field: &[u8]) -> Parts<'_> {
    let (year, rest) = number(field, 4, 4)?;
    let (month, rest) = number(rest.strip_prefix(b"-")?, 2, 2)?;
    let (day, rest) = number(rest.strip_prefix(b"-")?, 2, 2)?;
    Some((i32::try_from(year).ok()?, month, day, rest))
}

/// Eight digits as four pairs.
fn pairs(field: &[u8]) -> Option<([u32; 4], &[u8])> {
    let (a, rest) = number(field, 2, 2)?;
    let (b, rest) = number(rest, 2, 2)?;
    let (c, rest) = number(rest, 2, 2)?;
    let (d, rest) = number(rest, 2, 2)?;
    Some(([a, b, c, d], rest))
}

fn day_first_digits(field: &[u8]) -> Parts<'_> {
    let ([day, month, century, year], rest) = pairs(field)?;
    Some((i32::try_from(century * 100 + year).ok()?, month, day, rest))
}

fn iso_digits(field: &[u8]) -> Parts<'_> {
    let ([century, year, month, day], rest) = pairs(field)?;
    Some((i32::try_from(century * 100 + year).ok()?, month, day, rest))
}

fn date9(field: &[u8]) -> Parts<'_> {
    let (day, rest) = number(field, 2, 2)?;
    let (name, rest) = rest.split_at_checked(3)?;
    let mut lower = [0_u8; 3];
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let month = match &lower {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" | b"maj" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" | b"okt" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    };
    let (year, rest) = number(rest, 4, 4)?;
    Some((i32::try_from(year).ok()?, month, day, rest))
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.ffffff` after a space, `T` or `:`; microseconds since midnight.
fn time_of_day(rest: &[u8]) -> Result<i64, Misfit> {
    let parse = || {
        let (separator, rest) = rest.split_first()?;
        if !b" T:".contains(separator) {
            return None;
        }
        let (hours, rest) = number(rest, 1, 2)?;
        let (minutes, rest) = number(rest.strip_prefix(b":")?, 2, 2)?;
        if rest.is_empty() {
            return Some((hours, minutes, 0, 0));
        }
        let (seconds, rest) = number(rest.strip_prefix(b":")?, 2, 2)?;
        if rest.is_empty() {
            return Some((hours, minutes, seconds, 0));
        }
        let fraction = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b","))?;
        if fraction.is_empty() || fraction.len() > 9 || !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut micros = 0_i64;
        for at in 0..6 {
            micros = micros * 10 + i64::from(fraction.get(at).map_or(0, |byte| byte - b'0'));
        }
        Some((hours, minutes, seconds, micros))
    };
    let (hours, minutes, seconds, micros) = parse().ok_or(NO_TIME)?;
    if hours > 23 || minutes > 59 || seconds > 59 {
        return Err(IMPOSSIBLE_TIME);
    }
    Ok((i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds)) * MICROS + micros)
}

fn number(field: &[u8], least: usize, most: usize) -> Option<(u32, &[u8])> {
    let mut value = 0;
    let mut count = 0;
    for byte in field.iter().take(most) {
        if !byte.is_ascii_digit() {
            break;
        }
        value = value * 10 + u32::from(byte - b'0');
        count += 1;
    }
    if count < least { None } else { Some((value, field.get(count..)?)) }
}

/// Days since 1970-01-01 of a day of the Gregorian calendar, years 1 to 9999.
pub(super) fn days_from_civil(year: i32, month: u32, day: u32) -> Option<i32> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    // Years start in March here, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i32::try_from((month + 9) % 12).ok()?;
    let day_of_year = (153 * month + 2) / 5 + i32::try_from(day).ok()? - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn days_in(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
    use proptest::prelude::*;

    const FORMS: [DateForm; 5] =
        [DateForm::DayFirst, DateForm::Iso, DateForm::DayFirstDigits, DateForm::IsoDigits, DateForm::Date9];

    fn written(date: NaiveDate, form: DateForm) -> String {
        let (y, m, d) = (date.year(), date.month(), date.day());
        match form {
            DateForm::DayFirst => format!("{d:02}-{m:02}-{y:04}"),
            DateForm::Iso => format!("{y:04}-{m:02}-{d:02}"),
            DateForm::DayFirstDigits => format!("{d:02}{m:02}{y:04}"),
            DateForm::IsoDigits => format!("{y:04}{m:02}{d:02}"),
            DateForm::Date9 => format!("{}{y:04}", date.format("%d%b").to_string().to_uppercase()),
        }
    }

    #[test]
    fn the_sixtieth_of_february_does_not_exist() {
        assert_eq!(day(b"60-02-2020", DateForm::DayFirst), Err(IMPOSSIBLE));
        assert_eq!(day(b"2020-02-60", DateForm::Iso), Err(IMPOSSIBLE));
        assert_eq!(day(b"60022020", DateForm::DayFirstDigits), Err(IMPOSSIBLE));
        assert_eq!(day(b"20200260", DateForm::IsoDigits), Err(IMPOSSIBLE));
        assert_eq!(day(b"60FEB2020", DateForm::Date9), Err(IMPOSSIBLE));
        assert_eq!(day(b"29-02-2021", DateForm::DayFirst), Err(IMPOSSIBLE));
        assert_eq!(day(b"29-02-1900", DateForm::DayFirst), Err(IMPOSSIBLE));
        assert!(day(b"29-02-2000", DateForm::DayFirst).is_ok());
    }

    #[test]
    fn times_follow_the_day() {
        assert_eq!(timestamp(b"01JAN1970:12:30:00", DateForm::Date9), Ok((12 * 3600 + 30 * 60) * MICROS));
        assert_eq!(timestamp(b"1970-01-02T00:00:01.5", DateForm::Iso), Ok(DAY + MICROS + 500_000));
        assert_eq!(timestamp(b"02-01-1970 00:01", DateForm::DayFirst), Ok(DAY + 60 * MICROS));
        assert_eq!(timestamp(b"19700102", DateForm::IsoDigits), Ok(DAY));
        assert_eq!(timestamp(b"1970-01-01 24:00:00", DateForm::Iso), Err(IMPOSSIBLE_TIME));
        assert_eq!(timestamp(b"1970-01-01 1200", DateForm::Iso), Err(NO_TIME));
        assert_eq!(timestamp(b"1970-01-01 12:00:00+01:00", DateForm::Iso), Err(NO_TIME));
        assert_eq!(day(b"1970-01-02 00:00:00", DateForm::Iso), Ok(1));
        assert_eq!(day(b"1970-01-02 10:00:00", DateForm::Iso), Err(NOT_MIDNIGHT));
    }

    #[test]
    fn another_form_is_refused_by_name() {
        assert_eq!(day(b"2020-01-31", DateForm::DayFirst), Err(NOT_DAY_FIRST));
        assert_eq!(day(b"31-01-2020", DateForm::Iso), Err(NOT_ISO));
        assert_eq!(day(b"31JAN2020", DateForm::Iso), Err(NOT_ISO));
        assert_eq!(day(b"20200131", DateForm::Date9), Err(NOT_DATE9));
        assert_eq!(day(b"31-01-20201", DateForm::DayFirst), Err(NOT_DAY_FIRST));
        assert_eq!(day(b"31-01/2020", DateForm::DayFirst), Err(NOT_DAY_FIRST));
        assert_eq!(day(b"1-1-2020", DateForm::DayFirst), day(b"01.01.2020", DateForm::DayFirst));
        assert_eq!(day(b"01MAJ2020", DateForm::Date9), day(b"01may2020", DateForm::Date9));
    }

    proptest! {
        #[test]
        fn every_day_survives_in_every_form(number in -719_162_i32..2_932_896) {
            let date = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::TimeDelta::days(i64::from(number));
            for form in FORMS {
                prop_assert_eq!(day(written(date, form).as_bytes(), form), Ok(number), "{:?}", form);
            }
        }

        #[test]
        fn every_second_survives(seconds in -60_000_000_000_i64..200_000_000_000) {
            let at = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            for form in FORMS {
                let separator = if form == DateForm::Date9 { ':' } else { ' ' };
                let text = format!("{}{separator}{:02}:{:02}:{:02}", written(at.date(), form), at.hour(), at.minute(), at.second());
                prop_assert_eq!(timestamp(text.as_bytes(), form), Ok(seconds * MICROS));
            }
            let _: NaiveDateTime = at;
        }

        #[test]
        fn no_bytes_make_a_parser_panic(bytes: Vec<u8>) {
            for form in FORMS {
                let _ = day(&bytes, form);
                let _ = timestamp(&bytes, form);
            }
        }
    }
}
