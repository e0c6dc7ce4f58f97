//! Rows of people who don't have equally many.
//!
//! A count of rows is shown as shown people over people of them, and whose people differ by few has the same shown people. Where everybody has
//! as many rows as everybody else that is all there is to it. Otherwise two counts of rows would tell exactly how many rows those have who are in
//! one of them only: so they have noise of their own. And where nearly everybody has as many, noise of their own would tell that somebody hasn't:
//! so the few rows that are too many or too few are shown as none or as [`STEP`] of them (of few people, as half as many as they are), by the people's
//! lot and right on average.

use super::{Cell, Number};

/// So many rows too many or too few, and more, have noise.
const STEP: i64 = 8;
/// What the noise of rows is looked up under: the key, turned so.
const OF_ROWS: u8 = 0x33;

/// How the rows of some people are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rows {
    there: i64,
    /// as many as are taken to be there
    taken: i64,
    /// in people
    pub(super) noise: f64,
}

impl Rows {
    /// Of these people; without `rows` there are none.
    pub(super) fn of(cell: Cell, rows: Option<i64>) -> Self {
        let there = rows.unwrap_or_default();
        let plainly = Self { there, taken: there, noise: 0.0 };
        let Ok(people) = i64::try_from(cell.people) else { return plainly };
        if people == 0 || there <= 0 {
            return plainly;
        }
        // the nearest number of rows of which everybody could have as many
        let each = (there + people / 2) / people;
        let even = each * people;
        let off = there - even;
        let step = STEP.min(people / 2).max(1);
        if off.abs() >= step || each == 0 {
            return Self { noise: cell.noise(OF_ROWS, None), ..plainly };
        }
        // of 256 lots as many are for a step as rows are off
        let taken = if i64::from(cell.lot) < off.abs() * 256 / step { even + step * off.signum() } else { even };
        Self { there, taken, noise: 0.0 }
    }

    /// A number for each row of them, as of those that are taken to be there.
    pub(super) fn rounded(self, value: Number) -> Number {
        if self.there == self.taken || self.there == 0 {
            return value;
        }
        match value {
            Number::Whole(value) => {
                let product = value.checked_mul(i128::from(self.taken));
                Number::Whole(product.map_or(value, |product| product / i128::from(self.there)))
            }
            Number::Float(value) => Number::Float(value * self.taken as f64 / self.there as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(people: u64, key: u8) -> Cell {
        Cell::of(people, key)
    }

    #[test]
    fn equally_many_rows_are_as_they_are() {
        for key in 0..=255 {
            for each in 1..4 {
                assert_eq!(
                    Rows::of(cell(50, key), Some(50 * each)),
                    Rows { there: 50 * each, taken: 50 * each, noise: 0.0 }
                );
            }
            assert_eq!(Rows::of(cell(50, key), None).noise, 0.0);
        }
    }

    #[test]
    fn a_few_rows_too_many_are_none_or_a_step_and_right_on_average() {
        for off in -7..8_i64 {
            let (mut sum, mut seen) = (0, std::collections::BTreeSet::new());
            for key in 0..=255 {
                let rows = Rows::of(cell(50, key), Some(100 + off));
                assert_eq!(rows.noise, 0.0);
                sum += rows.taken - 100;
                seen.insert(rows.taken - 100);
            }
            assert_eq!(sum, off * 256, "on average");
            assert!(seen.iter().all(|taken| [0, STEP * off.signum()].contains(taken)), "{seen:?}");
        }
    }

    #[test]
    fn few_people_keep_about_as_many_rows() {
        for people in 5..16 {
            for rows in people..4 * people {
                let (people, there) = (u64::try_from(people).unwrap_or_default(), rows);
                let taken = (0..=255).map(|key| Rows::of(cell(people, key), Some(there)).taken);
                let (sum, most) =
                    taken.fold((0, 0), |(sum, most), taken| (sum + taken, most.max((taken - there).abs())));
                assert!(most < 8.min(rows) && (sum - 256 * there).abs() < 256, "{people} {there}: {most} {sum}");
            }
        }
    }

    #[test]
    fn many_rows_too_many_have_noise() {
        let all = || (0..=255).map(|key| Rows::of(cell(50, key), Some(130)));
        assert!(all().all(|rows| rows.taken == 130));
        let noise: Vec<f64> = all().map(|rows| rows.noise).collect();
        assert_eq!(noise.iter().sum::<f64>(), 0.0);
        assert_eq!(noise.iter().map(|noise| noise * noise).sum::<f64>(), 768.0);
    }

    #[test]
    fn numbers_follow_the_rows_that_are_taken_to_be_there() {
        let rows = Rows { there: 102, taken: 100, noise: 0.0 };
        assert_eq!(rows.rounded(Number::Whole(-306)), Number::Whole(-300));
        assert_eq!(rows.rounded(Number::Float(51.0)), Number::Float(50.0));
    }
}
