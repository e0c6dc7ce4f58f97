//! What becomes of an accepted connection: a link goes to the registry, one for calls to the server.
//!
//! INVARIANT: a connection without a certificate has a short life, and a spoke's link is used only after it was
//! admitted and has spoken.

use super::{Enrolment, Nudges, decide::Decide};
use crate::registry::Links;
use futures::Stream;
use policies::authorize::Action;
use proto::ids::ControllerId;
use runtime::{
    peer::Role,
    tls::{Protocol, TlsConn, link::link_channel},
};
use std::{io, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc};

/// How long a spoke may take to begin to serve on its link.
const BEGIN: Duration = Duration::from_secs(10);
/// How long a connection without a certificate lives: enough for a newcomer's one call.
const NEWCOMER: Duration = Duration::from_secs(30);
/// Connections without a certificate at once.
const NEWCOMERS: usize = 512;
/// Connections for calls that wait for the server.
const QUEUE: usize = 64;

/// Puts links into use and passes connections for calls on.
pub(super) fn sort(
    mut accepted: mpsc::Receiver<TlsConn>,
    links: Arc<Links>,
    enrolment: Enrolment,
    nudges: Nudges,
    decide: Decide,
) -> impl Stream<Item = io::Result<TlsConn>> {
    let (sender, calls) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let newcomers = Arc::new(Semaphore::new(NEWCOMERS));
        while let Some(mut conn) = accepted.recv().await {
            match conn.protocol() {
                Protocol::Link => {
                    tokio::spawn(link(conn, Arc::clone(&links), enrolment.clone(), nudges.clone(), decide.clone()));
                }
                Protocol::Calls => {
                    if conn.peer().is_none() {
                        let Ok(place) = Arc::clone(&newcomers).try_acquire_owned() else {
                            tracing::warn!("refused a newcomer: too many at once");
                            continue;
                        };
                        let watch = conn.watch();
                        tokio::spawn(async move {
                            let _ = tokio::time::timeout(NEWCOMER, watch.gone()).await;
                            watch.cut();
                            watch.gone().await;
                            drop(place);
                        });
                    }
                    if sender.send(Ok(conn)).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(calls)
}

async fn link(mut conn: TlsConn, links: Arc<Links>, enrolment: Enrolment, nudges: Nudges, decide: Decide) {
    let from = conn.info().address.map(tracing::field::display);
    let (Some(peer), Some(certificate)) = (conn.peer().cloned(), conn.info().certificate.clone()) else {
        tracing::warn!(from, "refused a link without a certificate");
        return;
    };
    let controller = match (peer.role, peer.name.parse::<ControllerId>()) {
        (Role::Spoke, Ok(controller)) => controller,
        _ => {
            tracing::warn!(%peer, from, "refused a link: only a spoke opens one");
            return;
        }
    };
    match enrolment.admits(&controller, &certificate.fingerprint).await {
        Ok(current) if decide.own(&controller, current, Action::LinkOpen) => {}
        Ok(_) => {
            tracing::warn!(%controller, from, "refused a link: this certificate doesn't count any more");
            return;
        }
        Err(error) => {
            tracing::error!(%controller, %error, "refused a link");
            return;
        }
    }
    let watch = conn.watch();
    let begun = async {
        let channel = link_channel(conn).await.map_err(|error| error.to_string())?;
        tokio::select! {
            () = watch.heard() => Ok(channel),
            () = watch.gone() => Err("it was closed".to_owned()),
        }
    };
    let channel = match tokio::time::timeout(BEGIN, begun).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(error)) => {
            tracing::info!(%controller, error, "a link did not come to stand");
            return;
        }
        Err(_) => {
            tracing::warn!(%controller, "cut a link: its spoke says nothing");
            watch.cut();
            return;
        }
    };
    let id = links.add(&controller, channel, certificate, watch.clone());
    tracing::info!(%controller, from, link = id, "a spoke has connected");
    nudges.nudge(&controller);
    watch.gone().await;
    let left = links.remove(&controller, id);
    tracing::info!(%controller, link = id, left, "a link ended");
}
