//! How often one address may fail at joining.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures of one address within [`WINDOW`] before it has to wait.
const MAX_FAILURES: u32 = 10;
/// How long failures count.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at once.
const MAX_ADDRESSES: usize = 10_000;

/// Failures by address.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Attempts {
    /// Whether this address may try now.
    pub(super) fn allowed(&self, from: IpAddr) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&from).is_none_or(|(failures, since)| *failures < MAX_FAILURES || since.elapsed() > WINDOW)
    }

    /// It tried in vain.
    pub(super) fn failed(&self, from: IpAddr) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_ADDRESSES {
            all.retain(|_, (_, since)| since.elapsed() <= WINDOW);
            // Somebody has ten thousand addresses: what they did before counts no more than what they do next.
            if all.len() >= MAX_ADDRESSES {
                all.clear();
            }
        }
        let entry = all.entry(from).or_insert((0, Instant::now()));
        if entry.1.elapsed() > WINDOW {
            *entry = (0, Instant::now());
        }
        entry.0 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_don_t() {
        let attempts = Attempts::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..MAX_FAILURES {
            assert!(attempts.allowed(one));
            attempts.failed(one);
        }
        assert!(!attempts.allowed(one) && attempts.allowed(other));
    }
}
