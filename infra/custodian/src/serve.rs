//! The custodian's life: open the key, listen, evaluate, drain, end.

use crate::{
    config::Config,
    evaluate::{Parts, Service},
    key::{KeyError, LinkageKey},
    log::{Event, Log},
    register::{Register, RegisterError},
    setup::{self, SetupError},
    totals::{self, Totals},
};
use proto::wire::{custodian_server::CustodianServer, totals_server::TotalsServer};
use runtime::{
    audit::{AuditError, witness::Witness},
    seal::SealError,
    sign::SigningKeyError,
    tls::{self, Tap, Tls, TlsError},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_util::sync::CancellationToken;

/// What [`serve`] needs.
pub struct ServeOptions {
    /// the configuration
    pub config: Config,
    /// listen here instead of where the configuration says
    pub listen: Option<SocketAddr>,
    /// told the bound address once connections are accepted
    pub ready: Option<oneshot::Sender<SocketAddr>>,
    /// sees the plaintext of every connection; for tests
    pub tap: Option<Arc<dyn Tap>>,
    /// ends it
    pub shutdown: CancellationToken,
}

/// Why the custodian can't serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The linkage key can't be opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signing key can't be opened.
    #[error(transparent)]
    Signing(#[from] SigningKeyError),
    /// The sealing key can't be opened or made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The register can't be used.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The audit log can't be used.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// The passphrase can't be had.
    #[error("passphrase: {0}")]
    Passphrase(SealError),
    /// The certificate can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address can't be listened on.
    #[error("can't listen on {address}: {cause}")]
    Listen {
        /// which address
        address: SocketAddr,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// The certificate is of somebody else.
    #[error("the certificate is of {found}, the configuration is of eger://custodian/{expected}. Run: custodian renew")]
    Identity {
        /// the certificate's name
        found: String,
        /// the configuration's name
        expected: String,
    },
    /// The server ended by itself.
    #[error("the server failed: {0}")]
    Server(tonic::transport::Error),
}

/// Serves until `shutdown`, then lets open streams go on for the drain time and cuts the rest.
///
/// # Errors
/// When the key, certificate or address can't be used.
pub async fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let ServeOptions { config, listen, ready, tap, shutdown } = options;
    let mut tls = Tls::load(&config.tls)?;
    if tls.peer().name != config.name || tls.peer().role != tls::Role::Custodian {
        return Err(ServeError::Identity { found: tls.peer().to_string(), expected: config.name });
    }
    if let Some(tap) = tap {
        tls = tls.with_tap(tap);
    }
    let pass = config.passphrase().map_err(ServeError::Passphrase)?;
    let key = LinkageKey::load(&config.keys.linkage, &pass)?;
    let signing = setup::signing_key(&config, &pass)?;
    let sealing = setup::sealing_key(&config, &pass)?;
    drop(pass);
    let register = Register::open(&config.register()).await?;
    let log = Log::open(&config.audit_log())?;
    let witness = Witness::new(config.peer(), Arc::new(signing), log.shared());
    let address = listen.unwrap_or(config.listen.address);
    let listener = TcpListener::bind(address).await.map_err(|cause| ServeError::Listen { address, cause })?;
    let bound = listener.local_addr().map_err(|cause| ServeError::Listen { address, cause })?;
    tracing::info!(name = %config.name, address = %bound, link_kid = %key.link_kid(), "custodian serves");

    log.write(&Event::Started { link_kid: &key.link_kid() })?;
    let limits = config.limits;
    let cut = CancellationToken::new();
    let _cut_whatever_happens = cut.clone().drop_guard();
    let sums = Totals::new(sealing, register.clone(), log.clone(), limits.totals_per_day);
    let sums = TotalsServer::new(sums).max_decoding_message_size(totals::MAX_REQUEST);
    let parts = Parts { key, register, log: log.clone(), witness, limits };
    let service = CustodianServer::new(Service::new(parts, cut.clone()))
        .max_decoding_message_size(limits.max_batch * crate::key::ELEMENT + 1024)
        .max_encoding_message_size(limits.max_batch * crate::key::ELEMENT + 1024);
    let server = tls::server()
        .add_service(service)
        .add_service(sums)
        .serve_with_incoming_shutdown(tls::incoming(listener, &tls), shutdown.clone().cancelled_owned());
    if let Some(ready) = ready {
        // Nobody waiting any more is no error.
        let _ = ready.send(bound);
    }
    let overtime = async {
        shutdown.cancelled().await;
        tokio::time::sleep(limits.drain()).await;
        tracing::warn!(seconds = limits.drain_seconds, "drain time is over, open streams are cut");
        cut.cancel();
        // Time for the last words to reach the spokes.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    };
    tokio::select! {
        done = server => done.map_err(ServeError::Server)?,
        () = overtime => {}
    }
    log.write(&Event::Stopped)?;
    tracing::info!("custodian stopped");
    Ok(())
}

#[cfg(test)]
mod tests;
