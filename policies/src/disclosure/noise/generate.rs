//! How the published table is made. Nothing here runs when a count is shown; it is for whoever wants to check the table or make
//! another one: `cargo run -p policies --example noise`.
//!
//! For each row, [`most_entropy`] solves for the distribution: the one of most entropy among all with mean 0 and the variance asked for is
//! `p(v) = exp(a v + b v^2) / Z` (Lagrange), and the two numbers are the minimum of a convex function of two variables, found by Newton's
//! method. [`keys`] gives the 256 keys out in whole numbers: as near to the distribution as can be (least squares) among all
//! that have mean and variance exactly. [`csv`] shuffles them.

use super::{BOUND, KEYS, ROWS, VARIANCE};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The distribution of most entropy over `values` with mean 0 and this variance; `None` where there is none.
#[must_use]
pub fn most_entropy(values: &[i64], variance: f64) -> Option<Vec<f64>> {
    let (mut a, mut b) = (0.0, 0.0);
    for _ in 0..200 {
        let p = weights(values, a, b);
        let moment = |k: i32| values.iter().zip(&p).map(|(v, p)| p * (*v as f64).powi(k)).sum::<f64>();
        let (m1, m2, m3, m4) = (moment(1), moment(2), moment(3), moment(4));
        let (g1, g2) = (m1, m2 - variance);
        if g1.abs().max(g2.abs()) < 1e-12 {
            return Some(p);
        }
        // covariance of v and v^2
        let (h11, h12, h22) = (m2 - m1 * m1, m3 - m1 * m2, m4 - m2 * m2);
        let det = h11 * h22 - h12 * h12;
        let (da, db) = ((h22 * g1 - h12 * g2) / det, (h11 * g2 - h12 * g1) / det);
        // shorter steps until the dual function falls; near its minimum whole steps do, where rounding hides the fall
        let dual = |a: f64, b: f64| log_sum(values, a, b) - b * variance;
        let (here, near) = (dual(a, b), g1.abs().max(g2.abs()) < 1e-3);
        let mut step = 1.0;
        while !near && step > 1e-9 && dual(a - step * da, b - step * db) > here {
            step /= 2.0;
        }
        (a, b) = (a - step * da, b - step * db);
        if !(a.is_finite() && b.is_finite()) {
            return None;
        }
    }
    // a fixed point that rounding keeps from being exact is good enough; a variance that can't be had runs away
    let p = weights(values, a, b);
    let mean: f64 = values.iter().zip(&p).map(|(v, p)| p * *v as f64).sum();
    let found: f64 = values.iter().zip(&p).map(|(v, p)| p * (v * v) as f64).sum();
    ((mean.abs() < 1e-9) && (found - variance).abs() < 1e-9).then_some(p)
}

fn log_sum(values: &[i64], a: f64, b: f64) -> f64 {
    let exponents: Vec<f64> = values.iter().map(|v| a * *v as f64 + b * (v * v) as f64).collect();
    let top = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + exponents.iter().map(|e| (e - top).exp()).sum::<f64>().ln()
}

fn weights(values: &[i64], a: f64, b: f64) -> Vec<f64> {
    let z = log_sum(values, a, b);
    values.iter().map(|v| (a * *v as f64 + b * (v * v) as f64 - z).exp()).collect()
}

/// How many of the 256 keys each value gets: mean exactly 0, variance exactly as asked for, else as near to `p` as can be.
#[must_use]
pub fn keys(values: &[i64], p: &[f64], variance: i64) -> Option<Vec<i64>> {
    let symmetric = values.first().zip(values.last()).is_some_and(|(first, last)| *first == -*last);
    // a symmetric row stays symmetric: v and -v get as many. Far values first, so that dead ends show early
    let mut units: Vec<Unit> = values
        .iter()
        .zip(p)
        .filter(|(v, _)| !symmetric || **v >= 0)
        .map(|(v, p)| Unit { value: *v, both: symmetric && *v > 0, ideal: (p * KEYS as f64 * 1e6).round() as i64 })
        .collect();
    units.sort_by_key(|unit| std::cmp::Reverse(unit.value.abs()));
    let size = KEYS as i64;
    let mut search = Search { units: &units, chosen: Vec::new(), best: None };
    search.descend((size, 0, size * variance), 0);
    let (_, best) = search.best?;
    let of = |v: i64| {
        units.iter().zip(&best).find(|(unit, _)| unit.value == v || (unit.both && unit.value == -v)).map(|(_, n)| *n)
    };
    values.iter().map(|v| of(*v)).collect()
}

