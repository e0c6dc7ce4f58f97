//! Memory of statements: a fair pool for each, all of them below one shared limit.

use datafusion::{
    common::DataFusionError,
    execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What all statements hold together.
#[derive(Debug)]
pub struct SharedPool {
    limit: usize,
    used: AtomicUsize,
}

impl SharedPool {
    /// A pool of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Bytes held.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn grow(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn shrink(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn try_grow(&self, bytes: usize) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|after| *after <= self.limit)
            })
            .is_ok()
    }
}

/// One statement's memory: shared fairly among its operators, and forwarded to the shared pool. What spills is
/// asked to spill when either limit is reached.
#[derive(Debug)]
pub struct QueryPool {
    own: FairSpillPool,
    limit: usize,
    shared: Arc<SharedPool>,
}

impl QueryPool {
    /// At most `limit` bytes of `shared`.
    #[must_use]
    pub fn new(limit: usize, shared: Arc<SharedPool>) -> Self {
        Self { own: FairSpillPool::new(limit), limit, shared }
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement({} of {} bytes)", self.own.reserved(), self.limit)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.shared.grow(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.shared.shrink(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<(), DataFusionError> {
        self.own.try_grow(reservation, additional)?;
        if self.shared.try_grow(additional) {
            return Ok(());
        }
        self.own.shrink(reservation, additional);
        Err(DataFusionError::ResourcesExhausted(format!(
            "{} needs {additional} bytes more, but all statements together hold {} of {} bytes",
            reservation.consumer().name(),
            self.shared.used(),
            self.shared.limit
        )))
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn both_limits_hold_and_everything_is_given_back() {
        let shared = Arc::new(SharedPool::new(150));
        let one: Arc<dyn MemoryPool> = Arc::new(QueryPool::new(100, Arc::clone(&shared)));
        let two: Arc<dyn MemoryPool> = Arc::new(QueryPool::new(100, Arc::clone(&shared)));
        let a = MemoryConsumer::new("a").register(&one);
        let b = MemoryConsumer::new("b").register(&two);
        a.try_grow(100).unwrap();
        assert!(a.try_grow(1).is_err(), "own limit");
        let full = b.try_grow(60).unwrap_err();
        assert!(matches!(full, DataFusionError::ResourcesExhausted(_)), "{full}");
        assert_eq!((two.reserved(), shared.used()), (0, 100));
        b.try_grow(50).unwrap();
        drop(a);
        b.try_grow(50).unwrap();
        drop(b);
        assert_eq!((one.reserved(), two.reserved(), shared.used()), (0, 0, 0));
    }

    #[test]
    fn what_can_spill_shares_fairly() {
        let pool: Arc<dyn MemoryPool> = Arc::new(QueryPool::new(100, Arc::new(SharedPool::new(1000))));
        let a = MemoryConsumer::new("a").with_can_spill(true).register(&pool);
        let b = MemoryConsumer::new("b").with_can_spill(true).register(&pool);
        a.try_grow(50).unwrap();
        assert!(a.try_grow(1).is_err());
        b.try_grow(50).unwrap();
    }
}
