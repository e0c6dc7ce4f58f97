//! A day as a number, so that a million people's dates cost nothing to compare, shift and print.

/// Days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(pub(crate) i32);

impl Day {
    /// From a civil date that the caller knows to exist.
    pub(crate) const fn of(year: i32, month: i32, day: i32) -> Day {
        // Hinnant's days_from_civil: the year starts in March, so that leap days come last.
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let of_era = y - era * 400;
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        Day(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
    }

    /// Year, month, day.
    pub(crate) const fn ymd(self) -> (i32, u32, u32) {
        let z = self.0 + 719_468;
        let era = z.div_euclid(146_097);
        let of_era = z - era * 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        (year, month as u32, day as u32)
    }

    pub(crate) const fn year(self) -> i32 {
        self.ymd().0
    }

    pub(crate) const fn plus(self, days: i32) -> Day {
        Day(self.0 + days)
    }
}

#[cfg(test)]
mod tests {
    use super::Day;

    #[test]
    fn every_day_of_two_centuries_survives_the_way_there_and_back() {
        let mut expected = Day::of(1899, 12, 31);
        for year in 1900..2100 {
            for month in 1..=12 {
                let last = match month {
                    2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
                    2 => 28,
                    4 | 6 | 9 | 11 => 30,
                    _ => 31,
                };
                for day in 1..=last {
                    expected = expected.plus(1);
                    assert_eq!(Day::of(year, month, day), expected);
                    assert_eq!(expected.ymd(), (year, month as u32, day as u32));
                }
            }
        }
        assert_eq!(Day::of(1970, 1, 1), Day(0));
    }
}
