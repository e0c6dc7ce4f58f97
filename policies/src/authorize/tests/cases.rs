//! Who is tried, and in which situations, for the golden matrix.

use super::*;
use crate::permit::{Output, User};
use proto::ids::{ControllerId, OrganisationId, ProjectId, UserId};

/// The names that the requests point to.
pub(super) struct World {
    anna: UserId,
    bo: UserId,
    dst: ControllerId,
    sds: ControllerId,
    other: ControllerId,
    both: Vec<ControllerId>,
    diabetes: ProjectId,
    cancer: ProjectId,
    users: Vec<User>,
    operator: Vec<HubRole>,
    coordinator: Vec<HubRole>,
    approver: Vec<HubRole>,
    other_approver: Vec<HubRole>,
    checker: Vec<HubRole>,
    decided_checker: Vec<HubRole>,
    decided: Vec<OrganisationId>,
}

const ISSUER: &str = "https://id.example.org";

impl World {
    pub(super) fn new() -> Self {
        let (dst, sds): (ControllerId, ControllerId) = ("dst".parse().unwrap(), "sds".parse().unwrap());
        Self {
            anna: anna(),
            bo: "bo@example.org".parse().unwrap(),
            both: vec![dst.clone(), sds.clone()],
            diabetes: "diabetes".parse().unwrap(),
            cancer: "cancer".parse().unwrap(),
            users: vec![User { user: anna(), issuer: ISSUER.to_owned() }],
            operator: vec![HubRole::Operator],
            coordinator: vec![HubRole::Coordinator],
            approver: vec![HubRole::Approver(dst.clone())],
            other_approver: vec![HubRole::Approver("region-h".parse().unwrap())],
            checker: vec![HubRole::Checker("ssi".parse().unwrap())],
            decided_checker: vec![HubRole::Checker("ku".parse().unwrap())],
            decided: vec!["ku".parse().unwrap()],
            other: "region-h".parse().unwrap(),
            dst,
            sds,
        }
    }

    /// Everybody who is tried, by the name in the matrix.
    pub(super) fn roles(&self) -> Vec<(&'static str, Actor<'_>)> {
        let person = |user, issuer, proof, roles, bound| Actor::Person { user, issuer, proof, roles, bound };
        let (anna, bo) = (&self.anna, &self.bo);
        vec![
            ("anybody, not signed in", Actor::Anonymous),
            ("named person", person(anna, ISSUER, Proof::Issuer, &[], None)),
            (
                "named person, token bound to this project",
                person(anna, ISSUER, Proof::Issuer, &[], Some(&self.diabetes)),
            ),
            (
                "named person, token bound to another project",
                person(anna, ISSUER, Proof::Issuer, &[], Some(&self.cancer)),
            ),
            ("named person, personal token", person(anna, ISSUER, Proof::Personal, &[], None)),
            ("same name, other issuer", person(anna, "https://elsewhere.example", Proof::Issuer, &[], None)),
            ("other person", person(bo, ISSUER, Proof::Issuer, &[], None)),
            ("other person, personal token", person(bo, ISSUER, Proof::Personal, &[], None)),
            ("operator", person(bo, ISSUER, Proof::Issuer, &self.operator, None)),
            ("operator, personal token", person(bo, ISSUER, Proof::Personal, &self.operator, None)),
            ("coordinator (data access body)", person(bo, ISSUER, Proof::Issuer, &self.coordinator, None)),
            ("approver of the controller", person(bo, ISSUER, Proof::Issuer, &self.approver, None)),
            ("approver of another controller", person(bo, ISSUER, Proof::Issuer, &self.other_approver, None)),
            ("checker", person(bo, ISSUER, Proof::Issuer, &self.checker, None)),
            ("checker, personal token", person(bo, ISSUER, Proof::Personal, &self.checker, None)),
            ("checker of the organisation 'ku'", person(bo, ISSUER, Proof::Issuer, &self.decided_checker, None)),
            ("named person, who is a checker", person(anna, ISSUER, Proof::Issuer, &self.checker, None)),
            ("command on the hub's machine", Actor::Console),
            ("the controller's approver, by signature", Actor::Signer { controller: &self.dst }),
            ("another controller's approver, by signature", Actor::Signer { controller: &self.other }),
            ("holder of the controller's code", Actor::Invitee { controller: &self.dst }),
            ("holder of another controller's code", Actor::Invitee { controller: &self.sds }),
            ("own hub", Actor::Hub { name: "hub", pinned: true }),
            ("another hub", Actor::Hub { name: "other", pinned: false }),
            ("another process of the hub", Actor::HubProcess { name: "executor" }),
            ("the controller's spoke", Actor::Spoke { controller: &self.dst, current: true }),
            ("the controller's spoke, before its expulsion", Actor::Spoke { controller: &self.dst, current: false }),
            ("another controller's spoke", Actor::Spoke { controller: &self.sds, current: true }),
            ("custodian", Actor::Custodian { name: "custodian", pinned: true }),
        ]
    }

