//! An established connection that knows its peer and may be tapped by tests.

use super::{Direction, Tap};
use crate::peer::Peer;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;
use tonic::transport::server::Connected;

/// A TLS connection with a peer that proved who it is.
pub struct TlsConn {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    tap: Option<Arc<dyn Tap>>,
}

/// Who is on the other side; tonic puts it into every request's extensions.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// the name from the peer's certificate
    pub peer: Peer,
}

impl TlsConn {
    pub(super) fn new(stream: TlsStream<TcpStream>, peer: Peer, tap: Option<Arc<dyn Tap>>) -> Self {
        Self { stream, peer, tap }
    }

    /// Who is on the other side.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Connected for TlsConn {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        PeerInfo { peer: self.peer.clone() }
    }
}

/// Who sent a request, when it came over a connection of [`super::incoming`].
#[must_use]
pub fn peer_of<T>(request: &tonic::Request<T>) -> Option<Peer> {
    request.extensions().get::<PeerInfo>().map(|info| info.peer.clone())
}

impl AsyncRead for TlsConn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(tap) = &self.tap {
            tap.bytes(Direction::Received, &buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsConn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
