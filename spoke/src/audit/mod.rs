//! What this spoke has done, for its controller: each question as readable SQL with who asked, under which permit and
//! for which purpose; each decision, revocation and change of the lists of people who are left out.
//!
//! `serve` writes through an [`Audit`], which gathers what waits into one write to disk; commands write one entry at a
//! time ([`note`]).
//!
//! INVARIANT: an entry that could not be written stops what it is about: no row leaves before its question is on disk.
//! INVARIANT: no person number and no stored pseudonym stands in an event; constants are those of the question, in which
//! people have the project's pseudonyms.

mod event;
pub mod show;
pub mod verify;
mod writer;

pub use event::{Event, Scan, Stage};
pub use writer::Audit;

use crate::config::SpokeConfig;
use runtime::audit::{AuditError, AuditLog};

/// Writes one entry; for commands.
///
/// # Errors
/// When it can't be written.
pub fn note(config: &SpokeConfig, event: &Event) -> Result<(), AuditError> {
    AuditLog::open(&config.audit_log())?.append(event).map(drop)
}

#[cfg(test)]
mod tests;
