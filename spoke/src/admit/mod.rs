//! The second step of a query at the spoke: is there a grant, and what exists under it?
//!
//! Admission is name resolution. The fragment is bound to views that are made for this one request and hold only
//! the granted tables, with the granted columns, the row filter and pseudonymisation already inside. What was not
//! granted does not exist, so that no later step has to remember to leave it out.
//!
//! INVARIANT: an [`Admitted`] value is made here and nowhere else.
//! INVARIANT: unknown project, other user, wrong zone, expired grant: one and the same refusal.

mod catalogue;
mod filters;
mod grants;
mod keys;
mod row_filter;
mod slots;
mod view;

use crate::{
    config::{ServeLimits, SpokeConfig},
    publish::Store,
    receive::{Envelope, Question},
    scan::source::Pinned,
};
use datafusion::{
    datasource::provider_as_source,
    execution::{SessionState, SessionStateBuilder, runtime_env::RuntimeEnv},
    logical_expr::{LogicalPlan, TableSource},
    prelude::SessionConfig,
};
use grants::GrantBook;
use keys::{KeyBook, ProjectKeys};
use policies::grant::{Grant, TableGrant};
use proto::{
    fragment::{self, Literals},
    ids::{ProjectId, QueryId, TableName},
    refusal::{Kind, Refusal},
};
use slots::Slots;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use view::PermittedTable;

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
}

/// A question that may be answered: its plan over views of this request, its frame, and its place among the
/// running queries.
pub struct Admitted {
    pub(crate) plan: LogicalPlan,
    pub(crate) state: SessionState,
    pub(crate) context: Context,
    pub(crate) slot: OwnedSemaphorePermit,
    // Keeps the fields' owner the only maker.
    _made_here: MadeHere,
}

struct MadeHere;

/// Decides about questions. One for the whole process.
pub struct Admission {
    controller: proto::ids::ControllerId,
    limits: ServeLimits,
    fragment_limits: fragment::Limits,
    grants: GrantBook,
    keys: KeyBook,
    store: Store,
    template: SessionState,
    slots: Slots,
}

impl Admission {
    /// Opens keys; tables and grants are looked at when somebody asks.
    ///
    /// # Errors
    /// When the store key can't be opened.
    pub fn new(config: &SpokeConfig, store: Store, runtime: Arc<RuntimeEnv>) -> Result<Self, KeysError> {
        runtime.register_object_store(store.url().as_ref(), store.object_store());
        Ok(Self {
            controller: config.controller.clone(),
            limits: config.serve.clone(),
            fragment_limits: fragment::Limits::default(),
            grants: GrantBook::new(config.grants_dir()),
            keys: KeyBook::open(config)?,
            store,
            template: session(&config.serve, runtime),
            slots: Slots::new(config.serve.max_scans, config.serve.max_waiting),
        })
    }

    /// Limits of what is read from a request.
    #[must_use]
    pub fn fragment_limits(&self) -> &fragment::Limits {
        &self.fragment_limits
    }

