//! Mutual TLS 1.3 between named peers. Who is on the other side is the URI in its certificate, checked
//! against the link's own certificate authority; DNS names and addresses prove nothing.
//!
//! [`incoming()`] and [`channel()`] are a server and a client whose peers both have certificates; [`gate()`] takes
//! callers of several kinds on one port, and [`link`] is the connection that a spoke opens and then serves on.
//!
//! INVARIANT: no connection is handed out as a peer's before that peer proved who it is.

mod conn;
mod gate;
mod join;
pub mod link;
mod verify;
mod watch;

pub use crate::peer::{Peer, PeerError, Role};
pub use conn::{PeerInfo, TlsConn, key_of, peer_of};
pub use gate::{Protocol, gate};
pub use join::join_channel;
pub(crate) use verify::peer_in;
pub use watch::Watch;

use crate::ca::CertFacts;
use futures::{Stream, StreamExt, future};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use sha2::{Digest, Sha256};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// How long a peer may take over its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes in progress at once; more wait in the listen queue.
const HANDSHAKES: usize = 64;
/// HTTP/2 flow-control window of a stream, bytes (measured for Arrow batches).
pub const STREAM_WINDOW: u32 = 8 << 20;
/// HTTP/2 flow-control window of a connection, bytes.
pub const CONNECTION_WINDOW: u32 = 32 << 20;
/// ALPN of a connection for calls.
const CALLS_PROTOCOL: &[u8] = b"h2";
/// ALPN of a connection on which the side that dialled serves.
const LINK_PROTOCOL: &[u8] = b"eger-link/1";
/// The largest gRPC message taken, bytes.
pub const MAX_MESSAGE: usize = 64 << 20;

/// Why TLS can't be set up from the given files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// which file
        path: PathBuf,
        /// what is wrong and what to do
        message: String,
    },
    /// The certificate and key don't make an identity.
    #[error("{}: certificate and key can't be used together: {message}", path.display())]
    Identity {
        /// the certificate's file
        path: PathBuf,
        /// what the TLS library said
        message: String,
    },
}

/// The three files of an identity on a link.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// own certificate, PEM, with the name as URI SAN
    pub cert: PathBuf,
    /// its private key, PEM; readable by the owner alone
    pub key: PathBuf,
    /// the authority that the other side's certificate must come from, PEM
    pub ca: PathBuf,
}

impl TlsFiles {
    /// The same files with relative paths taken below `base`.
    #[must_use]
    pub fn below(&self, base: &Path) -> Self {
        let at = |p: &Path| crate::config::relative_to(base, p);
        Self { cert: at(&self.cert), key: at(&self.key), ca: at(&self.ca) }
    }
}

/// Which way bytes went, seen from this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// received from the peer
    Received,
    /// sent to the peer
    Sent,
}

/// Sees every byte of every connection before encryption and after decryption. Given only by code
/// (tests that search for what must never travel); no configuration reaches it.
pub trait Tap: Send + Sync {
    /// Called with plaintext, in order for each connection and direction.
    fn bytes(&self, direction: Direction, bytes: &[u8]);
}

static EVERYTHING: std::sync::OnceLock<Arc<dyn Tap>> = std::sync::OnceLock::new();

/// Taps every connection of this process, for the binary of the tests that plays every role. Lints refuse it
/// anywhere else. A second call changes nothing.
pub fn tap_everything(tap: Arc<dyn Tap>) {
    let _ = EVERYTHING.set(tap);
}

/// One's own identity on a link and whom one trusts there. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    own: Peer,
    server: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    authorities: Arc<Vec<CertificateDer<'static>>>,
    roots: Arc<RootCertStore>,
    tap: Option<Arc<dyn Tap>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({})", self.own)
    }
}

