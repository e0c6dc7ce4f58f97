//! Ends a running query from outside: its time, its permit, or the process is over.
//!
//! A stream is polled only while somebody takes from it. A hub that is frozen, or doesn't read on purpose, must keep
//! neither the rows nor the controller's log from hearing of a revocation; so each query has a task that waits for its
//! end.
//!
//! INVARIANT: when the permit is over, the query is stopped and its end is on its way to the audit log, whether or not
//! anybody reads.

use super::bounded::Shared;
use proto::{
    ids::QueryId,
    refusal::{Kind, Refusal},
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Why a query ends before its last row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// its time is over
    Deadline,
    /// its permit is over, or somebody withdrew or must be erased
    Permit,
    /// the process is being stopped
    Stopped,
    /// more rows than these
    Rows(u64),
    /// more bytes than these
    Bytes(u64),
}

impl End {
    /// As it stands in the audit log.
    pub(super) fn outcome(self) -> &'static str {
        match self {
            Self::Deadline => "its time was over",
            Self::Permit => "its permit was over, or somebody left",
            Self::Stopped => "the spoke was stopped",
            Self::Rows(_) | Self::Bytes(_) => "over its caps",
        }
    }

    /// As the hub gets it.
    pub(super) fn refusal(self, query: &QueryId) -> Refusal {
        let (kind, why) = match self {
            Self::Deadline => {
                (Kind::Deadline, "was not done in the time allowed for it; filter more, or allow more time".to_owned())
            }
            Self::Permit => (
                Kind::Denied,
                "was ended: the project's permit at this controller is over or was replaced, or somebody who was in it has \
                 left. Ask again"
                    .to_owned(),
            ),
            Self::Stopped => {
                (Kind::Unavailable, "was ended because the spoke is being stopped; ask again later".to_owned())
            }
            Self::Rows(most) => (Kind::TooLarge, format!("has more than {most} rows; filter or aggregate more")),
            Self::Bytes(most) => {
                (Kind::TooLarge, format!("has more than {most} bytes; filter, aggregate or ask for fewer columns"))
            }
        };
        Refusal::new(kind, format!("the answer to query {query} {why}"))
    }
}

/// Waits for the first of deadline, end of the permit and end of the process; ends the query and tells its reader.
pub(super) async fn watch(
    flow: Shared,
    (deadline, permit, stop): (Instant, CancellationToken, CancellationToken),
    tell: oneshot::Sender<Refusal>,
) {
    let end = tokio::select! {
        biased;
        () = permit.cancelled() => End::Permit,
        () = sleep_until(deadline) => End::Deadline,
        () = stop.cancelled() => End::Stopped,
    };
    if let Some(refusal) = flow.end(end) {
        // The reader may have gone meanwhile.
        let _ = tell.send(refusal);
    }
}
