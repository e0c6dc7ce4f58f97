//! What everybody may read, without a token (EHDS Articles 57 and 58): applications, permits, refusals with reasons.
//!
//! INVARIANT: no user, no contact and no signed text stands here.

use super::{
    Api, Problem, authorize,
    page::Page,
    views::{PermitList, PermitView, PublishedList, RefusalList},
};
use axum::{
    Json,
    extract::{Query, State},
};

/// Read the applications
#[utoipa::path(get, path = "/v1/published/applications", tag = "published", params(Page),
    responses((status = 200, body = PublishedList)))]
pub(super) async fn applications(
    State(api): State<Api>,
    Query(page): Query<Page>,
) -> Result<Json<PublishedList>, Problem> {
    authorize::public(&api)?;
    let items = api.0.applications.published(page.after()?.as_ref(), page.limit()).await?;
    let next = page.next(&items, |one| one.id.clone());
    Ok(Json(PublishedList { items, next }))
}

/// Read the permits
#[utoipa::path(get, path = "/v1/published/permits", tag = "published", params(Page),
    responses((status = 200, body = PermitList)))]
pub(super) async fn permits(State(api): State<Api>, Query(page): Query<Page>) -> Result<Json<PermitList>, Problem> {
    authorize::public(&api)?;
    let found = api.0.applications.permits(None, page.after()?.as_ref(), page.limit()).await?;
    let next = page.next(&found, |one| one.permit.id.to_string());
    Ok(Json(PermitList { items: found.iter().map(PermitView::from).collect(), next }))
}

/// Read the refusals with their reasons
#[utoipa::path(get, path = "/v1/published/refusals", tag = "published", params(Page),
    responses((status = 200, body = RefusalList)))]
pub(super) async fn refusals(State(api): State<Api>, Query(page): Query<Page>) -> Result<Json<RefusalList>, Problem> {
    authorize::public(&api)?;
    let items = api.0.applications.refusals(page.after()?.as_ref(), page.limit()).await?;
    let next = page.next(&items, |one| one.part.clone());
    Ok(Json(RefusalList { items, next }))
}
