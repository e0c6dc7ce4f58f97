//! The least and the most that each variable of a system of sums can be: an exact simplex.
//!
//! INVARIANT: exact. The tableau holds whole numbers over one common denominator (Edmonds' and Bareiss' integer pivoting), Bland's
//! rule ends every run, and an overflow is an error: no rounding says that a cell is safe.

/// Variables with their bounds, and sums of them.
#[derive(Debug, Clone, Default)]
pub(super) struct System {
    /// least and, if there is one, most of each variable
    pub(super) bounds: Vec<(i64, Option<i64>)>,
    /// variables with their coefficients, and what they add up to
    pub(super) sums: Vec<(Vec<(usize, i64)>, i64)>,
}

/// Numbers grew too large, or the system has no solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsolved;

/// Rows of whole numbers over a common denominator; the last number of each row is its right-hand side.
struct Tableau {
    rows: Vec<Vec<i128>>,
    /// the variable that each row gives
    basis: Vec<usize>,
    denominator: i128,
    columns: usize,
}

impl System {
    /// The least and the most of each variable, the least rounded up, the most rounded down; `None`: as large as one likes.
    pub(super) fn ranges(&self) -> Result<Vec<(i64, Option<i64>)>, Unsolved> {
        let count = self.bounds.len();
        let mut tableau = self.tableau()?;
        self.bounds
            .iter()
            .enumerate()
            .map(|(variable, (from, _))| {
                let (least, denominator) = tableau.minimise(variable, 1, count)?.ok_or(Unsolved)?;
                let least = from + i64::try_from(ceiling(least, denominator)).map_err(|_| Unsolved)?;
                let most = match tableau.minimise(variable, -1, count)? {
                    None => None,
                    Some((most, denominator)) => {
                        Some(from + i64::try_from(most.div_euclid(denominator)).map_err(|_| Unsolved)?)
                    }
                };
                Ok((least, most))
            })
            .collect()
    }

    /// A first solution: each variable counted from its least, a slack for each most, and an artificial variable a sum that is driven out.
    fn tableau(&self) -> Result<Tableau, Unsolved> {
        let count = self.bounds.len();
        let slacks = self.bounds.iter().filter(|(_, to)| to.is_some()).count();
        let real = count + slacks;
        let columns = real + self.sums.len();
        let mut rows = Vec::new();
        let mut basis = Vec::new();
        for (at, (terms, total)) in self.sums.iter().enumerate() {
            let mut row = vec![0_i128; columns + 1];
            let mut right = i128::from(*total);
            for (variable, coefficient) in terms {
                *row.get_mut(*variable).ok_or(Unsolved)? += i128::from(*coefficient);
                let (from, _) = self.bounds.get(*variable).ok_or(Unsolved)?;
                right -= i128::from(*coefficient) * i128::from(*from);
            }
            *row.last_mut().ok_or(Unsolved)? = right;
            if right < 0 {
                row.iter_mut().for_each(|number| *number = -*number);
            }
            *row.get_mut(real + at).ok_or(Unsolved)? = 1;
            basis.push(real + at);
            rows.push(row);
        }
        let mut slack = count;
        for (variable, (from, to)) in self.bounds.iter().enumerate() {
            let Some(to) = to else { continue };
            let mut row = vec![0_i128; columns + 1];
            *row.get_mut(variable).ok_or(Unsolved)? = 1;
            *row.get_mut(slack).ok_or(Unsolved)? = 1;
            *row.last_mut().ok_or(Unsolved)? = i128::from(*to) - i128::from(*from);
            if to < from {
                return Err(Unsolved);
            }
            basis.push(slack);
            rows.push(row);
            slack += 1;
        }
        let mut tableau = Tableau { rows, basis, denominator: 1, columns };
        // drive the artificial variables out: their sum has to become 0
        let mut costs = vec![0_i128; columns];
        costs.iter_mut().skip(real).for_each(|cost| *cost = 1);
        let (left, _) = tableau.solve(&costs, columns)?.ok_or(Unsolved)?;
        if left != 0 {
            return Err(Unsolved);
        }
        tableau.without_artificial(real)?;
        Ok(tableau)
    }
}

impl Tableau {
    /// The least of `sign * variable`, counted from its bound, as numerator and denominator of the *variable*; `None`: unbounded.
    fn minimise(&mut self, variable: usize, sign: i128, count: usize) -> Result<Option<(i128, i128)>, Unsolved> {
        debug_assert!(variable < count);
        let mut costs = vec![0_i128; self.columns];
        *costs.get_mut(variable).ok_or(Unsolved)? = sign;
        Ok(self.solve(&costs, self.columns)?.map(|(value, denominator)| (value * sign, denominator)))
    }

    /// Minimises; the value over the denominator.
    fn solve(&mut self, costs: &[i128], columns: usize) -> Result<Option<(i128, i128)>, Unsolved> {
        loop {
            // reduced costs, over the common denominator
            let basic: Vec<i128> = self.basis.iter().map(|v| costs.get(*v).copied().unwrap_or_default()).collect();
            let reduced = |column: usize| -> Option<i128> {
                let own = costs.get(column).copied().unwrap_or_default().checked_mul(self.denominator)?;
                let mut through = 0_i128;
                for (row, cost) in self.rows.iter().zip(&basic).filter(|(_, cost)| **cost != 0) {
                    through = through.checked_add(row.get(column)?.checked_mul(*cost)?)?;
                }
                own.checked_sub(through)
            };
            let mut entering = None;
            for column in (0..columns).filter(|column| !self.basis.contains(column)) {
                if reduced(column).ok_or(Unsolved)? < 0 {
                    entering = Some(column);
                    break; // Bland: the first one
                }
            }
            let Some(column) = entering else {
                let mut value = 0_i128;
                for (row, cost) in self.rows.iter().zip(&basic) {
                    let right = row.last().copied().unwrap_or_default();
                    value = right.checked_mul(*cost).and_then(|part| value.checked_add(part)).ok_or(Unsolved)?;
                }
                return Ok(Some((value, self.denominator)));
            };
            let Some(row) = self.leaving(column)? else { return Ok(None) };
            self.pivot(row, column)?;
        }
    }

