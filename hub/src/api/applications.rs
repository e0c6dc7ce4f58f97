//! Handing in, reading and amending applications.

use super::{
    Api, Problem,
    authorize::Person,
    body::{Body, idempotency},
    page::Page,
    views::{AmendmentView, ApplicationList, ApplicationView, CheckView, EventList, PartView},
};
use crate::apply::{Filter, Record};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use policies::{
    application::{Application, Form},
    authorize::Action,
};
use proto::ids::{ApplicationId, ProjectId};

/// The application with that id, for a caller who may do `action` with it.
pub(super) async fn find(api: &Api, person: &Person, id: &str, action: Action) -> Result<Record, Problem> {
    let id: ApplicationId = id.parse().map_err(|_| Problem::not_found("application"))?;
    let record = api.0.applications.get(&id).await?;
    person.may_with(api, action, &record)?;
    Ok(record)
}

/// The newest application of a project, for a caller who may do `action` with it.
pub(super) async fn of_project(api: &Api, person: &Person, id: &str, action: Action) -> Result<Record, Problem> {
    let id: ProjectId = id.parse().map_err(|_| Problem::not_found("project"))?;
    let record = api.0.applications.latest(&id).await?;
    person.may_with(api, action, &record).map_err(|problem| {
        if problem.status == StatusCode::NOT_FOUND.as_u16() { Problem::not_found("project") } else { problem }
    })?;
    Ok(record)
}

/// The application with its revision as ETag.
pub(super) fn shown(status: StatusCode, record: &Record) -> Response {
    let mut response = (status, Json(ApplicationView::from(record))).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", record.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Hand in an application
///
/// The same Idempotency-Key again gives the application that it made, with status 200.
#[utoipa::path(post, path = "/v1/applications", tag = "applications", request_body = Form, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "a new text for each application")),
    responses((status = 201, body = ApplicationView), (status = 200, body = ApplicationView, description = "handed in before"),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn submit(
    State(api): State<Api>,
    person: Person,
    headers: HeaderMap,
    Body(form): Body<Form>,
) -> Result<Response, Problem> {
    person.may(&api, Action::ApplicationSubmit)?;
    let application = form.check()?;
    let (key, now, screening) = (idempotency(&headers)?, api.now(), api.0.screening);
    let (record, new) = api.0.applications.submit(&application, &person.doer(), key, screening, now).await?;
    api.nudge();
    Ok(shown(if new { StatusCode::CREATED } else { StatusCode::OK }, &record))
}

/// Check a form without handing it in
#[utoipa::path(post, path = "/v1/applications/check", tag = "applications", request_body = Form, security(("bearer" = [])),
    responses((status = 200, body = CheckView), (status = 422, body = Problem)))]
pub(super) async fn check(
    State(api): State<Api>,
    person: Person,
    Body(form): Body<Form>,
) -> Result<Json<CheckView>, Problem> {
    person.may(&api, Action::ApplicationSubmit)?;
    let application = form.check()?;
    let asked = application.split().iter().map(AmendmentView::from).collect();
    Ok(Json(CheckView { digest: application.digest(), asked }))
}

/// List one's own applications; a coordinator's list has all
#[utoipa::path(get, path = "/v1/applications", tag = "applications", params(Page), security(("bearer" = [])),
    responses((status = 200, body = ApplicationList)))]
pub(super) async fn list(
    State(api): State<Api>,
    person: Person,
    Query(page): Query<Page>,
) -> Result<Json<ApplicationList>, Problem> {
    let filter = Filter {
        owner: (!person.coordinates()).then(|| person.user.clone()),
        after: page.after()?,
        ..Filter::default()
    };
    let records = api.0.applications.list(&filter, page.limit()).await?;
    let next = page.next(&records, |record| record.id.to_string());
    let mut items = Vec::new();
    for record in &records {
        // One namesake of another issuer is none of the owners.
        if person.may_with(&api, Action::ApplicationRead, record).is_ok() {
            items.push(ApplicationView::from(record));
        }
    }
    Ok(Json(ApplicationList { items, next }))
}

