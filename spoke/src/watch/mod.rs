//! What can be seen of a question while it is answered and afterwards: spans for the controller's own collector, numbers
//! for its operator, and what the hub may be told of the work.
//!
//! INVARIANT: the hub is told exact numbers of what was read only when nobody is hidden from the asker: in the enclave,
//! under a permit that shows rows, over tables without a row filter and with nobody left out. Else the number of bytes or
//! row groups read for `person = x` would say whether somebody whom the permit hides is in the table.

mod meters;

pub(crate) use meters::Now;
pub use meters::{METRICS, Meters};

use crate::scan::Effort;
use proto::wire::Measured;
use runtime::telemetry::spans::{TARGET, coarse, number};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tracing::{Span, field::Empty};

/// One question, watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) meters: Meters,
    /// whether the answer is shown in the enclave
    pub(crate) enclave: bool,
    /// whether nothing is hidden from the asker
    pub(crate) open_book: bool,
    /// how long it waited for its place
    pub(crate) waited: Duration,
    /// the question's span; steps hang below
    pub(crate) trace: Span,
    reply: Span,
    told: Arc<OnceLock<Measured>>,
}

impl Watched {
    /// Of a question whose answer is shown in the enclave or not.
    pub(crate) fn new(meters: &Meters, enclave: bool) -> Self {
        let (meters, none) = (meters.clone(), Span::none);
        let (waited, told) = (Duration::ZERO, Arc::default());
        Self { meters, enclave, open_book: false, waited, trace: none(), reply: none(), told }
    }

    /// The answer begins.
    pub(crate) fn replies(&mut self) {
        self.reply = tracing::info_span!(target: TARGET, parent: &self.trace, "reply", rows = Empty, bytes = Empty);
    }

    /// The last row is gone: what the hub may know.
    pub(crate) fn whole(&self, effort: &Effort, worked: Duration) {
        // Told once; a second word would be about the same.
        let _ = self.told.set(measured(effort, (self.waited, worked), self.open_book));
    }

    /// What the hub may know, once the last row is gone.
    pub(crate) fn told(&self) -> Arc<OnceLock<Measured>> {
        Arc::clone(&self.told)
    }

    /// The answer is over, however it ended.
    pub(crate) fn over(&self, outcome: &'static str, rows: u64, bytes: u64, effort: &Effort) {
        self.reply.record("rows", number(rows, self.enclave));
        self.reply.record("bytes", number(bytes, self.enclave));
        self.trace.record("outcome", outcome);
        self.meters.answered(self.zone(), outcome, (rows, bytes), effort);
    }

    fn zone(&self) -> &'static str {
        if self.enclave { "enclave" } else { "open" }
    }
}

fn measured(effort: &Effort, (waited, worked): (Duration, Duration), exact: bool) -> Measured {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (waited_ms, worked_ms) = (millis(waited), millis(worked));
    if !exact {
        return Measured { waited_ms: coarse(waited_ms), worked_ms: coarse(worked_ms), ..Measured::default() };
    }
    Measured {
        exact,
        waited_ms,
        worked_ms,
        rows_read: effort.rows as u64,
        bytes_read: effort.bytes_scanned as u64,
        groups_read: effort.row_groups_matched as u64,
        groups_skipped: effort.row_groups_pruned as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_told_only_when_nobody_is_hidden() {
        let effort = Effort { rows: 20, bytes_scanned: 7_000, row_groups_matched: 1, ..Effort::default() };
        let times = (Duration::from_millis(2), Duration::from_millis(3_000));
        let exact = measured(&effort, times, true);
        assert_eq!((exact.exact, exact.waited_ms, exact.rows_read, exact.bytes_read), (true, 2, 20, 7_000));
        let other = Effort { rows: 0, bytes_scanned: 0, row_groups_pruned: 1, ..Effort::default() };
        let hidden = measured(&effort, times, false);
        assert_eq!(hidden, measured(&other, times, false), "the same, whoever is in the table");
        assert_eq!(hidden, Measured { waited_ms: 1_000, worked_ms: 4_096, ..Measured::default() });
    }
}
