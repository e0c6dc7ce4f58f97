//! The second step of a query at the spoke: is there a permit, and what exists under it?
//!
//! Admission is name resolution. The fragment is bound to views that are made for this one request and hold only
//! the permitted tables, with the permitted columns, the row filter, the people who are left out and pseudonymisation
//! already inside. What was not permitted does not exist, so that no later step has to remember to leave it out.
//!
//! INVARIANT: an [`Admitted`] value is made here and nowhere else.
//! INVARIANT: unknown project, other user, wrong zone, expired or revoked permit: one and the same refusal.
//! INVARIANT: nothing is admitted before its entry in the audit log is on disk.

mod begun;
mod bind;
mod blind;
mod catalogue;
mod checked;
mod count;
mod filters;
mod keys;
mod permits;
mod quick;
mod row_filter;
mod slots;
mod told;
mod under;
mod user;
mod view;

use crate::{
    audit::{self, Audit},
    config::{ServeLimits, SpokeConfig},
    optout::Excluded,
    publish::{PublishError, State, Store},
    receive::{Envelope, Question},
    results::{Place, Results},
    rules::Rules,
    scan::ShareOf,
    watch::{Meters, Now, Watched},
};
use begun::Begun;
use bind::Bound;
use datafusion::{
    execution::{SessionState, SessionStateBuilder, runtime_env::RuntimeEnv},
    logical_expr::LogicalPlan,
    prelude::SessionConfig,
};
use keys::{KeyBook, ProjectKeys};
use proto::{
    fragment,
    ids::{ControllerId, ProjectId, QueryId},
    refusal::{Kind, Refusal},
};
use release::Ledgers;
use runtime::{
    audit::AuditError,
    token::{Issuers, IssuersError},
};
use slots::Slots;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use under::Under;

pub(crate) use permits::PermitBook;
pub(crate) use row_filter::compile as compile_row_filter;

pub use keys::KeysError;

/// What frames a query while it runs.
#[derive(Debug, Clone)]
pub struct Context {
    /// the same on every side
    pub query: QueryId,
    /// for which project
    pub project: ProjectId,
    /// the query ends then by itself
    pub deadline: Instant,
    /// rows that the answer may hold
    pub max_rows: u64,
    /// bytes that the answer may hold
    pub max_bytes: u64,
    /// cancelled when the permit is over
    pub(crate) ended: CancellationToken,
    /// where the end of the query is written
    pub(crate) audit: Audit,
    /// what was written when it was asked
    pub(crate) entry: Arc<audit::Scan>,
    /// what can be seen of it
    pub(crate) watch: Watched,
}

impl Context {
    /// Writes how the query ended, when its turn comes.
    pub(crate) fn over(&self, rows: u64, bytes: u64, outcome: &str, ms: u64) {
        self.audit.send(&self.answered(rows, bytes, outcome, ms));
    }

    pub(crate) fn answered(&self, rows: u64, bytes: u64, outcome: &str, ms: u64) -> audit::Event {
        audit::Event::Scan(Box::new(audit::Scan::clone(&self.entry).answered(rows, bytes, outcome, ms)))
    }
}

/// A question that may be answered: its plan over views of this request, its frame, and its place among the
/// running queries.
pub struct Admitted {
    pub(crate) plan: LogicalPlan,
    pub(crate) state: SessionState,
    pub(crate) context: Context,
    pub(crate) slot: OwnedSemaphorePermit,
    /// its end, as long as there are no rows
    pub(crate) begun: Begun,
    /// where its answer may lie already
    pub(crate) place: Option<Place>,
    /// a share of a blind total leaves instead of rows
    pub(crate) share: Option<ShareOf>,
    // Keeps the fields' owner the only maker.
    _made_here: MadeHere,
}

struct MadeHere;

