//! What is written down of a stream: who, how much, how long, and how it ended.

use super::Caller;
use crate::log::{Event, Log};
use proto::wire::EvaluateReply;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

/// An open stream; written down when it is dropped.
pub(super) struct Record {
    caller: Caller,
    stream: u64,
    log: Log,
    started: Instant,
    batches: AtomicU64,
    elements: AtomicU64,
    /// complete, or the reason of the refusal; as long as there is none, the caller has left
    outcome: Mutex<Option<String>>,
    _place: OwnedSemaphorePermit,
}

impl Record {
    pub(super) fn start(caller: Caller, stream: u64, log: Log, place: OwnedSemaphorePermit) -> Self {
        Self {
            caller,
            stream,
            log,
            started: Instant::now(),
            batches: AtomicU64::new(0),
            elements: AtomicU64::new(0),
            outcome: Mutex::new(None),
            _place: place,
        }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn count(&self, elements: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.elements.fetch_add(u64::try_from(elements).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A reply that goes out; none is the end.
    pub(super) fn note(&self, reply: Option<&Result<EvaluateReply, Status>>) {
        let outcome = match reply {
            Some(Ok(_)) => return,
            Some(Err(status)) => {
                tracing::warn!(spoke = %self.caller.name, reason = status.message(), "a stream ended with an error");
                status.message().to_owned()
            }
            None => "complete".to_owned(),
        };
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(outcome);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (batches, elements) = (self.batches.load(Ordering::Relaxed), self.elements.load(Ordering::Relaxed));
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outcome = outcome.as_deref().unwrap_or("left");
        tracing::info!(
            spoke = %self.caller.name,
            batches,
            elements,
            seconds = self.started.elapsed().as_secs_f64(),
            outcome,
            "evaluated"
        );
        let event = Event::Evaluated { controller: &self.caller.name, stream: self.stream, batches, elements, outcome };
        // An error is logged, and stops the next batch of whatever stream.
        let _ = self.log.write(&event);
    }
}
