//! A statement's answer on its way out: ended by its deadline, by its user, or by the client going away, and one line
//! in the log when it is over.
//!
//! INVARIANT: the log line has user, issuer, a name of the token, project, zone, seconds, rows and outcome; never a literal, a
//! value or the token.

use super::{
    anew::{self, Anew},
    running::Place,
};
use crate::{
    audit::{Event, HubAudit},
    compute::{Slot, SpillFolder},
    plan::Answer,
    request::RequestContext,
};
use arrow::array::RecordBatch;
use arrow_flight::{FlightData, encode::FlightDataEncoderBuilder, error::FlightError};
use futures::{Stream, StreamExt, stream::BoxStream};
use policies::zone::Zone;
use proto::refusal::{Kind, Refusal};
use runtime::telemetry::spans::{TARGET, number};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tonic::Status;
use tracing::Span;

/// A spoke that is late is named by `gather` at the deadline; this comes after it, for everything else.
const GRACE: Duration = Duration::from_millis(500);
/// The outcome when nobody waited for the end.
const GONE: &str = "the client went away";

/// What a running statement holds; dropped, in this order, when its answer is over.
#[allow(dead_code, reason = "spill and slot are held, not read")]
pub(super) struct Held {
    pub(super) place: Place,
    pub(super) spill: SpillFolder,
    pub(super) slot: Slot,
}

/// Writes the log line of one statement, however it ends.
pub(super) struct Log {
    context: Arc<RequestContext>,
    started: Instant,
    rows: u64,
    outcome: Option<&'static str>,
    audit: Option<HubAudit>,
}

impl Log {
    pub(super) fn new(context: Arc<RequestContext>) -> Self {
        Self { context, started: Instant::now(), rows: 0, outcome: None, audit: None }
    }

    /// The question stands in the audit log: so does its end, however it ends.
    pub(super) fn audited(&mut self, audit: HubAudit) {
        self.audit = Some(audit);
    }

    /// The end of the question, for the audit log.
    fn answered(&self) -> Event {
        Event::Answered {
            query: self.context.query,
            user: self.context.caller.user.clone(),
            project: self.context.project.project.clone(),
            rows: self.rows,
            outcome: self.outcome.unwrap_or(GONE).to_owned(),
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Writes the end and waits for the disk.
    async fn close(&mut self) -> Result<(), Refusal> {
        let event = self.answered();
        match self.audit.take() {
            Some(audit) => audit.record(event).await,
            None => Ok(()),
        }
    }

    pub(super) fn refused(&mut self, refusal: &Refusal) {
        let outcome = match refusal.kind {
            Kind::Unauthenticated => "unauthenticated",
            Kind::Denied => "denied",
            Kind::NotFound => "not found",
            Kind::Invalid => "invalid",
            Kind::Stale => "stale",
            Kind::TooLarge => "too large",
            Kind::Exhausted => "exhausted",
            Kind::Unavailable => "unavailable",
            Kind::Deadline => "deadline",
            Kind::Cancelled => "cancelled",
            Kind::Internal => "internal",
        };
        self.context.watch.meters().refused(outcome);
        self.outcome = Some(outcome);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (context, outcome) = (&self.context, self.outcome.unwrap_or(GONE));
        context.watch.meters().statement(context.caller.zone.name(), outcome);
        context.watch.span().record("outcome", outcome);
        tracing::info!(
            query_id = %context.query,
            user = %context.caller.user,
            issuer = context.caller.issuer,
            token = context.caller.token_id,
            project = %context.project.project,
            zone = context.caller.zone.name(),
            seconds = self.started.elapsed().as_secs_f64(),
            rows = self.rows,
            outcome,
            "statement"
        );
        if let Some(audit) = self.audit.take() {
            audit.record_later(self.answered());
        }
    }
}

struct Outgoing {
    batches: BoxStream<'static, Result<RecordBatch, Refusal>>,
    /// for when what it was planned by is old
    anew: Option<Anew>,
    // Declared after the batches: work stops before what it used is given back.
    held: Held,
    log: Log,
    deadline: Instant,
    timeout: Duration,
    over: bool,
    /// traced from the first row to the last
    release: Span,
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let exact = self.log.context.caller.zone == Zone::Enclave;
        self.release.record("rows", number(self.log.rows, exact));
    }
}

impl Outgoing {
    /// What comes next, or why nothing does. A refusal that can come from an old offer has the statement planned anew, once.
    async fn next(&mut self) -> Option<Result<RecordBatch, Refusal>> {
        loop {
            let next = tokio::select! {
                biased;
                refusal = self.held.place.ended() => return Some(Err(refusal)),
                next = self.batches.next() => next,
                () = tokio::time::sleep_until(self.deadline) => return Some(Err(Refusal::new(
                    Kind::Deadline,
                    format!(
                        "the statement took longer than {} s. Ask for less, or fetch the answer faster",
                        self.timeout.as_secs()
                    ),
                ))),
            };
            let refusal = match next {
                Some(Err(refusal)) if self.log.rows == 0 && anew::may_be_old(&refusal) => refusal,
                other => return other,
            };
            let Some(anew) = self.anew.take() else { return Some(Err(refusal)) };
            // What runs at other spokes stops first.
            self.batches = futures::stream::empty().boxed();
            let answer = tokio::select! {
                biased;
                ended = self.held.place.ended() => Err(ended),
                answer = Box::pin(anew.answer(refusal)) => answer,
            };
            match answer {
                Ok(answer) => self.batches = answer.into_parts().1,
                Err(refusal) => return Some(Err(refusal)),
            }
        }
    }
}

/// The answer as Flight messages.
pub(super) fn outgoing(
    answer: Answer,
    anew: Anew,
    held: Held,
    log: Log,
) -> BoxStream<'static, Result<FlightData, Status>> {
    let (schema, batches) = answer.into_parts();
    let (deadline, timeout) = (log.context.deadline + GRACE, log.context.timeout);
    let release =
        tracing::info_span!(target: TARGET, parent: &log.context.watch.span(), "release", rows = tracing::field::Empty);
    let outgoing = Outgoing { batches, anew: Some(anew), held, log, deadline, timeout, over: false, release };
    let batches = futures::stream::unfold(outgoing, |mut outgoing| async move {
        if outgoing.over {
            return None;
        }
        let next = outgoing.next().await;
        match &next {
            Some(Ok(batch)) => outgoing.log.rows += batch.num_rows() as u64,
            Some(Err(refusal)) => {
                outgoing.log.refused(refusal);
                outgoing.over = true;
                // The spokes stop now, not when the client has read the error.
                outgoing.batches = futures::stream::empty().boxed();
            }
            None => {
                outgoing.log.outcome = Some("answered");
                outgoing.over = true;
            }
        }
        if outgoing.over
            && let Err(refusal) = outgoing.log.close().await
        {
            // Without an entry there is no whole answer.
            return Some((Err(refusal), outgoing));
        }
        Some((next?, outgoing))
    });
    encode(schema, batches)
}

/// Batches as Flight messages, the schema first, also when there are none.
pub(super) fn encode(
    schema: arrow::datatypes::SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, Refusal>> + Send + 'static,
) -> BoxStream<'static, Result<FlightData, Status>> {
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .build(batches.map(|batch| batch.map_err(|refusal| FlightError::Tonic(Box::new(refusal.into())))))
        .map(|message| {
            message.map_err(|error| match error {
                FlightError::Tonic(status) => *status,
                _ => Refusal::new(Kind::Internal, "the answer can't be written as Arrow data").into(),
            })
        })
        .boxed()
}
