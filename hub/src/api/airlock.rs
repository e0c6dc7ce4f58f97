//! The airlock: submissions, their files, and what checkers decide. The files come and are read inside alone.
//!
//! INVARIANT: outside, a member reads how far a submission is, and nothing that somebody wrote inside, until it has left.
//! INVARIANT: a checker reads no review; a member reads comments when the checkers are done, and never whose they are.

use super::{
    Api, Problem,
    authorize::{Person, Sight},
    body::Body,
    page::Page,
    submissions::{KeyView, SubmissionList, SubmissionView, told},
};
use crate::{
    airlock::{
        Airlock, AirlockError, Applied, AppliedRule, FileDifference, Listed, MOST_FILE, ProjectFacts, SubmissionRecord,
    },
    apply::Filter,
};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use policies::{
    airlock::{FileName, Form, Review},
    authorize::Action,
    zone::Zone,
};
use proto::ids::{ProjectId, SubmissionId};
use serde_json::json;
use tonic::metadata::MetadataMap;
use zeroize::Zeroizing;

/// Submissions of a project that are listed, read to find those that the caller may see.
const READ: u32 = 200;

async fn record(api: &Api, id: &str) -> Result<SubmissionRecord, Problem> {
    let id: SubmissionId = id.parse().map_err(|_| Problem::not_found("submission"))?;
    Ok(api.0.airlock.get(&id).await?)
}

/// The submission with that id, for a member who may do `action` with it.
async fn find(api: &Api, person: &Person, id: &str, action: Action) -> Result<SubmissionRecord, Problem> {
    let record = record(api, id).await?;
    person.may_with_submission(api, action, &record).await?;
    Ok(record)
}

/// The submission with that id, for whoever may read what is in it; and what they see.
async fn seen(api: &Api, person: &Person, id: &str) -> Result<(SubmissionRecord, Sight), Problem> {
    let record = record(api, id).await?;
    let sight = person.sight(api, &record).await?.ok_or_else(|| Problem::not_found("submission"))?;
    Ok((record, sight))
}

async fn view(api: &Api, record: &SubmissionRecord, sight: Sight) -> Result<SubmissionView, Problem> {
    let files = api.0.airlock.files(&record.id).await?;
    let reviews = if record.state.is_reviewed() { api.0.airlock.reviews(&record.id).await? } else { Vec::new() };
    let expires_at = api.0.airlock.expires_at(record).map(|at| told(sight, at));
    Ok(SubmissionView { expires_at, ..SubmissionView::of(record, sight, &files, &reviews) })
}