impl Tls {
    /// Reads the files and checks that they fit together.
    ///
    /// # Errors
    /// When a file is missing, the key is readable by others, the certificate names no peer, or the key isn't its key.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        crate::crypto::install();
        let bad = |path: &Path, message: String| TlsError::File { path: path.to_owned(), message };
        let pem = |path: &Path| {
            std::fs::read(path).map_err(|e| bad(path, format!("{e}. Was the certificate issued and copied here?")))
        };
        let chain = CertificateDer::pem_slice_iter(&pem(&files.cert)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| bad(&files.cert, format!("no PEM certificate: {e}")))?;
        let leaf = chain.first().ok_or_else(|| bad(&files.cert, "holds no certificate".to_owned()))?;
        let own = verify::peer_in(leaf)
            .ok_or_else(|| bad(&files.cert, "the certificate names no party (URI eger://..)".to_owned()))?;
        let secret = crate::seal::read_private(&files.key).map_err(|e| bad(&files.key, e.to_string()))?;
        let key =
            PrivateKeyDer::from_pem_slice(&secret).map_err(|e| bad(&files.key, format!("no PEM private key: {e}")))?;
        let mut roots = RootCertStore::empty();
        let authorities = CertificateDer::pem_slice_iter(&pem(&files.ca)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| bad(&files.ca, format!("no PEM certificate: {e}")))?;
        for cert in &authorities {
            roots.add(cert.clone()).map_err(|e| bad(&files.ca, e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad(&files.ca, "holds no certificate".to_owned()));
        }
        let roots = Arc::new(roots);
        let identity = |message: String| TlsError::Identity { path: files.cert.clone(), message };
        let clients =
            WebPkiClientVerifier::builder(Arc::clone(&roots)).build().map_err(|e| bad(&files.ca, e.to_string()))?;
        let mut server = ServerConfig::builder_with_protocol_versions(&[&TLS13])
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|e| identity(e.to_string()))?;
        server.alpn_protocols = vec![CALLS_PROTOCOL.to_vec()];
        Ok(Self {
            own,
            server: Arc::new(server),
            chain,
            key: Arc::new(key),
            authorities: Arc::new(authorities),
            roots,
            tap: EVERYTHING.get().cloned(),
        })
    }

    /// The same identity, with a tap on every connection made or accepted through it.
    #[must_use]
    pub fn with_tap(mut self, tap: Arc<dyn Tap>) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Who this process is on the link.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.own
    }

    /// Whether one of the authorities that this side trusts has this fingerprint (SHA-256 of the DER bytes).
    #[must_use]
    pub fn trusts(&self, authority: &[u8; 32]) -> bool {
        self.authorities.iter().any(|cert| Sha256::digest(cert).as_slice() == authority)
    }

    /// Checks that the own certificate comes from an authority that this side trusts itself, and is good today.
    ///
    /// # Errors
    /// When it doesn't or isn't.
    pub fn check_own(&self) -> Result<(), rustls::Error> {
        verify::signed_by(&self.chain, &self.roots)
    }

    fn client(&self, expect: &Peer, protocol: &[u8]) -> Result<ClientConfig, rustls::Error> {
        let mut client = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verify::NamedServer::new(
                Arc::clone(&self.roots),
                expect.clone(),
            )))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        client.alpn_protocols = vec![protocol.to_vec()];
        // A resumed session carries no certificate, and the name in it is what counts here.
        client.resumption = rustls::client::Resumption::disabled();
        Ok(client)
    }
}

/// Connections of peers that proved who they are, for tonic's `serve_with_incoming`. A failed handshake is
/// logged and skipped; handshakes run side by side, so that a silent caller holds nobody up.
pub fn incoming(listener: TcpListener, tls: &Tls) -> impl Stream<Item = io::Result<TlsConn>> + use<> {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.server));
    let tap = tls.tap.clone();
    tokio_stream::wrappers::TcpListenerStream::new(listener)
        .map(move |tcp| {
            let (acceptor, tap) = (acceptor.clone(), tap.clone());
            async move {
                let tcp = match tcp {
                    Ok(tcp) => tcp,
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        return None;
                    }
                };
                match tokio::time::timeout(HANDSHAKE, accept(&acceptor, tcp, tap)).await {
                    Ok(Ok(conn)) => Some(Ok(conn)),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "refused a connection");
                        None
                    }
                    Err(_) => {
                        tracing::warn!("refused a connection: no handshake within 10 s");
                        None
                    }
                }
            }
        })
        .buffer_unordered(HANDSHAKES)
        .filter_map(future::ready)
}

