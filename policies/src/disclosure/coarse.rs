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
}
