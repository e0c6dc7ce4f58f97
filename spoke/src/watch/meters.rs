//! The spoke's numbers for its operator.
//!
//! INVARIANT: labels are zones, outcomes and kinds; never a user, a project, a token or a value. Rows and bytes are added an
//! answer at a time, each rounded up, so that no small number of people shows.

use crate::scan::Effort;
use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Metric, Registry},
};
use proto::refusal::Kind;
use runtime::telemetry::spans::coarse;
use std::{sync::Arc, time::Duration};

/// Name, labels and meaning of each metric, as docs/operate.md lists them. Counters get `_total` when they are told.
pub const METRICS: &[(&str, &str, &str)] = &[
    ("eger_spoke_questions", "zone, outcome", "questions that were admitted and ended"),
    ("eger_spoke_refusals", "kind", "questions that were refused before a row was read, by the kind of no"),
    ("eger_spoke_running", "", "questions that are answered now"),
    ("eger_spoke_queue_seconds", "", "time until a question got its place"),
    ("eger_spoke_admit_seconds", "", "time from a question's arrival until it was admitted"),
    ("eger_spoke_rows", "", "rows sent to the hub, each answer rounded up"),
    ("eger_spoke_bytes", "", "bytes sent to the hub, in memory form, each answer rounded up"),
    ("eger_spoke_read_bytes", "", "bytes read from the store, each answer rounded up"),
    ("eger_spoke_row_groups", "what", "row groups read, and skipped by statistics or bloom filters"),
    ("eger_spoke_key_lists", "", "key lists received"),
    ("eger_spoke_links", "", "links to the hub that stand, when this spoke opens them"),
    ("eger_spoke_permits", "", "permits that are live"),
    ("eger_spoke_memory_bytes", "", "memory that running questions hold"),
    ("eger_spoke_memory_limit_bytes", "", "memory that they may hold together"),
    ("eger_spoke_spill_bytes", "", "spilled data on disk"),
];

type Labels = Vec<(&'static str, String)>;

/// See the module. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    questions: Family<Labels, Counter>,
    refusals: Family<Labels, Counter>,
    running: Gauge,
    queue: Histogram,
    admit: Histogram,
    rows: Counter,
    bytes: Counter,
    read: Counter,
    groups: Family<Labels, Counter>,
    key_lists: Counter,
    links: Gauge,
    permits: Gauge,
    memory: Gauge,
    memory_limit: Gauge,
    spill: Gauge,
}

impl Default for Inner {
    fn default() -> Self {
        // From a millisecond to half a minute.
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        Self {
            questions: Family::default(),
            refusals: Family::default(),
            running: Gauge::default(),
            queue: seconds(),
            admit: seconds(),
            rows: Counter::default(),
            bytes: Counter::default(),
            read: Counter::default(),
            groups: Family::default(),
            key_lists: Counter::default(),
            links: Gauge::default(),
            permits: Gauge::default(),
            memory: Gauge::default(),
            memory_limit: Gauge::default(),
            spill: Gauge::default(),
        }
    }
}

/// What is looked up when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Now {
    /// questions that are answered
    pub(crate) running: usize,
    /// permits that are live
    pub(crate) permits: usize,
    /// memory held, and its limit, bytes
    pub(crate) memory: (u64, u64),
    /// spilled data, bytes
    pub(crate) spill: u64,
}

