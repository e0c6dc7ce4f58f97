//! Synthetic person numbers: the right shape and the right irregularities, nobody's number on purpose.
//!
//! `DDMMYYSSSS`: the seventh digit gives the century, an odd last digit is a man. Most pass modulus 11; numbers
//! issued since 1 October 2007 need not. Administrative numbers carry the day plus 60.

use std::collections::HashSet;

use rand::Rng;

use super::day::Day;

/// Modulus 11 was given up for new numbers on this day.
const MODULUS_ENDS: Day = Day::of(2007, 10, 1);
const WEIGHTS: [u64; 10] = [4, 3, 2, 7, 6, 5, 4, 3, 2, 1];
/// After so many numbers of one birthday are found taken, modulus 11 is no longer asked for.
const PATIENCE: u32 = 2_000;

/// Hands out numbers, each once.
#[derive(Default)]
pub(crate) struct Numbers {
    taken: HashSet<u64>,
}

impl Numbers {
    /// A number for one person. `administrative` numbers have the day plus 60.
    pub(crate) fn issue(&mut self, rng: &mut impl Rng, born: Day, male: bool, administrative: bool) -> u64 {
        let (year, month, day) = born.ymd();
        let day = u64::from(day) + if administrative { 60 } else { 0 };
        let date = (day * 100 + u64::from(month)) * 100 + (year.rem_euclid(100)) as u64;
        // few of the older were issued late (immigrants); of the younger a fifth do not fit
        let fits_share = if born >= MODULUS_ENDS { 0.8 } else { 0.99 };
        let fits = rng.random_bool(fits_share);
        let mut tries = 0;
        loop {
            let number = date * 10_000 + serial(rng, year, male);
            if (passes_modulus_11(number) == fits || tries > PATIENCE) && self.taken.insert(number) {
                return number;
            }
            tries += 1;
        }
    }
}

/// Four digits whose first says the century and whose last says the sex.
fn serial(rng: &mut impl Rng, year: i32, male: bool) -> u64 {
    let century = match year {
        ..=1936 => rng.random_range(0..=3),
        1937..=1999 => match rng.random_range(0..=9) {
            // 4 and 9 are in use too, but rarer
            0 => 4,
            1 => 9,
            other => other % 4,
        },
        _ => rng.random_range(4..=9),
    };
    let middle = rng.random_range(0..100_u64);
    let last = rng.random_range(0..5_u64) * 2 + u64::from(male);
    century * 1_000 + middle * 10 + last
}

/// Whether the weighted digit sum divides by 11.
pub(crate) fn passes_modulus_11(number: u64) -> bool {
    let mut rest = number;
    let mut sum = 0;
    for weight in WEIGHTS.iter().rev() {
        sum += weight * (rest % 10);
        rest /= 10;
    }
    sum % 11 == 0
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn century_of(number: u64) -> i32 {
        let yy = (number / 10_000 % 100) as i32;
        match number / 1_000 % 10 {
            0..=3 => 1900 + yy,
            4 | 9 if yy <= 36 => 2000 + yy,
            4 | 9 => 1900 + yy,
            _ if yy <= 57 => 2000 + yy,
            _ => 1800 + yy,
        }
    }

    #[test]
    fn numbers_say_birthday_century_and_sex_and_are_unique() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut numbers = Numbers::default();
        let mut failing_young = 0;
        for i in 0..5_000 {
            let born = Day::of(1920, 1, 1).plus(rng.random_range(0..38_000));
            let male = i % 2 == 0;
            let number = numbers.issue(&mut rng, born, male, false);
            let (year, month, day) = born.ymd();
            assert_eq!(number / 100_000_000, u64::from(day));
            assert_eq!(number / 1_000_000 % 100, u64::from(month));
            assert_eq!(century_of(number), year);
            assert_eq!(number % 2 == 1, male);
            failing_young += u32::from(born >= MODULUS_ENDS && !passes_modulus_11(number));
        }
        assert!(failing_young > 50, "{failing_young} young numbers fail modulus 11");
        assert_eq!(numbers.taken.len(), 5_000);
    }

    #[test]
    fn a_crowded_birthday_still_gets_numbers() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut numbers = Numbers::default();
        for _ in 0..700 {
            numbers.issue(&mut rng, Day::of(1965, 1, 1), true, false);
        }
        assert_eq!(numbers.taken.len(), 700);
    }

    #[test]
    fn administrative_numbers_add_sixty_to_the_day() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let number = Numbers::default().issue(&mut rng, Day::of(1980, 3, 9), true, true);
        assert_eq!(number / 100_000_000, 69);
    }
}
