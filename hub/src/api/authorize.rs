//! Who calls, and whether they may.
//!
//! INVARIANT: what exists and isn't the caller's gets the answer of what doesn't exist.

use super::{Api, Problem};
use crate::apply::{Actor as Doer, Record};
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use policies::{
    authorize::{Action, Actor, HubRole, Proof, Request, Resource},
    zone::Zone,
};
use proto::ids::{ControllerId, ProjectId, UserId};

/// Stands where an issuer would, for personal access tokens: this hub itself vouches.
const HERE: &str = "";

/// Someone who proved who they are.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) user: UserId,
    /// none with a personal access token
    pub(super) issuer: Option<String>,
    /// a personal access token is all that was shown
    personal: bool,
    bound: Option<ProjectId>,
    roles: Vec<HubRole>,
}

impl FromRequestParts<Api> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        let caller = api.0.identify.api_caller(header).await?;
        let roles = api
            .0
            .roles
            .iter()
            .filter(|(user, issuer, _)| {
                !caller.personal && *user == caller.user && caller.issuer.as_ref() == Some(issuer)
            })
            .map(|(_, _, role)| role.clone())
            .collect();
        Ok(Self { user: caller.user, issuer: caller.issuer, personal: caller.personal, bound: caller.bound, roles })
    }
}

impl Person {
    /// As the event log names them.
    pub(super) fn doer(&self) -> Doer {
        Doer::Person { user: self.user.clone(), issuer: self.issuer.clone() }
    }

    /// Whether this person sees every application.
    pub(super) fn coordinates(&self) -> bool {
        self.roles.contains(&HubRole::Coordinator)
    }

    fn actor(&self) -> Actor<'_> {
        Actor::Person {
            user: &self.user,
            issuer: self.issuer.as_deref().unwrap_or(HERE),
            proof: if self.personal { Proof::Personal } else { Proof::Issuer },
            roles: &self.roles,
            bound: self.bound.as_ref(),
        }
    }

    /// May this person do that at the hub?
    pub(super) fn may(&self, api: &Api, action: Action) -> Result<(), Problem> {
        self.ask(api, action, Resource::System)
    }

    /// May this person do that with their own tokens?
    pub(super) fn may_token(&self, api: &Api, action: Action) -> Result<(), Problem> {
        self.ask(api, action, Resource::Token { owner: (&self.user, self.issuer.as_deref().unwrap_or(HERE)) })
    }

    fn ask(&self, api: &Api, action: Action, resource: Resource<'_>) -> Result<(), Problem> {
        let request = Request::new(self.actor(), action, resource).in_zone(Zone::Open);
        api.0.authorizer.decide(&request).or_denied().map_err(|denial| {
            tracing::info!(user = %self.user, %denial, "a call was denied");
            Problem::denied(if self.personal {
                "you may not do this with a personal access token; sign in (hub login) if you may do it at all"
            } else {
                "you may not do this"
            })
        })
    }

    /// May this person do that with this application? Who may not even read it learns nothing of it.
    pub(super) fn may_with(&self, api: &Api, action: Action, record: &Record) -> Result<(), Problem> {
        let owners = record.owners();
        let controllers: Vec<ControllerId> =
            record.application.controllers.iter().map(|asked| asked.controller.clone()).collect();
        let id = record.id.to_string();
        let decide = |action| {
            let owners = owners
                .iter()
                .map(|(user, issuer)| {
                    // The operator gave the personal token to the user, whoever else vouches for them.
                    let issuer = if self.issuer.is_none() { HERE } else { issuer.as_deref().unwrap_or(HERE) };
                    (user, issuer)
                })
                .collect();
            let resource =
                Resource::Application { id: &id, owners, controllers: &controllers, state: record.state.into() };
            let request = Request::new(self.actor(), action, resource).in_zone(Zone::Open);
            api.0.authorizer.decide(&request).or_denied()
        };
        let bound = self.bound.as_ref().is_some_and(|project| project != record.project());
        if bound || decide(Action::ApplicationRead).is_err() {
            return Err(Problem::not_found("application"));
        }
        decide(action).map_err(|denial| {
            tracing::info!(user = %self.user, application = %record.id, %denial, "a call was denied");
            Problem::denied("you may read this application, but not do this with it, or not in its state")
        })
    }
}

/// May everybody read what is published?
pub(super) fn public(api: &Api) -> Result<(), Problem> {
    let request = Request::new(Actor::Anonymous, Action::PublishedRead, Resource::System).in_zone(Zone::Open);
    api.0.authorizer.decide(&request).or_denied().map_err(|_| Problem::denied("this is not published"))
}
