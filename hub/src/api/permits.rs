//! The permits of a project, as they were signed.

use super::{
    Api, Problem,
    applications::of_project,
    authorize::Person,
    page::Page,
    views::{PermitList, PermitView},
};
use axum::{
    Json,
    extract::{Path, Query, State},
};
use policies::authorize::Action;

/// List a project's permits with their signed text
#[utoipa::path(get, path = "/v1/projects/{project}/permits", tag = "permits", params(("project" = String, Path), Page),
    security(("bearer" = [])), responses((status = 200, body = PermitList), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    person: Person,
    Path(project): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<PermitList>, Problem> {
    let record = of_project(&api, &person, &project, Action::ApplicationRead).await?;
    let found = api.0.applications.permits(Some(record.project()), page.after()?.as_ref(), page.limit()).await?;
    let next = page.next(&found, |one| one.permit.id.to_string());
    let items =
        found.iter().map(|one| PermitView { statement: Some(one.compact.clone()), ..PermitView::from(one) }).collect();
    Ok(Json(PermitList { items, next }))
}
