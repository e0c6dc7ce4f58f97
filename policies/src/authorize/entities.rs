//! Facts as Cedar's entities.
//!
//! INVARIANT: names that come from outside become ids of entities, never source text of Cedar.

use super::{Action, Actor, Request, Resource, facts::Whom};
use crate::permit::Output;
use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use proto::ids::{ControllerId, OrganisationId};
use std::collections::{HashMap, HashSet};

/// The kinds of entities, parsed once.
pub(super) struct Kinds {
    names: HashMap<&'static str, EntityTypeName>,
    actions: HashMap<Action, EntityUid>,
}

/// All kinds that the schema knows.
const KINDS: [&str; 30] = [
    "Proof",
    "Zone",
    "Role",
    "ProjectState",
    "ApplicationState",
    "AirlockState",
    "PartState",
    "PermitState",
    "Output",
    "ControllerState",
    "Anonymous",
    "Person",
    "Console",
    "Signer",
    "Invitee",
    "Hub",
    "HubProcess",
    "Spoke",
    "Custodian",
    "System",
    "Audit",
    "Organisation",
    "Controller",
    "Project",
    "Application",
    "Submission",
    "Token",
    "Query",
    "Part",
    "Permit",
];

/// Facts that can't be told to Cedar.
#[derive(Debug, thiserror::Error)]
#[error("the facts can't be told to Cedar: {0}")]
pub(super) struct Untold(String);

impl Untold {
    pub(super) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

type Attributes = HashMap<String, RestrictedExpression>;

impl Kinds {
    pub(super) fn new() -> Result<Self, Untold> {
        let mut names = HashMap::new();
        for kind in KINDS {
            names.insert(kind, format!("Eger::{kind}").parse().map_err(Untold::new)?);
        }
        let action: EntityTypeName = "Eger::Action".parse().map_err(Untold::new)?;
        let actions = Action::ALL
            .iter()
            .map(|&a| (a, EntityUid::from_type_name_and_id(action.clone(), EntityId::new(a.name()))))
            .collect();
        Ok(Self { names, actions })
    }

    pub(super) fn action(&self, action: Action) -> Result<EntityUid, Untold> {
        self.actions.get(&action).cloned().ok_or_else(|| Untold::new(action))
    }

