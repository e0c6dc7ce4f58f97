//! The first call of a newcomer: it has no certificate yet, and knows the authority by its fingerprint alone.

use super::{CALLS_PROTOCOL, EVERYTHING, HANDSHAKE, Peer, connect_with, link::link_channel, verify};
use rustls::{ClientConfig, version::TLS13};
use std::{io, sync::Arc};
use tonic::transport::Channel;

/// A channel to the gateway at `address` (`host:port`), on which `expect` has proved itself under the authority whose
/// certificate (DER) has this SHA-256. It is connected already: nothing was sent before the proof.
///
/// # Errors
/// When nobody or somebody else answers there.
pub async fn join_channel(address: &str, expect: &Peer, authority: [u8; 32]) -> io::Result<Channel> {
    crate::crypto::install();
    let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verify::PinnedServer::new(authority, expect.clone())))
        .with_no_client_auth();
    config.alpn_protocols = vec![CALLS_PROTOCOL.to_vec()];
    let connect = connect_with(address, config, expect, CALLS_PROTOCOL, EVERYTHING.get().cloned());
    let conn = tokio::time::timeout(HANDSHAKE, connect)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 s"))??;
    link_channel(conn).await.map_err(io::Error::other)
}
