//! How long an answer took, as seen from here and as its spoke tells; kept among the plan's own metrics, where EXPLAIN
//! ANALYZE finds it.
//!
//! INVARIANT: what a spoke tells is shown, and nothing else: no decision looks at it.

use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use proto::wire::Measured;
use std::time::Duration;

const KEYS: &str = "keys_after_ms";
const ANSWERED: &str = "answered_after_ms";
const TOLD: &str = "spoke_told";
const EXACT: &str = "spoke_exact";
const WAITED: &str = "spoke_waited_ms";
const WORKED: &str = "spoke_worked_ms";
const ROWS: &str = "spoke_rows_read";
const BYTES: &str = "spoke_bytes_read";
const READ: &str = "spoke_groups_read";
const SKIPPED: &str = "spoke_groups_skipped";

/// Where it is kept.
#[derive(Debug, Clone)]
pub(super) struct Spoke {
    metrics: ExecutionPlanMetricsSet,
    partition: usize,
}

impl Spoke {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        Self { metrics: metrics.clone(), partition }
    }

    /// The key lists were there after this.
    pub(super) fn keys_after(&self, time: Duration) {
        self.put(KEYS, millis(time));
    }

    /// The spoke began to answer after this.
    pub(super) fn answered_after(&self, time: Duration) {
        self.put(ANSWERED, millis(time));
    }

    /// What the spoke says itself.
    pub(super) fn told(&self, measured: &Measured) {
        self.put(TOLD, 1);
        self.put(WAITED, measured.waited_ms);
        self.put(WORKED, measured.worked_ms);
        if measured.exact {
            self.put(EXACT, 1);
            self.put(ROWS, measured.rows_read);
            self.put(BYTES, measured.bytes_read);
            self.put(READ, measured.groups_read);
            self.put(SKIPPED, measured.groups_skipped);
        }
    }

    fn put(&self, name: &'static str, n: u64) {
        MetricBuilder::new(&self.metrics).counter(name, self.partition).add(usize::try_from(n).unwrap_or(usize::MAX));
    }
}

/// What one fragment took. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Took {
    /// until the key lists were there
    pub keys: u64,
    /// until the spoke began to answer
    pub answered: u64,
    /// what the spoke says, if it does: waited for a place, worked
    pub at_spoke: Option<(u64, u64)>,
    /// and what it read: rows, bytes, row groups, row groups skipped
    pub read: Option<[u64; 4]>,
}

/// Reads it back.
#[must_use]
pub fn took(metrics: &MetricsSet) -> Took {
    let sum = |name: &str| metrics.sum_by_name(name).map(|value| value.as_usize() as u64);
    let of = |name: &str| sum(name).unwrap_or(0);
    Took {
        keys: of(KEYS),
        answered: of(ANSWERED),
        at_spoke: sum(TOLD).map(|_| (of(WAITED), of(WORKED))),
        read: sum(EXACT).map(|_| [of(ROWS), of(BYTES), of(READ), of(SKIPPED)]),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
