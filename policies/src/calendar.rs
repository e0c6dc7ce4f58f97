//! Deadlines: working days with the Danish public holidays, and the periods of Regulation (EU) 2025/327 (EHDS).
//!
//! Periods are counted as Regulation (EEC, Euratom) No 1182/71, Article 3, counts them: the day of the event is not
//! counted, a period in months ends on the day with the same number, and one that would end on a Saturday, Sunday or
//! public holiday ends with the next working day.
//!
//! Public holidays are those of the Danish church calendar and New Year's Day; Great Prayer Day only until 2023 (abolished
//! from 2024 on by Act No 214 of 7 March 2023). Constitution Day (5 June), Christmas Eve and New Year's Eve are no
//! statutory holidays, but public offices are closed, and the Danish rules for court deadlines (Administration of Justice
//! Act, section 148 a) move a deadline that falls on one to the next working day: they are not working days here.
//!
//! INVARIANT: days are UTC days; nothing here asks the clock.

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};

/// The first day without Great Prayer Day.
const NO_GREAT_PRAYER_DAY: i32 = 2024;

/// Easter Sunday of a year (Gregorian calendar; the anonymous algorithm, as in Meeus, Astronomical Algorithms).
#[must_use]
pub fn easter(year: i32) -> Option<NaiveDate> {
    let (a, b, c) = (year.rem_euclid(19), year.div_euclid(100), year.rem_euclid(100));
    let (d, e) = (b.div_euclid(4), b.rem_euclid(4));
    let f = (b + 8).div_euclid(25);
    let g = (b - f + 1).div_euclid(3);
    let h = (19 * a + b - d - g + 15).rem_euclid(30);
    let (i, k) = (c.div_euclid(4), c.rem_euclid(4));
    let l = (32 + 2 * e + 2 * i - h - k).rem_euclid(7);
    let m = (a + 11 * h + 22 * l).div_euclid(451);
    let n = h + l - 7 * m + 114;
    NaiveDate::from_ymd_opt(year, u32::try_from(n.div_euclid(31)).ok()?, u32::try_from(n.rem_euclid(31) + 1).ok()?)
}

/// The name of the day on which Danish public offices are closed, if it is one. Weekends are not in here.
#[must_use]
pub fn holiday(day: NaiveDate) -> Option<&'static str> {
    let fixed = match (day.month(), day.day()) {
        (1, 1) => Some("New Year's Day"),
        (6, 5) => Some("Constitution Day"),
        (12, 24) => Some("Christmas Eve"),
        (12, 25) => Some("Christmas Day"),
        (12, 26) => Some("Second Day of Christmas"),
        (12, 31) => Some("New Year's Eve"),
        _ => None,
    };
    if fixed.is_some() {
        return fixed;
    }
    let after = day.signed_duration_since(easter(day.year())?).num_days();
    match after {
        -3 => Some("Maundy Thursday"),
        -2 => Some("Good Friday"),
        0 => Some("Easter Sunday"),
        1 => Some("Easter Monday"),
        26 if day.year() < NO_GREAT_PRAYER_DAY => Some("Great Prayer Day"),
        39 => Some("Ascension Day"),
        49 => Some("Whit Sunday"),
        50 => Some("Whit Monday"),
        _ => None,
    }
}

/// Whether public offices work on that day.
#[must_use]
pub fn is_working_day(day: NaiveDate) -> bool {
    !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) && holiday(day).is_none()
}

/// The day itself when it is a working day, else the next one.
#[must_use]
pub fn working_day_from(day: NaiveDate) -> NaiveDate {
    let mut day = day;
    while !is_working_day(day) {
        let Some(next) = day.succ_opt() else { return day };
        day = next;
    }
    day
}

/// The working day that is `count` working days after `day`; `day` itself is not counted.
#[must_use]
pub fn working_days_after(day: NaiveDate, count: u32) -> NaiveDate {
    let mut day = day;
    for _ in 0..count {
        let Some(next) = day.succ_opt() else { return day };
        day = working_day_from(next);
    }
    day
}

/// The end of a period of months that begins with an event on `day`.
#[must_use]
pub fn months_after(day: NaiveDate, months: u32) -> NaiveDate {
    working_day_from(day.checked_add_months(Months::new(months)).unwrap_or(NaiveDate::MAX))
}

/// The end of a period of weeks that begins with an event on `day`.
#[must_use]
pub fn weeks_after(day: NaiveDate, weeks: u32) -> NaiveDate {
    working_day_from(day.checked_add_days(Days::new(u64::from(weeks) * 7)).unwrap_or(NaiveDate::MAX))
}

/// How fast a decision is due (EHDS Article 68).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Track {
    /// three months after the application was complete, three more once
    Ordinary,
    /// public bodies with purposes (a) to (c): two months, one more once
    PublicFast,
}

/// Last day for the decision on an application that was complete on `complete`.
#[must_use]
pub fn decide_by(complete: NaiveDate, track: Track, extended: bool) -> NaiveDate {
    // The period is counted in one piece, so that a holiday at its old end doesn't lengthen it.
    let months = match (track, extended) {
        (Track::Ordinary, false) => 3,
        (Track::Ordinary, true) => 6,
        (Track::PublicFast, false) => 2,
        (Track::PublicFast, true) => 3,
    };
    months_after(complete, months)
}

/// Last day for the applicant to complete an application, asked on `asked` (EHDS Article 68): four weeks.
#[must_use]
pub fn answer_by(asked: NaiveDate) -> NaiveDate {
    weeks_after(asked, 4)
}

