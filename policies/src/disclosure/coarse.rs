//! Numbers that are shown about a query itself, not about people: how many rows, how many bytes.

/// How much of rows or bytes is shown outside the enclave: up to 1,000, or the next power of two (from 1,024).
#[must_use]
pub fn coarse(n: u64) -> String {
    if n <= 1_000 {
        return "up to 1,000".to_owned();
    }
    let bound = n.checked_next_power_of_two().unwrap_or(u64::MAX);
    format!("up to {}", thousands(bound))
}

/// `n` or more, up to twice as much, as `by` says (256 steps): what is made [`coarse`] then changes at another number each time.
///
/// A class that always began at the same number would tell, at that number, whether one person is there. With `by` drawn by
/// chance for each query, one person more changes the class for one step in 256 at most, which takes some 770 queries to see 19 times in 20.
#[must_use]
pub fn moved(n: u64, by: u8) -> u64 {
    let more = u128::from(n) * u128::from(by) / 256;
    n.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
}

/// A number with a comma between groups of three digits.
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_counts_are_shown_coarsely() {
        assert_eq!(coarse(0), "up to 1,000");
        assert_eq!(coarse(1), coarse(1_000));
        assert_eq!(coarse(1_001), "up to 1,024");
        assert_eq!(coarse(1_024), "up to 1,024");
        assert_eq!(coarse(1_025), "up to 2,048");
        assert_eq!(coarse(10_000_000), "up to 16,777,216");
        assert_eq!(coarse(u64::MAX), "up to 18,446,744,073,709,551,615");
    }

    /// Learns: nothing from a single query. Off (classes that always begin at the same number): whether there is one more.
    #[test]
    fn attack_one_person_more_at_the_edge_of_a_class_is_not_seen() {
        assert_ne!(coarse(1_024), coarse(1_025), "the attack doesn't work by itself");
        let shown = |n: u64| (0..=255).map(|by| coarse(moved(n, by))).collect::<Vec<_>>();
        for n in [1_000, 1_024, 2_048, 65_536] {
            let (one, more) = (shown(n), shown(n + 1));
            let differ = one.iter().zip(&more).filter(|(a, b)| a != b).count();
            assert!(differ <= 1, "{n}: {differ} of 256");
        }
        for (n, by) in [(0, 255), (3, 255), (500, 255), (1_000, 0)] {
            assert_eq!(coarse(moved(n, by)), "up to 1,000");
        }
        assert_eq!((moved(u64::MAX, 255), moved(1_024, 128)), (u64::MAX, 1_536));
    }
}