    fn permit(&self, state: PermitState, output: Output) -> PermitFacts<'_> {
        if state == PermitState::None {
            return PermitFacts::none();
        }
        PermitFacts {
            state,
            output: Some(output),
            users: &self.users,
            leads: true,
            client_signature: false,
            key_lists_to: std::slice::from_ref(&self.sds),
            quick: false,
        }
    }

    /// A standing permit for quick tests; `users`: what its form doesn't allow.
    fn quick<'a>(&'a self, state: PermitState, users: &'a [User]) -> PermitFacts<'a> {
        let quick = true;
        PermitFacts { users, key_lists_to: &[], quick, ..self.permit(state, Output::HubAggregates) }
    }

    /// The situations that make sense for an action, by the name in the matrix.
    pub(super) fn situations(&self, action: Action) -> Vec<(String, Resource<'_>, Circumstances<'_>)> {
        use Action as A;
        let zone = |zone| Circumstances { zone: Some(zone), ..Circumstances::default() };
        let open = zone(Zone::Open);
        let machine = Circumstances::default();
        let anna = (&self.anna, ISSUER);
        let one = |resource, circumstances| vec![("always".to_owned(), resource, circumstances)];
        let in_zones = |resource: Resource<'static>| {
            [("open zone", Zone::Open), ("enclave", Zone::Enclave)]
                .map(|(name, z)| (name.to_owned(), resource.clone(), zone(z)))
                .to_vec()
        };
        let application =
            |state| Resource::Application { id: "application", owners: vec![anna], controllers: &self.both, state };
        let permits = |circumstances: Circumstances<'static>| {
            let all = PermitState::ALL.iter();
            all.map(|&s| (s.name().to_owned(), Resource::Permit(self.permit(s, Output::HubAggregates)), circumstances))
                .collect::<Vec<_>>()
        };
        match action {
            A::HubCount | A::HubSession | A::HubProjectsList | A::PublishedRead | A::ApplicationSubmit => {
                in_zones(Resource::System)
            }
            A::HubCatalogue | A::HubExplain | A::HubQueryOpen | A::HubQueryEnclave => self.projects(),
            A::AirlockSubmit | A::AirlockAnswer => self.projects(),
            A::AirlockStatus
            | A::AirlockRead
            | A::AirlockChange
            | A::AirlockWithdraw
            | A::AirlockRelease
            | A::AirlockExamine
            | A::AirlockReview => self.submissions(),
            A::HubQueryCancel => one(Resource::Query { owner: anna }, open),
            A::ApplicationRead
            | A::ApplicationEvents
            | A::ApplicationAmend
            | A::ApplicationWithdraw
            | A::ApplicationExtend => {
                let mut all: Vec<_> = ApplicationState::ALL
                    .iter()
                    .map(|&state| (state.name().to_owned(), application(state), open))
                    .collect();
                let enclave = ("processing, from the enclave".to_owned(), application(ApplicationState::Processing));
                all.push((enclave.0, enclave.1, zone(Zone::Enclave)));
                all
            }
            A::ApplicationDecide => ApplicationState::ALL
                .iter()
                .map(|&state| (state.name().to_owned(), application(state), machine))
                .collect(),
            A::TokenCreate | A::TokenList | A::TokenRevoke => {
                let token = || Resource::Token { owner: anna };
                vec![
                    ("the named person's token".to_owned(), token(), open),
                    ("the same, from the enclave".to_owned(), token(), zone(Zone::Enclave)),
                ]
            }
            A::ControllersList => one(Resource::System, open),
            A::ControllerInvite | A::ControllerExpel | A::ControllerApprover => self.controllers(open),
            A::HubAuditRead => one(Resource::Audit, open),
            A::LinkJoin | A::LinkOpen | A::LinkRenew | A::LinkNudge | A::LinkPurge | A::LinkRelay => {
                self.controllers(machine)
            }
            A::SpokeCall | A::SpokeDecisions => one(Resource::System, machine),
            A::SpokeCheckpoint => one(Resource::Audit, machine),
            A::SpokePart => [("this controller's", true), ("another controller's", false)]
                .into_iter()
                .flat_map(|(whose, own)| {
                    PartState::ALL.iter().map(move |&state| {
                        (format!("{whose}: {}", state.name()), Resource::Part { own, state }, machine)
                    })
                })
                .collect(),
            A::SpokeAcceptance | A::SpokeEpochTake => permits(machine),
            A::SpokeEpochMake => {
                let mut all = permits(machine);
                let facts = PermitFacts { leads: false, ..self.permit(PermitState::Live, Output::HubAggregates) };
                all.push(("live, neither lead nor deputy".to_owned(), Resource::Permit(facts), machine));
                all
            }
            A::SpokeCatalogue | A::SpokeScanQuick => {
                let places = [("open zone", zone(Zone::Open)), ("enclave", zone(Zone::Enclave))];
                let mut all = self.outputs(&places);
                for (place, circumstances) in places {
                    for &state in PermitState::ALL.iter().filter(|state| **state != PermitState::None) {
                        let facts = self.quick(state, &[]);
                        let name = format!("{place}: {}, for quick tests", state.name());
                        all.push((name, Resource::Permit(facts), circumstances));
                    }
                }
                all
            }
            A::SpokeScanOpen | A::SpokeScanEnclave | A::SpokeScanChecked | A::SpokeScanBlind => {
                let signed = Circumstances { signed: true, ..machine };
                let mut all = self.outputs(&[("", machine)]);
                let output = Output::EnclaveRows;
                for (name, circumstances) in [("signed", signed), ("not signed", machine)] {
                    let facts = PermitFacts { client_signature: true, ..self.permit(PermitState::Live, output) };
                    let name = format!("live, enclave_rows, demands a signature: {name}");
                    all.push((name, Resource::Permit(facts), circumstances));
                }
                let facts = self.quick(PermitState::Live, &self.users);
                all.push((
                    "live, for quick tests, though it names people".to_owned(),
                    Resource::Permit(facts),
                    machine,
                ));
                all
            }
            A::SpokeKeyList => {
                let to = |receiver| Circumstances { receiver: Some(receiver), ..machine };
                let mut all: Vec<_> = Vec::new();
                for (whom, receiver) in [("to a named controller", &self.sds), ("to another controller", &self.dst)] {
                    for &state in PermitState::ALL {
                        let permit = Resource::Permit(self.permit(state, Output::HubAggregates));
                        all.push((format!("{whom}: {}", state.name()), permit, to(receiver)));
                    }
                }
                all
            }
        }
    }

    /// Every state of a project, in both zones.
    fn projects(&self) -> Vec<(String, Resource<'_>, Circumstances<'_>)> {
        let places = [("open zone", Zone::Open), ("enclave", Zone::Enclave)];
        let all = places.into_iter().flat_map(|(place, zone)| {
            ProjectState::ALL.iter().map(move |&state| {
                let resource = Resource::Project { id: &self.diabetes, members: vec![(&self.anna, ISSUER)], state };
                let circumstances = Circumstances { zone: Some(zone), ..Circumstances::default() };
                (format!("{place}: project {}", state.name()), resource, circumstances)
            })
        });
        all.collect()
    }

    /// Every state of a submission that an organisation has decided on, in both zones; and one whose submitter has left the
    /// project.
    fn submissions(&self) -> Vec<(String, Resource<'_>, Circumstances<'_>)> {
        let anna = (&self.anna, ISSUER);
        let of = |state, members| Resource::Submission {
            id: "submission",
            project: &self.diabetes,
            members,
            involved: vec![anna],
            decided: &self.decided,
            state,
        };
        let mut all = Vec::new();
        for (place, zone) in [("open zone", Zone::Open), ("enclave", Zone::Enclave)] {
            let circumstances = Circumstances { zone: Some(zone), ..Circumstances::default() };
            for &state in AirlockState::ALL {
                all.push((
                    format!("{place}: {}, 'ku' has decided", state.name()),
                    of(state, vec![anna]),
                    circumstances,
                ));
            }
            let left = format!("{place}: under_review, named person has left the project");
            all.push((left, of(AirlockState::UnderReview, Vec::new()), circumstances));
        }
        all
    }

    fn controllers<'a>(&'a self, circumstances: Circumstances<'a>) -> Vec<(String, Resource<'a>, Circumstances<'a>)> {
        ControllerState::ALL
            .iter()
            .map(|&state| (state.name().to_owned(), Resource::Controller { id: &self.dst, state }, circumstances))
            .collect()
    }

    /// Every state of a permit with every output.
    fn outputs<'a>(&'a self, places: &[(&str, Circumstances<'a>)]) -> Vec<(String, Resource<'a>, Circumstances<'a>)> {
        let mut all = Vec::new();
        for (place, circumstances) in places {
            let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
            for &state in PermitState::ALL {
                if state == PermitState::None {
                    all.push((format!("{place}none"), Resource::Permit(PermitFacts::none()), *circumstances));
                    continue;
                }
                for (output, name) in [
                    (Output::SpokeAggregates, "spoke_aggregates"),
                    (Output::HubAggregates, "hub_aggregates"),
                    (Output::EnclaveRows, "enclave_rows"),
                ] {
                    let permit = Resource::Permit(self.permit(state, output));
                    all.push((format!("{place}{}, {name}", state.name()), permit, *circumstances));
                }
            }
        }
        all
    }
}
