//! Serves the API over connections that the listener has accepted.

use super::Problem;
use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at once.
const CONNECTIONS: usize = 512;
/// A call is answered within this.
const CALL: Duration = Duration::from_secs(30);
/// A client may take so long to send a call's head.
const HEAD: Duration = Duration::from_secs(15);
/// A connection lives so long at most.
const LIFE: Duration = Duration::from_secs(3600);

/// Serves until `shutdown`.
pub async fn serve<C>(incoming: impl Stream<Item = io::Result<C>> + Send, router: Router, shutdown: CancellationToken)
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let router = router.layer(middleware::from_fn(within));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let running = TaskTracker::new();
    let mut incoming = pin!(incoming);
    loop {
        let next = tokio::select! {
            () = shutdown.cancelled() => break,
            next = incoming.next() => next,
        };
        let Some(accepted) = next else { break };
        let Ok(connection) = accepted else { continue };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("too many connections to the API: one is closed");
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let end = shutdown.clone();
        running.spawn(async move {
            let _place = place;
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
            let connection = builder.serve_connection(TokioIo::new(connection), service);
            tokio::select! {
                served = tokio::time::timeout(LIFE, connection) => {
                    if let Ok(Err(error)) = served {
                        tracing::debug!(%error, "a connection to the API ended");
                    }
                }
                () = end.cancelled() => {}
            }
        });
    }
    running.close();
    running.wait().await;
}

async fn within(request: Request, next: Next) -> Response {
    match tokio::time::timeout(CALL, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::late().into_response(),
    }
}
