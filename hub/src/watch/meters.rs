//! The hub's numbers for its operator.
//!
//! INVARIANT: labels are zones, kinds, controllers and directions; never a user, a project, a token or a value. Rows and
//! bytes are added an answer at a time, each rounded up, so that no small number of people shows.

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Metric, Registry},
};
use proto::ids::ControllerId;
use runtime::telemetry::spans::coarse;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Name, labels and meaning of each metric, as docs/operate.md lists them. Counters get `_total` when they are told.
pub const METRICS: &[(&str, &str, &str)] = &[
    ("eger_hub_statements", "zone, outcome", "statements that ended"),
    ("eger_hub_refusals", "kind", "statements that were refused or failed, by the kind of no"),
    ("eger_hub_running", "", "statements that run now"),
    ("eger_hub_waiting", "", "statements that wait for a slot"),
    ("eger_hub_queue_seconds", "", "time until a statement got its slot"),
    ("eger_hub_plan_seconds", "", "time from a statement's text to its plan, spokes' offers included"),
    ("eger_hub_rows", "controller", "rows received, each answer rounded up"),
    (
        "eger_hub_bytes",
        "controller, direction",
        "bytes received (in) and of key lists sent (out), each answer rounded up",
    ),
    ("eger_hub_key_lists", "controller", "key lists sent"),
    ("eger_hub_links", "controller", "links that stand"),
    ("eger_hub_permits", "controller", "permits of open workspaces"),
    ("eger_hub_memory_bytes", "", "memory that running statements hold"),
    ("eger_hub_memory_limit_bytes", "", "memory that they may hold together"),
    ("eger_hub_spill_bytes", "", "spilled data on disk"),
];

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge>;

/// See the module. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    statements: Counters,
    refusals: Counters,
    running: Gauge,
    waiting: Gauge,
    queue: Histogram,
    plan: Histogram,
    rows: Counters,
    bytes: Counters,
    key_lists: Counters,
    links: Gauges,
    permits: Gauges,
    memory: Gauge,
    memory_limit: Gauge,
    spill: Gauge,
    /// whom a gauge was set for, so that it falls to nought and doesn't stay
    seen: Mutex<BTreeSet<ControllerId>>,
}

impl Default for Inner {
    fn default() -> Self {
        // From a millisecond to half a minute.
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        Self {
            statements: Family::default(),
            refusals: Family::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
            queue: seconds(),
            plan: seconds(),
            rows: Family::default(),
            bytes: Family::default(),
            key_lists: Family::default(),
            links: Family::default(),
            permits: Family::default(),
            memory: Gauge::default(),
            memory_limit: Gauge::default(),
            spill: Gauge::default(),
            seen: Mutex::default(),
        }
    }
}

/// What is looked up when somebody asks.
#[derive(Debug, Default)]
pub struct Now {
    /// statements that run
    pub running: usize,
    /// statements that wait for a slot
    pub waiting: usize,
    /// links that stand, by controller
    pub links: Vec<(ControllerId, usize)>,
    /// permits of open workspaces, by controller
    pub permits: Vec<(ControllerId, usize)>,
    /// memory held, and its limit, bytes
    pub memory: (u64, u64),
    /// spilled data, bytes
    pub spill: u64,
}

impl Meters {
    /// All of them, to be told to whoever scrapes.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        let all = &*self.0;
        add(&mut registry, "eger_hub_statements", &all.statements);
        add(&mut registry, "eger_hub_refusals", &all.refusals);
        add(&mut registry, "eger_hub_running", &all.running);
        add(&mut registry, "eger_hub_waiting", &all.waiting);
        add(&mut registry, "eger_hub_queue_seconds", &all.queue);
        add(&mut registry, "eger_hub_plan_seconds", &all.plan);
        add(&mut registry, "eger_hub_rows", &all.rows);
        add(&mut registry, "eger_hub_bytes", &all.bytes);
        add(&mut registry, "eger_hub_key_lists", &all.key_lists);
        add(&mut registry, "eger_hub_links", &all.links);
        add(&mut registry, "eger_hub_permits", &all.permits);
        add(&mut registry, "eger_hub_memory_bytes", &all.memory);
        add(&mut registry, "eger_hub_memory_limit_bytes", &all.memory_limit);
        add(&mut registry, "eger_hub_spill_bytes", &all.spill);
        registry
    }

    /// A statement ended.
    pub fn statement(&self, zone: &str, outcome: &str) {
        self.0.statements.get_or_create(&labels(&[("zone", zone), ("outcome", outcome)])).inc();
    }

    /// A statement was refused, or failed.
    pub fn refused(&self, kind: &str) {
        self.0.refusals.get_or_create(&labels(&[("kind", kind)])).inc();
    }

    /// A statement got its slot after this.
    pub fn queued(&self, time: Duration) {
        self.0.queue.observe(time.as_secs_f64());
    }

    /// A statement was planned in this.
    pub fn planned(&self, time: Duration) {
        self.0.plan.observe(time.as_secs_f64());
    }

    /// Key lists go to a controller.
    pub(super) fn key_lists(&self, controller: &ControllerId, lists: u64) {
        self.0.key_lists.get_or_create(&of(controller)).inc_by(lists);
    }

    /// A controller's answer is over.
    pub(super) fn gathered(&self, controller: &ControllerId, rows: u64, bytes: u64, keys: u64) {
        let by = |direction| labels(&[("controller", controller.as_ref()), ("direction", direction)]);
        self.0.rows.get_or_create(&of(controller)).inc_by(coarse(rows));
        self.0.bytes.get_or_create(&by("in")).inc_by(coarse(bytes));
        if keys > 0 {
            self.0.bytes.get_or_create(&by("out")).inc_by(coarse(keys));
        }
    }

    /// How things are at this moment.
    pub fn now(&self, now: &Now) {
        let all = &*self.0;
        all.running.set(signed(now.running as u64));
        all.waiting.set(signed(now.waiting as u64));
        all.memory.set(signed(now.memory.0));
        all.memory_limit.set(signed(now.memory.1));
        all.spill.set(signed(now.spill));
        let mut seen = all.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(now.links.iter().chain(&now.permits).map(|(controller, _)| controller.clone()));
        for controller in seen.iter() {
            for (gauges, values) in [(&all.links, &now.links), (&all.permits, &now.permits)] {
                let value = values.iter().find(|(of, _)| of == controller).map_or(0, |(_, n)| *n as u64);
                gauges.get_or_create(&of(controller)).set(signed(value));
            }
        }
    }
}

fn add(registry: &mut Registry, name: &str, metric: &(impl Metric + Clone)) {
    if let Some((name, _, help)) = METRICS.iter().find(|(known, ..)| *known == name) {
        registry.register(*name, *help, metric.clone());
    }
}

fn of(controller: &ControllerId) -> Labels {
    labels(&[("controller", controller.as_ref())])
}

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
