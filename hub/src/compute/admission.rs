//! Slots for statements that run, and a bounded queue before them.

use proto::refusal::{Kind, Refusal};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out slots.
#[derive(Debug, Clone)]
pub struct Admission {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
}

/// The right to run; held inside the result stream.
#[derive(Debug)]
pub struct Slot(#[allow(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// Counts itself out of the queue, also when the wait is dropped.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Admission {
    /// `slots` statements run at once, `queue` more may wait.
    #[must_use]
    pub fn new(slots: usize, queue: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(slots.max(1))), waiting: Arc::default(), queue }
    }

    /// A slot, at once or after waiting.
    ///
    /// # Errors
    /// When too many wait already, or none got free in time. Trying again later is fine.
    pub async fn slot(&self, patience: Duration) -> Result<Slot, Refusal> {
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(Slot(permit));
        }
        let ahead = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(Arc::clone(&self.waiting));
        if ahead >= self.queue {
            return Err(Refusal::new(Kind::Exhausted, "the hub is busy and its queue is full. Try again in a minute"));
        }
        match tokio::time::timeout(patience, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Slot(permit)),
            Ok(Err(_)) => Err(Refusal::new(Kind::Unavailable, "the hub is stopping. Try again shortly")),
            Err(_) => Err(Refusal::new(
                Kind::Exhausted,
                format!("the hub is busy: no slot got free within {} s. Try again later", patience.as_secs()),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn slots_queue_and_refusals() {
        let admission = Admission::new(1, 1);
        let first = admission.slot(Duration::from_secs(1)).await.unwrap();
        let waits = tokio::spawn({
            let admission = admission.clone();
            async move { admission.slot(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        let full = admission.slot(Duration::from_secs(1)).await.unwrap_err();
        assert!(full.message.contains("queue is full"), "{full}");
        drop(first);
        let second = waits.await.unwrap().unwrap();
        let late = admission.slot(Duration::from_millis(20)).await.unwrap_err();
        assert!(late.message.contains("no slot got free"), "{late}");
        assert_eq!(late.kind, Kind::Exhausted);
        drop(second);
        admission.slot(Duration::from_secs(1)).await.unwrap();
    }
}
