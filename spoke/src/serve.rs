//! `spoke serve`: the life of the server. Build, connect to the hub or listen, answer, and on a signal drain with a
//! timeout.

use crate::{
    admit::{Admission, AdmissionError},
    config::{LinkMode, ServeLimits, SpokeConfig},
    link::{self, Dial, FilesError, OverGateway},
    member::{Duties, MemberError, Removal},
    publish::{PublishError, Store},
    receive::flight::Surface,
    reply,
    rules::Rules,
};
use arrow_flight::flight_service_server::FlightServiceServer;
use datafusion::{
    common::DataFusionError,
    execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
};
use policies::authorize::PolicyProblem;
use runtime::{
    telemetry::metrics::MetricsError,
    tls::{self, Tap, Tls, TlsError},
};
use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_util::sync::CancellationToken;

/// How `serve` is started.
pub struct ServeOptions {
    /// the spoke's configuration
    pub config: SpokeConfig,
    /// listen here, whatever the configuration says
    pub listen: Option<SocketAddr>,
    /// told when the hub can ask: the address listened on, or the gateway's when the first link stands
    pub ready: Option<oneshot::Sender<SocketAddr>>,
    /// sees every byte before encryption; tests only
    pub tap: Option<Arc<dyn Tap>>,
    /// cancelled when the process should end
    pub shutdown: CancellationToken,
}

