//! Who may come in at this spoke at all, by its certificate. What a person may have under a permit is decided at admission.
//!
//! INVARIANT: facts are this spoke's own: the certificate that TLS verified, the hub that its configuration names.

use policies::authorize::{self, Action, Actor, Denial, Request, Resource};
use proto::{
    envelope::{
        ACCEPTANCE_ACTION, CATALOGUE_ACTION, CHECKPOINT_ACTION, DECISIONS_ACTION, MAKE_EPOCH_ACTION, PART_ACTION,
        TAKE_EPOCH_ACTION,
    },
    ids::ControllerId,
};
use runtime::peer::{Peer, Role};

/// Flight's calls and actions that a spoke answers, and by which action of the golden matrix.
pub const ENDPOINTS: &[(&str, Action)] = &[
    ("do_get", Action::SpokeQuestion),
    (CATALOGUE_ACTION, Action::SpokeQuestion),
    (PART_ACTION, Action::SpokePart),
    (DECISIONS_ACTION, Action::SpokeDecisions),
    (ACCEPTANCE_ACTION, Action::SpokeAcceptance),
    (MAKE_EPOCH_ACTION, Action::SpokeEpochMake),
    (TAKE_EPOCH_ACTION, Action::SpokeEpochTake),
    (CHECKPOINT_ACTION, Action::SpokeCheckpoint),
];

/// `hub`: the one that the configuration names.
fn peer(caller: &Peer, hub: &Peer, action: Action, resource: Resource<'_>) -> Result<(), Denial> {
    let controller: Option<ControllerId> = caller.name.parse().ok();
    let actor = match (caller.role, controller.as_ref()) {
        (Role::Hub, _) => Actor::Hub { name: &caller.name, pinned: caller == hub },
        (Role::Spoke, Some(controller)) => Actor::Spoke { controller, current: true },
        (Role::Custodian, _) => Actor::Custodian { name: &caller.name, pinned: false },
        _ => Actor::Anonymous,
    };
    authorize::decide(&Request::new(actor, action, resource)).or_denied()
}

/// May this caller come in with a call of this kind? Of parts and project keys more is asked where they are looked at.
pub(crate) fn comes_in(caller: &Peer, hub: &Peer, kind: &str) -> Result<(), Denial> {
    let (action, resource) = match kind {
        CHECKPOINT_ACTION => (Action::SpokeCheckpoint, Resource::Audit),
        DECISIONS_ACTION => (Action::SpokeDecisions, Resource::System),
        _ => (Action::SpokeQuestion, Resource::System),
    };
    peer(caller, hub, action, resource)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    fn named(role: Role, name: &str) -> Peer {
        Peer { role, name: name.to_owned() }
    }

    #[test]
    fn only_the_configured_hub_may_put_questions() {
        let hub = named(Role::Hub, "hub");
        let calls = ENDPOINTS.iter().map(|(name, _)| *name).chain(["", "eger.v1.everything"]);
        for kind in calls {
            comes_in(&hub, &hub, kind).unwrap();
            for other in [named(Role::Hub, "other"), named(Role::Spoke, "hub"), named(Role::Custodian, "hub")] {
                assert!(comes_in(&other, &hub, kind).is_err(), "{kind} by {other}");
            }
        }
    }

    #[test]
    fn every_call_of_the_link_has_a_row_in_the_golden_matrix() {
        let matrix = include_str!("../../policies/golden/matrix.txt");
        let names: BTreeSet<_> = ENDPOINTS.iter().map(|(name, _)| *name).collect();
        for (name, action) in ENDPOINTS {
            assert!(matrix.contains(&format!(" [{}]\n", action.name())), "{name}: {action} has no rows");
        }
        // Each action of the wire contract, as its source lists them.
        let contract = include_str!("../../proto/src/envelope.rs");
        let contract = [contract, include_str!("../../proto/src/lib.rs")].concat();
        for kind in contract.split("_ACTION: &str = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(names.contains(kind), "{kind} has no row in ENDPOINTS");
        }
        // And every call of Flight that does anything is one of these.
        let surface = include_str!("receive/flight.rs");
        let calls = surface.split("async fn ").skip(1).filter(|call| !call.contains("self.nothing(&request)"));
        let calls: BTreeSet<_> = calls.filter_map(|call| call.split('(').next()).collect();
        assert_eq!(calls.difference(&names).copied().collect::<Vec<_>>(), ["answer", "do_action"]);
    }
}
