//! From a part and an approver's word to a signed decision in `permits/`.
//!
//! INVARIANT: an approver can narrow what is asked and never widen it; what is signed is what was shown.
//! INVARIANT: a yes or a no stands in the audit log before it counts. A revocation counts even when the log fails.

use super::book::{Folders, Held};
use crate::{
    audit::{self, Event},
    config::SpokeConfig,
};
use chrono::{NaiveDate, Utc};
use policies::{
    application::{Decision, Part},
    permit::{Output, Permit, PermitError, Refusal, Revocation, SignedPermit},
};
use proto::ids::TableName;
use runtime::{audit::AuditError, sign::SigningKey};
use std::{io, path::PathBuf};

/// Why a decision can't be made.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// It would give more than is asked, or what can't be.
    #[error("{0}")]
    Narrow(String),
    /// The permit contradicts itself.
    #[error(transparent)]
    Permit(#[from] PermitError),
    /// The audit log can't be written: nothing was decided.
    #[error("{0}; nothing was decided")]
    Audit(#[from] AuditError),
    /// The statement can't be written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
}

/// How an approver gives less than is asked.
#[derive(Debug, Clone, Default)]
pub struct Narrow {
    /// a later first day
    pub valid_from: Option<NaiveDate>,
    /// an earlier last day
    pub valid_to: Option<NaiveDate>,
    /// less that leaves
    pub output: Option<Output>,
    /// columns that are not granted
    pub drop_columns: Vec<(TableName, String)>,
    /// fewer rows in one answer
    pub rows: Option<u64>,
    /// fewer bytes in one answer
    pub bytes: Option<u64>,
    /// fewer questions a day
    pub queries_per_day: Option<u32>,
    /// a larger smallest group
    pub threshold: Option<u32>,
    /// demand the user's signature over each question
    pub client_signature: bool,
}

/// The permit that grants a part, narrowed.
///
/// # Errors
/// When it would give more than is asked, or nothing would be left.
pub fn permit(part: &Part, narrow: &Narrow, decision: Decision) -> Result<Permit, DecideError> {
    let wrong = |message: String| Err(DecideError::Narrow(message));
    let mut permit = part.permit(Decision { threshold: narrow.threshold.or(decision.threshold), ..decision });
    if let Some(day) = narrow.valid_from {
        if day < permit.valid_from {
            return wrong(format!("--valid-from {day}: the application asks from {} on", permit.valid_from));
        }
        permit.valid_from = day;
    }
    if let Some(day) = narrow.valid_to {
        if day > permit.valid_to {
            return wrong(format!("--valid-to {day}: the application asks until {} only", permit.valid_to));
        }
        permit.valid_to = day;
    }
    if let Some(output) = narrow.output {
        if output > permit.output {
            return wrong("--output: lets more out than the application asks for".to_owned());
        }
        permit.output = output;
    }
    for (table, column) in &narrow.drop_columns {
        let granted = permit.tables.iter_mut().find(|granted| granted.name == *table);
        let Some(granted) = granted.filter(|granted| granted.columns.contains(column)) else {
            return wrong(format!("--drop-column {table}.{column}: is not asked for"));
        };
        granted.columns.retain(|other| other != column);
    }
    permit.tables.retain(|granted| !granted.columns.is_empty());
    if permit.tables.is_empty() {
        return wrong("nothing would be left; refuse the part instead (spoke refuse)".to_owned());
    }
    let caps = &mut permit.caps;
    caps.rows = caps.rows.min(narrow.rows.unwrap_or(u64::MAX));
    caps.bytes = caps.bytes.min(narrow.bytes.unwrap_or(u64::MAX));
    caps.queries_per_day = caps.queries_per_day.min(narrow.queries_per_day.unwrap_or(u32::MAX));
    permit.client_signature |= narrow.client_signature;
    permit.check().map_err(PermitError::from)?;
    Ok(permit)
}

/// Signs a permit and puts it where it counts.
///
/// # Errors
/// When it contradicts itself, or can't be logged or written.
pub fn grant(config: &SpokeConfig, permit: Permit, key: &SigningKey) -> Result<SignedPermit, DecideError> {
    let signed = SignedPermit::sign(permit, key)?;
    let permit = signed.permit();
    let event = Event::PermitSigned {
        permit: permit.id,
        part: permit.part,
        project: permit.project.clone(),
        approver: permit.approver.clone(),
        reason: permit.reason.clone(),
    };
    audit::note(config, &event)?;
    store(Folders::from(config).permit(permit.id), signed.compact())?;
    Ok(signed)
}

/// Refuses a part.
///
/// # Errors
/// When it can't be logged or written.
pub fn refuse(
    config: &SpokeConfig,
    part: &Part,
    approver: &str,
    reason: &str,
    key: &SigningKey,
) -> Result<Refusal, DecideError> {
    let refusal = Refusal {
        part: part.id,
        controller: config.controller.clone(),
        project: part.project.clone(),
        approver: approver.to_owned(),
        reason: reason.to_owned(),
        decided_at: Utc::now(),
    };
    let text = refusal.sign(key)?;
    let event = Event::PartRefused {
        part: part.id,
        project: part.project.clone(),
        approver: approver.to_owned(),
        reason: reason.to_owned(),
    };
    audit::note(config, &event)?;
    store(Folders::from(config).refusal(part.id), &text)?;
    Ok(refusal)
}

/// Ends a permit, at once.
///
/// # Errors
/// When it can't be logged or written.
pub fn revoke(
    config: &SpokeConfig,
    held: &Held,
    approver: &str,
    reason: &str,
    key: &SigningKey,
) -> Result<Revocation, DecideError> {
    let permit = held.permit();
    let revocation = Revocation {
        permit: permit.id,
        controller: config.controller.clone(),
        project: permit.project.clone(),
        approver: approver.to_owned(),
        reason: reason.to_owned(),
        decided_at: Utc::now(),
    };
    let text = revocation.sign(key)?;
    let event = Event::PermitRevoked {
        permit: permit.id,
        project: permit.project.clone(),
        approver: approver.to_owned(),
        reason: reason.to_owned(),
    };
    // A log that fails must not keep a permit alive that its controller wants to end.
    let logged = audit::note(config, &event);
    store(Folders::from(config).revocation(permit.id), &text)?;
    if let Err(error) = logged {
        tracing::error!(%error, "the revocation counts, but isn't in the audit log");
    }
    Ok(revocation)
}

fn store(path: PathBuf, text: &str) -> Result<(), DecideError> {
    let io = |cause| DecideError::Io { path: path.clone(), cause };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    super::write(&path, format!("{text}\n").as_bytes()).map_err(io)
}
