//! The hub as a server: two listeners, one core, an orderly end.

use crate::{
    compute::Compute,
    config::{HubConfig, HubConfigError, Projects},
    identify::{Identify, TokenError, TokenStore},
    plan::Planner,
    receive::{Core, Front, Sealer, Service, TicketKeyError},
    registry::{Links, Registry},
};
use arrow_flight::flight_service_server::FlightServiceServer;
use listen::ListenError;
use policies::zone::Zone;
use proto::refusal::Refusal;
use runtime::{
    peer::PeerError,
    profile::Profile,
    tls::{Tap, Tls, TlsError},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub(crate) mod listen;

/// Statements may go on this long after the hub was told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Then they are ended, and their callers told so.
const END: Duration = Duration::from_secs(2);
/// Project files are read again this often.
const RELOAD: Duration = Duration::from_secs(5);
/// The largest message taken from a client: statements and bound values.
const MAX_REQUEST: usize = 4 << 20;

/// A thread's stack: statements are walked by recursion, as deep as their longest chain of operators. Only what is used
/// is taken from memory.
const STACK: usize = 32 << 20;

/// The threads that a hub runs on.
///
/// # Errors
/// When the system gives none.
pub fn executor() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK).enable_all().build()
}

/// Where the hub listens.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// the listener of zone `open`
    pub open: SocketAddr,
    /// the listener of zone `enclave`
    pub enclave: SocketAddr,
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
    /// told when connections are accepted
    pub ready: Option<oneshot::Sender<Listening>>,
    /// sees every byte on links; tests only
    pub tap: Option<Arc<dyn Tap>>,
    /// cancelled when the hub is to stop
    pub shutdown: CancellationToken,
}

/// Why the hub can't serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
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
    /// The ticket key can't be read.
    #[error(transparent)]
    TicketKey(#[from] TicketKeyError),
    /// A listener can't be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
    let ServeOptions { mut config, profile, open, enclave, ready, tap, shutdown } = options;
    config.listen.open = open.unwrap_or(config.listen.open);
    config.listen.enclave = enclave.unwrap_or(config.listen.enclave);
    config.listen.check(&config.folder.join("hub.toml"))?;

    let mut tls = Tls::load(&config.link)?;
    if let Some(tap) = tap {
        tls = tls.with_tap(tap);
    }
    let links = Arc::new(Links::new(&config.spokes, &tls)?);
    let registry = Registry::new(
        links,
        Duration::from_secs(config.query.catalogue_timeout_seconds),
        Duration::from_secs(config.query.catalogue_cache_seconds),
    );
    let scratch = profile.scratch.dir.clone();
    let compute = Compute::new(profile).map_err(|source| ServeError::Scratch { path: scratch, source })?;
    let tokens = TokenStore::open(&config.database()).await?;
    let sealer = Sealer::load(&config.ticket_key())?;
    let projects = config.folder.join("projects");
    let listeners = listen::open(&config.listen).await?;
    let addresses = listeners.addresses;
    let planner = Planner::new(registry, Arc::new(compute));
    let core = Arc::new(Core::new(config, Identify::new(tokens), planner, sealer)?);

    let reload = tokio::spawn(reload(Arc::clone(&core), projects, shutdown.clone()));
    let open =
        server(&core, Zone::Open).serve_with_incoming_shutdown(listeners.open, shutdown.clone().cancelled_owned());
    let enclave = server(&core, Zone::Enclave)
        .serve_with_incoming_shutdown(listeners.enclave, shutdown.clone().cancelled_owned());
    let serving = async { tokio::try_join!(open, enclave) };
    tokio::pin!(serving);
    tracing::info!(open = %addresses.open, enclave = %addresses.enclave, "serving");
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
    reload.abort();
    tracing::info!("stopped");
    Ok(outcome?)
}

fn server(core: &Arc<Core>, zone: Zone) -> tonic::transport::server::Router {
    let service = FlightServiceServer::new(Front(Service::new(Arc::clone(core), zone)))
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(runtime::tls::MAX_MESSAGE);
    runtime::tls::server().add_service(service)
}

/// Members that come or go count within seconds; a file with an error leaves everything as it was.
async fn reload(core: Arc<Core>, folder: std::path::PathBuf, shutdown: CancellationToken) {
    let mut said = String::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RELOAD) => {}
        }
        let folder = folder.clone();
        match tokio::task::spawn_blocking(move || Projects::load(&folder)).await {
            Ok(Ok(projects)) => {
                core.replace_projects(projects);
                said.clear();
            }
            Ok(Err(error)) => {
                let text = error.to_string();
                if text != said {
                    tracing::warn!(%error, "project files are not taken into use");
                    said = text;
                }
            }
            Err(_) => return,
        }
    }
}
