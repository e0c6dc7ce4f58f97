//! The rows of a running query under its limits: rows, bytes, time, its permit, and the end of the process.
//!
//! INVARIANT: an answer ends well only after its last entry in the audit log is on disk.

use crate::{
    admit::Context,
    audit,
    scan::{Running, Work, failure, window::bytes_of},
};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use futures::{Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use proto::refusal::{Kind, Refusal};
use std::{
    pin::Pin,
    task::{Context as Poller, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::Span;

/// See the module. Dropping it stops the query.
pub(crate) struct Bounded {
    rows: Option<BoxStream<'static, Result<RecordBatch, DataFusionError>>>,
    deadline: Pin<Box<Sleep>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    /// all rows are gone; the end is being written down
    closing: Option<BoxFuture<'static, (Result<(), Refusal>, Duration)>>,
    account: Account,
    span: Span,
    _slot: OwnedSemaphorePermit,
}

/// What was sent, written to the log at the end.
struct Account {
    context: Context,
    work: Work,
    /// from the question's arrival until it was admitted
    admission: Duration,
    started: Instant,
    /// until the end stood in the audit log on disk, while the caller waited for it
    closing: Duration,
    rows: u64,
    bytes: u64,
    outcome: Option<&'static str>,
    /// whether the end stands in the audit log, or is on its way there
    written: bool,
}

impl Bounded {
    pub(crate) fn new(running: Running, admission: Duration, stop: CancellationToken, span: Span) -> Self {
        let Running { context, rows, slot, work, schema: _ } = running;
        Self {
            rows: Some(rows),
            deadline: Box::pin(sleep_until(context.deadline)),
            stop: Box::pin(stop.cancelled_owned()),
            ended: Box::pin(context.ended.clone().cancelled_owned()),
            closing: None,
            account: Account {
                context,
                work,
                admission,
                started: Instant::now(),
                closing: Duration::ZERO,
                rows: 0,
                bytes: 0,
                outcome: None,
                written: false,
            },
            span,
            _slot: slot,
        }
    }

    fn poll_rows(&mut self, poller: &mut Poller<'_>) -> Poll<Option<Result<RecordBatch, Refusal>>> {
        if let Some(closing) = self.closing.as_mut() {
            let (written, took) = ready!(closing.as_mut().poll(poller));
            self.closing = None;
            self.account.closing = took;
            return Poll::Ready(written.err().map(Err));
        }
        let Some(rows) = self.rows.as_mut() else { return Poll::Ready(None) };
        if self.deadline.as_mut().poll(poller).is_ready() {
            return Poll::Ready(Some(Err(
                self.refuse(Kind::Deadline, "was not done in the time allowed for it; filter more, or allow more time")
            )));
        }
        if self.ended.as_mut().poll(poller).is_ready() {
            return Poll::Ready(Some(Err(
                self.refuse(Kind::Denied, "was ended: the project's permit at this controller is over or was replaced")
            )));
        }
        if self.stop.as_mut().poll(poller).is_ready() {
            return Poll::Ready(Some(Err(
                self.refuse(Kind::Unavailable, "was ended because the spoke is being stopped; ask again later")
            )));
        }
        match ready!(rows.poll_next_unpin(poller)) {
            None => {
                self.rows = None;
                let end = self.account.end("whole");
                let audit = self.account.context.audit.clone();
                self.closing = Some(Box::pin(async move {
                    let begun = Instant::now();
                    let written = audit.write(&end).await;
                    (written, begun.elapsed())
                }));
                self.poll_rows(poller)
            }
            Some(Err(error)) => {
                self.rows = None;
                self.account.outcome = Some("failed");
                Poll::Ready(Some(Err(failure::refusal(&error, &self.account.context.query))))
            }
            Some(Ok(batch)) => Poll::Ready(Some(self.count(batch))),
        }
    }

    fn count(&mut self, batch: RecordBatch) -> Result<RecordBatch, Refusal> {
        self.account.rows += batch.num_rows() as u64;
        self.account.bytes += bytes_of(&batch) as u64;
        if self.account.rows > self.account.context.max_rows {
            return Err(self.refuse(
                Kind::TooLarge,
                &format!("has more than {} rows; filter or aggregate more", self.account.context.max_rows),
            ));
        }
        if self.account.bytes > self.account.context.max_bytes {
            return Err(self.refuse(
                Kind::TooLarge,
                &format!(
                    "has more than {} bytes; filter, aggregate or ask for fewer columns",
                    self.account.context.max_bytes
                ),
            ));
        }
        Ok(batch)
    }

    fn refuse(&mut self, kind: Kind, why: &str) -> Refusal {
        // The query stops here and now, even if nobody polls again.
        self.rows = None;
        self.account.outcome = Some(match kind {
            Kind::Deadline => "its time was over",
            Kind::Denied => "its permit was over",
            Kind::TooLarge => "over its caps",
            _ => "the spoke was stopped",
        });
        tracing::info!(kind = ?kind, "ended early");
        Refusal::new(kind, format!("the answer to query {} {why}", self.account.context.query))
    }
}

impl Stream for Bounded {
    type Item = Result<RecordBatch, Refusal>;

    fn poll_next(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        let span = self.span.clone();
        let _in = span.enter();
        self.poll_rows(poller)
    }
}

impl Account {
    /// The entry that says how the query ended.
    fn end(&mut self, outcome: &'static str) -> audit::Event {
        self.outcome = Some(outcome);
        self.written = true;
        self.context.answered(self.rows, self.bytes, outcome, millis(self.started.elapsed()))
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let effort = self.work.effort();
        let outcome = self.outcome.unwrap_or("the caller went away");
        let ms = millis(self.started.elapsed());
        if !self.written {
            self.context.over(self.rows, self.bytes, outcome, ms);
        }
        tracing::info!(
            query = %self.context.query,
            outcome,
            rows = self.rows,
            bytes = self.bytes,
            ms,
            admit_ms = micros(self.admission),
            close_ms = micros(self.closing),
            scanned_bytes = effort.bytes_scanned,
            groups_pruned = effort.row_groups_pruned,
            groups_read = effort.row_groups_matched,
            pseudonym_ms = millis(effort.pseudonym),
            shuffle_ms = millis(effort.shuffle),
            scan_ms = millis(effort.scan),
            "answered"
        );
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds, to the microsecond.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
