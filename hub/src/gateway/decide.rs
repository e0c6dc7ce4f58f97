//! Asks the policies whether a caller of the gateway may do what it wants.

use policies::authorize::{Action, Actor, Authorizer, ControllerState, PolicyProblem, Request, Resource};
use proto::ids::ControllerId;
use runtime::peer::{Peer, Role};
use std::sync::Arc;

/// The policies. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Decide(Arc<Authorizer>);

impl Decide {
    /// Reads the policies that are compiled in.
    ///
    /// # Errors
    /// When they don't fit together.
    pub(super) fn new() -> Result<Self, PolicyProblem> {
        Ok(Self(Arc::new(Authorizer::new()?)))
    }

    /// Whether whoever holds the code of `controller` may join as it.
    pub(super) fn join(&self, controller: &ControllerId) -> bool {
        self.ask(Actor::Invitee { controller }, Action::LinkJoin, controller, ControllerState::Invited)
    }

    /// Whether a spoke may do something for its own controller. `current`: its certificate counts.
    pub(super) fn own(&self, controller: &ControllerId, current: bool, action: Action) -> bool {
        let state = if current { ControllerState::Joined } else { ControllerState::Expelled };
        self.ask(Actor::Spoke { controller, current }, action, controller, state)
    }

    /// Whether this peer's call may be relayed to a controller.
    pub(super) fn relay(&self, peer: &Peer, to: &ControllerId) -> bool {
        let name = peer.name.as_str();
        let from = peer.name.parse::<ControllerId>().ok();
        let actor = match (peer.role, &from) {
            (Role::Hub, _) => Actor::HubProcess { name },
            (Role::Custodian, _) => Actor::Custodian { name, pinned: false },
            (Role::Spoke, Some(controller)) => Actor::Spoke { controller, current: true },
            (Role::Spoke, None) => Actor::Anonymous,
        };
        self.ask(actor, Action::LinkRelay, to, ControllerState::Joined)
    }

    fn ask(&self, actor: Actor<'_>, action: Action, controller: &ControllerId, state: ControllerState) -> bool {
        let request = Request::new(actor, action, Resource::Controller { id: controller, state });
        match self.0.decide(&request).or_denied() {
            Ok(()) => true,
            Err(denial) => {
                tracing::warn!(%controller, %denial, "refused at the gateway");
                false
            }
        }
    }
}