/// Last day for publishing a decision of `decided` (EHDS Article 57): 30 working days.
#[must_use]
pub fn publish_by(decided: NaiveDate) -> NaiveDate {
    working_days_after(decided, 30)
}

/// Last day for making the data available after a permit of `granted` (EHDS Article 68): two months.
#[must_use]
pub fn data_by(granted: NaiveDate) -> NaiveDate {
    months_after(granted, 2)
}

/// Last day for deleting what was made available under a permit whose last day is `expired` (EHDS Article 68): six months.
/// Nothing moves it: data are deleted on a holiday too.
#[must_use]
pub fn delete_by(expired: NaiveDate) -> NaiveDate {
    expired.checked_add_months(Months::new(6)).unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn easter_is_where_the_almanac_has_it() {
        for (year, sunday) in [
            (1961, "1961-04-02"),
            (2000, "2000-04-23"),
            (2008, "2008-03-23"),
            (2024, "2024-03-31"),
            (2025, "2025-04-20"),
            (2026, "2026-04-05"),
            (2027, "2027-03-28"),
            (2038, "2038-04-25"),
        ] {
            assert_eq!(easter(year), Some(day(sunday)));
        }
    }

    #[test]
    fn the_danish_year_2026() {
        let closed: Vec<String> = day("2026-01-01")
            .iter_days()
            .take(365)
            .filter_map(|d| holiday(d).map(|name| format!("{d} {name}")))
            .collect();
        assert_eq!(
            closed,
            [
                "2026-01-01 New Year's Day",
                "2026-04-02 Maundy Thursday",
                "2026-04-03 Good Friday",
                "2026-04-05 Easter Sunday",
                "2026-04-06 Easter Monday",
                "2026-05-14 Ascension Day",
                "2026-05-24 Whit Sunday",
                "2026-05-25 Whit Monday",
                "2026-06-05 Constitution Day",
                "2026-12-24 Christmas Eve",
                "2026-12-25 Christmas Day",
                "2026-12-26 Second Day of Christmas",
                "2026-12-31 New Year's Eve",
            ]
        );
    }

    #[test]
    fn great_prayer_day_was_abolished() {
        assert_eq!(holiday(day("2023-05-05")), Some("Great Prayer Day"));
        assert_eq!(holiday(day("2024-04-26")), None);
        assert!(is_working_day(day("2026-05-01")));
    }

    #[test]
    fn periods_end_as_the_regulation_says() {
        assert_eq!(months_after(day("2026-11-30"), 3), day("2027-03-01")); // 28 February 2027 is a Sunday
        assert_eq!(months_after(day("2026-03-24"), 9), day("2026-12-28")); // Christmas, then a weekend
        assert_eq!(decide_by(day("2026-11-23"), Track::Ordinary, false), day("2027-02-23"));
        assert_eq!(decide_by(day("2026-11-23"), Track::Ordinary, true), day("2027-05-24"));
        assert_eq!(decide_by(day("2026-11-23"), Track::PublicFast, false), day("2027-01-25"));
        assert_eq!(decide_by(day("2026-11-23"), Track::PublicFast, true), day("2027-02-23"));
        assert_eq!(answer_by(day("2026-03-06")), day("2026-04-07")); // Good Friday, then Easter
        assert_eq!(publish_by(day("2026-12-01")), day("2027-01-18"));
        assert_eq!(data_by(day("2026-12-01")), day("2027-02-01"));
        assert_eq!(delete_by(day("2026-06-25")), day("2026-12-25"));
        assert_eq!(delete_by(day("2026-08-31")), day("2027-02-28"));
    }

    prop_compose! {
        fn some_day()(days in 0u64..60_000) -> NaiveDate {
            day("1950-01-01").checked_add_days(Days::new(days)).unwrap()
        }
    }

    proptest! {
        #[test]
        fn easter_is_a_sunday_between_22_march_and_25_april(year in 1900i32..2300) {
            let sunday = easter(year).unwrap();
            prop_assert_eq!(sunday.weekday(), Weekday::Sun);
            let (first, last) = (NaiveDate::from_ymd_opt(year, 3, 22).unwrap(), NaiveDate::from_ymd_opt(year, 4, 25).unwrap());
            prop_assert!(first <= sunday && sunday <= last);
        }

        #[test]
        fn deadlines_are_working_days_and_never_early(start in some_day(), n in 1u32..130) {
            for end in [working_days_after(start, n), months_after(start, n), weeks_after(start, n)] {
                prop_assert!(end > start);
                prop_assert!(is_working_day(end));
            }
            prop_assert!(months_after(start, n) >= start.checked_add_months(Months::new(n)).unwrap());
            // no stretch of closed days is longer than a week
            prop_assert!((months_after(start, n) - start.checked_add_months(Months::new(n)).unwrap()).num_days() <= 7);
        }

        #[test]
        fn working_days_count_exactly(start in some_day(), n in 1u32..130) {
            let end = working_days_after(start, n);
            let counted = start.iter_days().skip(1).take_while(|d| *d <= end).filter(|d| is_working_day(*d)).count();
            prop_assert_eq!(counted, n as usize);
        }

        #[test]
        fn one_day_later_is_never_an_earlier_deadline(start in some_day(), n in 1u32..60) {
            let next = start.succ_opt().unwrap();
            prop_assert!(working_days_after(start, n) <= working_days_after(next, n));
            prop_assert!(months_after(start, n) <= months_after(next, n));
            prop_assert!(decide_by(start, Track::Ordinary, false) < decide_by(start, Track::Ordinary, true));
        }
    }
}
