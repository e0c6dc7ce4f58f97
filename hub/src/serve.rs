//! The hub as a server: its listeners, one core, an orderly end.

use crate::{
    airlock::{Airlock, AirlockError},
    api,
    apply::{Applications, ApplyError},
    assemble::{
        Clock, Nudge, Reconciler, SystemClock,
        checkpoints::Checkpoints,
        keys::{KeyKeeper, Members},
        purge::{Held, PurgeHandler, Purger},
        store::{EpochStore, StoreError},
    },
    audit::{self, Event, HubAudit, HubAuditError},
    compute::Compute,
    config::{HubConfig, HubConfigError},
    gateway::{self, Enrolment, EnrolmentError, Gateway, GatewayError, GatewayOptions, Nudges},
    identify::{Identify, TokenError, TokenStore},
    plan::Planner,
    receive::{Core, Front, Sealer, Service, TicketKeyError},
    registry::{Custodian, CustodianError, Links, Nationals, Registry, national::declare::NationalError},
    release::Ledgers,
};
use arrow_flight::flight_service_server::FlightServiceServer;
use listen::ListenError;
use policies::zone::Zone;
use proto::{ids::ControllerId, refusal::Refusal};
use runtime::{
    peer::{Peer, PeerError},
    profile::Profile,
    sign::SigningKey,
    telemetry::metrics::MetricsError,
    tls::{Tap, Tls, TlsError},
    token::{Issuers, IssuersError},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, broadcast, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) mod listen;

/// Statements may go on this long after the hub was told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Then they are ended, and their callers told so.
const END: Duration = Duration::from_secs(2);
/// A lead that is away for longer is stood in for by its deputy.
const LEAD_PATIENCE: Duration = Duration::from_secs(600);
/// The largest message taken from a client: statements and bound values.
const MAX_REQUEST: usize = 4 << 20;

/// The threads that a hub runs on.
///
/// # Errors
/// When the system gives none.
pub fn executor() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_stack_size(runtime::computing::STACK).enable_all().build()
}

/// Where the hub listens.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// the listener of zone `open`
    pub open: SocketAddr,
    /// the listener of zone `enclave`
    pub enclave: SocketAddr,
    /// the gateway, where spokes open their links
    pub gateway: Option<SocketAddr>,
    /// the HTTP API, if it is served
    pub api: Option<SocketAddr>,
    /// the HTTP API inside the secure environment, if it is served
    pub api_enclave: Option<SocketAddr>,
    /// metrics, if they are told
    pub metrics: Option<SocketAddr>,
}

impl Listening {
    /// The addresses with their names, for the ready file.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut all = vec![("open", self.open), ("enclave", self.enclave)];
        all.extend(self.gateway.map(|at| ("gateway", at)));
        all.extend(self.api.map(|at| ("api", at)));
        all.extend(self.api_enclave.map(|at| ("api_enclave", at)));
        all.extend(self.metrics.map(|at| ("metrics", at)));
        all
    }
}

/// What a serving hub is given.
pub struct ServeOptions {
    /// its folder
    pub config: HubConfig,
    /// its machine
    pub profile: Profile,
    /// instead of `listen.open`
    pub open: Option<SocketAddr>,
    /// instead of `listen.enclave`
    pub enclave: Option<SocketAddr>,
    /// instead of `gateway.address`; without `[gateway]` it counts for nothing
    pub gateway: Option<SocketAddr>,
    /// instead of `api.address`; nothing without `[api]`
    pub api: Option<SocketAddr>,
    /// instead of `api.enclave`; nothing without it
    pub api_enclave: Option<SocketAddr>,
    /// told when connections are accepted
    pub ready: Option<oneshot::Sender<Listening>>,
    /// sees every byte on links; tests only
    pub tap: Option<Arc<dyn Tap>>,
    /// what time it is; the machine's clock unless a test says otherwise
    pub clock: Option<Arc<dyn Clock>>,
    /// cancelled when the hub is to stop
    pub shutdown: CancellationToken,
}

