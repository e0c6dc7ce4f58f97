//! What a spoke reads when it is refused.

use crate::{
    key::BatchError,
    register::{Quota, RegisterError, quota::DAILY},
};
use chrono::{DateTime, Utc};
use proto::refusal::{Kind, Refusal};

pub(super) fn stopping() -> Refusal {
    Refusal::new(Kind::Unavailable, "the custodian is stopping; connect again in a moment")
}

pub(super) fn no_log() -> Refusal {
    Refusal::new(
        Kind::Unavailable,
        "the custodian can't write its audit log and evaluates nothing until it can; tell its operator",
    )
}

/// The reason is for the log alone.
pub(super) fn no_register(error: &RegisterError) -> Refusal {
    tracing::error!(%error, "nothing is evaluated until the register can be used");
    Refusal::new(
        Kind::Unavailable,
        "the custodian can't read or write its register and evaluates nothing until it can; tell its operator",
    )
}

pub(super) fn not_enrolled(controller: &str) -> Refusal {
    Refusal::new(
        Kind::Denied,
        format!(
            "the key of this connection is not enrolled for '{controller}' (any more). Make a new one with \
             `spoke custodian request`, endorsed by your approver, and give it to the custodian's operator"
        ),
    )
}

pub(super) fn over_quota(controller: &str, elements: u64, quota: Quota, from: DateTime<Utc>) -> Refusal {
    let Quota { once, used, .. } = quota;
    Refusal::new(
        Kind::Exhausted,
        format!(
            "'{controller}' has had {used} evaluations; its quota is {once} (its population and 5 %) and {DAILY} a day \
             beyond. Of today's, {} are left and {elements} were asked for; {DAILY} more are allowed from {} UTC. Was the \
             population registered too low? The custodian's operator can correct it (custodian controller add --replace)",
            quota.left(),
            from.format("%Y-%m-%d %H:%M"),
        ),
    )
}

pub(super) fn bad_batch(sequence: u64, error: &BatchError) -> Refusal {
    let kind = match error {
        BatchError::TooMany { .. } => Kind::TooLarge,
        BatchError::Failed(_) => Kind::Internal,
        BatchError::Length { .. } | BatchError::Empty | BatchError::Point { .. } => Kind::Invalid,
    };
    Refusal::new(kind, format!("batch {sequence}: {error}"))
}
