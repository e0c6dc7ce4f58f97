//! What the rules say at this spoke: facts of the caller and of the own permits go in, Cedar decides. Who may come in at
//! all is asked by the certificate; what a call wants is asked again where it is answered, with the facts found there.
//!
//! INVARIANT: facts are this spoke's own: the certificate that TLS verified, the hub that its configuration names, the
//! permits that its approvers signed.

use policies::authorize::{Action, Actor, Authorizer, Denial, PolicyProblem, Request, Resource};
use proto::{
    envelope::{
        ACCEPTANCE_ACTION, CATALOGUE_ACTION, CHECKPOINT_ACTION, DECISIONS_ACTION, MAKE_EPOCH_ACTION, PART_ACTION,
        TAKE_EPOCH_ACTION,
    },
    ids::ControllerId,
};
use runtime::peer::{Peer, Role};
use std::sync::Arc;

/// Flight's calls and actions that a spoke answers, and what each asks of the golden matrix, in this order. In zone
/// `open` a question asks [`Action::SpokeScanOpen`] instead of [`Action::SpokeScanEnclave`], [`Action::SpokeScanChecked`] where the permit
/// lets only cells out that the spoke has checked, [`Action::SpokeScanBlind`] where nothing but blind totals, [`Action::SpokeScanQuick`] where it is one to count people without a project.
pub const ENDPOINTS: &[(&str, &[Action])] = &[
    ("do_get", &[Action::SpokeCall, Action::SpokeCatalogue, Action::SpokeScanEnclave]),
    (CATALOGUE_ACTION, &[Action::SpokeCall, Action::SpokeCatalogue]),
    (PART_ACTION, &[Action::SpokeCall, Action::SpokePart]),
    (DECISIONS_ACTION, &[Action::SpokeCall, Action::SpokeDecisions]),
    (ACCEPTANCE_ACTION, &[Action::SpokeCall, Action::SpokeAcceptance]),
    (MAKE_EPOCH_ACTION, &[Action::SpokeCall, Action::SpokeEpochMake]),
    (TAKE_EPOCH_ACTION, &[Action::SpokeCall, Action::SpokeEpochTake]),
    (CHECKPOINT_ACTION, &[Action::SpokeCall, Action::SpokeCheckpoint]),
];

/// The policies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rules(Arc<Authorizer>);

impl Rules {
    /// Those that are compiled in.
    ///
    /// # Errors
    /// When they don't fit together; the process must not start then.
    pub fn new() -> Result<Self, PolicyProblem> {
        Ok(Self(Arc::new(Authorizer::new()?)))
    }

    /// Others than those compiled in, to see what one of them is good for.
    #[cfg(test)]
    pub(crate) fn of(authorizer: Authorizer) -> Self {
        Self(Arc::new(authorizer))
    }

    /// May that be done?
    pub(crate) fn may(&self, request: &Request<'_>) -> Result<(), Denial> {
        self.0.decide(request).or_denied()
    }

    /// May this caller come in with a call? `hub`: the one that the configuration names.
    pub(crate) fn comes_in(&self, caller: Peer, hub: &Peer) -> Result<Guest, Denial> {
        let guest =
            Guest { pinned: caller == *hub, controller: caller.name.parse().ok(), peer: caller, rules: self.clone() };
        guest.may(Action::SpokeCall, Resource::System)?;
        Ok(guest)
    }
}

/// Somebody who came in with a call.
///
/// INVARIANT: made by [`Rules::comes_in`] alone, so that nothing of a call is looked at before its certificate.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    peer: Peer,
    pinned: bool,
    controller: Option<ControllerId>,
    rules: Rules,
}

impl Guest {
    /// May this caller do that?
    pub(crate) fn may(&self, action: Action, resource: Resource<'_>) -> Result<(), Denial> {
        let name = self.peer.name.as_str();
        let actor = match (self.peer.role, self.controller.as_ref()) {
            (Role::Hub, _) => Actor::Hub { name, pinned: self.pinned },
            (Role::Spoke, Some(controller)) => Actor::Spoke { controller, current: true },
            (Role::Custodian, _) => Actor::Custodian { name, pinned: false },
            (Role::Spoke, None) => Actor::Anonymous,
        };
        self.rules.may(&Request::new(actor, action, resource)).inspect_err(|denial| {
            tracing::warn!(peer = %self.peer, %denial, "refused a caller");
        })
    }
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
    fn only_the_configured_hub_comes_in() {
        let (rules, hub) = (Rules::new().unwrap(), named(Role::Hub, "hub"));
        let guest = rules.comes_in(hub.clone(), &hub).unwrap();
        guest.may(Action::SpokeDecisions, Resource::System).unwrap();
        guest.may(Action::SpokeCheckpoint, Resource::Audit).unwrap();
        for other in [named(Role::Hub, "other"), named(Role::Spoke, "hub"), named(Role::Custodian, "hub")] {
            assert!(rules.comes_in(other.clone(), &hub).is_err(), "{other}");
            // Nor could it do more if it had come in.
            let controller = other.name.parse().ok();
            let guest = Guest { peer: other, pinned: false, controller, rules: rules.clone() };
            assert!(guest.may(Action::SpokeDecisions, Resource::System).is_err());
            assert!(guest.may(Action::SpokeCheckpoint, Resource::Audit).is_err());
        }
    }

    #[test]
    fn every_call_of_the_link_has_a_row_in_the_golden_matrix() {
        let matrix = include_str!("../../policies/golden/matrix.txt");
        let names: BTreeSet<_> = ENDPOINTS.iter().map(|(name, _)| *name).collect();
        for (name, actions) in ENDPOINTS {
            for action in *actions {
                assert!(matrix.contains(&format!(" [{}]\n", action.name())), "{name}: {action} has no rows");
            }
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

    #[test]
    fn every_action_at_a_spoke_is_asked_by_a_call_but_key_lists_that_are_not_built() {
        let asked: BTreeSet<_> = ENDPOINTS.iter().flat_map(|(_, actions)| actions.iter().copied()).collect();
        let at_spokes =
            Action::ALL.iter().copied().filter(|action| action.party() == policies::authorize::Party::Spoke);
        let never: Vec<_> = at_spokes.filter(|action| !asked.contains(action)).collect();
        let others = [
            Action::SpokeScanOpen,
            Action::SpokeScanChecked,
            Action::SpokeScanBlind,
            Action::SpokeScanQuick,
            Action::SpokeKeyList,
        ];
        assert_eq!(never, others);
    }
}
