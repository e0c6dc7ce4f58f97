//! An established connection that knows its peer, can be watched and cut, and may be tapped by tests.

use super::{Direction, Tap, gate::Protocol, watch::Watch};
use crate::{ca::CertFacts, peer::Peer};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// A TLS connection; a peer, if it has one, proved who it is.
pub struct TlsConn {
    stream: TlsStream<TcpStream>,
    info: PeerInfo,
    protocol: Protocol,
    tap: Option<Arc<dyn Tap>>,
    watched: Option<Watched>,
}

/// Who is on the other side; tonic puts it into every request's extensions.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// the name from the peer's certificate; none when it showed none
    pub peer: Option<Peer>,
    /// that certificate, of a caller
    pub certificate: Option<Arc<CertFacts>>,
    /// where it calls from
    pub address: Option<SocketAddr>,
}

struct Watched {
    watch: Watch,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _gone: DropGuard,
}

impl TlsConn {
    pub(super) fn new(stream: TlsStream<TcpStream>, peer: Peer, tap: Option<Arc<dyn Tap>>) -> Self {
        let address = stream.get_ref().0.peer_addr().ok();
        let info = PeerInfo { peer: Some(peer), certificate: None, address };
        Self { stream, info, protocol: Protocol::Calls, tap, watched: None }
    }

    pub(super) fn accepted(
        stream: tokio_rustls::server::TlsStream<TcpStream>,
        facts: Option<CertFacts>,
        protocol: Protocol,
        tap: Option<Arc<dyn Tap>>,
    ) -> Self {
        let peer = facts.as_ref().and_then(|facts| facts.peer.clone());
        let address = stream.get_ref().0.peer_addr().ok();
        let info = PeerInfo { peer, certificate: facts.map(Arc::new), address };
        Self { stream: stream.into(), info, protocol, tap, watched: None }
    }

    /// Who is on the other side.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.info.peer.as_ref()
    }

    /// All that is known of the other side.
    #[must_use]
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// What the caller wants of this connection.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// A handle that outlives the connection's being given away.
    pub fn watch(&mut self) -> Watch {
        match &self.watched {
            Some(watched) => watched.watch.clone(),
            None => self.watch_until(&CancellationToken::new()),
        }
    }

    /// The same; cancelling `end` cuts the connection.
    pub(super) fn watch_until(&mut self, end: &CancellationToken) -> Watch {
        let (watch, gone) = Watch::new(end.child_token());
        let cut = Box::pin(watch.cut.clone().cancelled_owned());
        self.watched = Some(Watched { watch: watch.clone(), cut, _gone: gone });
        watch
    }

    /// An error when it was cut; otherwise the task is woken when it is. Asked before writing too: a peer that doesn't read keeps
    /// whoever drives the connection from reading.
    fn uncut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(watched) = &mut self.watched
            && watched.cut.as_mut().poll(cx).is_ready()
        {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the link was cut"));
        }
        Ok(())
    }
}

impl Connected for TlsConn {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.info.clone()
    }
}

/// Who sent a request, when it came over a connection of this module with a certificate.
#[must_use]
pub fn peer_of<T>(request: &tonic::Request<T>) -> Option<Peer> {
    request.extensions().get::<PeerInfo>().and_then(|info| info.peer.clone())
}

/// SHA-256 (hex) of the public key that the sender of a request proved to have.
#[must_use]
pub fn key_of<T>(request: &tonic::Request<T>) -> Option<Arc<str>> {
    let certificate = request.extensions().get::<PeerInfo>()?.certificate.as_ref()?;
    Some(certificate.key_digest.as_str().into())
}

impl AsyncRead for TlsConn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.uncut(cx)?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        if let Some(watched) = &self.watched
            && !new.is_empty()
        {
            watched.watch.note();
        }
        if let Some(tap) = &self.tap {
            tap.bytes(Direction::Received, new);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsConn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.uncut(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if let Some(tap) = &self.tap {
            tap.bytes(Direction::Sent, &bytes[..written]);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.uncut(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        if let Some(tap) = &self.tap {
            let mut left = written;
            for part in bufs {
                let here = left.min(part.len());
                tap.bytes(Direction::Sent, &part[..here]);
                left -= here;
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.uncut(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.uncut(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