/// Read an application
#[utoipa::path(get, path = "/v1/applications/{id}", tag = "applications", params(("id" = String, Path)),
    security(("bearer" = [])), responses((status = 200, body = ApplicationView), (status = 404, body = Problem)))]
pub(super) async fn show(State(api): State<Api>, person: Person, Path(id): Path<String>) -> Result<Response, Problem> {
    Ok(shown(StatusCode::OK, &find(&api, &person, &id, Action::ApplicationRead).await?))
}

/// Read how far each controller's part is
#[utoipa::path(get, path = "/v1/applications/{id}/parts", tag = "applications", params(("id" = String, Path)),
    security(("bearer" = [])), responses((status = 200, body = [PartView]), (status = 404, body = Problem)))]
pub(super) async fn parts(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<Vec<PartView>>, Problem> {
    let record = find(&api, &person, &id, Action::ApplicationRead).await?;
    let reasons = api.0.applications.reasons(record.project()).await?;
    Ok(Json(api.0.applications.parts(&record.id).await?.iter().map(|part| PartView::of(part, &reasons)).collect()))
}

/// Read what happened in an application's project
#[utoipa::path(get, path = "/v1/applications/{id}/events", tag = "applications", params(("id" = String, Path), Page),
    security(("bearer" = [])), responses((status = 200, body = EventList), (status = 404, body = Problem)))]
pub(super) async fn events(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<EventList>, Problem> {
    let record = find(&api, &person, &id, Action::ApplicationEvents).await?;
    let after = page.after()?.unwrap_or(0);
    let items = api.0.applications.events(record.project(), after, page.limit()).await?;
    let next = page.next(&items, |event| event.seq.to_string());
    Ok(Json(EventList { items, next }))
}

/// Amend a project's application
///
/// The whole application as it is to be; only the controllers that something new is asked of are asked.
#[utoipa::path(post, path = "/v1/projects/{project}/amendments", tag = "applications", request_body = Form,
    params(("project" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a new text for each amendment")),
    security(("bearer" = [])),
    responses((status = 201, body = ApplicationView), (status = 200, body = ApplicationView, description = "handed in before"),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn amend(
    State(api): State<Api>,
    person: Person,
    Path(project): Path<String>,
    headers: HeaderMap,
    Body(form): Body<Form>,
) -> Result<Response, Problem> {
    of_project(&api, &person, &project, Action::ApplicationAmend).await?;
    let application = amended(&form, &project)?;
    let (key, now, screening) = (idempotency(&headers)?, api.now(), api.0.screening);
    let (record, new) = api.0.applications.amend(&application, &person.doer(), key, screening, now).await?;
    api.nudge();
    Ok(shown(if new { StatusCode::CREATED } else { StatusCode::OK }, &record))
}

/// See whom an amendment would ask what, without handing it in
#[utoipa::path(post, path = "/v1/projects/{project}/amendments/check", tag = "applications", request_body = Form,
    params(("project" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = CheckView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn check_amendment(
    State(api): State<Api>,
    person: Person,
    Path(project): Path<String>,
    Body(form): Body<Form>,
) -> Result<Json<CheckView>, Problem> {
    of_project(&api, &person, &project, Action::ApplicationAmend).await?;
    let application = amended(&form, &project)?;
    let parts = api.0.applications.preview(&application, api.now()).await?;
    Ok(Json(CheckView { digest: application.digest(), asked: parts.iter().map(AmendmentView::from).collect() }))
}

fn amended(form: &Form, project: &str) -> Result<Application, Problem> {
    let application = form.check()?;
    if application.project.as_ref() != project {
        return Err(Problem::field("project", "is another than the one that is amended"));
    }
    Ok(application)
}