/// Why nothing can be admitted at all.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// Own keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// `[[issuer]]` in `spoke.toml`.
    #[error("spoke.toml, {0}")]
    Issuers(#[from] IssuersError),
    /// The spoke's state.
    #[error(transparent)]
    State(#[from] PublishError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Decides about questions. One for the whole process.
pub struct Admission {
    controller: ControllerId,
    limits: ServeLimits,
    fragment_limits: fragment::Limits,
    permits: Arc<PermitBook>,
    issuers: Issuers,
    keys: KeyBook,
    store: Store,
    state: State,
    excluded: Mutex<Option<Arc<Excluded>>>,
    audit: Audit,
    template: SessionState,
    slots: Slots,
    rules: Rules,
    meters: Meters,
    results: Option<Arc<Results>>,
    identity: blind::Identity,
    ledgers: Ledgers,
}

impl Admission {
    /// Opens keys, state and audit log; tables and permits are looked at when somebody asks.
    ///
    /// # Errors
    /// When one of them can't be opened.
    pub async fn new(
        config: &SpokeConfig,
        store: Store,
        runtime: Arc<RuntimeEnv>,
        rules: Rules,
    ) -> Result<Self, AdmissionError> {
        runtime.register_object_store(store.url().as_ref(), store.object_store());
        let issuers = Issuers::new(&config.issuers)?;
        if issuers.is_empty() {
            tracing::warn!("no [[issuer]] is configured in spoke.toml: nobody's token counts, and nothing is answered");
        }
        Ok(Self {
            controller: config.controller.clone(),
            limits: config.serve.clone(),
            fragment_limits: fragment::Limits::default(),
            permits: Arc::new(PermitBook::new(config.into())),
            issuers,
            keys: KeyBook::open(config)?,
            store,
            state: State::open(&config.state_db()).await?,
            excluded: Mutex::default(),
            audit: Audit::open(&config.audit_log())?,
            template: session(&config.serve, runtime),
            slots: Slots::new(config.serve.max_scans, config.serve.max_waiting),
            rules,
            meters: Meters::default(),
            results: Results::new(config.serve.results.as_usize()),
            identity: blind::Identity::new(config),
            ledgers: Ledgers::new(config.ledger_dir()).with_caps(config.serve.caps()),
        })
    }

    /// The numbers of this spoke.
    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// How things are at this moment, for the numbers.
    pub(crate) fn now(&self) -> Now {
        let engine = self.template.runtime_env();
        Now {
            running: self.limits.max_scans.saturating_sub(self.slots.free()),
            permits: self.permits.live_now(),
            memory: (engine.memory_pool.reserved() as u64, self.limits.memory.0),
            spill: engine.disk_manager.used_disk_space(),
        }
    }

    /// Limits of what is read from a request.
    #[must_use]
    pub fn fragment_limits(&self) -> &fragment::Limits {
        &self.fragment_limits
    }

    /// Drops a project's keys from memory, and what was remembered of its answers, when its key was destroyed.
    pub(crate) async fn forget(&self, project: &ProjectId) {
        self.keys.forget(project).await;
        if let Some(results) = &self.results {
            results.forget(project);
        }
        let (ledgers, of) = (self.ledgers.clone(), project.clone());
        let removed = tokio::task::spawn_blocking(move || ledgers.end(&of)).await;
        if let Ok(Err(error)) = removed {
            tracing::error!(%project, %error, "the memory of what was released can't be removed; remove its files by hand");
        }
    }

    /// Answers that may be given again, when the configuration says so.
    pub(crate) fn results(&self) -> Option<&Arc<Results>> {
        self.results.as_ref()
    }

    /// Places free for queries at the moment.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.slots.free()
    }

    /// The controller's permits.
    pub(crate) fn permits(&self) -> &Arc<PermitBook> {
        &self.permits
    }

    /// The spoke's state.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Binds a question to what its project may see.
    ///
    /// # Errors
    /// When nothing permits it, the spoke is busy, or the fragment names something that does not exist for it.
    pub async fn admit(&self, question: Question) -> Result<Admitted, Refusal> {
        let deadline = self.deadline(&question.envelope)?;
        tokio::time::timeout_at(deadline, Box::pin(self.decide(question, deadline))).await.map_err(|_| too_late())?
    }

    async fn decide(&self, question: Question, deadline: Instant) -> Result<Admitted, Refusal> {
        let under = self.permitted(&question.envelope).await?;
        let entry = self.scannable(&under, &question)?;
        let keys = self.keys.project(&question.envelope.project).await?;
        epoch(&question.envelope, &keys)?;
        let keys = self.fresh(&under, &question, keys).await?;
        self.counted(&under.permit).await?;
        let mut context = self.context(&question.envelope, deadline, &under, entry);
        tracing::info!(
            query = %context.query, project = %context.project, user = %under.asker.user,
            zone = ?question.envelope.zone, permit = %under.permit.id,
            fragment = %fragment::text(&question.fragment, fragment::Literals::Hidden), "asked"
        );
        let waiting = Instant::now();
        let slot = self.slots.enter(deadline).await?;
        context.watch.waited = waiting.elapsed();
        let bound = async {
            let mut bound = self.bind(&under.permit, &keys, &question).await?;
            let share = self.share(&under.permit, &question, std::mem::take(&mut bound.snapshots)).await?;
            Ok::<_, Refusal>((bound, share))
        };
        let (Bound { plan, state, hides, key, .. }, share) = bound.await.inspect_err(|refusal| {
            let refused = audit::Scan::clone(&context.entry).refused(&refusal.message);
            self.audit.send(&audit::Event::Scan(Box::new(refused)));
        })?;
        context.watch.open_book = context.watch.enclave && under.shows_rows() && !hides;
        let begun = Begun::new(&context);
        self.audit.write(&audit::Event::Scan(Box::new(audit::Scan::clone(&context.entry)))).await?;
        let place = self.results.as_ref().zip(key).map(|(results, key)| Place {
            results: Arc::clone(results),
            key,
            project: context.project.clone(),
            ended: context.ended.clone(),
        });
        Ok(Admitted { plan, state, context, slot, begun, place, share, _made_here: MadeHere })
    }

    fn deadline(&self, envelope: &Envelope) -> Result<Instant, Refusal> {
        let mut time = self.limits.max_time();
        if let Some(deadline) = envelope.deadline {
            let left = deadline.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
            if left.is_zero() {
                return Err(too_late());
            }
            time = time.min(left);
        }
        Ok(Instant::now() + time)
    }

    fn context(&self, envelope: &Envelope, deadline: Instant, under: &Under, entry: audit::Scan) -> Context {
        let caps = under.permit.caps;
        Context {
            query: envelope.query_id,
            project: envelope.project.clone(),
            deadline,
            max_rows: envelope.max_rows.unwrap_or(u64::MAX).min(self.limits.max_rows).min(caps.rows),
            max_bytes: envelope.max_bytes.unwrap_or(u64::MAX).min(self.limits.max_bytes.0).min(caps.bytes),
            ended: under.ended.clone(),
            audit: self.audit.clone(),
            entry: Arc::new(entry),
            watch: Watched::new(&self.meters, under.in_enclave()),
        }
    }
}

/// The hub planned with the key that is held here.
fn epoch(envelope: &Envelope, keys: &ProjectKeys) -> Result<(), Refusal> {
    match envelope.epoch {
        Some(asked) if asked != keys.epoch => Err(Refusal::new(
            Kind::Stale,
            format!("the project's key has another epoch here ({}) than the question; plan it again", keys.epoch),
        )),
        _ => Ok(()),
    }
}

/// The refusal when a query's time is over before its first row.
pub(crate) fn too_late() -> Refusal {
    Refusal::new(Kind::Deadline, "the time for this query is over; filter more, or allow more time")
}

/// What every request's session starts from: functions and limits, no tables.
fn session(limits: &ServeLimits, runtime: Arc<RuntimeEnv>) -> SessionState {
    let threads = match limits.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_batch_size(8192)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_collect_statistics(false);
    let options = &mut config.options_mut().execution;
    options.parquet.pushdown_filters = true;
    // Each sorting partition sets so much aside for merging; the usual 10 MB are too much for a small spoke.
    options.sort_spill_reservation_bytes = options.sort_spill_reservation_bytes.min(limits.memory.as_usize() / 32);
    SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build()
}
