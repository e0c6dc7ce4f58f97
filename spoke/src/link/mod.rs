//! Links that this spoke opens to its hub's gateway and serves on, so that nobody has to be let in here: `serve` keeps
//! them standing, `spoke join` gets the certificate for them, and `serve` renews it.
//!
//! INVARIANT: the private key of a link is made here and never sent; a link is served on only when the hub proved that
//! it is the configured one.

mod backoff;
mod connection;
mod files;
mod join;
mod removal;
mod renew;
mod settings;
mod state;

pub use files::FilesError;
pub(crate) use files::settle;
pub use join::{JoinError, Joined, join};
pub(crate) use removal::OverGateway;
pub use renew::{GatewayError, nudge, purge};

#[cfg(test)]
mod tests;

use crate::{config::SpokeConfig, receive::flight::Surface, watch::Meters};
use arrow_flight::flight_service_server::FlightServiceServer;
use connection::Connection;
use runtime::{
    peer::Peer,
    tls::{Tap, Tls, TlsError, TlsFiles},
};
use state::Standing;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// The spoke's identity on links, read again when it has changed.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) files: TlsFiles,
    pub(crate) tap: Option<Arc<dyn Tap>>,
}

impl Identity {
    pub(crate) fn load(&self) -> Result<Tls, TlsError> {
        let tls = Tls::load(&self.files)?;
        Ok(match &self.tap {
            Some(tap) => tls.with_tap(Arc::clone(tap)),
            None => tls,
        })
    }
}

/// What links are made with.
pub(crate) struct Dial {
    /// `host:port` of the hub's gateway
    pub(crate) gateway: String,
    /// who must answer there
    pub(crate) hub: Peer,
    /// how many links
    pub(crate) connections: usize,
    /// the certificate's files
    pub(crate) identity: Identity,
    /// within this a call has its answer begun, or ends
    pub(crate) patience: Duration,
    /// told where the first link leads to
    pub(crate) ready: Option<oneshot::Sender<SocketAddr>>,
    /// counts the links that stand
    pub(crate) meters: Meters,
}

impl Dial {
    pub(crate) fn new(
        config: &SpokeConfig,
        gateway: &str,
        tap: Option<Arc<dyn Tap>>,
        ready: Option<oneshot::Sender<SocketAddr>>,
        meters: Meters,
    ) -> Self {
        Self {
            gateway: gateway.to_owned(),
            hub: config.hub_peer(),
            connections: config.link.connections,
            identity: Identity { files: config.link_tls(), tap },
            patience: config.serve.patience(),
            ready,
            meters,
        }
    }
}

/// Keeps links standing and serves on them until `shutdown`, and then until what runs on them has ended.
pub(crate) async fn serve(
    dial: Dial,
    tls: Tls,
    service: FlightServiceServer<Surface>,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (renewed, identity) = watch::channel(tls);
    let standing = Arc::new(Standing::new(dial.connections, dial.ready, dial.meters));
    let mut tasks = JoinSet::new();
    for _ in 0..dial.connections {
        let connection = Connection {
            gateway: dial.gateway.clone(),
            hub: dial.hub.clone(),
            identity: identity.clone(),
            patience: dial.patience,
            service: service.clone(),
            standing: Arc::clone(&standing),
            shutdown: shutdown.clone(),
        };
        tasks.spawn(connection.run());
    }
    drop(identity);
    let renewal = renew::keep(dial.gateway, dial.hub, dial.identity, renewed);
    tokio::select! {
        never = renewal => match never {},
        () = shutdown.cancelled() => {}
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}