    /// The row whose variable is the first to become 0 as the column's grows; Bland: among equals the lowest variable.
    fn leaving(&self, column: usize) -> Result<Option<usize>, Unsolved> {
        let mut best: Option<(usize, i128, i128, usize)> = None;
        for (at, row) in self.rows.iter().enumerate() {
            let (pivot, right) =
                (row.get(column).copied().unwrap_or_default(), row.last().copied().unwrap_or_default());
            if pivot <= 0 {
                continue;
            }
            let variable = self.basis.get(at).copied().unwrap_or_default();
            let better = match best {
                None => true,
                Some((_, known_right, known_pivot, known)) => {
                    let mine = right.checked_mul(known_pivot).ok_or(Unsolved)?;
                    let theirs = known_right.checked_mul(pivot).ok_or(Unsolved)?;
                    mine < theirs || (mine == theirs && variable < known)
                }
            };
            if better {
                best = Some((at, right, pivot, variable));
            }
        }
        Ok(best.map(|(at, ..)| at))
    }

    fn pivot(&mut self, row: usize, column: usize) -> Result<(), Unsolved> {
        let source = self.rows.get(row).ok_or(Unsolved)?.clone();
        let pivot = source.get(column).copied().ok_or(Unsolved)?;
        for (_, other) in self.rows.iter_mut().enumerate().filter(|(at, _)| *at != row) {
            let factor = other.get(column).copied().unwrap_or_default();
            for (number, from) in other.iter_mut().zip(&source) {
                let kept = number.checked_mul(pivot).ok_or(Unsolved)?;
                let taken = from.checked_mul(factor).ok_or(Unsolved)?;
                // exact: every number is a minor of the first matrix
                *number = kept.checked_sub(taken).ok_or(Unsolved)? / self.denominator;
            }
        }
        self.denominator = pivot;
        if pivot < 0 {
            self.denominator = -pivot;
            self.rows.iter_mut().flatten().for_each(|number| *number = -*number);
        }
        *self.basis.get_mut(row).ok_or(Unsolved)? = column;
        Ok(())
    }

    /// Drops the artificial variables, which are all 0; a row that holds nothing else said nothing new.
    fn without_artificial(&mut self, real: usize) -> Result<(), Unsolved> {
        let mut at = 0;
        while at < self.rows.len() {
            if self.basis.get(at).is_none_or(|variable| *variable < real) {
                at += 1;
                continue;
            }
            let found = self.rows.get(at).and_then(|row| row.iter().take(real).position(|number| *number != 0));
            match found {
                Some(column) => self.pivot(at, column)?,
                None => {
                    self.rows.remove(at);
                    self.basis.remove(at);
                }
            }
        }
        for row in &mut self.rows {
            let right = row.pop().ok_or(Unsolved)?;
            row.truncate(real);
            row.push(right);
        }
        self.columns = real;
        Ok(())
    }
}

fn ceiling(numerator: i128, denominator: i128) -> i128 {
    -(-numerator).div_euclid(denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_that_add_up_to_seven() {
        let system = System { bounds: vec![(1, Some(4)), (0, None)], sums: vec![(vec![(0, 1), (1, 1)], 7)] };
        assert_eq!(system.ranges(), Ok(vec![(1, Some(4)), (3, Some(6))]));
    }

    #[test]
    fn a_number_alone_in_its_sum_is_known_and_one_in_none_is_open() {
        let system = System { bounds: vec![(0, None), (2, None)], sums: vec![(vec![(0, 1)], 3)] };
        assert_eq!(system.ranges(), Ok(vec![(3, Some(3)), (2, None)]));
    }

    #[test]
    fn sums_that_say_the_same_twice_are_no_harm_and_that_contradict_have_no_solution() {
        let twice = vec![(vec![(0, 1), (1, 1)], 7), (vec![(0, -1), (1, -1)], -7)];
        let system = System { bounds: vec![(0, None), (0, None)], sums: twice };
        assert_eq!(system.ranges(), Ok(vec![(0, Some(7)), (0, Some(7))]));
        let system = System { bounds: vec![(0, Some(3))], sums: vec![(vec![(0, 1)], 4)] };
        assert_eq!(system.ranges(), Err(Unsolved));
    }

    #[test]
    fn halves_are_rounded_to_the_inside() {
        // x + y = 3, x - z = 0, y - z = 0: each is 1.5, which no count is
        let sums = vec![(vec![(0, 1), (1, 1)], 3), (vec![(0, 1), (2, -1)], 0), (vec![(1, 1), (2, -1)], 0)];
        let ranges = System { bounds: vec![(0, None); 3], sums }.ranges();
        assert_eq!(ranges, Ok(vec![(2, Some(1)); 3]), "an empty range");
    }
}