/// A value, or a value and its opposite, that get as many keys.
struct Unit {
    value: i64,
    both: bool,
    /// keys by the distribution, in millionths: whole numbers, so that every machine finds the same
    ideal: i64,
}

struct Search<'a> {
    units: &'a [Unit],
    chosen: Vec<i64>,
    best: Option<(i128, Vec<i64>)>,
}

impl Search<'_> {
    /// Tries the next unit's numbers; `left` is what keys, sum and sum of squares still have to give.
    fn descend(&mut self, left: (i64, i64, i64), cost: i128) {
        if self.best.as_ref().is_some_and(|(best, _)| cost >= *best) {
            return;
        }
        let Some(unit) = self.units.get(self.chosen.len()) else {
            if left == (0, 0, 0) {
                self.best = Some((cost, self.chosen.clone()));
            }
            return;
        };
        // what is off by now can be made good by at most three keys a value
        let rest: i64 = self.units.iter().skip(self.chosen.len()).map(Unit::square).sum();
        let ideal: i64 = self.units.iter().skip(self.chosen.len()).map(|unit| unit.square() * unit.ideal).sum();
        if (left.2 * 1_000_000 - ideal).abs() > 3_000_000 * rest.max(1) {
            return;
        }
        let nearest = (unit.ideal + 500_000) / 1_000_000;
        for number in [0, 1, -1, 2, -2].map(|off| nearest + off).into_iter().filter(|number| *number >= 0) {
            let many = if unit.both { 2 } else { 1 };
            let sum = if unit.both { 0 } else { number * unit.value };
            let off = i128::from(number * 1_000_000 - unit.ideal);
            self.chosen.push(number);
            self.descend(
                (left.0 - many * number, left.1 - sum, left.2 - unit.square() * number),
                cost + i128::from(many) * off * off,
            );
            self.chosen.pop();
        }
    }
}

impl Unit {
    fn square(&self) -> i64 {
        self.value * self.value * if self.both { 2 } else { 1 }
    }
}

/// The values that the noise of a row can have: down to the threshold at most.
#[must_use]
pub fn values(row: usize) -> Vec<i64> {
    (-(row as i64).min(BOUND)..=BOUND).collect()
}

/// How many of the 256 keys of a row give which noise; nothing when there is no such distribution.
#[must_use]
pub fn row(row: usize) -> Vec<(i64, i64)> {
    if row == 0 {
        // at the threshold itself nothing can be taken away, so nothing may be added
        return vec![(0, KEYS as i64)];
    }
    let values = values(row);
    let found = most_entropy(&values, VARIANCE as f64).and_then(|p| keys(&values, &p, VARIANCE));
    values.into_iter().zip(found.unwrap_or_default()).collect()
}

/// The whole file.
#[must_use]
pub fn csv() -> String {
    let columns: Vec<Vec<i64>> = (0..ROWS).map(shuffled).collect();
    let mut text = format!(
        "# Noise of counts, by cell key and by people above the threshold; the last column is for all that are further above.\n\
         # Bound {BOUND}, mean 0, variance {VARIANCE} (0 at the threshold itself). Made by `cargo run -p policies --example noise`.\n\
         key,{}\n",
        (0..ROWS).map(|row| row.to_string()).collect::<Vec<_>>().join(",")
    );
    for key in 0..KEYS {
        let noise = columns.iter().filter_map(|column| column.get(key)).map(ToString::to_string);
        let _ = writeln!(text, "{key},{}", noise.collect::<Vec<_>>().join(","));
    }
    text
}

/// The noise of the keys 0 to 255: the keys in the order of a hash, the lowest noise first.
fn shuffled(place: usize) -> Vec<i64> {
    let mut order: Vec<usize> = (0..KEYS).collect();
    order.sort_by_key(|key| <[u8; 32]>::from(Sha256::digest(format!("eger cell-key noise, row {place}, key {key}"))));
    let ascending = row(place).into_iter().flat_map(|(noise, keys)| (0..keys).map(move |_| noise));
    let mut column: Vec<(usize, i64)> = order.into_iter().zip(ascending).collect();
    column.sort_unstable();
    column.into_iter().map(|(_, noise)| noise).collect()
}
