//! The listeners that clients connect to: plain on loopback, TLS elsewhere.

use super::Listening;
use crate::config::{HubConfig, ServerTls};
use futures::{Stream, StreamExt, future, stream::BoxStream};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How long a client may take over its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes in progress at once.
const HANDSHAKES: usize = 64;

/// Why a listener can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address can't be used.
    #[error("{address}: can't listen there: {source}. Is another hub running?")]
    Address {
        /// which address
        address: SocketAddr,
        /// what the operating system said
        source: io::Error,
    },
    /// The server's certificate or key can't be used.
    #[error("{}: {message}", path.display())]
    Certificate {
        /// which file
        path: PathBuf,
        /// what is wrong
        message: String,
    },
}

pub(super) struct Listeners {
    pub(super) addresses: Listening,
    pub(super) open: BoxStream<'static, io::Result<Conn>>,
    pub(super) enclave: BoxStream<'static, io::Result<Conn>>,
    pub(super) api: Option<BoxStream<'static, io::Result<Conn>>>,
    pub(super) api_enclave: Option<BoxStream<'static, io::Result<Conn>>>,
}

/// Opens both.
pub(super) async fn open(config: &HubConfig) -> Result<Listeners, ListenError> {
    let listen = &config.listen;
    let acceptor = listen.tls.as_ref().map(|tls| acceptor_for(tls, &[b"h2"])).transpose()?;
    let (open, open_at) = bind(listen.open).await?;
    let (enclave, enclave_at) = bind(listen.enclave).await?;
    let http = async |address: Option<SocketAddr>| -> Result<_, ListenError> {
        let Some(address) = address else { return Ok((None, None)) };
        let acceptor = listen.tls.as_ref().map(|tls| acceptor_for(tls, &[b"h2", b"http/1.1"])).transpose()?;
        let (listener, at) = bind(address).await?;
        Ok((Some(incoming(listener, acceptor).boxed()), Some(at)))
    };
    let (api, api_at) = http(config.api.as_ref().map(|api| api.address)).await?;
    let (api_enclave, api_enclave_at) = http(config.api.as_ref().and_then(|api| api.enclave)).await?;
    Ok(Listeners {
        addresses: Listening {
            open: open_at,
            enclave: enclave_at,
            gateway: None,
            api: api_at,
            api_enclave: api_enclave_at,
            metrics: None,
        },
        api,
        api_enclave,
        open: incoming(open, acceptor.clone()).boxed(),
        enclave: incoming(enclave, acceptor).boxed(),
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let fail = |source| ListenError::Address { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let at = listener.local_addr().map_err(fail)?;
    Ok((listener, at))
}

fn acceptor_for(files: &ServerTls, protocols: &[&[u8]]) -> Result<TlsAcceptor, ListenError> {
    runtime::crypto::install();
    let bad = |path: &Path, message: String| ListenError::Certificate { path: path.to_owned(), message };
    let pem = std::fs::read(&files.cert).map_err(|e| bad(&files.cert, e.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(&files.cert, format!("no PEM certificate: {e}")))?;
    let secret = runtime::seal::read_private(&files.key).map_err(|e| bad(&files.key, e.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_slice(&secret).map_err(|e| bad(&files.key, format!("no PEM private key: {e}")))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| bad(&files.cert, format!("certificate and key can't be used together: {e}")))?;
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn incoming(listener: TcpListener, acceptor: Option<TlsAcceptor>) -> impl Stream<Item = io::Result<Conn>> {
    tokio_stream::wrappers::TcpListenerStream::new(listener)
        .map(move |tcp| {
            let acceptor = acceptor.clone();
            async move {
                match tokio::time::timeout(HANDSHAKE, accept(tcp, acceptor)).await {
                    Ok(Ok(conn)) => Some(Ok(conn)),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a client's connection failed");
                        None
                    }
                    Err(_) => None,
                }
            }
        })
        .buffer_unordered(HANDSHAKES)
        .filter_map(future::ready)
}

async fn accept(tcp: io::Result<TcpStream>, acceptor: Option<TlsAcceptor>) -> io::Result<Conn> {
    let tcp = tcp?;
    tcp.set_nodelay(true)?;
    let info = TcpConnectInfo { local_addr: tcp.local_addr().ok(), remote_addr: tcp.peer_addr().ok() };
    let stream = match acceptor {
        None => Wire::Plain(tcp),
        Some(acceptor) => Wire::Tls(Box::new(acceptor.accept(tcp).await?)),
    };
    Ok(Conn { stream, info })
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A client's connection.
pub(crate) struct Conn {
    stream: Wire,
    info: TcpConnectInfo,
}

impl Connected for Conn {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
