//! Calls of this spoke to its hub's gateway: renewing the certificate in time, nudging, asking for removal.

use super::{
    Identity,
    backoff::Backoff,
    files::{self, FilesError},
};
use crate::config::SpokeConfig;
use proto::{
    ids::ProjectId,
    refusal::Refusal,
    wire::{NudgeRequest, PurgeRequest, RenewRequest, gateway_client::GatewayClient},
};
use runtime::{
    ca::{CaError, CertFacts, CertRequest},
    peer::Peer,
    tls::{self, Tls, TlsError},
};
use std::{convert::Infallible, time::Duration};
use tokio::sync::watch;
use tonic::transport::Channel;

/// How often the calendar is looked at: a machine may sleep, and clocks are set.
const LOOK: Duration = Duration::from_secs(600);
/// The longest time that a call may take.
const CALL: Duration = Duration::from_secs(20);
/// The least time between two renewals.
const LEAST: Duration = Duration::from_secs(60);

/// Why a call to the gateway failed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The spoke has not joined.
    #[error("spoke.toml has no [link] gateway. Join the hub first: spoke join")]
    NotJoined,
    /// The hub refused, or could not be reached.
    #[error("the hub says: {0}")]
    Refused(Refusal),
    /// No answer.
    #[error("the hub has not answered within 20 s")]
    Late,
    /// The certificate's files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The new certificate.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The key or the certificate.
    #[error(transparent)]
    Certificate(#[from] CaError),
    /// The certificate's file.
    #[error("{}: {source}", path.display())]
    Io {
        /// which file
        path: std::path::PathBuf,
        /// what the operating system said
        source: std::io::Error,
    },
}

async fn call<T>(answer: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>) -> Result<T, GatewayError> {
    match tokio::time::timeout(CALL, answer).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(GatewayError::Refused(status.into())),
        Err(_) => Err(GatewayError::Late),
    }
}

fn client(config: &SpokeConfig) -> Result<GatewayClient<Channel>, GatewayError> {
    let gateway = config.link.gateway.as_deref().ok_or(GatewayError::NotJoined)?;
    let tls = Tls::load(&config.link_tls())?;
    Ok(GatewayClient::new(tls::channel(gateway, config.hub_peer(), &tls)))
}

/// Tells the hub that something changed here: a decision, a revocation.
///
/// # Errors
/// When the hub can't be reached; it notices by itself a little later.
pub async fn nudge(config: &SpokeConfig) -> Result<(), GatewayError> {
    call(client(config)?.nudge(NudgeRequest {})).await.map(drop)
}

/// Asks the hub to remove what it holds of this controller in a project; gives its signed receipt.
///
/// # Errors
/// When the hub can't be reached or could not remove everything. Ask again.
pub async fn purge(config: &SpokeConfig, project: &ProjectId, reason: &str) -> Result<String, GatewayError> {
    let request = PurgeRequest { project: project.to_string(), reason: reason.to_owned() };
    Ok(call(client(config)?.purge(request)).await?.receipt)
}

/// Renews the certificate whenever two thirds of its life are over, and tells the links.
pub(super) async fn keep(gateway: String, hub: Peer, identity: Identity, renewed: watch::Sender<Tls>) -> Infallible {
    let mut backoff = Backoff::default();
    loop {
        match due(&identity) {
            Ok(Some(wait)) => {
                tokio::time::sleep(wait.min(LOOK)).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the link certificate can't be read");
                tokio::time::sleep(LOOK).await;
                continue;
            }
        }
        match renew(&gateway, &hub, &identity).await {
            Ok(tls) => {
                tracing::info!("the link certificate was renewed");
                backoff.reset();
                renewed.send_replace(tls);
                tokio::time::sleep(LEAST).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the link certificate could not be renewed: trying on");
                // From a few seconds to several minutes.
                tokio::time::sleep(backoff.pause().saturating_mul(10)).await;
            }
        }
    }
}

/// How long until the certificate should be renewed; none: now.
fn due(identity: &Identity) -> Result<Option<Duration>, GatewayError> {
    let path = &identity.files.cert;
    let pem = std::fs::read_to_string(path).map_err(|source| GatewayError::Io { path: path.clone(), source })?;
    let left = CertFacts::read(&pem)?.renew_at() - chrono::Utc::now();
    Ok(left.to_std().ok().filter(|left| !left.is_zero()))
}

async fn renew(gateway: &str, hub: &Peer, identity: &Identity) -> Result<Tls, GatewayError> {
    let present = identity.load()?;
    let (csr, key_pem) = CertRequest::create_der()?;
    let mut client = GatewayClient::new(tls::channel(gateway, hub.clone(), &present));
    let reply = call(client.renew(RenewRequest { csr })).await?;
    files::replace(&identity.files, &present.peer().to_string(), &key_pem, &reply.certificate)?;
    Ok(identity.load()?)
}
