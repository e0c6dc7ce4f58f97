//! What the keys of inner joins say together: `a = b` and `b = c` say `a = c`, so that the table of `c` can be joined, and told
//! keys, by either.
//!
//! INVARIANT: a pair that the joined parts don't hold yet is never taken for known.

use datafusion::logical_expr::Expr;

/// Expressions that are equal, in sets.
#[derive(Debug, Default)]
pub(super) struct Equal(Vec<Vec<Expr>>);

impl Equal {
    pub(super) fn of(pairs: &[(Expr, Expr)]) -> Self {
        let mut equal = Self::default();
        for (a, b) in pairs.iter().filter(|(a, b)| !a.is_volatile() && !b.is_volatile()) {
            equal.say(a, b);
        }
        equal
    }

    fn set(&self, e: &Expr) -> Option<usize> {
        self.0.iter().position(|set| set.contains(e))
    }

    /// In which set an expression is.
    pub(super) fn class(&self, e: &Expr) -> Option<usize> {
        self.set(e)
    }

    /// Says that both are equal. `false`: that was known already.
    pub(super) fn say(&mut self, a: &Expr, b: &Expr) -> bool {
        match (self.set(a), self.set(b)) {
            (Some(x), Some(y)) if x == y => return false,
            (Some(x), Some(y)) => {
                let other = self.0.swap_remove(x.max(y));
                if let Some(set) = self.0.get_mut(x.min(y)) {
                    set.extend(other);
                }
            }
            (Some(x), None) => self.0.iter_mut().skip(x).take(1).for_each(|set| set.push(b.clone())),
            (None, Some(y)) => self.0.iter_mut().skip(y).take(1).for_each(|set| set.push(a.clone())),
            (None, None) => self.0.push(if a == b { vec![a.clone()] } else { vec![a.clone(), b.clone()] }),
        }
        true
    }

    /// The pairs that follow and that nobody wrote.
    pub(super) fn implied(&self, written: &[(Expr, Expr)]) -> Vec<(Expr, Expr)> {
        let is = |a: &Expr, b: &Expr| written.iter().any(|(x, y)| (x == a && y == b) || (x == b && y == a));
        let mut pairs = Vec::new();
        for set in &self.0 {
            for (place, a) in set.iter().enumerate() {
                let further = set.iter().skip(place + 1).filter(|b| !is(a, b));
                pairs.extend(further.map(|b| (a.clone(), b.clone())));
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::col;

    fn pair(a: &str, b: &str) -> (Expr, Expr) {
        (col(a), col(b))
    }

    #[test]
    fn pairs_follow_from_pairs_and_only_from_those_of_their_set() {
        let written = [pair("a.x", "b.x"), pair("c.y", "d.y"), pair("b.x", "e.x")];
        let equal = Equal::of(&written);
        assert_eq!(equal.implied(&written), [pair("a.x", "e.x")]);
        assert_eq!(equal.class(&col("a.x")), equal.class(&col("e.x")));
        assert_ne!(equal.class(&col("a.x")), equal.class(&col("c.y")));
        assert_eq!(equal.class(&col("z")), None);
    }

    #[test]
    fn what_follows_is_known_and_two_sets_become_one() {
        let mut equal = Equal::of(&[pair("a.x", "b.x"), pair("c.x", "d.x")]);
        assert!(!equal.say(&col("b.x"), &col("a.x")));
        assert!(equal.say(&col("a.x"), &col("d.x")));
        assert!(!equal.say(&col("b.x"), &col("c.x")));
        // Two columns of one table are equal only when that is said.
        assert!(equal.say(&col("a.x"), &col("a.y")) && !equal.say(&col("a.y"), &col("c.x")));
    }
}
