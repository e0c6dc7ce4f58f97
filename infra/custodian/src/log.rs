//! The custodian's audit log, `audit/custodian.log`: who was enrolled and removed, what was evaluated for whom, alarms, and
//! what was done with the key.
//!
//! INVARIANT: what can't be written isn't done. An entry holds names and counts, nothing of an element.

use runtime::audit::{AuditError, AuditLog, Head};
use serde::Serialize;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What is written down.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// `serve` accepts connections
    Started {
        /// id of the linkage key
        link_kid: &'a str,
    },
    /// `serve` ended
    Stopped,
    /// a controller was registered, or its registration changed
    Registered {
        /// which
        controller: &'a str,
        /// fingerprint of its approver's key
        approver: &'a str,
        /// how many people
        population: u64,
    },
    /// a controller was removed
    Removed {
        /// which
        controller: &'a str,
    },
    /// a spoke's key was enrolled
    Enrolled {
        /// whose
        controller: &'a str,
        /// SHA-256 of its public key
        key: &'a str,
        /// fingerprint of the approver who endorsed it
        approver: &'a str,
    },
    /// a request for enrolment was refused
    EnrolmentRefused {
        /// whose it claims to be
        controller: &'a str,
        /// why
        reason: &'a str,
    },
    /// a stream began; written before its first answer
    Evaluating {
        /// for whom
        controller: &'a str,
        /// of this process
        stream: u64,
    },
    /// a stream ended
    Evaluated {
        /// for whom
        controller: &'a str,
        /// of this process
        stream: u64,
        /// batches answered
        batches: u64,
        /// elements answered
        elements: u64,
        /// complete, left, cut, or why it was refused
        outcome: &'a str,
    },
    /// quota
    Alarm {
        /// whose spoke
        controller: &'a str,
        /// near, spent, refused
        kind: &'a str,
        /// elements evaluated, ever
        used: u64,
        /// population x 1.05
        quota: u64,
    },
    /// shares of the linkage key were written
    BackedUp {
        /// id of the linkage key
        link_kid: &'a str,
    },
    /// the linkage key was put together again
    Restored {
        /// id of the linkage key
        link_kid: &'a str,
    },
    /// a hub's key was enrolled
    HubEnrolled {
        /// which
        hub: &'a str,
        /// SHA-256 of its public key
        key: &'a str,
    },
    /// a hub was removed
    HubRemoved {
        /// which
        hub: &'a str,
    },
    /// the masks of a blind total were summed; written before the sum leaves
    TotalSummed {
        /// for whom
        hub: &'a str,
        /// of which project
        project: &'a str,
        /// which total
        total: &'a str,
        /// over how many members
        members: usize,
        /// how many words
        words: usize,
    },
    /// masks were not summed
    TotalRefused {
        /// for whom
        hub: &'a str,
        /// of which project, by the hub's word; empty: it is no project's name
        project: &'a str,
        /// why
        reason: &'a str,
    },
    /// entries can be written again, after one that could not be
    LogResumed,
    /// a spoke's checkpoint was refused: its log does not go on from what it showed before
    CheckpointRefused {
        /// whose
        controller: &'a str,
        /// why
        reason: &'a str,
    },
}

/// The open log, shared by all streams. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    log: Arc<AuditLog>,
    /// the last entry could not be written
    broken: Arc<AtomicBool>,
}

impl Log {
    /// Opens the log and checks it.
    ///
    /// # Errors
    /// When it can't be read or written, or was changed.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        Ok(Self { log: Arc::new(AuditLog::open(path)?), broken: Arc::default() })
    }

    /// Writes an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, event: &Event<'_>) -> Result<Head, AuditError> {
        let done = self.log.append(event);
        self.broken.store(done.is_err(), Ordering::Release);
        if let Err(error) = &done {
            tracing::error!(%error, "nothing is evaluated until the audit log can be written");
        }
        done
    }

    /// Whether the last entry could not be written.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Whether an entry can be written, as far as one can tell: after one that could not be, another is tried.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.is_broken() || self.write(&Event::LogResumed).is_ok()
    }

    /// The log itself, to sign how far it goes.
    #[must_use]
    pub fn shared(&self) -> Arc<AuditLog> {
        Arc::clone(&self.log)
    }
}
