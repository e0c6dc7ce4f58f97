//! Who there is: birthday, sex, home, a move, and the course of type 2 diabetes in those who get it.

use rand::Rng;

use super::course::Course;
use super::day::Day;
use super::number::Numbers;
use super::places::Place;

/// First and last day that the registers tell about.
pub(crate) const FIRST: Day = Day::of(2019, 1, 1);
pub(crate) const LAST: Day = Day::of(2024, 12, 31);

/// Thousands of people in five-year age groups from 0-4 to 95-99, about as in Denmark.
const PYRAMID: [u32; 20] =
    [305, 305, 330, 345, 365, 400, 395, 345, 330, 370, 395, 420, 370, 335, 305, 285, 180, 92, 38, 10];

/// One person.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) number: u64,
    pub(crate) born: Day,
    pub(crate) male: bool,
    home: Place,
    moved: Option<(Day, Place)>,
    /// Has only a replacement number: known to hospitals, not to the population register.
    pub(crate) administrative: bool,
    pub(crate) diabetes: Option<Course>,
}

impl Person {
    /// Draws a person.
    pub(crate) fn draw(rng: &mut impl Rng, numbers: &mut Numbers) -> Person {
        let age = draw_age(rng);
        let (year, _, _) = LAST.ymd();
        let born = Day::of(year - age, 1, 1).plus(rng.random_range(0..365));
        let male = rng.random_bool(male_share(age));
        let administrative = rng.random_bool(0.003);
        let number = numbers.issue(rng, born, male, administrative);
        let home = Place::draw(rng);
        let moved = rng.random_bool(0.12).then(|| {
            let day = FIRST.plus(rng.random_range(60..LAST.0 - FIRST.0));
            (day, Place::draw(rng))
        });
        let diabetes = Course::draw(rng, age, male);
        Person { number, born, male, home, moved, administrative, diabetes }
    }

    /// Where they lived on a day.
    pub(crate) fn home_on(&self, day: Day) -> Place {
        match self.moved {
            Some((moved, place)) if day >= moved => place,
            _ => self.home,
        }
    }

    pub(crate) fn age_on(&self, day: Day) -> i32 {
        (day.0 - self.born.0) * 100 / 36_525
    }
}

fn draw_age(rng: &mut impl Rng) -> i32 {
    let mut left = rng.random_range(0..PYRAMID.iter().sum::<u32>());
    for (group, weight) in (0..).zip(PYRAMID) {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return group * 5 + rng.random_range(0..5),
        }
    }
    0
}

fn male_share(age: i32) -> f64 {
    match age {
        ..=49 => 0.511,
        50..=69 => 0.498,
        70..=79 => 0.475,
        80..=89 => 0.41,
        _ => 0.28,
    }
}