    /// Places free for queries at the moment.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.slots.free()
    }

    /// Binds a question to what its project may see.
    ///
    /// # Errors
    /// When there is no grant, the spoke is busy, or the fragment names something that does not exist for it.
    pub async fn admit(&self, question: Question) -> Result<Admitted, Refusal> {
        let context = self.context(&question.envelope)?;
        let grant = self.grants.find(&question.envelope).await?;
        tracing::info!(
            query = %context.query, project = %context.project, user = %question.envelope.user,
            zone = ?question.envelope.zone, fragment = %fragment::text(&question.fragment, Literals::Hidden),
            "asked"
        );
        let slot = self.slots.enter(context.deadline).await?;
        let admitted = tokio::time::timeout_at(context.deadline, async {
            let keys = self.keys.project(&context.project).await?;
            let state = SessionStateBuilder::new_from_existing(self.template.clone())
                .with_session_id(context.query.to_string())
                .build();
            let views = self.views(&grant, &keys, &state, &question).await?;
            check_fingerprint(&views, &question)?;
            let plan = proto::plan::decode(&question.fragment, &views, &state, &self.fragment_limits)
                .map_err(Refusal::from)?;
            Ok::<_, Refusal>((plan, state))
        });
        let (plan, state) = admitted.await.map_err(|_| too_late())??;
        Ok(Admitted { plan, state, context, slot, _made_here: MadeHere })
    }

    fn context(&self, envelope: &Envelope) -> Result<Context, Refusal> {
        let mut time = self.limits.max_time();
        if let Some(deadline) = envelope.deadline {
            let left = deadline.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
            if left.is_zero() {
                return Err(too_late());
            }
            time = time.min(left);
        }
        Ok(Context {
            query: envelope.query_id,
            project: envelope.project.clone(),
            deadline: Instant::now() + time,
            max_rows: envelope.max_rows.unwrap_or(u64::MAX).min(self.limits.max_rows),
            max_bytes: envelope.max_bytes.unwrap_or(u64::MAX).min(self.limits.max_bytes.0),
        })
    }

    async fn views(
        &self,
        grant: &Grant,
        keys: &Arc<ProjectKeys>,
        state: &SessionState,
        question: &Question,
    ) -> Result<Views, Refusal> {
        let mut views = HashMap::new();
        for name in question.tables() {
            // What is no table name, not granted or not published is left out: decoding says that it does not exist.
            let Some(granted) = name.parse::<TableName>().ok().and_then(|name| grant.table(&name)) else { continue };
            if let Some(view) = self.view(grant, granted, keys, state).await? {
                views.insert(name.to_owned(), Arc::new(view));
            }
        }
        Ok(Views(views))
    }

    async fn view(
        &self,
        grant: &Grant,
        granted: &TableGrant,
        keys: &Arc<ProjectKeys>,
        state: &SessionState,
    ) -> Result<Option<PermittedTable>, Refusal> {
        let snapshot = self.store.snapshot(&granted.name).await.map_err(|error| {
            tracing::error!(table = %granted.name, %error, "a published table can't be opened");
            Refusal::new(Kind::Unavailable, "the controller's storage can't be read at the moment; ask again later")
        })?;
        let Some(snapshot) = snapshot else { return Ok(None) };
        if !snapshot.store_kid.is_empty() && snapshot.store_kid != self.keys.store_kid() {
            tracing::error!(
                table = %granted.name, stored = %snapshot.store_kid, present = %self.keys.store_kid(),
                "a table was published under another store key than keys/store.key; ingest it again"
            );
            return Err(Refusal::new(
                Kind::Unavailable,
                format!("table {} can't be read at this controller at the moment; its log says why", granted.name),
            ));
        }
        let pinned = Pinned { snapshot, store: self.store.object_store(), url: self.store.url() };
        let view = PermittedTable::new(pinned, granted, keys, state).map_err(|error| {
            tracing::error!(
                project = %grant.project, file = %self.grants.file_of(&grant.project).display(), %error,
                "a grant can't be used; its project is refused until the file is mended"
            );
            Refusal::new(Kind::Unavailable, "this controller's grant for the project has an error; its log names it")
        })?;
        Ok(Some(view))
    }
}

/// The names that exist for one request.
struct Views(HashMap<String, Arc<PermittedTable>>);

impl proto::plan::Tables for Views {
    fn table(&self, name: &str) -> Option<Arc<dyn TableSource>> {
        self.0.get(name).map(|view| provider_as_source(Arc::clone(view) as _))
    }
}

fn check_fingerprint(views: &Views, question: &Question) -> Result<(), Refusal> {
    let Some(expected) = &question.fingerprint else { return Ok(()) };
    for (name, view) in &views.0 {
        if proto::schema::fingerprint(view.columns()) != *expected {
            return Err(Refusal::new(
                Kind::Invalid,
                format!("table {name} has other columns now than when the question was planned; plan it again"),
            ));
        }
    }
    Ok(())
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
