//! What the rules say about a person at this hub: facts of the caller go in, Cedar decides.
//!
//! INVARIANT: nothing is decided here; a call that doesn't ask Cedar is missing from [`crate::endpoints`].

use crate::{config::Project, identify::Caller, plan::Manner, registry::Terms};
use policies::{
    authorize::{self, Action, Actor, PermitFacts, PermitState, ProjectState, Proof, Request, Resource, Whom},
    permit::{Output, User},
    zone::Zone,
};
use proto::{
    ids::ControllerId,
    refusal::{Kind, Refusal},
};

fn actor(caller: &Caller) -> Actor<'_> {
    let Caller { user, issuer, .. } = caller;
    Actor::Person { user, issuer, proof: Proof::Issuer, roles: &[], bound: None }
}

fn decide(caller: &Caller, action: Action, resource: Resource<'_>) -> Result<(), Refusal> {
    let request = Request::new(actor(caller), action, resource).in_zone(caller.zone);
    authorize::decide(&request).or_denied().map_err(|denial| {
        tracing::info!(user = %caller.user, token = %caller.token_id, %denial, "denied");
        Refusal::new(Kind::Denied, "you may not do that here; docs/permissions.md says who may do what")
    })
}

/// May everybody read what is published?
///
/// # Errors
/// When not.
pub(crate) fn published() -> Result<(), Refusal> {
    let request = Request::new(Actor::Anonymous, Action::PublishedRead, Resource::System).in_zone(Zone::Open);
    authorize::decide(&request).or_denied().map_err(|denial| {
        tracing::error!(%denial, "denied");
        Refusal::new(Kind::Denied, "this is not published")
    })
}

/// May the caller keep a session here?
///
/// # Errors
/// When not.
pub(crate) fn session(caller: &Caller) -> Result<(), Refusal> {
    decide(caller, Action::HubSession, Resource::System)
}

/// May the caller be told which projects are theirs?
///
/// # Errors
/// When not.
pub(crate) fn projects(caller: &Caller) -> Result<(), Refusal> {
    decide(caller, Action::HubProjectsList, Resource::System)
}

/// May the caller do `action` in `project`?
///
/// # Errors
/// When not.
pub(crate) fn project(caller: &Caller, action: Action, project: &Project) -> Result<(), Refusal> {
    let members: Vec<Whom<'_>> = project.members.iter().map(|m| (&m.user, m.issuer.as_str())).collect();
    // Only projects whose workspace is open are held at all.
    let resource = Resource::Project { id: &project.project, members, state: ProjectState::Open };
    decide(caller, action, resource)
}

/// May the caller's question about `project` be planned and answered in this manner?
///
/// # Errors
/// When not.
pub(crate) fn question(caller: &Caller, manner: Manner, of: &Project) -> Result<(), Refusal> {
    let action = match (manner, caller.zone) {
        (Manner::Explain | Manner::Release, _) => Action::HubExplain,
        (Manner::Answer | Manner::Analyze, zone) => asks(zone),
    };
    project(caller, action, of)
}

/// May the caller have people counted without a project?
pub(crate) fn count(caller: &Caller) -> Result<(), Refusal> {
    decide(caller, Action::HubCount, Resource::System)
}

/// May values of rows that were read under `terms` go to the spoke of `receiver`, in the caller's name?
pub(super) fn key_list(caller: &Caller, terms: &Terms, receiver: &ControllerId) -> bool {
    let user = User { user: caller.user.clone(), issuer: caller.issuer.clone() };
    // Of the controllers that the permit names, the one that is asked about: fifty make each decision several times as long.
    let named = terms.key_lists_to.iter().find(|named| *named == receiver);
    let facts = PermitFacts {
        // The spoke has told its terms to this caller, under a permit that counts.
        state: PermitState::Live,
        output: Some(if caller.zone == Zone::Enclave { Output::EnclaveRows } else { Output::HubAggregates }),
        users: std::slice::from_ref(&user),
        leads: false,
        client_signature: terms.client_signature,
        key_lists_to: named.map_or(&[], std::slice::from_ref),
        quick: false,
    };
    let request = Request::new(actor(caller), Action::SpokeKeyList, Resource::Permit(facts));
    authorize::decide(&request.in_zone(caller.zone).to(receiver)).or_denied().is_ok()
}

/// What a question is in a zone.
pub(crate) fn asks(zone: Zone) -> Action {
    match zone {
        Zone::Open => Action::HubQueryOpen,
        Zone::Enclave => Action::HubQueryEnclave,
    }
}

/// May the caller cancel a statement that this person runs?
pub(crate) fn may_cancel(caller: &Caller, owner: Whom<'_>) -> bool {
    decide(caller, Action::HubQueryCancel, Resource::Query { owner }).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn diabetes() -> Project {
        Project {
            project: "diabetes".parse().unwrap(),
            title: String::new(),
            members: [User { user: "anna".parse().unwrap(), issuer: "https://id.example.org".to_owned() }].into(),
            controllers: [].into(),
        }
    }

    #[test]
    fn members_ask_in_their_own_zone_and_nobody_else_asks() {
        let (anna, eve) = (Caller::for_tests("anna", Zone::Open), Caller::for_tests("eve", Zone::Open));
        session(&anna).unwrap();
        session(&eve).unwrap();
        for manner in [Manner::Answer, Manner::Explain, Manner::Analyze, Manner::Release] {
            question(&anna, manner, &diabetes()).unwrap();
            let refusal = question(&eve, manner, &diabetes()).unwrap_err();
            assert!(!refusal.message.contains("diabetes"), "{refusal}");
        }
        // A namesake for whom another issuer vouches is somebody else.
        let namesake =
            Caller { issuer: "https://elsewhere.example".to_owned(), ..Caller::for_tests("anna", Zone::Open) };
        assert!(question(&namesake, Manner::Answer, &diabetes()).is_err());
        assert!(project(&anna, Action::HubQueryEnclave, &diabetes()).is_err());
        let inside = Caller::for_tests("anna", Zone::Enclave);
        question(&inside, Manner::Answer, &diabetes()).unwrap();
    }

    #[test]
    fn statements_are_cancelled_by_their_own_people() {
        let anna = Caller::for_tests("anna", Zone::Open);
        assert!(may_cancel(&anna, (&anna.user, &anna.issuer)));
        assert!(!may_cancel(&anna, (&anna.user, "https://elsewhere.example")));
        assert!(!may_cancel(&anna, (&"bo".parse().unwrap(), &anna.issuer)));
    }
}
