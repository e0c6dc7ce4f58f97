//! Workspaces: what a project may use now.

use super::{
    Api, Problem,
    applications::of_project,
    authorize::Person,
    views::{PartView, WorkspaceView},
};
use crate::apply::{Filter, PartRecord, Record};
use axum::{
    Json,
    extract::{Path, State},
};
use policies::authorize::Action;
use std::collections::BTreeMap;

/// Projects listed at most.
const MOST: u32 = 1000;

/// List the workspaces of one's own projects
#[utoipa::path(get, path = "/v1/workspaces", tag = "workspaces", security(("bearer" = [])),
    responses((status = 200, body = [WorkspaceView])))]
pub(super) async fn list(State(api): State<Api>, person: Person) -> Result<Json<Vec<WorkspaceView>>, Problem> {
    person.may(&api, Action::HubProjectsList)?;
    let filter = Filter { owner: (!person.coordinates()).then(|| person.user.clone()), ..Filter::default() };
    let mut newest: BTreeMap<String, Record> = BTreeMap::new();
    for record in api.0.applications.list(&filter, MOST).await? {
        newest.insert(record.project().to_string(), record);
    }
    let mut all = Vec::new();
    for record in newest.into_values() {
        let Ok(latest) = of_project(&api, &person, record.project().as_ref(), Action::ApplicationRead).await else {
            continue;
        };
        all.push(view(&api, &latest).await?);
    }
    Ok(Json(all))
}

/// Read how a project's workspace is
#[utoipa::path(get, path = "/v1/workspaces/{project}", tag = "workspaces", params(("project" = String, Path)),
    security(("bearer" = [])), responses((status = 200, body = WorkspaceView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    person: Person,
    Path(project): Path<String>,
) -> Result<Json<WorkspaceView>, Problem> {
    let record = of_project(&api, &person, &project, Action::ApplicationRead).await?;
    Ok(Json(view(&api, &record).await?))
}

async fn view(api: &Api, latest: &Record) -> Result<WorkspaceView, Problem> {
    let project = latest.project();
    let workspace = api.0.applications.workspace(project).await?;
    let mut last: BTreeMap<String, PartRecord> = BTreeMap::new();
    for part in api.0.applications.project_parts(project).await? {
        last.insert(part.controller.to_string(), part);
    }
    let reasons = api.0.applications.reasons(project).await?;
    let (state, reason, opened_at) = match workspace {
        Some(workspace) => (workspace.state, workspace.reason, workspace.opened_at),
        None => ("preparing".to_owned(), "not looked at yet".to_owned(), None),
    };
    Ok(WorkspaceView {
        project: project.to_string(),
        title: latest.application.title.clone(),
        application: latest.id.to_string(),
        state,
        reason,
        opened_at,
        parts: last.values().map(|part| PartView::of(part, &reasons)).collect(),
    })
}
