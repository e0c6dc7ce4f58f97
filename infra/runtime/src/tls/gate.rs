//! One port for several kinds of callers: peers with a certificate, newcomers without one, calls and links.
//!
//! INVARIANT: a connection without a certificate has no peer, and a certificate that was presented has been verified.

use super::{CALLS_PROTOCOL, HANDSHAKE, LINK_PROTOCOL, Tls, TlsConn, TlsError, presented};
use crate::ca::CertFacts;
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use std::{io, path::PathBuf, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

/// Handshakes in progress at once. A silent caller holds one of them for [`HANDSHAKE`] at most.
const HANDSHAKES: usize = 1024;
/// Connections that may wait to be taken up.
const QUEUE: usize = 64;

/// What a connection is for, as the caller chose by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC calls to this side
    Calls,
    /// this side calls, the caller serves
    Link,
}

/// Accepts connections for calls and links until `stop`; a certificate is asked for but not demanded. The authority's
/// certificate is sent along, so that a newcomer who knows its fingerprint can check who answers.
///
/// # Errors
/// When the certificates can't be used that way.
pub fn gate(listener: TcpListener, tls: &Tls, stop: CancellationToken) -> Result<mpsc::Receiver<TlsConn>, TlsError> {
    let unusable = |message: String| TlsError::Identity { path: PathBuf::from("the gateway"), message };
    let clients = WebPkiClientVerifier::builder(Arc::clone(&tls.roots))
        .allow_unauthenticated()
        .build()
        .map_err(|e| unusable(e.to_string()))?;
    let chain = tls.chain.iter().chain(tls.authorities.iter()).cloned().collect();
    let mut server = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, tls.key.clone_key())
        .map_err(|e| unusable(e.to_string()))?;
    server.alpn_protocols = vec![CALLS_PROTOCOL.to_vec(), LINK_PROTOCOL.to_vec()];
    // A resumed session would not be asked for its certificate again.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let (acceptor, tap) = (TlsAcceptor::from(Arc::new(server)), tls.tap.clone());
    let (sender, accepted) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((place, listener.accept().await?.0))
            };
            let (place, tcp) = tokio::select! {
                () = stop.cancelled() => return,
                next = next => match next {
                    Ok(next) => next,
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        // Such as too many open files: give others the time to close theirs.
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let (acceptor, tap, sender) = (acceptor.clone(), tap.clone(), sender.clone());
            tokio::spawn(async move {
                let shaken = tokio::time::timeout(HANDSHAKE, handshake(&acceptor, tcp)).await;
                drop(place);
                match shaken {
                    Ok(Ok((stream, facts, protocol))) => {
                        let conn = TlsConn::accepted(stream, facts, protocol, tap);
                        // Nobody takes connections any more: it is closed.
                        let _ = sender.send(conn).await;
                    }
                    Ok(Err(error)) => tracing::info!(%error, "refused a connection"),
                    Err(_) => tracing::info!("refused a connection: no handshake within 10 s"),
                }
            });
        }
    });
    Ok(accepted)
}

type Shaken = (TlsStream<TcpStream>, Option<CertFacts>, Protocol);

async fn handshake(acceptor: &TlsAcceptor, tcp: TcpStream) -> io::Result<Shaken> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let (_, session) = stream.get_ref();
    let protocol = match session.alpn_protocol() {
        Some(CALLS_PROTOCOL) => Protocol::Calls,
        Some(LINK_PROTOCOL) => Protocol::Link,
        _ => return Err(io::Error::other("the caller says neither h2 nor eger-link/1")),
    };
    let facts = presented(session)?;
    Ok((stream, facts, protocol))
}
