//! Something changed at a spoke: whoever reconciles looks there now and not only at the next round.

use proto::ids::ControllerId;
use tokio::sync::broadcast;

/// Nudges that may wait; whoever is slower loses the oldest and should look everywhere.
const QUEUE: usize = 256;

/// Where nudges come in and are listened to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Nudges(broadcast::Sender<ControllerId>);

impl Default for Nudges {
    fn default() -> Self {
        Self(broadcast::channel(QUEUE).0)
    }
}

impl Nudges {
    /// Something changed at this controller, or its spoke has just connected.
    pub fn nudge(&self, controller: &ControllerId) {
        // Nobody listening is fine: they look at the next round.
        let _ = self.0.send(controller.clone());
    }

    /// All nudges from now on. An answer `Lagged` means: look at every controller.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<ControllerId> {
        self.0.subscribe()
    }
}
