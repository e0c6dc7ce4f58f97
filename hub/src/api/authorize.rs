//! Who calls, and whether they may.
//!
//! INVARIANT: what exists and isn't the caller's gets the answer of what doesn't exist.

use super::{Api, Problem};
use crate::{
    airlock::{SubmissionRecord, Who},
    apply::{Actor as Doer, Record},
};
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use policies::{
    authorize::{Action, Actor, HubRole, ProjectState, Proof, Request, Resource, Whom},
    zone::Zone,
};
use proto::ids::{ControllerId, OrganisationId, ProjectId, UserId};

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
        let request = Request::new(self.actor(), action, resource).in_zone(api.1);
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
            let request = Request::new(self.actor(), action, resource).in_zone(api.1);
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

/// What a person sees of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// a member, inside: all of it
    Whole,
    /// a member, outside: how far it is
    State,
    /// a checker, inside: all but who handed it in and what other checkers said
    Checker,
}

/// Who counts for a decision about a submission.
struct Around {
    members: Vec<(UserId, String)>,
    involved: Vec<(UserId, Option<String>)>,
    decided: Vec<OrganisationId>,
}

impl Person {
    /// As the airlock's log names them.
    pub(super) fn who(&self) -> Result<Who, Problem> {
        // The policies let nobody in with a personal token.
        let issuer = self.issuer.clone().ok_or_else(|| Problem::denied("sign in (hub login) for this"))?;
        Ok(Who { user: self.user.clone(), issuer })
    }

    /// May this person hand something in for that project?
    pub(super) fn may_submit(&self, api: &Api, id: &ProjectId) -> Result<(), Problem> {
        let known = api.project(id);
        let members: Vec<Whom<'_>> =
            known.iter().flat_map(|project| &project.members).map(|m| (&m.user, m.issuer.as_str())).collect();
        let member =
            members.iter().any(|(user, issuer)| **user == self.user && self.issuer.as_deref() == Some(*issuer));
        let state = if known.is_some() { ProjectState::Open } else { ProjectState::Preparing };
        let asked = self.ask(api, Action::AirlockSubmit, Resource::Project { id, members, state });
        match asked {
            Err(_) if !member => Err(Problem::not_found("open project")),
            Err(_) if api.1 == Zone::Open => Err(Problem::denied(
                "submissions are handed in inside the secure processing environment: its own address of the API takes them",
            )),
            asked => asked,
        }
    }

    /// May this person take answers of that project out?
    pub(super) fn may_answer(&self, api: &Api, id: &ProjectId) -> Result<(), Problem> {
        let known = api.project(id).ok_or_else(|| Problem::not_found("open project"))?;
        let members: Vec<Whom<'_>> = known.members.iter().map(|m| (&m.user, m.issuer.as_str())).collect();
        let member =
            members.iter().any(|(user, issuer)| **user == self.user && self.issuer.as_deref() == Some(*issuer));
        let resource = Resource::Project { id, members, state: ProjectState::Open };
        self.ask(api, Action::AirlockAnswer, resource)
            .map_err(|problem| if member { problem } else { Problem::not_found("open project") })
    }

    async fn around(&self, api: &Api, record: &SubmissionRecord) -> Result<Around, Problem> {
        let members = api.project(record.project()).map(|project| project.members).unwrap_or_default();
        let mut involved = api.involved(record.project()).await?;
        involved.push((record.submitted_by.clone(), Some(record.issuer.clone())));
        let reviews = api.0.airlock.reviews(&record.id).await?;
        Ok(Around {
            members: members.into_iter().map(|member| (member.user, member.issuer)).collect(),
            involved,
            decided: reviews.into_iter().map(|one| one.organisation).collect(),
        })
    }

    fn allowed(&self, api: &Api, action: Action, record: &SubmissionRecord, around: &Around) -> bool {
        let id = record.id.to_string();
        let own = self.issuer.as_deref().unwrap_or(HERE);
        let resource = Resource::Submission {
            id: &id,
            project: record.project(),
            members: around.members.iter().map(|(user, issuer)| (user, issuer.as_str())).collect(),
            // Whoever applied with a personal token is taken for everybody of that name.
            involved: around.involved.iter().map(|(user, issuer)| (user, issuer.as_deref().unwrap_or(own))).collect(),
            decided: &around.decided,
            state: record.state.into(),
        };
        let request = Request::new(self.actor(), action, resource).in_zone(api.1);
        let decided = api.0.authorizer.decide(&request).or_denied();
        if let Err(denial) = &decided {
            tracing::debug!(user = %self.user, submission = %record.id, %denial, "not permitted");
        }
        decided.is_ok()
    }

    /// What this person sees of a submission, if anything.
    pub(super) async fn sight(&self, api: &Api, record: &SubmissionRecord) -> Result<Option<Sight>, Problem> {
        let around = self.around(api, record).await?;
        let may = |action| self.allowed(api, action, record, &around);
        let (status, read, examine) =
            (may(Action::AirlockStatus), may(Action::AirlockRead), may(Action::AirlockExamine));
        Ok(match (status, read, examine) {
            (_, true, _) => Some(Sight::Whole),
            (_, _, true) => Some(Sight::Checker),
            (true, ..) => Some(Sight::State),
            _ => None,
        })
    }

    /// May this member do that with this submission? Others learn nothing of it.
    pub(super) async fn may_with_submission(
        &self,
        api: &Api,
        action: Action,
        record: &SubmissionRecord,
    ) -> Result<(), Problem> {
        let around = self.around(api, record).await?;
        let (status, asked) =
            (self.allowed(api, Action::AirlockStatus, record, &around), self.allowed(api, action, record, &around));
        match (status, asked) {
            (_, true) => Ok(()),
            (true, false) => Err(Problem::denied(&format!(
                "a submission that is {} doesn't take this, or not from here: files are handed in and read inside the secure \
                 processing environment",
                record.state
            ))),
            (false, false) => Err(Problem::not_found("submission")),
        }
    }

    /// May this person decide on this submission, and for whom?
    pub(super) async fn may_review(&self, api: &Api, record: &SubmissionRecord) -> Result<OrganisationId, Problem> {
        let around = self.around(api, record).await?;
        let (examine, review) = (
            self.allowed(api, Action::AirlockExamine, record, &around),
            self.allowed(api, Action::AirlockReview, record, &around),
        );
        let organisation = self.roles.iter().find_map(|role| match role {
            HubRole::Checker(organisation) => Some(organisation.clone()),
            HubRole::Operator | HubRole::Coordinator | HubRole::Approver(_) => None,
        });
        match (examine, review, organisation) {
            (true, true, Some(organisation)) => Ok(organisation),
            // The same for who never might and who has decided: nothing is told of a submission that isn't one's own.
            _ => Err(Problem::not_found("submission that waits for you")),
        }
    }
}

/// May everybody read what is published?
pub(super) fn public(api: &Api) -> Result<(), Problem> {
    let request = Request::new(Actor::Anonymous, Action::PublishedRead, Resource::System).in_zone(api.1);
    api.0.authorizer.decide(&request).or_denied().map_err(|_| Problem::denied("this is not published"))
}
