//! How many links stand, said once when it changes.

use crate::watch::Meters;
use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// The links of this process.
#[derive(Debug)]
pub(super) struct Standing {
    wanted: usize,
    meters: Meters,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    up: usize,
    /// why there is none, as said last
    said: Option<String>,
    ready: Option<oneshot::Sender<SocketAddr>>,
}

impl Standing {
    pub(super) fn new(wanted: usize, ready: Option<oneshot::Sender<SocketAddr>>, meters: Meters) -> Self {
        Self { wanted, meters, state: Mutex::new(State { up: 0, said: None, ready }) }
    }

    /// A link stands.
    pub(super) fn up(&self, hub: &runtime::peer::Peer, gateway: SocketAddr) {
        let mut state = self.lock();
        state.up += 1;
        self.meters.links(state.up);
        state.said = None;
        if state.up == 1 {
            tracing::info!(%hub, %gateway, wanted = self.wanted, "connected to the hub");
        } else {
            tracing::debug!(%gateway, up = state.up, "another link");
        }
        if let Some(ready) = state.ready.take() {
            // Nobody waits any more: nothing to tell.
            let _ = ready.send(gateway);
        }
    }

    /// A link is gone.
    pub(super) fn down(&self) {
        let mut state = self.lock();
        state.up = state.up.saturating_sub(1);
        self.meters.links(state.up);
        if state.up == 0 {
            tracing::warn!("the connection to the hub is gone: connecting again");
        }
    }

    /// A link can't be made.
    pub(super) fn failed(&self, why: &str) {
        let mut state = self.lock();
        if state.said.as_deref() != Some(why) {
            if state.up == 0 {
                tracing::warn!(reason = why, "can't connect to the hub: trying on");
            } else {
                tracing::info!(reason = why, up = state.up, "can't make another link to the hub: trying on");
            }
            state.said = Some(why.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
