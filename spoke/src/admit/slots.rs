//! Places for running queries, and a short queue before them.

use super::too_late;
use proto::refusal::{Kind, Refusal};
use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

pub(crate) struct Slots {
    running: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Slots {
    pub(crate) fn new(running: usize, waiting: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(running)), waiting: Semaphore::new(waiting) }
    }

    pub(crate) fn free(&self) -> usize {
        self.running.available_permits()
    }

    /// A place, now or when one becomes free before the deadline.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(slot) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(slot);
        }
        let busy = || Refusal::new(Kind::Exhausted, "this spoke is busy with other queries; try again in a moment");
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        match timeout_at(deadline, Arc::clone(&self.running).acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(busy()),
            Err(_) => Err(too_late()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_freed_place_is_given_on() {
        let slots = Arc::new(Slots::new(1, 1));
        let soon = Instant::now() + Duration::from_secs(20);
        let first = slots.enter(soon).await.unwrap();
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.enter(soon).await }
        });
        while slots.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = slots.enter(soon).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Exhausted);
        assert!(refused.retryable());
        drop(first);
        let second = waiting.await.unwrap().unwrap();
        assert_eq!(slots.free(), 0);
        let late = slots.enter(Instant::now()).await.unwrap_err();
        assert_eq!(late.kind, Kind::Deadline);
        drop(second);
        assert_eq!(slots.free(), 1);
    }
}