    fn uid(&self, kind: &str, id: &str) -> Result<EntityUid, Untold> {
        let kind = self.names.get(kind).ok_or_else(|| Untold::new(kind))?;
        Ok(EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id)))
    }

    fn reference(&self, kind: &str, id: &str) -> Result<RestrictedExpression, Untold> {
        Ok(RestrictedExpression::new_entity_uid(self.uid(kind, id)?))
    }

    /// Neither part of the id can be confused with the other: a user id holds no space.
    fn person(&self, (user, issuer): Whom<'_>) -> Result<EntityUid, Untold> {
        self.uid("Person", &format!("{user} {issuer}"))
    }

    fn people<'a>(&self, whom: impl IntoIterator<Item = Whom<'a>>) -> Result<RestrictedExpression, Untold> {
        let people: Vec<_> = whom
            .into_iter()
            .map(|whom| Ok(RestrictedExpression::new_entity_uid(self.person(whom)?)))
            .collect::<Result<_, Untold>>()?;
        Ok(RestrictedExpression::new_set(people))
    }

    fn controllers<'a>(&self, ids: impl IntoIterator<Item = &'a ControllerId>) -> Result<RestrictedExpression, Untold> {
        let ids: Vec<_> =
            ids.into_iter().map(|id| self.reference("Controller", id.as_str())).collect::<Result<_, Untold>>()?;
        Ok(RestrictedExpression::new_set(ids))
    }

    fn organisations<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a OrganisationId>,
    ) -> Result<RestrictedExpression, Untold> {
        let ids: Vec<_> =
            ids.into_iter().map(|id| self.reference("Organisation", id.as_str())).collect::<Result<_, Untold>>()?;
        Ok(RestrictedExpression::new_set(ids))
    }

    /// Who asks.
    pub(super) fn principal(&self, actor: &Actor<'_>) -> Result<Entity, Untold> {
        let mut attributes = Attributes::new();
        let mut set = |name: &str, value| drop(attributes.insert(name.to_owned(), value));
        let uid = match actor {
            Actor::Anonymous => self.uid("Anonymous", "somebody")?,
            Actor::Person { user, issuer, proof, roles, bound } => {
                use super::HubRole::{Approver, Checker, Coordinator, Operator};
                set("proof", self.reference("Proof", proof.name())?);
                let names: HashSet<_> = roles
                    .iter()
                    .map(|role| match role {
                        Operator => "operator",
                        Coordinator => "coordinator",
                        Approver(_) => "approver",
                        Checker(_) => "checker",
                    })
                    .collect();
                let names: Vec<_> =
                    names.into_iter().map(|name| self.reference("Role", name)).collect::<Result<_, Untold>>()?;
                set("roles", RestrictedExpression::new_set(names));
                let approves = roles.iter().filter_map(|role| match role {
                    Approver(controller) => Some(controller),
                    Operator | Coordinator | Checker(_) => None,
                });
                set("approves", self.controllers(approves)?);
                let checks = roles.iter().filter_map(|role| match role {
                    Checker(organisation) => Some(organisation),
                    Operator | Coordinator | Approver(_) => None,
                });
                set("checks", self.organisations(checks)?);
                if let Some(project) = bound {
                    set("bound", self.reference("Project", project.as_str())?);
                }
                self.person((user, issuer))?
            }
            Actor::Console => self.uid("Console", "here")?,
            Actor::Signer { controller } => {
                set("controller", self.reference("Controller", controller.as_str())?);
                self.uid("Signer", controller.as_str())?
            }
            Actor::Invitee { controller } => {
                set("controller", self.reference("Controller", controller.as_str())?);
                self.uid("Invitee", controller.as_str())?
            }
            Actor::Hub { name, pinned } => {
                set("pinned", RestrictedExpression::new_bool(*pinned));
                self.uid("Hub", name)?
            }
            Actor::HubProcess { name } => self.uid("HubProcess", name)?,
            Actor::Spoke { controller, current } => {
                set("controller", self.reference("Controller", controller.as_str())?);
                set("current", RestrictedExpression::new_bool(*current));
                self.uid("Spoke", controller.as_str())?
            }
            Actor::Custodian { name, pinned } => {
                set("pinned", RestrictedExpression::new_bool(*pinned));
                self.uid("Custodian", name)?
            }
        };
        Entity::new(uid, attributes, HashSet::new()).map_err(Untold::new)
    }

    /// What is asked about.
    pub(super) fn resource(&self, resource: &Resource<'_>) -> Result<Entity, Untold> {
        let mut attributes = Attributes::new();
        let mut set = |name: &str, value| drop(attributes.insert(name.to_owned(), value));
        let uid = match resource {
            Resource::System => self.uid("System", "here")?,
            Resource::Audit => self.uid("Audit", "here")?,
            Resource::Controller { id, state } => {
                set("state", self.reference("ControllerState", state.name())?);
                self.uid("Controller", id.as_str())?
            }
            Resource::Project { id, members, state } => {
                set("members", self.people(members.iter().copied())?);
                set("state", self.reference("ProjectState", state.name())?);
                self.uid("Project", id.as_str())?
            }
            Resource::Application { id, owners, controllers, state } => {
                set("owners", self.people(owners.iter().copied())?);
                set("controllers", self.controllers(controllers.iter())?);
                set("state", self.reference("ApplicationState", state.name())?);
                self.uid("Application", id)?
            }
            Resource::Submission { id, project, members, involved, decided, state } => {
                set("project", self.reference("Project", project.as_str())?);
                set("members", self.people(members.iter().copied())?);
                set("involved", self.people(involved.iter().copied())?);
                set("decided", self.organisations(decided.iter())?);
                set("state", self.reference("AirlockState", state.name())?);
                self.uid("Submission", id)?
            }
            Resource::Token { owner } => {
                set("owner", RestrictedExpression::new_entity_uid(self.person(*owner)?));
                self.uid("Token", "this")?
            }
            Resource::Query { owner } => {
                set("owner", RestrictedExpression::new_entity_uid(self.person(*owner)?));
                self.uid("Query", "this")?
            }
            Resource::Part { own, state } => {
                set("own", RestrictedExpression::new_bool(*own));
                set("state", self.reference("PartState", state.name())?);
                self.uid("Part", "this")?
            }
            Resource::Permit(permit) => {
                let output = match permit.output {
                    None => "none",
                    Some(Output::SpokeAggregates) => "spoke_aggregates",
                    Some(Output::HubAggregates) => "hub_aggregates",
                    Some(Output::EnclaveRows) => "enclave_rows",
                };
                set("state", self.reference("PermitState", permit.state.name())?);
                set("output", self.reference("Output", output)?);
                set("users", self.people(permit.users.iter().map(|u| (&u.user, u.issuer.as_str())))?);
                set("leads", RestrictedExpression::new_bool(permit.leads));
                set("client_signature", RestrictedExpression::new_bool(permit.client_signature));
                set("key_lists_to", self.controllers(permit.key_lists_to)?);
                set("quick", RestrictedExpression::new_bool(permit.quick));
                self.uid("Permit", "this")?
            }
        };
        Entity::new(uid, attributes, HashSet::new()).map_err(Untold::new)
    }

    /// The circumstances that the action is decided by; one that wasn't stated is an error.
    pub(super) fn context(&self, request: &Request<'_>) -> Result<Context, Untold> {
        let circumstances = &request.circumstances;
        let unsaid = |what: &str| Untold(format!("'{}' is decided by the {what}, which wasn't stated", request.action));
        let fact = match request.action {
            Action::SpokeScanOpen | Action::SpokeScanEnclave | Action::SpokeScanChecked | Action::SpokeScanBlind => {
                Some(("signed", RestrictedExpression::new_bool(circumstances.signed)))
            }
            Action::SpokeKeyList => {
                let receiver = circumstances.receiver.ok_or_else(|| unsaid("receiver"))?;
                Some(("receiver", self.reference("Controller", receiver.as_str())?))
            }
            action if action.is_by_people() => {
                let zone = circumstances.zone.ok_or_else(|| unsaid("zone"))?;
                Some(("zone", self.reference("Zone", zone.name())?))
            }
            _ => None,
        };
        Context::from_pairs(fact.map(|(name, value)| (name.to_owned(), value))).map_err(Untold::new)
    }
}

impl Action {
    /// Whether people do it (and a zone belongs to it), rather than machines and signatures.
    fn is_by_people(self) -> bool {
        match self.party() {
            super::Party::Hub => !self.name().starts_with("link.") && self != Self::ApplicationDecide,
            super::Party::Spoke => matches!(self, Self::SpokeCatalogue | Self::SpokeScanQuick),
        }
    }
}
