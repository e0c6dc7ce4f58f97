//! What the rules say about the operator's commands: whoever may open the hub's folder runs them, and a command is
//! decided on like a call.
//!
//! INVARIANT: every command that changes who may connect or ask, or shows who did, asks here before it does anything.

use super::AdminError;
use crate::gateway::{Enrolment, State};
use policies::{
    authorize::{self, Action, Actor, ControllerState, Request, Resource, Whom},
    zone::Zone,
};
use proto::ids::ControllerId;

fn may(action: Action, resource: Resource<'_>) -> Result<(), AdminError> {
    Ok(authorize::decide(&Request::new(Actor::Console, action, resource).in_zone(Zone::Open)).or_denied()?)
}

pub(super) fn list_controllers() -> Result<(), AdminError> {
    may(Action::ControllersList, Resource::System)
}

/// May the hub's own log be read here?
///
/// # Errors
/// When not.
pub fn read_audit() -> Result<(), AdminError> {
    may(Action::HubAuditRead, Resource::Audit)
}

pub(super) fn token(action: Action, owner: Whom<'_>) -> Result<(), AdminError> {
    may(action, Resource::Token { owner })
}

pub(super) async fn controller(enrolment: &Enrolment, action: Action, id: &ControllerId) -> Result<(), AdminError> {
    let found = enrolment.controllers().await?.into_iter().find(|record| record.controller == *id);
    let state = match found.map(|record| record.state) {
        None => ControllerState::Unknown,
        Some(State::Invited | State::Lapsed) => ControllerState::Invited,
        Some(State::Joined) => ControllerState::Joined,
        Some(State::Expelled) => ControllerState::Expelled,
    };
    match may(action, Resource::Controller { id, state }) {
        Err(AdminError::Denied(_)) if action == Action::ControllerExpel && state == ControllerState::Unknown => {
            Err(AdminError::Usage(format!("there is no controller '{id}'; `hub admin controllers` lists them")))
        }
        answer => answer,
    }
}