impl Meters {
    /// All of them, to be told to whoever scrapes.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        let all = &*self.0;
        add(&mut registry, "eger_spoke_questions", &all.questions);
        add(&mut registry, "eger_spoke_refusals", &all.refusals);
        add(&mut registry, "eger_spoke_running", &all.running);
        add(&mut registry, "eger_spoke_queue_seconds", &all.queue);
        add(&mut registry, "eger_spoke_admit_seconds", &all.admit);
        add(&mut registry, "eger_spoke_rows", &all.rows);
        add(&mut registry, "eger_spoke_bytes", &all.bytes);
        add(&mut registry, "eger_spoke_read_bytes", &all.read);
        add(&mut registry, "eger_spoke_row_groups", &all.groups);
        add(&mut registry, "eger_spoke_key_lists", &all.key_lists);
        add(&mut registry, "eger_spoke_links", &all.links);
        add(&mut registry, "eger_spoke_permits", &all.permits);
        add(&mut registry, "eger_spoke_memory_bytes", &all.memory);
        add(&mut registry, "eger_spoke_memory_limit_bytes", &all.memory_limit);
        add(&mut registry, "eger_spoke_spill_bytes", &all.spill);
        registry
    }

    /// A question was refused before a row was read.
    pub(crate) fn refused(&self, kind: Kind) {
        let kind = match kind {
            Kind::Unauthenticated => "unauthenticated",
            Kind::Denied => "denied",
            Kind::NotFound => "not found",
            Kind::Invalid => "invalid",
            Kind::TooLarge => "too large",
            Kind::Exhausted => "exhausted",
            Kind::Stale => "stale",
            Kind::Unavailable => "unavailable",
            Kind::Deadline => "deadline",
            Kind::Cancelled => "cancelled",
            Kind::Internal => "internal",
        };
        self.0.refusals.get_or_create(&vec![("kind", kind.to_owned())]).inc();
    }

    /// A question was admitted: after how long, of that in the queue, and with how many key lists.
    pub(crate) fn admitted(&self, after: Duration, waited: Duration, lists: usize) {
        self.0.admit.observe(after.as_secs_f64());
        self.0.queue.observe(waited.as_secs_f64());
        self.0.key_lists.inc_by(lists as u64);
    }

    /// An answer is over.
    pub(super) fn answered(&self, zone: &str, outcome: &str, (rows, bytes): (u64, u64), effort: &Effort) {
        let all = &*self.0;
        all.questions.get_or_create(&vec![("zone", zone.to_owned()), ("outcome", outcome.to_owned())]).inc();
        all.rows.inc_by(coarse(rows));
        all.bytes.inc_by(coarse(bytes));
        all.read.inc_by(coarse(effort.bytes_scanned as u64));
        let groups = [("read", effort.row_groups_matched), ("skipped", effort.row_groups_pruned)];
        for (what, n) in groups {
            all.groups.get_or_create(&vec![("what", what.to_owned())]).inc_by(n as u64);
        }
    }

    /// So many links stand.
    pub(crate) fn links(&self, up: usize) {
        self.0.links.set(signed(up as u64));
    }

    /// How things are at this moment.
    pub(crate) fn now(&self, now: &Now) {
        let all = &*self.0;
        all.running.set(signed(now.running as u64));
        all.permits.set(signed(now.permits as u64));
        all.memory.set(signed(now.memory.0));
        all.memory_limit.set(signed(now.memory.1));
        all.spill.set(signed(now.spill));
    }
}

fn add(registry: &mut Registry, name: &str, metric: &(impl Metric + Clone)) {
    if let Some((name, _, help)) = METRICS.iter().find(|(known, ..)| *known == name) {
        registry.register(*name, *help, metric.clone());
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn no_small_number_shows_and_every_metric_is_told() {
        let meters = Meters::default();
        let effort = Effort { bytes_scanned: 700, row_groups_matched: 2, ..Effort::default() };
        meters.answered("open", "whole", (3, 90), &effort);
        meters.refused(Kind::Denied);
        let mut text = String::new();
        encode(&mut text, &meters.registry()).unwrap();
        for name in ["eger_spoke_rows_total", "eger_spoke_bytes_total", "eger_spoke_read_bytes_total"] {
            assert!(text.contains(&format!("{name} 1000\n")), "{text}");
        }
        for (name, ..) in METRICS {
            assert!(text.contains(&format!("# TYPE {name} ")), "{name}: {text}");
        }
    }

    #[test]
    fn the_operators_document_and_the_dashboard_fit() {
        let document = include_str!("../../../docs/operate.md");
        let listed: Vec<&str> = document.lines().filter(|line| line.starts_with("| `eger_spoke_")).collect();
        let known: Vec<String> = METRICS.iter().map(|(n, l, w)| format!("| `{n}` | {l} | {w} |")).collect();
        assert_eq!(listed, known);
        let dashboard = include_str!("../../../infra/deploy/grafana/eger.json");
        for (at, _) in dashboard.match_indices("eger_spoke_") {
            let name: String = dashboard[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let bare = ["_total", "_bucket"].iter().fold(name.as_str(), |name, end| name.trim_end_matches(end));
            assert!(METRICS.iter().any(|(known, ..)| *known == bare), "{name}");
        }
    }
}
