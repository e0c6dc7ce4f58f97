//! Links that the spoke opens: one TLS connection with ALPN `eger-link/1`, on which the side that dialled is the HTTP/2
//! server and the side that accepted the client.

use super::{HANDSHAKE, LINK_PROTOCOL, Peer, Tls, TlsConn, connect_as, endpoint};
use futures::{Stream, StreamExt};
use hyper_util::rt::TokioIo;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tonic::transport::Channel;

/// Opens a link to `address` (`host:port`), if `expect` answers there. Who serves on it is told by its
/// [`super::Watch`] when the other side has taken this side's certificate.
///
/// # Errors
/// When nobody or somebody else answers there, or not in time.
pub async fn dial_link(address: &str, expect: &Peer, tls: &Tls) -> io::Result<TlsConn> {
    match tokio::time::timeout(HANDSHAKE, connect_as(address, expect, tls, LINK_PROTOCOL)).await {
        Ok(conn) => conn,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 s")),
    }
}

/// The connections that a server on `conn` takes: that one, and no end, so that the server waits for it.
pub fn only(conn: TlsConn) -> impl Stream<Item = io::Result<TlsConn>> {
    futures::stream::iter([Ok(conn)]).chain(futures::stream::pending())
}

/// A channel over an accepted link. It lives as long as the connection and never makes another.
///
/// # Errors
/// When the other side doesn't begin to speak HTTP/2.
pub async fn link_channel(conn: TlsConn) -> Result<Channel, tonic::transport::Error> {
    let once = Arc::new(Mutex::new(Some(conn)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let conn = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { conn.map(TokioIo::new).ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the link is gone")) }
    });
    endpoint().connect_with_connector(connector).await
}
