//! Metrics for Prometheus, over HTTP.
//!
//! INVARIANT: no metric has a user, a token or a value of the data in its labels, and none counts people: rows and bytes are
//! added up an answer at a time, each rounded up ([`super::spans::coarse`]).

use axum::{Router, http::header, response::IntoResponse, routing::get};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde::Deserialize;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Media type of the text format.
const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `[metrics]` of `hub.toml` and `spoke.toml`: where metrics are told. Nowhere, unless it says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// `ip:port` to listen on, such as `127.0.0.1:9464`; path `/metrics`
    pub listen: Option<SocketAddr>,
    /// whether that may be an address that others on the network reach; there is neither TLS nor a password
    pub network: bool,
}

/// Why metrics can't be told.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Others could read them.
    #[error(
        "[metrics] listen = \"{0}\" can be reached over the network, in clear and by everybody: listen on 127.0.0.1, or \
         write network = true beside it if that is meant"
    )]
    Network(SocketAddr),
    /// The address can't be used.
    #[error("[metrics] listen = \"{address}\": can't listen there: {source}. Is another process using it?")]
    Listen {
        /// which address
        address: SocketAddr,
        /// what the operating system said
        source: io::Error,
    },
}

/// Tells what is in `registry` to whoever asks, until `stop`; gives the address, or none when it isn't asked for.
/// `before` is called ahead of each answer, for what is looked up and not counted.
///
/// # Errors
/// When the address can't be used.
pub async fn serve(
    config: &MetricsConfig,
    registry: Registry,
    before: impl Fn() + Send + Sync + 'static,
    stop: CancellationToken,
) -> Result<Option<SocketAddr>, MetricsError> {
    let Some(address) = config.listen else { return Ok(None) };
    if !address.ip().is_loopback() && !config.network {
        return Err(MetricsError::Network(address));
    }
    let failed = |source| MetricsError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    let shared = Arc::new((registry, before));
    let answer = move || {
        let shared = Arc::clone(&shared);
        async move {
            let (registry, before) = &*shared;
            before();
            let mut text = String::new();
            match encode(&mut text, registry) {
                Ok(()) => ([(header::CONTENT_TYPE, TYPE)], text).into_response(),
                Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    let router = Router::new().route("/metrics", get(answer));
    tracing::info!(address = %at, "metrics can be scraped");
    tokio::spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "metrics can't be scraped any more");
        }
    });
    Ok(Some(at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn nobody_listens_unless_it_is_meant() {
        let serve = |listen: Option<&str>, network| {
            let config = MetricsConfig { listen: listen.map(|a| a.parse().unwrap()), network };
            async move { super::serve(&config, Registry::default(), || {}, CancellationToken::new()).await }
        };
        assert!(serve(None, false).await.unwrap().is_none());
        let refused = serve(Some("0.0.0.0:0"), false).await.unwrap_err().to_string();
        assert!(refused.contains("network = true"), "{refused}");
        assert!(serve(Some("127.0.0.1:0"), false).await.unwrap().is_some());
    }
}
