//! Type 2 diabetes in one person: when it is found, when metformin starts, and what HbA1c does meanwhile.

use rand::Rng;

use super::day::Day;
use super::population::{FIRST, LAST};

/// The course of one person's disease.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) diagnosed: Day,
    /// Four of five start metformin within two months.
    pub(crate) metformin: Option<Day>,
    /// Some add a GLP-1 analogue later.
    pub(crate) second_drug: Option<Day>,
    at_diagnosis: f64,
    target: f64,
}

impl Course {
    /// A course for those who get the disease: more often men, rarely before 40.
    pub(crate) fn draw(rng: &mut impl Rng, age: i32, male: bool) -> Option<Course> {
        let prevalence = match age {
            ..=19 => 0.0003,
            20..=29 => 0.003,
            30..=39 => 0.012,
            40..=49 => 0.035,
            50..=59 => 0.075,
            60..=69 => 0.13,
            70..=79 => 0.18,
            _ => 0.17,
        };
        let sex = if male { 1.2 } else { 0.8 };
        // drawn always, so that one person's luck does not shift the next one's
        let (chance, years): (f64, f64) = (rng.random(), rng.random());
        let (delay, severity, response, more): (f64, f64, f64, f64) =
            (rng.random(), rng.random(), rng.random(), rng.random());
        if chance >= prevalence * sex {
            return None;
        }
        // a little denser towards today
        let lived_with = ((age - 15).clamp(1, 14) as f64 * 365.25 * years.powf(1.3)) as i32;
        let diagnosed = LAST.plus(-lived_with);
        let at_diagnosis = 50.0 + 45.0 * severity * severity;
        let metformin = (delay < 0.8).then(|| diagnosed.plus((delay * 75.0) as i32));
        Some(Course {
            diagnosed,
            metformin,
            second_drug: (more < 0.25).then(|| diagnosed.plus(300 + (more * 4_000.0) as i32)),
            at_diagnosis,
            target: 43.0 + 12.0 * response,
        })
    }

    /// HbA1c in mmol/mol on a day, before noise: rising before the diagnosis, falling once metformin is taken.
    pub(crate) fn hba1c(&self, day: Day) -> f64 {
        let since = f64::from(day.0 - self.diagnosed.0);
        if since < 0.0 {
            return (self.at_diagnosis + since * 0.02).max(40.0);
        }
        match self.metformin {
            Some(start) if day >= start => {
                let months = f64::from(day.0 - start.0) / 30.4;
                self.target + (self.at_diagnosis - self.target) * (-months / 2.5).exp()
            }
            Some(_) => self.at_diagnosis,
            // diet alone: half the effect, slower
            None => {
                let months = since / 30.4;
                let goal = (self.at_diagnosis + self.target) / 2.0;
                goal + (self.at_diagnosis - goal) * (-months / 6.0).exp()
            }
        }
    }

    /// The days of HbA1c tests: before, around, and after the diagnosis.
    pub(crate) fn tests(&self, rng: &mut impl Rng) -> Vec<Day> {
        let mut days = Vec::with_capacity(24);
        for months_before in [14, 7, 3] {
            if rng.random_bool(0.6) {
                days.push(self.diagnosed.plus(-months_before * 30 + rng.random_range(-20..=20)));
            }
        }
        days.push(self.diagnosed.plus(-rng.random_range(1..15)));
        // one in eight is not followed up in the first three months
        let mut day = self.diagnosed.plus(if rng.random_bool(0.87) {
            rng.random_range(20..=88)
        } else {
            rng.random_range(95..=200)
        });
        while day <= LAST {
            days.push(day);
            let pace = if day.0 - self.diagnosed.0 < 500 { 91 } else { 170 };
            day = day.plus(pace + rng.random_range(-25..=25));
        }
        days.retain(|d| *d >= FIRST && *d <= LAST);
        days
    }
}
