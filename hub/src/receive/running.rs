//! Statements that run, so that they can be cancelled.

use crate::{
    identify::Caller,
    permit::rules,
    watch::{Progress, Watch},
};
use proto::{
    ids::{QueryId, UserId},
    refusal::{Kind, Refusal},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Entry {
    query: QueryId,
    user: UserId,
    issuer: String,
    cancel: CancellationToken,
    watch: Arc<Watch>,
}

/// The statements that run now; a ticket may be redeemed twice at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    entries: Arc<Mutex<HashMap<u64, Entry>>>,
    next: Arc<AtomicU64>,
    stopping: CancellationToken,
}

/// A statement's place among those that run; given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    running: Running,
    number: u64,
    cancel: CancellationToken,
}

impl Running {
    pub(super) fn enter(&self, query: QueryId, caller: &Caller, watch: Arc<Watch>) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let cancel = CancellationToken::new();
        let (user, issuer) = (caller.user.clone(), caller.issuer.clone());
        let entry = Entry { query, user, issuer, cancel: cancel.clone(), watch };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(number, entry);
        Place { running: self.clone(), number, cancel }
    }

    /// Cancels the caller's statement. False when no such statement of theirs runs.
    pub(super) fn cancel(&self, query: &QueryId, caller: &Caller) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = false;
        let own = |e: &&Entry| e.query == *query && rules::may_cancel(caller, (&e.user, &e.issuer));
        for entry in entries.values().filter(own) {
            entry.cancel.cancel();
            found = true;
        }
        found
    }

    /// How far the spokes are with the caller's statement; nothing when no such statement of theirs runs. Whoever may
    /// cancel it may watch it.
    pub(super) fn progress(&self, query: &QueryId, caller: &Caller) -> Option<Vec<Progress>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |e: &&Entry| e.query == *query && rules::may_cancel(caller, (&e.user, &e.issuer));
        let mut own = entries.values().filter(own).peekable();
        own.peek()?;
        Some(own.flat_map(|entry| entry.watch.progress(caller.zone)).collect())
    }

    /// Ends all of them, when the hub stops and has waited long enough.
    pub(super) fn stop(&self) {
        self.stopping.cancel();
    }

    pub(super) fn count(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Place {
    /// Resolves when the statement is to end, with what its caller reads.
    pub(super) async fn ended(&self) -> Refusal {
        tokio::select! {
            () = self.cancel.cancelled() => Refusal::new(Kind::Cancelled, "the statement was cancelled"),
            () = self.running.stopping.cancelled() => {
                Refusal::new(Kind::Unavailable, "the hub is stopping. Run the statement again shortly")
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