/// Begin a submission (inside)
///
/// The files are added one by one, then it is checked and sent.
#[utoipa::path(post, path = "/v1/airlock", tag = "airlock", request_body = Form, security(("bearer" = [])),
    responses((status = 201, body = SubmissionView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn begin(State(api): State<Api>, person: Person, Body(form): Body<Form>) -> Result<Response, Problem> {
    let project: ProjectId = form.project.trim().parse().map_err(|_| Problem::not_found("project"))?;
    person.may_submit(&api, &project)?;
    let submission = form.check()?;
    let record = api.0.airlock.begin(&submission, &person.who()?, api.now()).await?;
    let view = view(&api, &record, Sight::Whole).await?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// Take answers of the open zone out at once (outside)
///
/// The platform asks each file's query, writes the released answer down and approves it. With `earlier`, checkers must have approved
/// that submission, and its tables must be the same, cell by cell.
#[utoipa::path(post, path = "/v1/airlock/answers", tag = "airlock", request_body = Form, security(("bearer" = [])),
    responses((status = 201, body = SubmissionView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn answer(
    State(api): State<Api>,
    person: Person,
    headers: HeaderMap,
    Body(form): Body<Form>,
) -> Result<Response, Problem> {
    let project: ProjectId = form.project.trim().parse().map_err(|_| Problem::not_found("project"))?;
    person.may_answer(&api, &project)?;
    let submission = form.check()?;
    let questions = Airlock::questions(&submission)?;
    api.0.airlock.may_answer(&submission).await?;
    let caller = api.0.identify.caller(&MetadataMap::from_headers(headers), api.1).await?;
    let epoch = api.0.core.key_epoch(caller.clone(), &project).await?;
    let mut answers = std::collections::BTreeMap::new();
    let mut rules = std::collections::BTreeMap::new();
    for (name, query) in questions {
        let answer = api.0.core.released(caller.clone(), &project, &query).await?;
        let met = api.0.core.rules(caller.clone(), &project, &query).await?;
        rules.insert(name.clone(), met.into_iter().map(AppliedRule::from).collect());
        answers.insert(name, answer);
    }
    if api.0.core.key_epoch(caller.clone(), &project).await? != epoch {
        return Err(AirlockError::Conflict("the project's key was changed meanwhile: ask again".to_owned()).into());
    }
    let snapshots = api.0.core.versions(caller, &project).await?;
    let record = api.0.airlock.answered(&submission, answers, &snapshots, &person.who()?, api.now()).await?;
    api.0.airlock.applied(&record.id, &Applied::computed(rules, epoch)).await?;
    Ok((StatusCode::CREATED, Json(view(&api, &record, Sight::State).await?)).into_response())
}

/// List the submissions of one's own projects; a checker's list has what waits for them
#[utoipa::path(get, path = "/v1/airlock", tag = "airlock", params(Page), security(("bearer" = [])),
    responses((status = 200, body = SubmissionList)))]
pub(super) async fn list(
    State(api): State<Api>,
    person: Person,
    Query(page): Query<Page>,
) -> Result<Json<SubmissionList>, Problem> {
    let after: Option<SubmissionId> = page.after()?;
    let mut lists = vec![Listed::Waiting];
    lists.extend(api.projects_of(&person).into_iter().map(Listed::Project));
    let mut found = std::collections::BTreeMap::new();
    for listed in &lists {
        for record in api.0.airlock.list(listed, after.as_ref(), READ).await? {
            if let Some(sight) = person.sight(&api, &record).await? {
                found.insert(record.id, (record, sight));
            }
        }
    }
    let all: Vec<(SubmissionRecord, Sight)> = found.into_values().take(page.limit() as usize).collect();
    let next = page.next(&all, |(record, _)| record.id.to_string());
    let mut items = Vec::new();
    for (record, sight) in &all {
        let mut item = view(&api, record, *sight).await?;
        // What is in it is read, and logged, one by one.
        if let Some(content) = &mut item.content {
            content.files.clear();
            content.comments.clear();
        }
        items.push(item);
    }
    Ok(Json(SubmissionList { items, next }))
}

/// Read a submission: all of it inside, how far it is outside
#[utoipa::path(get, path = "/v1/airlock/{id}", tag = "airlock", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = SubmissionView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<SubmissionView>, Problem> {
    let (record, sight) = seen(&api, &person, &id).await?;
    if sight == Sight::Checker {
        api.0.airlock.log(&record, &person.who()?, "examined", json!({})).await?;
    }
    Ok(Json(view(&api, &record, sight).await?))
}

/// Add a file to a submission (inside); from here on it is these bytes
#[utoipa::path(put, path = "/v1/airlock/{id}/files/{name}", tag = "airlock", request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("id" = String, Path), ("name" = String, Path)), security(("bearer" = [])),
    responses((status = 201, body = SubmissionView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add(
    State(api): State<Api>,
    person: Person,
    Path((id, name)): Path<(String, String)>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let record = find(&api, &person, &id, Action::AirlockChange).await?;
    let name: FileName = name.parse().map_err(|error| Problem::field("name", format!("{error}")))?;
    let bytes = bytes.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::too_large(MOST_FILE)
        } else {
            Problem::unreadable("the body did not come whole")
        }
    })?;
    api.0.airlock.add(&record.id, &name, bytes.to_vec(), &person.who()?, api.now()).await?;
    let record = api.0.airlock.get(&record.id).await?;
    Ok((StatusCode::CREATED, Json(view(&api, &record, Sight::Whole).await?)).into_response())
}

/// Read a file of a submission (inside)
#[utoipa::path(get, path = "/v1/airlock/{id}/files/{name}", tag = "airlock", params(("id" = String, Path), ("name" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem)))]
pub(super) async fn file(
    State(api): State<Api>,
    person: Person,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (record, sight) = seen(&api, &person, &id).await?;
    if sight == Sight::State {
        return Err(Problem::not_found("submission"));
    }
    api.0.airlock.log(&record, &person.who()?, "read", json!({ "file": masked(&name) })).await?;
    let bytes = api.0.airlock.content(&record.id, &name).await?;
    Ok(octets(&bytes, "file"))
}

fn masked(name: &str) -> String {
    crate::audit::masked(&name.chars().filter(|c| !c.is_control()).take(100).collect::<String>())
}

/// Bytes that no browser opens as anything.
fn octets(bytes: &Zeroizing<Vec<u8>>, name: &'static str) -> Response {
    let mut response = bytes.to_vec().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let disposition = if name == "crate" { "attachment; filename=\"crate.zip\"" } else { "attachment" };
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    response
}

/// Run the automatic checks (inside); what refuses the submission leaves it a draft
#[utoipa::path(post, path = "/v1/airlock/{id}/check", tag = "airlock", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = SubmissionView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn check(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<SubmissionView>, Problem> {
    let record = find(&api, &person, &id, Action::AirlockChange).await?;
    let record = api.0.airlock.check(&record.id, &person.who()?, api.now()).await?;
    Ok(Json(view(&api, &record, Sight::Whole).await?))
}