/// Why the hub can't serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// `national/*.toml`.
    #[error(transparent)]
    National(#[from] NationalError),
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] HubConfigError),
    /// The link's certificate, key or authority is not usable.
    #[error(transparent)]
    Link(#[from] TlsError),
    /// A controller can't have a link.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The tokens can't be read.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The audit log or the signing key can't be used.
    #[error(transparent)]
    Audit(#[from] HubAuditError),
    /// What the hub keeps of projects' keys can't be used.
    #[error(transparent)]
    Keys(#[from] StoreError),
    /// The applications can't be read.
    #[error(transparent)]
    Applications(#[from] ApplyError),
    /// The airlock's files can't be used.
    #[error(transparent)]
    Airlock(#[from] AirlockError),
    /// The HTTP API can't be put together.
    #[error(transparent)]
    Api(#[from] api::ApiError),
    /// The issuers can't be used.
    #[error("hub.toml: {0}")]
    Issuers(#[from] IssuersError),
    /// The ticket key can't be read.
    #[error(transparent)]
    TicketKey(#[from] TicketKeyError),
    /// A listener can't be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// `[custodian]`.
    #[error(transparent)]
    Custodian(#[from] CustodianError),
    /// `[metrics]`.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The gateway can't be opened, or broke off.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The registered controllers can't be read.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// The scratch folder can't be used.
    #[error("{}: {source}. Check the profile's [scratch] dir", path.display())]
    Scratch {
        /// the folder
        path: std::path::PathBuf,
        /// what the operating system said
        source: std::io::Error,
    },
    /// The service can't be put together.
    #[error(transparent)]
    Service(#[from] Refusal),
    /// A listener failed while serving.
    #[error("serving failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `shutdown` is cancelled and what ran has ended.
///
/// # Errors
/// When something that serving needs is not usable.
pub async fn run(options: ServeOptions) -> Result<(), ServeError> {
    let ServeOptions { mut config, profile, open, enclave, gateway, api, api_enclave, ready, tap, clock, shutdown } =
        options;
    let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
    config.listen.open = open.unwrap_or(config.listen.open);
    config.listen.enclave = enclave.unwrap_or(config.listen.enclave);
    if let (Some(config), Some(api)) = (config.api.as_mut(), api) {
        config.address = api;
    }
    if let (Some(inside), Some(at)) = (config.api.as_mut().and_then(|api| api.enclave.as_mut()), api_enclave) {
        *inside = at;
    }
    config.check_listeners(&config.folder.join("hub.toml"))?;

    let mut tls = Tls::load(&config.link)?;
    if let Some(tap) = tap {
        tls = tls.with_tap(tap);
    }
    let links = Links::new(&config.spokes, &tls)?;
    let links = Arc::new(match &config.custodian {
        Some(custodian) => links.with_custodian(Custodian::new(custodian)?),
        None => links,
    });
    let enrolment = Enrolment::open(&config.database()).await?;
    // What an earlier process said of its links is no longer so.
    enrolment.report(&[]).await?;
    let at_gateway = config.gateway.clone();
    let nudges = Nudges::default();
    let registry = Registry::new(
        Arc::clone(&links),
        Nationals::load(&config.folder)?,
        Duration::from_secs(config.query.catalogue_timeout_seconds),
        Duration::from_secs(config.query.catalogue_cache_seconds),
    );
    let scratch = profile.scratch.dir.clone();
    let compute = Compute::new(profile).map_err(|source| ServeError::Scratch { path: scratch, source })?;
    let tokens = TokenStore::open(&config.database()).await?;
    let sealer = Sealer::load(&config.ticket_key())?;
    let audit = HubAudit::open(&config.folder).map_err(HubAuditError::from)?;
    let own = Own::open(&config, &links, &audit).await?;
    let folder = config.folder.clone();
    let applications = Applications::new(&tokens);
    let reconciler = Reconciler::new(applications.clone(), Arc::clone(&links), Arc::clone(&clock)).await?;
    let listeners = listen::open(&config).await?;
    let ledgers = Ledgers::new(config.ledger()).with_caps(config.query.caps());
    let reading = ledgers.clone();
    tokio::task::spawn_blocking(move || reading.read());
    let planner = Planner::new(registry, Arc::new(compute), config.query.key_list, ledgers.clone());
    let issuers = Issuers::new(&config.issuers)?;
    let identify = Identify::new(issuers.clone(), tokens.clone());
    let airlock = Airlock::open(&config.folder, &config.name, &tokens, audit.clone(), Arc::clone(&own.key))?
        .keeping_drafts(config.airlock.draft_days);
    let (metrics, settings) = (config.metrics.clone(), config.clone());
    let core = Core::new(config, reconciler.projects(), identify.clone(), planner, sealer, audit.clone())?;
    let core = Arc::new(core);
    let (held, expiring, dated) = (airlock.clone(), airlock.clone(), Arc::clone(&clock));
    let parts = api::Parts {
        applications,
        airlock,
        tokens,
        identify,
        nudge: reconciler.nudge(),
        projects: reconciler.projects(),
        core: Arc::clone(&core),
        clock,
    };
    let api = api::Api::new(&settings, parts)?;
    let (api, api_inside) = (api.clone().router(), api.in_zone(Zone::Enclave).router());
    audit.record(Event::Server { what: "started" }).await?;
    // Ended after the last statement, so that the last checkpoint covers it.
    let ended = CancellationToken::new();
    let _end = ended.clone().drop_guard();
    let watched = Arc::clone(&core);
    let before = move || watched.meters().now(&watched.now());
    let metrics = runtime::telemetry::metrics::serve(&metrics, core.meters().registry(), before, ended.clone()).await?;
    let (nudge, purge, mut duties) = own.start(&core, held, ledgers, &ended);
    duties.push(tokio::spawn(expiring.keep_expiring(dated, ended.clone())));
    duties.push(tokio::spawn(pass_on(nudges.subscribe(), reconciler.nudge(), nudge, ended.clone())));
    let gateway = match at_gateway {
        None => None,
        Some(mut at) => {
            at.address = gateway.unwrap_or(at.address);
            let options = GatewayOptions {
                config: at,
                folder,
                tls: tls.clone(),
                links: Arc::clone(&links),
                enrolment: enrolment.clone(),
                nudges,
                purge: Some(purge),
            };
            Some(Gateway::open(options).await?)
        }
    };
    let probe = tokio::spawn(probe(issuers));
    let addresses = Listening { gateway: gateway.as_ref().map(Gateway::address), metrics, ..listeners.addresses };

    let reconcile = tokio::spawn(reconciler.run(shutdown.clone()));
    let served = [(listeners.api, api), (listeners.api_enclave, api_inside)]
        .map(|(incoming, api)| incoming.map(|incoming| tokio::spawn(api::serve(incoming, api, shutdown.clone()))));
    let open =
        server(&core, Zone::Open).serve_with_incoming_shutdown(listeners.open, shutdown.clone().cancelled_owned());
    let enclave = server(&core, Zone::Enclave)
        .serve_with_incoming_shutdown(listeners.enclave, shutdown.clone().cancelled_owned());
    let links_end = CancellationToken::new();
    let oversight = tokio::spawn(gateway::oversee(Arc::clone(&links), enrolment, links_end.clone()));
    let connecting = connecting(gateway, shutdown.clone());
    let serving = async {
        tokio::try_join!(
            async { open.await.map_err(ServeError::from) },
            async { enclave.await.map_err(ServeError::from) },
            connecting
        )
    };
    tokio::pin!(serving);
    tracing::info!(
        open = %addresses.open, enclave = %addresses.enclave, gateway = ?addresses.gateway, api = ?addresses.api, "serving"
    );
    if let Some(ready) = ready {
        let _ = ready.send(addresses);
    }
    let drained = async {
        shutdown.cancelled().await;
        let running = core.running();
        if running > 0 {
            tracing::info!(running, seconds = DRAIN.as_secs(), "waiting for statements that run");
        }
        tokio::time::sleep(DRAIN).await;
        core.stop();
        tokio::time::sleep(END).await;
    };
    let outcome = tokio::select! {
        served = &mut serving => served.map(|_| ()),
        () = drained => Ok(()),
    };
    reconcile.abort();
    probe.abort();
    for api in served.into_iter().flatten() {
        api.abort();
    }
    audit.record(Event::Server { what: "stopped" }).await?;
    ended.cancel();
    for duty in duties {
        let _ = duty.await;
    }
    // The last checkpoints went over the links; now these may end.
    links_end.cancel();
    let _ = oversight.await;
    links.close();
    tracing::info!("stopped");
    outcome
}

/// The gateway, if there is one, until `shutdown` and the end of what runs on it.
async fn connecting(gateway: Option<Gateway>, shutdown: CancellationToken) -> Result<(), ServeError> {
    match gateway {
        Some(gateway) => Ok(gateway.serve(shutdown).await?),
        None => {
            shutdown.cancelled().await;
            Ok(())
        }
    }
}

/// A spoke that says that something changed there, or has just connected, is asked now.
async fn pass_on(
    mut nudges: broadcast::Receiver<ControllerId>,
    reconciler: Nudge,
    keys: Arc<Notify>,
    ended: CancellationToken,
) {
    loop {
        let nudged = tokio::select! {
            () = ended.cancelled() => return,
            nudged = nudges.recv() => nudged,
        };
        match nudged {
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                reconciler.nudge();
                keys.notify_one();
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// What the hub does by itself, beside answering.
struct Own {
    hub: Peer,
    folder: std::path::PathBuf,
    key: Arc<SigningKey>,
    store: EpochStore,
    links: Arc<Links>,
    audit: HubAudit,
}

impl Own {
    async fn open(config: &HubConfig, links: &Arc<Links>, audit: &HubAudit) -> Result<Self, ServeError> {
        Ok(Self {
            hub: Peer::hub(&config.name)?,
            folder: config.folder.clone(),
            key: Arc::new(audit::signing_key(&config.folder)?),
            store: EpochStore::open(&config.database()).await?,
            links: Arc::clone(links),
            audit: audit.clone(),
        })
    }

    /// Starts it. The nudge makes it look at projects' keys at once; the handler removes what the hub holds.
    fn start(
        self,
        core: &Arc<Core>,
        airlock: Airlock,
        ledgers: Ledgers,
        shutdown: &CancellationToken,
    ) -> (Arc<Notify>, Arc<dyn PurgeHandler>, Vec<JoinHandle<()>>) {
        let members: Arc<dyn Members> = Arc::clone(core) as _;
        let keeper = Arc::new(KeyKeeper::new(
            Arc::clone(&self.links),
            self.store.clone(),
            Arc::clone(&members),
            self.audit.clone(),
            LEAD_PATIENCE,
        ));
        let checkpoints = Arc::new(Checkpoints::new(
            self.hub.clone(),
            Arc::clone(&self.key),
            self.audit.clone(),
            self.links,
            members,
        ));
        let forgetting = Arc::clone(core);
        let held = Held {
            store: self.store,
            airlock,
            ledgers,
            forget: Box::new(move |controller, project| forgetting.forget(controller, project)),
        };
        let purger = Purger::new(self.hub.name, &self.folder, self.key, self.audit, held);
        let nudge = Arc::new(Notify::new());
        let duties = vec![
            tokio::spawn(keeper.run(Arc::clone(&nudge), shutdown.clone())),
            tokio::spawn(checkpoints.run(shutdown.clone())),
        ];
        (nudge, Arc::new(purger), duties)
    }
}

fn server(core: &Arc<Core>, zone: Zone) -> tonic::transport::server::Router {
    let service = FlightServiceServer::new(Front(Service::new(Arc::clone(core), zone)))
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(runtime::tls::MAX_MESSAGE);
    runtime::tls::server().add_service(service)
}

/// Says early when nobody will be let in.
async fn probe(issuers: Issuers) {
    if issuers.is_empty() {
        tracing::warn!("no [[issuer]] in hub.toml: nobody can ask for data");
    } else if let Err(error) = issuers.probe().await {
        tracing::warn!(%error, detail = error.detail(), "the keys of an issuer can't be had; asked again when a token comes");
    }
}
