//! One link: opened, served on, replaced when the certificate was renewed, opened again when it breaks.

use super::{backoff::Backoff, state::Standing};
use crate::receive::flight::Surface;
use arrow_flight::flight_service_server::FlightServiceServer;
use futures::{FutureExt, future::BoxFuture};
use runtime::{
    peer::Peer,
    tls::{self, Tls, Watch, link},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// The hub must begin to speak within this, or it has not taken the link.
const BEGIN: Duration = Duration::from_secs(10);
/// A link that stood for so long was a good one: what breaks it is news.
const GOOD: Duration = Duration::from_secs(10);
/// A replaced link goes on for this, so that the hub has found the new one before the old refuses questions.
const OVERLAP: Duration = Duration::from_secs(1);
/// Tries to replace a link before the old one is left as it is.
const TRIES: usize = 5;

/// What one link is made with.
pub(super) struct Connection {
    pub(super) gateway: String,
    pub(super) hub: Peer,
    pub(super) identity: watch::Receiver<Tls>,
    pub(super) patience: Duration,
    pub(super) service: FlightServiceServer<Surface>,
    pub(super) standing: Arc<Standing>,
    pub(super) shutdown: CancellationToken,
}

/// A link that stands.
struct Link {
    serving: BoxFuture<'static, ()>,
    drain: CancellationToken,
    watch: Watch,
    since: Instant,
}

impl Link {
    /// Takes no more questions and ends when those that run have ended.
    async fn finish(self) {
        self.drain.cancel();
        self.serving.await;
    }
}

impl Connection {
    /// Until shutdown, and then until what runs on the link has ended.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        let shutdown = self.shutdown.clone();
        loop {
            let made = tokio::select! {
                () = shutdown.cancelled() => return,
                made = self.open() => made,
            };
            match made {
                Ok(link) => {
                    let Some(since) = self.stand(link).await else { return };
                    if since.elapsed() > GOOD {
                        backoff.reset();
                    }
                }
                Err(why) => self.standing.failed(&why),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(backoff.pause()) => {}
            }
        }
    }

    /// Serves on a link, and on those that replace it, until it breaks (then since when it stood) or the end.
    async fn stand(&mut self, mut link: Link) -> Option<Instant> {
        let shutdown = self.shutdown.clone();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => {
                    link.finish().await;
                    return None;
                }
                () = link.watch.gone() => {
                    self.standing.down();
                    link.drain.cancel();
                    return Some(link.since);
                }
                changed = self.identity.changed() => match changed {
                    Ok(()) => {
                        if let Some(new) = self.replace().await {
                            let old = std::mem::replace(&mut link, new);
                            self.standing.down();
                            tokio::spawn(async move {
                                tokio::time::sleep(OVERLAP).await;
                                old.finish().await;
                            });
                        }
                    }
                    // Nobody renews any more: the process is ending.
                    Err(_) => {
                        self.shutdown.cancelled().await;
                    }
                },
            }
        }
    }

    async fn replace(&mut self) -> Option<Link> {
        let mut backoff = Backoff::default();
        for _ in 0..TRIES {
            match self.open().await {
                Ok(link) => return Some(link),
                Err(why) => self.standing.failed(&why),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = tokio::time::sleep(backoff.pause()) => {}
            }
        }
        None
    }

    async fn open(&mut self) -> Result<Link, String> {
        let tls = self.identity.borrow_and_update().clone();
        let mut conn = link::dial_link(&self.gateway, &self.hub, &tls)
            .await
            .map_err(|error| format!("{}: {error}", self.gateway))?;
        let address = conn.info().address.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        let watch = conn.watch();
        let drain = CancellationToken::new();
        let served = tls::server()
            .timeout(self.patience)
            .add_service(self.service.clone())
            .serve_with_incoming_shutdown(link::only(conn), drain.clone().cancelled_owned());
        let mut serving = served
            .map(|ended| {
                if let Err(error) = ended {
                    tracing::warn!(%error, "a link broke off");
                }
            })
            .boxed();
        // The hub has taken this side's certificate only when it speaks.
        tokio::select! {
            () = watch.heard() => {}
            () = watch.gone() => {
                return Err(format!(
                    "{} closed the link at once. Was this controller expelled, or is its certificate out of date? \
                     The hub's operator knows (hub admin controllers) and can give a new code (spoke join)",
                    self.gateway
                ));
            }
            () = &mut serving => return Err(format!("{}: the link could not be served on", self.gateway)),
            () = tokio::time::sleep(BEGIN) => {
                watch.cut();
                return Err(format!("{} took the link and then said nothing", self.gateway));
            }
        }
        self.standing.up(&self.hub, address);
        Ok(Link { serving, drain, watch, since: Instant::now() })
    }
}
