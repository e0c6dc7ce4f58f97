//! The one port of the hub that spokes and other hub processes connect to: it takes links that spokes open, enrols and
//! renews, and relays Flight calls of other hub processes to a controller's link.
//!
//! INVARIANT: who somebody is comes from the certificate that they proved to have, never from what they say; a link that
//! the registered controllers don't admit is never used.

mod accept;
mod attempts;
mod decide;
mod enrolment;
mod nudges;
mod oversee;
mod relay;
mod service;

pub use enrolment::{ControllerRecord, Enrolment, State};
pub use nudges::Nudges;

use crate::{assemble::purge::PurgeHandler, config::GatewayConfig, registry::Links};
use attempts::Attempts;
use policies::authorize::PolicyProblem;
use proto::wire::gateway_server::GatewayServer;
use runtime::{
    ca::{Authority, CaError},
    seal::read_private,
    tls::{Tls, TlsError},
};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The largest message of an enrolling call.
const MAX_CALL: usize = 64 << 10;

/// Why enrolment fails.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// The database can't be read or written.
    #[error("the hub's database can't be used: {0}. Check hub.db's folder, its free space and who owns it")]
    Database(#[from] sqlx::Error),
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] crate::identify::TokenError),
    /// No certificate can be made.
    #[error(transparent)]
    Certificate(#[from] CaError),
    /// The policies say no.
    #[error("the policies don't let it join")]
    Denied,
    /// The system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    /// A row holds something that can't be there.
    #[error("controller '{controller}' in the database has a wrong {field}")]
    Corrupt {
        /// which controller
        controller: String,
        /// which column
        field: &'static str,
    },
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address can't be used.
    #[error("[gateway] address {address}: can't listen there: {source}. Is another hub running?")]
    Listen {
        /// which address
        address: SocketAddr,
        /// what the operating system said
        source: std::io::Error,
    },
    /// The authority can't be read.
    #[error("{}: {message}. The gateway needs the authority that issues certificates of links", path.display())]
    Authority {
        /// which file
        path: std::path::PathBuf,
        /// what is wrong
        message: String,
    },
    /// The authority is not the one of the hub's own certificate.
    #[error(
        "keys/ca.crt is not the authority in [link] ca: spokes that join would not know this hub. Make them the same"
    )]
    OtherAuthority,
    /// The certificates can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The registered controllers can't be read.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// The policies don't fit together.
    #[error(transparent)]
    Policies(#[from] PolicyProblem),
    /// Serving broke off.
    #[error("the gateway stopped: {0}")]
    Server(#[from] tonic::transport::Error),
}

/// What the gateway works with.
pub struct GatewayOptions {
    /// `[gateway]`
    pub config: GatewayConfig,
    /// the hub's folder
    pub folder: std::path::PathBuf,
    /// the hub's identity on links
    pub tls: Tls,
    /// where links are put
    pub links: Arc<Links>,
    /// the registered controllers
    pub enrolment: Enrolment,
    /// who is told of changes at spokes
    pub nudges: Nudges,
    /// who removes what must not be held any longer; without one, such calls are put off
    pub purge: Option<Arc<dyn PurgeHandler>>,
}

/// A gateway that listens.
pub struct Gateway {
    address: SocketAddr,
    listener: TcpListener,
    options: GatewayOptions,
    authority: Arc<Authority>,
}

impl Gateway {
    /// Opens the port and reads the authority.
    ///
    /// # Errors
    /// When either can't be done.
    pub async fn open(options: GatewayOptions) -> Result<Self, GatewayError> {
        let authority = authority(&options.folder)?;
        if !options.tls.trusts(&authority.fingerprint().map_err(EnrolmentError::from)?) {
            return Err(GatewayError::OtherAuthority);
        }
        let address = options.config.address;
        let failed = |source| GatewayError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { address, listener, options, authority: Arc::new(authority) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, and then until calls that run have ended.
    ///
    /// # Errors
    /// When serving breaks off.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), GatewayError> {
        let Self { listener, options, authority, .. } = self;
        let decide = decide::Decide::new()?;
        let accepted = runtime::tls::gate(listener, &options.tls, shutdown.clone())?;
        let service = service::Service {
            hub: options.tls.peer().name.clone(),
            authority,
            decide: decide.clone(),
            days: options.config.certificate_days,
            enrolment: options.enrolment.clone(),
            attempts: Attempts::default(),
            nudges: options.nudges.clone(),
            purge: options.purge,
        };
        let (links, enrolment) = (Arc::clone(&options.links), options.enrolment.clone());
        let calls = accept::sort(accepted, links, enrolment, options.nudges, decide.clone());
        let service = GatewayServer::new(service).max_decoding_message_size(MAX_CALL);
        let relay = relay::Relay::new(Arc::clone(&options.links), decide);
        runtime::tls::server()
            .add_service(service)
            .add_service(relay)
            .serve_with_incoming_shutdown(calls, shutdown.cancelled_owned())
            .await?;
        Ok(())
    }
}

/// Keeps the links in step with the registered controllers until `shutdown`: run it whether there is a gateway or not.
pub async fn oversee(links: Arc<Links>, enrolment: Enrolment, shutdown: CancellationToken) {
    oversee::run(links, enrolment, shutdown).await;
}

/// The authority in a hub's folder.
///
/// # Errors
/// When its files are missing or don't fit together.
pub fn authority(folder: &Path) -> Result<Authority, GatewayError> {
    let bad = |path: &Path, message: String| GatewayError::Authority { path: path.to_owned(), message };
    let (cert, key) = (folder.join("keys/ca.crt"), folder.join("keys/ca.key"));
    let cert_pem = std::fs::read_to_string(&cert).map_err(|e| bad(&cert, e.to_string()))?;
    let key_pem = read_private(&key).map_err(|e| bad(&key, e.to_string()))?;
    let key_pem = std::str::from_utf8(&key_pem).map_err(|e| bad(&key, e.to_string()))?;
    Authority::load(&cert_pem, key_pem).map_err(|e| bad(&cert, e.to_string()))
}
