//! Relays Flight calls of other hub processes (the workers of a large query) to a controller's link.
//!
//! Bodies and trailers pass as they are: nothing is decoded, and the caller's pace is the spoke's.
//!
//! INVARIANT: only a hub's certificate may; a spoke never reaches another spoke through here.

use super::decide::Decide;
use crate::registry::{Links, not_connected, unreachable};
use http::{Extensions, Request, Response};
use proto::{
    ids::ControllerId,
    refusal::{Kind, Refusal},
};
use runtime::tls::PeerInfo;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tonic::{Status, body::Body, server::NamedService};
use tower::{Service, ServiceExt};

/// Names the controller that a call is for.
const CONTROLLER: &str = "x-eger-controller";

/// The service that relays.
#[derive(Clone)]
pub(super) struct Relay(Arc<Links>, Decide);

impl Relay {
    pub(super) fn new(links: Arc<Links>, decide: Decide) -> Self {
        Self(links, decide)
    }
}

impl NamedService for Relay {
    const NAME: &'static str = "arrow.flight.protocol.FlightService";
}

impl Service<Request<Body>> for Relay {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (links, decide) = (Arc::clone(&self.0), self.1.clone());
        Box::pin(async move {
            Ok(relay(&links, &decide, request).await.unwrap_or_else(|refusal| Status::from(refusal).into_http()))
        })
    }
}

async fn relay(links: &Links, decide: &Decide, mut request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let peer = request.extensions().get::<PeerInfo>().and_then(|info| info.peer.clone());
    let peer = peer.ok_or_else(|| Refusal::new(Kind::Unauthenticated, "this needs a link certificate"))?;
    let controller = request.headers_mut().remove(CONTROLLER).and_then(|value| value.to_str().ok()?.parse().ok());
    let controller: ControllerId =
        controller.ok_or_else(|| Refusal::new(Kind::Invalid, format!("header {CONTROLLER} names no controller")))?;
    if !decide.relay(&peer, &controller) {
        return Err(Refusal::new(Kind::Denied, "only a hub's own processes may ask here"));
    }
    let link = links.reach(&controller).await.ok_or_else(|| not_connected(&controller))?;
    *request.extensions_mut() = Extensions::new();
    link.channel().oneshot(request).await.map_err(|error| {
        tracing::warn!(%controller, %error, "a relayed call found no way");
        unreachable(&controller)
    })
}
