//! The controllers and the keys that speak for them.

use super::{Api, Problem, authorize::Person, views::ControllerView};
use axum::{Json, extract::State};
use policies::authorize::Action;
use std::collections::BTreeMap;

/// List the controllers with the fingerprints of their approvers' keys (operators, coordinators)
#[utoipa::path(get, path = "/v1/controllers", tag = "controllers", security(("bearer" = [])),
    responses((status = 200, body = [ControllerView]), (status = 403, body = Problem)))]
pub(super) async fn list(State(api): State<Api>, person: Person) -> Result<Json<Vec<ControllerView>>, Problem> {
    person.may(&api, Action::ControllersList)?;
    let mut all: BTreeMap<String, Vec<String>> =
        api.0.controllers.iter().map(|controller| (controller.to_string(), Vec::new())).collect();
    for approver in api.0.applications.approvers().await? {
        all.entry(approver.controller.to_string()).or_default().push(approver.key.fingerprint());
    }
    Ok(Json(all.into_iter().map(|(controller, approvers)| ControllerView { controller, approvers }).collect()))
}
