//! What is done with an application: completed, extended, asked about, answered, taken back.

use super::{
    Api, Problem,
    applications::{find, shown},
    authorize::Person,
    body::{Body, revision},
    views::{Answer, ApplicationView, Ask, Extend},
};
use crate::apply::Question;
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use policies::{application::looks_like_person_number, authorize::Action};

/// The longest question, answer or reason, characters.
const LONGEST: usize = 8000;

fn text(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::field(field, "is empty"));
    }
    if text.chars().count() > LONGEST {
        return Err(Problem::field(field, format!("is longer than {LONGEST} characters")));
    }
    if looks_like_person_number(text) {
        return Err(Problem::field(field, "holds what looks like a person number"));
    }
    Ok(text.to_owned())
}

/// Say that an application is complete (a coordinator)
#[utoipa::path(post, path = "/v1/applications/{id}/complete", tag = "applications",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)), security(("bearer" = [])),
    responses((status = 200, body = ApplicationView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem)))]
pub(super) async fn complete(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Whoever may give an application more time also says when its time begins.
    let record = find(&api, &person, &id, Action::ApplicationExtend).await?;
    let read_at = revision(&headers)?;
    let record = api.0.applications.complete(&record.id, &person.doer(), read_at, api.now()).await?;
    api.nudge();
    Ok(shown(StatusCode::OK, &record))
}

/// Take an application back
#[utoipa::path(post, path = "/v1/applications/{id}/withdraw", tag = "applications",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)), security(("bearer" = [])),
    responses((status = 200, body = ApplicationView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem)))]
pub(super) async fn withdraw(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = find(&api, &person, &id, Action::ApplicationWithdraw).await?;
    let read_at = revision(&headers)?;
    let record = api.0.applications.withdraw(&record.id, &person.doer(), read_at, api.now()).await?;
    api.nudge();
    Ok(shown(StatusCode::OK, &record))
}

/// Extend the deadline of the decision, once (a coordinator)
#[utoipa::path(post, path = "/v1/applications/{id}/extend", tag = "applications", request_body = Extend,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)), security(("bearer" = [])),
    responses((status = 200, body = ApplicationView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem)))]
pub(super) async fn extend(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(Extend { reason }): Body<Extend>,
) -> Result<Response, Problem> {
    let record = find(&api, &person, &id, Action::ApplicationExtend).await?;
    let (reason, read_at) = (text("reason", &reason)?, revision(&headers)?);
    let record = api.0.applications.extend(&record.id, &person.doer(), &reason, read_at, api.now()).await?;
    Ok(shown(StatusCode::OK, &record))
}

/// Read the questions about an application
#[utoipa::path(get, path = "/v1/applications/{id}/questions", tag = "applications", params(("id" = String, Path)),
    security(("bearer" = [])), responses((status = 200, body = [Question]), (status = 404, body = Problem)))]
pub(super) async fn questions(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<Vec<Question>>, Problem> {
    let record = find(&api, &person, &id, Action::ApplicationRead).await?;
    Ok(Json(api.0.applications.questions(&record.id).await?))
}

/// Ask the applicant about a field (a coordinator)
#[utoipa::path(post, path = "/v1/applications/{id}/questions", tag = "applications", request_body = Ask,
    params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 201, body = Question), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn ask(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
    Body(ask): Body<Ask>,
) -> Result<Response, Problem> {
    let record = find(&api, &person, &id, Action::ApplicationExtend).await?;
    let (field, asked) = (text("field", &ask.field)?, text("text", &ask.text)?);
    let question = api.0.applications.ask(&record.id, &person.doer(), &field, &asked, api.now()).await?;
    Ok((StatusCode::CREATED, Json(question)).into_response())
}

/// Answer a question
#[utoipa::path(post, path = "/v1/applications/{id}/questions/{question}/answer", tag = "applications", request_body = Answer,
    params(("id" = String, Path), ("question" = i64, Path)), security(("bearer" = [])),
    responses((status = 200, body = ApplicationView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn answer(
    State(api): State<Api>,
    person: Person,
    Path((id, question)): Path<(String, String)>,
    Body(answer): Body<Answer>,
) -> Result<Response, Problem> {
    let record = find(&api, &person, &id, Action::ApplicationAmend).await?;
    let question: i64 = question.parse().map_err(|_| Problem::not_found("question"))?;
    let answered = text("text", &answer.text)?;
    let record = api.0.applications.answer(&record.id, question, &person.doer(), &answered, api.now()).await?;
    api.nudge();
    Ok(shown(StatusCode::OK, &record))
}