/// Why `serve` could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Certificates of the link.
    #[error("the link to the hub can't be set up: {0}")]
    Link(#[from] TlsError),
    /// A renewal of the certificate was interrupted and can't be finished.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The spoke doesn't know where its hub is.
    #[error(
        "spoke.toml has no [link] gateway. Join the hub with the code that its operator gives (spoke join), or set [link] mode = \"listen\""
    )]
    NotJoined,
    /// The certificate is of somebody else.
    #[error("{}: is the certificate of {found}, but this spoke is {expected}. Issue one for this controller", path.display())]
    OtherName {
        /// the certificate's file
        path: PathBuf,
        /// whom it names
        found: String,
        /// whom it should name
        expected: String,
    },
    /// Own keys, issuers, state or audit log.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// The spoke's identities, or its log.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// The store of published tables.
    #[error(transparent)]
    Store(#[from] PublishError),
    /// The rules don't fit together.
    #[error(transparent)]
    Rules(#[from] PolicyProblem),
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}. Is another process using it? See [listen] address")]
    Listen {
        /// which address
        address: SocketAddr,
        /// what the operating system said
        source: io::Error,
    },
    /// The folder for intermediate results.
    #[error("{}: can't be used for intermediate results: {message}", path.display())]
    Spill {
        /// which folder
        path: PathBuf,
        /// what is wrong
        message: String,
    },
    /// `[metrics]`.
    #[error("spoke.toml, {0}")]
    Metrics(#[from] MetricsError),
    /// The server broke off.
    #[error("the server stopped: {0}")]
    Server(#[from] tonic::transport::Error),
}

/// Serves until told to stop.
///
/// # Errors
/// When it can't start, or the server breaks off.
pub async fn run(options: ServeOptions) -> Result<(), ServeError> {
    let rules = Rules::new()?;
    Box::pin(run_by(options, rules)).await
}

/// The same, by these rules.
async fn run_by(options: ServeOptions, rules: Rules) -> Result<(), ServeError> {
    let ServeOptions { config, listen, ready, tap, shutdown } = options;
    let dial = match (listen, config.link.mode) {
        (None, LinkMode::Dial) => Some(config.link.gateway.clone().ok_or(ServeError::NotJoined)?),
        _ => None,
    };
    link::settle(&config.link_tls())?;
    let mut identity = Tls::load(&config.link_tls())?;
    check_name(&config, &identity)?;
    if let Some(tap) = &tap {
        identity = identity.with_tap(Arc::clone(tap));
    }
    let runtime = engine(&config.serve, &config.spill_dir())?;
    let admission = Arc::new(Box::pin(Admission::new(&config, Store::open(&config)?, runtime, rules.clone())).await?);

    let stop = CancellationToken::new();
    let duties = Arc::new(Duties::open(&config, Arc::clone(admission.permits()) as _, admission.state().clone())?);
    let surface = Surface {
        hub: config.hub_peer(),
        rules,
        admission: Arc::clone(&admission),
        inbox: (&config).into(),
        duties: Arc::clone(&duties),
        pace: reply::Pace::new(config.link.compression),
        stop: stop.clone(),
    };
    let measured = Arc::clone(&admission);
    let before = move || measured.meters().now(&measured.now());
    let registry = admission.meters().registry();
    runtime::telemetry::metrics::serve(&config.metrics, registry, before, shutdown.clone()).await?;
    // Until the very end: an answer that is being drained ends with its permit too.
    let watched = CancellationToken::new();
    let _watching = watched.clone().drop_guard();
    tokio::spawn(Arc::clone(admission.permits()).watch(watched.clone()));
    if let Some(results) = admission.results() {
        tokio::spawn(Arc::clone(results).watch(watched.clone()));
    }
    // Without a gateway there is no way to ask; what has to be removed stays written down.
    let removal = config.link.gateway.is_some().then(|| Arc::new(OverGateway(config.clone())) as Arc<dyn Removal>);
    tokio::spawn(duties.run(Arc::clone(&admission), removal, watched));
    // Twice what is read, so that a somewhat larger request gets our own answer and not a broken connection.
    let limits = admission.fragment_limits();
    let largest = limits.max_bytes.saturating_mul(2).saturating_add(limits.max_keys);
    let service = FlightServiceServer::new(surface).max_decoding_message_size(largest);
    let server = match dial {
        Some(gateway) => {
            tracing::info!(controller = %config.controller, %gateway, hub = %config.hub_peer(), "serving");
            let dial = Dial::new(&config, &gateway, tap, ready, admission.meters().clone());
            tokio::spawn(link::serve(dial, identity, service, shutdown.clone()))
        }
        None => {
            let address = listen.unwrap_or(config.listen.address);
            let failed = |source| ServeError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            tracing::info!(controller = %config.controller, address = %bound, hub = %config.hub_peer(), "serving");
            if let Some(ready) = ready {
                // Nobody waits any more: nothing to tell.
                let _ = ready.send(bound);
            }
            let incoming = tls::incoming(listener, &identity);
            let server = tls::server().timeout(config.serve.patience()).add_service(service);
            tokio::spawn(server.serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned()))
        }
    };
    let finished = finish(server, &shutdown, &stop, Duration::from_secs(config.serve.drain_seconds)).await;
    admission.audit().flush().await;
    finished
}

/// Waits for the end; running answers may go on for `patience` after the signal, and are then ended with an error.
async fn finish(
    mut server: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    shutdown: &CancellationToken,
    stop: &CancellationToken,
    patience: Duration,
) -> Result<(), ServeError> {
    let joined = |result: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>| match result {
        Ok(result) => result.map_err(ServeError::from),
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    tokio::select! {
        result = &mut server => return joined(result),
        () = shutdown.cancelled() => {}
    }
    tracing::info!(seconds = patience.as_secs(), "stopping: running answers may finish");
    if let Ok(result) = tokio::time::timeout(patience, &mut server).await {
        return joined(result);
    }
    tracing::warn!("ending the answers that are still running");
    stop.cancel();
    // Their errors still have to reach the hub.
    match tokio::time::timeout(Duration::from_secs(2), &mut server).await {
        Ok(result) => joined(result),
        Err(_) => {
            server.abort();
            Ok(())
        }
    }
}

fn check_name(config: &SpokeConfig, link: &Tls) -> Result<(), ServeError> {
    let expected = runtime::peer::Peer { role: runtime::peer::Role::Spoke, name: config.controller.to_string() };
    if *link.peer() == expected {
        return Ok(());
    }
    Err(ServeError::OtherName {
        path: config.link.cert.clone(),
        found: link.peer().to_string(),
        expected: expected.to_string(),
    })
}

/// The engine's memory pool, spill folder and caches, shared by all queries of the process.
///
/// # Errors
/// When the spill folder can't be made.
pub fn engine(limits: &ServeLimits, spill: &Path) -> Result<Arc<RuntimeEnv>, ServeError> {
    let failed = |message: String| ServeError::Spill { path: spill.to_owned(), message };
    std::fs::create_dir_all(spill).map_err(|error| failed(error.to_string()))?;
    let pool = FairSpillPool::new(limits.memory.as_usize());
    let pool = TrackConsumersPool::new(pool, NonZeroUsize::MIN);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill.to_owned()]))
        .with_max_temp_directory_size(limits.spill.0);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .with_metadata_cache_limit(limits.memory.as_usize() / 8)
        .build_arc()
        .map_err(|error: DataFusionError| failed(error.strip_backtrace()))
}

#[cfg(test)]
mod tests;