/// Send a checked submission to the checkers (inside)
#[utoipa::path(post, path = "/v1/airlock/{id}/send", tag = "airlock", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = SubmissionView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn send(
    State(api): State<Api>,
    person: Person,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<SubmissionView>, Problem> {
    let record = find(&api, &person, &id, Action::AirlockChange).await?;
    // The spokes ask for the caller's own token. Tables are offered in either zone under one version.
    let caller = api.0.identify.caller(&MetadataMap::from_headers(headers), Zone::Open).await?;
    let snapshots = api.0.core.versions(caller, record.project()).await?;
    let record = api.0.airlock.send(&record.id, &snapshots, &person.who()?, api.now()).await?;
    Ok(Json(view(&api, &record, Sight::Whole).await?))
}

/// See what a resubmission changes against the earlier one (inside)
#[utoipa::path(get, path = "/v1/airlock/{id}/difference", tag = "airlock", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = [FileDifference]), (status = 404, body = Problem)))]
pub(super) async fn difference(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<Vec<FileDifference>>, Problem> {
    let (record, sight) = seen(&api, &person, &id).await?;
    if sight == Sight::State {
        return Err(Problem::not_found("submission"));
    }
    api.0.airlock.log(&record, &person.who()?, "compared", json!({})).await?;
    Ok(Json(api.0.airlock.difference(&record).await?))
}

/// Decide on each file of a submission (a checker, inside)
#[utoipa::path(post, path = "/v1/airlock/{id}/review", tag = "airlock", request_body = Review, params(("id" = String, Path)),
    security(("bearer" = [])),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn review(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
    Body(review): Body<Review>,
) -> Result<StatusCode, Problem> {
    let record = record(&api, &id).await?;
    let organisation = person.may_review(&api, &record).await?;
    api.0.airlock.review(&record.id, &organisation, &review, &person.who()?, api.now()).await?;
    // What it came to would tell what the other checker said.
    Ok(StatusCode::NO_CONTENT)
}

/// Take a submission back
#[utoipa::path(post, path = "/v1/airlock/{id}/withdraw", tag = "airlock", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = SubmissionView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn withdraw(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<SubmissionView>, Problem> {
    let record = find(&api, &person, &id, Action::AirlockWithdraw).await?;
    let record = api.0.airlock.withdraw(&record.id, &person.who()?, api.now()).await?;
    Ok(Json(view(&api, &record, Sight::State).await?))
}

/// Take an approved submission out: a signed crate, a ZIP archive
#[utoipa::path(post, path = "/v1/airlock/{id}/release", tag = "airlock", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(super) async fn release(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let record = find(&api, &person, &id, Action::AirlockRelease).await?;
    let application = api.0.applications.latest(record.project()).await?.application;
    let facts = ProjectFacts {
        title: application.title,
        organisation: application.group.organisation,
        permits: api.project(record.project()).map(|project| project.controllers).unwrap_or_default(),
    };
    let (_, made) = api.0.airlock.release(&record.id, &facts, &person.who()?, api.now()).await?;
    Ok(octets(&made, "crate"))
}

/// Read the key that releases are verified with
#[utoipa::path(get, path = "/v1/published/key", tag = "published", responses((status = 200, body = KeyView)))]
pub(super) async fn key(State(api): State<Api>) -> Result<Json<KeyView>, Problem> {
    super::authorize::public(&api)?;
    let key = api.0.airlock.public_key();
    Ok(Json(KeyView { hub: api.0.airlock.hub().to_owned(), key: key.to_string(), fingerprint: key.fingerprint() }))
}

impl Api {
    /// An open project.
    pub(super) fn project(&self, id: &ProjectId) -> Option<crate::config::Project> {
        self.0.projects.borrow().all().find(|project| project.project == *id).cloned()
    }

    /// The open projects of a person.
    fn projects_of(&self, person: &Person) -> Vec<ProjectId> {
        let projects = self.0.projects.borrow();
        projects.all_of(&person.user, person.issuer.as_deref()).map(|project| project.project.clone()).collect()
    }

    /// Whoever is or was named in a project: in any of its applications, or by any of its permits.
    pub(super) async fn involved(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<(proto::ids::UserId, Option<String>)>, Problem> {
        let filter = Filter { project: Some(project.clone()), ..Filter::default() };
        let mut all = Vec::new();
        for record in self.0.applications.list(&filter, u32::MAX).await? {
            all.extend(record.owners());
        }
        for permit in self.0.applications.permits(Some(project), None, u32::MAX).await? {
            all.extend(permit.permit.users.into_iter().map(|user| (user.user, Some(user.issuer))));
        }
        Ok(all)
    }
}
