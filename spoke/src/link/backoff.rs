//! How long to wait before connecting again: longer each time, and never all spokes at once.

use rand::Rng;
use std::time::Duration;

/// The first pause, at most.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that grow.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause: a random part, at least half, of twice the one before.
    pub(super) fn pause(&mut self) -> Duration {
        let most = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        most.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_start_anew() {
        let mut backoff = Backoff::default();
        let first = backoff.pause();
        assert!(first >= FIRST / 2 && first <= FIRST);
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.pause()).collect();
        assert!(pauses.iter().all(|p| *p <= LONGEST));
        assert!(pauses[10..].iter().all(|p| *p >= LONGEST / 2));
        assert!(pauses[10..].iter().any(|p| *p != pauses[10]), "no jitter");
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}
