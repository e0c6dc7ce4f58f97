//! One lazily connected, mutually authenticated channel to each spoke.

use crate::config::SpokeAddress;
use proto::ids::ControllerId;
use runtime::{
    peer::{Peer, PeerError},
    tls::Tls,
};
use std::collections::BTreeMap;
use tonic::transport::Channel;

/// The way to one spoke.
#[derive(Debug, Clone)]
pub struct Link(Channel);

impl Link {
    /// A channel, which connects when it is used and again after a loss.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.0.clone()
    }
}

/// The ways to all spokes.
#[derive(Debug, Default)]
pub struct Links(BTreeMap<ControllerId, Link>);

impl Links {
    /// Prepares a channel to each spoke; nothing is connected yet. Whoever answers must be `eger://spoke/CONTROLLER`.
    ///
    /// # Errors
    /// When a controller's name can't be a peer's name.
    pub fn new(spokes: &BTreeMap<ControllerId, SpokeAddress>, tls: &Tls) -> Result<Self, PeerError> {
        spokes
            .iter()
            .map(|(controller, spoke)| {
                let peer = Peer::spoke(controller.as_ref())?;
                Ok((controller.clone(), Link(runtime::tls::channel(&spoke.address, peer, tls))))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The way to a controller's spoke.
    #[must_use]
    pub fn get(&self, controller: &ControllerId) -> Option<&Link> {
        self.0.get(controller)
    }
}