async fn accept(acceptor: &TlsAcceptor, tcp: TcpStream, tap: Option<Arc<dyn Tap>>) -> io::Result<TlsConn> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let (_, session) = stream.get_ref();
    let facts = presented(session)?.ok_or_else(|| io::Error::other("the caller shows no certificate"))?;
    Ok(TlsConn::accepted(stream, Some(facts), Protocol::Calls, tap))
}

/// The certificate that a caller presented; an error when it names no party.
fn presented(session: &rustls::ServerConnection) -> io::Result<Option<CertFacts>> {
    let Some(leaf) = session.peer_certificates().and_then(|chain| chain.first()) else { return Ok(None) };
    match CertFacts::of(leaf) {
        Ok(facts) if facts.peer.is_some() => Ok(Some(facts)),
        _ => Err(io::Error::other("the caller's certificate names no party")),
    }
}

/// A channel to `address` (`host:port`) that is used only if the other side is `expect`. It connects on
/// first use and again after a loss.
#[must_use]
pub fn channel(address: &str, expect: Peer, tls: &Tls) -> Channel {
    channel_until(address, expect, tls, &CancellationToken::new())
}

/// The same, until `end` is cancelled: that breaks its connection at once, and it makes no other.
#[must_use]
pub fn channel_until(address: &str, expect: Peer, tls: &Tls, end: &CancellationToken) -> Channel {
    let (address, tls, end) = (address.to_owned(), tls.clone(), end.clone());
    let connector = tower::service_fn(move |_: http::Uri| {
        let (address, expect, tls, end) = (address.clone(), expect.clone(), tls.clone(), end.clone());
        async move {
            if end.is_cancelled() {
                return Err(io::Error::new(io::ErrorKind::NotConnected, "this link is closed for good"));
            }
            let mut conn = connect(&address, &expect, &tls).await?;
            conn.watch_until(&end);
            Ok(TokioIo::new(conn))
        }
    });
    endpoint().connect_with_connector_lazy(connector)
}

/// The client's side of every connection: windows and keep-alive.
fn endpoint() -> Endpoint {
    // The URI is never resolved: a connector knows where to go.
    Endpoint::from_static("http://link.eger.invalid")
        .connect_timeout(HANDSHAKE)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(Duration::from_secs(15))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
}

async fn connect(address: &str, expect: &Peer, tls: &Tls) -> io::Result<TlsConn> {
    connect_as(address, expect, tls, CALLS_PROTOCOL).await
}

async fn connect_as(address: &str, expect: &Peer, tls: &Tls, protocol: &[u8]) -> io::Result<TlsConn> {
    let config = tls.client(expect, protocol).map_err(io::Error::other)?;
    connect_with(address, config, expect, protocol, tls.tap.clone()).await
}

async fn connect_with(
    address: &str,
    config: ClientConfig,
    expect: &Peer,
    protocol: &[u8],
    tap: Option<Arc<dyn Tap>>,
) -> io::Result<TlsConn> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("link.eger.invalid").map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    if protocol == LINK_PROTOCOL && stream.get_ref().1.alpn_protocol() != Some(LINK_PROTOCOL) {
        return Err(io::Error::other("no gateway for links answers there"));
    }
    Ok(TlsConn::new(stream.into(), expect.clone(), tap))
}

/// A tonic server with the windows, keep-alive and message limits of a link.
#[must_use]
pub fn server() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(15)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_concurrent_streams(1024)
        .tcp_nodelay(true)
}

#[cfg(test)]
mod tests;
