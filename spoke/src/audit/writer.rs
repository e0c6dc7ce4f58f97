//! The log as `serve` writes it: one thread, which takes whatever waits and makes it durable at once, so that many
//! questions wait for the disk together and not one after another.

use super::Event;
use proto::refusal::{Kind, Refusal};
use runtime::audit::{AuditError, AuditLog};
use serde_json::Value;
use std::{path::Path, sync::mpsc};
use tokio::sync::oneshot;

/// Entries made durable together at most.
const TOGETHER: usize = 256;

/// An open log. Cheap to clone; closed when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Audit {
    to: mpsc::Sender<Order>,
}

#[derive(Debug)]
struct Order {
    /// nothing: only tell when the turn has come
    event: Option<Value>,
    done: Option<oneshot::Sender<bool>>,
}

impl Audit {
    /// Opens the log and checks every line of it.
    ///
    /// # Errors
    /// When it can't be read or written, or was changed.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let log = AuditLog::open(path)?;
        let (to, orders) = mpsc::channel();
        let spawned = std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(&log, &orders));
        spawned.map_err(|cause| AuditError::Io { path: path.to_owned(), cause })?;
        Ok(Self { to })
    }

    /// Writes an entry; returns when it is on disk.
    ///
    /// # Errors
    /// When it can't be written; the log of the process says why.
    pub async fn write(&self, event: &Event) -> Result<(), Refusal> {
        let (done, written) = oneshot::channel();
        self.order(event, Some(done));
        match written.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(unwritable()),
        }
    }

    /// Writes an entry when its turn comes; for what is over already.
    pub fn send(&self, event: &Event) {
        self.order(event, None);
    }

    /// Returns when all that was sent before is written, or can't be.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.to.send(Order { event: None, done: Some(done) }).is_ok() {
            let _ = written.await;
        }
    }

    fn order(&self, event: &Event, done: Option<oneshot::Sender<bool>>) {
        match serde_json::to_value(event) {
            Ok(event) => {
                if self.to.send(Order { event: Some(event), done }).is_err() {
                    tracing::error!("the audit log's writer is gone; nothing is answered");
                }
            }
            // `done` is dropped: whoever waits is told no.
            Err(error) => tracing::error!(%error, "an audit event has no JSON form"),
        }
    }
}

/// The refusal when a question can't be logged.
fn unwritable() -> Refusal {
    Refusal::new(
        Kind::Unavailable,
        "this controller's audit log can't be written, and nothing is answered without it; its operator has to look into it",
    )
}

fn write(log: &AuditLog, orders: &mpsc::Receiver<Order>) {
    while let Ok(first) = orders.recv() {
        let orders: Vec<Order> = std::iter::once(first).chain(orders.try_iter().take(TOGETHER - 1)).collect();
        let events: Vec<Value> = orders.iter().filter_map(|order| order.event.clone()).collect();
        let written = if events.is_empty() { Ok(()) } else { log.append_all(&events).map(drop) };
        match written {
            Ok(()) => orders.into_iter().for_each(|order| tell(order, true)),
            // One that is too long must not take the others with it.
            Err(AuditError::Event { .. }) if events.len() > 1 => {
                for order in orders {
                    let written = order.event.as_ref().is_none_or(|event| said(log.append(event)));
                    tell(order, written);
                }
            }
            Err(error) => {
                said::<()>(Err(error));
                orders.into_iter().for_each(|order| tell(order, false));
            }
        }
    }
}

fn said<T>(result: Result<T, AuditError>) -> bool {
    if let Err(error) = &result {
        tracing::error!(%error, "an audit entry can't be written; what it is about is not answered");
    }
    result.is_ok()
}

fn tell(order: Order, written: bool) {
    if let Some(done) = order.done {
        // Whoever asked went away meanwhile.
        let _ = done.send(written);
    }
}
