//! The rows of a running query under its limits: rows and bytes as they pass; time, its permit and the end of the
//! process by a warden of its own, which needs nobody to read.
//!
//! INVARIANT: an answer ends well only after its last entry in the audit log is on disk.

use super::warden::{self, End};
use crate::{
    admit::Context,
    audit,
    scan::{Running, Work, failure, window::bytes_of},
};
use arrow::record_batch::RecordBatch;
use datafusion::{common::runtime::SpawnedTask, error::DataFusionError};
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use proto::refusal::Refusal;
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as Poller, Poll, ready},
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

/// See the module. Dropping it stops the query.
pub(crate) struct Bounded {
    flow: Shared,
    /// told by the warden when the query was ended from outside
    ended: Option<oneshot::Receiver<Refusal>>,
    /// all rows are gone; the end is being written down
    closing: Option<BoxFuture<'static, Result<(), Refusal>>>,
    span: Span,
    _warden: SpawnedTask<()>,
}

/// The running query, for whoever comes first: its reader or its warden. Nothing when it is over.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Option<Flow>>>);

/// All that a running query holds.
struct Flow {
    rows: BoxStream<'static, Result<RecordBatch, DataFusionError>>,
    account: Account,
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

impl Shared {
    /// Held for as long as a batch is taken, which other tasks have made.
    fn lock(&self) -> MutexGuard<'_, Option<Flow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the query here and now and writes that down, even if nobody polls again. The refusal for who reads it, or
    /// nothing when it is over already.
    pub(super) fn end(&self, end: End) -> Option<Refusal> {
        let mut flow = self.lock().take()?;
        flow.account.outcome = Some(end.outcome());
        tracing::info!(outcome = end.outcome(), "ended early");
        Some(end.refusal(&flow.account.context.query))
    }
}

impl Bounded {
    pub(crate) fn new(running: Running, admission: Duration, stop: CancellationToken, span: Span) -> Self {
        let Running { mut context, rows, slot, work, schema: _ } = running;
        context.watch.replies();
        let until = (context.deadline, context.ended.clone(), stop);
        let account = Account {
            context,
            work,
            admission,
            started: Instant::now(),
            closing: Duration::ZERO,
            rows: 0,
            bytes: 0,
            outcome: None,
            written: false,
        };
        let flow = Shared(Arc::new(Mutex::new(Some(Flow { rows, account, _slot: slot }))));
        let (tell, ended) = oneshot::channel();
        let warden = SpawnedTask::spawn(warden::watch(flow.clone(), until, tell).instrument(span.clone()));
        Self { flow, ended: Some(ended), closing: None, span, _warden: warden }
    }

    fn poll_rows(&mut self, poller: &mut Poller<'_>) -> Poll<Option<Result<RecordBatch, Refusal>>> {
        if let Some(closing) = self.closing.as_mut() {
            let written = ready!(closing.as_mut().poll(poller));
            self.closing = None;
            return Poll::Ready(written.err().map(Err));
        }
        let Some(ended) = self.ended.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(told) = ended.poll_unpin(poller) {
            self.ended = None;
            // A warden that is gone without a word watches nothing any more.
            let refusal = told.ok().or_else(|| self.flow.end(End::Stopped));
            return Poll::Ready(refusal.map(Err));
        }
        let mut shared = self.flow.lock();
        // Ended this moment: the warden's word is on its way.
        let Some(flow) = shared.as_mut() else { return Poll::Pending };
        match ready!(flow.rows.poll_next_unpin(poller)) {
            Some(Ok(batch)) => match flow.account.count(&batch) {
                Ok(()) => Poll::Ready(Some(Ok(batch))),
                Err(end) => {
                    drop(shared);
                    self.ended = None;
                    Poll::Ready(self.flow.end(end).map(Err))
                }
            },
            Some(Err(error)) => {
                flow.account.outcome = Some("failed");
                let refusal = failure::refusal(&error, &flow.account.context.query);
                *shared = None;
                self.ended = None;
                Poll::Ready(Some(Err(refusal)))
            }
            None => {
                let flow = shared.take();
                drop(shared);
                self.ended = None;
                self.closing = flow.map(|mut flow| {
                    async move {
                        let (end, begun) = (flow.account.end("whole"), Instant::now());
                        let written = flow.account.context.audit.write(&end).await;
                        flow.account.closed(begun.elapsed());
                        written
                    }
                    .boxed()
                });
                self.poll_rows(poller)
            }
        }
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        // Now, and not when the warden's task is taken down: what comes after may wait for the log.
        drop(self.flow.lock().take());
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
    fn count(&mut self, batch: &RecordBatch) -> Result<(), End> {
        self.rows += batch.num_rows() as u64;
        self.bytes += bytes_of(batch) as u64;
        if self.rows > self.context.max_rows {
            return Err(End::Rows(self.context.max_rows));
        }
        if self.bytes > self.context.max_bytes {
            return Err(End::Bytes(self.context.max_bytes));
        }
        Ok(())
    }

    /// How long the end's entry took to be written.
    fn closed(&mut self, took: Duration) {
        self.closing = took;
    }

    /// The entry that says how the query ended.
    fn end(&mut self, outcome: &'static str) -> audit::Event {
        self.outcome = Some(outcome);
        self.written = true;
        self.context.watch.whole(&self.work.effort(), self.started.elapsed());
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
        self.context.watch.over(outcome, self.rows, self.bytes, &effort);
        tracing::info!(
            query = %self.context.query,
            outcome,
            rows = self.rows,
            bytes = self.bytes,
            ms,
            admit_ms = micros(self.admission),
            close_ms = micros(self.closing),
            kept = self.work.kept(),
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
