//! One's own personal access tokens. They are good for this API alone, never for data.

use super::{
    Api, Problem,
    applications::of_project,
    authorize::Person,
    body::Body,
    views::{NewTokenView, TokenRequest, TokenView},
};
use crate::identify::TokenId;
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use policies::authorize::Action;

/// The longest life of a token, days.
const MAX_DAYS: u32 = 366;

/// List one's own tokens
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", security(("bearer" = [])),
    responses((status = 200, body = [TokenView])))]
pub(super) async fn list(State(api): State<Api>, person: Person) -> Result<Json<Vec<TokenView>>, Problem> {
    person.may_token(&api, Action::TokenList)?;
    let all = api.0.tokens.list().await?;
    let own = all.into_iter().filter(|token| token.user == person.user && token.issuer == person.issuer).map(|token| {
        TokenView {
            id: token.id.to_string(),
            project: token.project.map(|project| project.to_string()),
            created_at: token.created,
            expires_at: token.expires,
            revoked: token.revoked,
        }
    });
    Ok(Json(own.collect()))
}

/// Make a token; needs a sign-in, not another personal token
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = TokenRequest, security(("bearer" = [])),
    responses((status = 201, body = NewTokenView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(api): State<Api>,
    person: Person,
    Body(wanted): Body<TokenRequest>,
) -> Result<Response, Problem> {
    person.may_token(&api, Action::TokenCreate)?;
    if !(1..=MAX_DAYS).contains(&wanted.days) {
        return Err(Problem::field("days", format!("a token lives from 1 to {MAX_DAYS} days")));
    }
    let project = match &wanted.project {
        None => None,
        Some(project) => Some(of_project(&api, &person, project, Action::ApplicationRead).await?.project().clone()),
    };
    let token = api.0.tokens.create_for(&person.user, person.issuer.as_deref(), project.as_ref(), wanted.days).await?;
    let view = NewTokenView { id: token.id.to_string(), token: token.text.to_string(), expires_at: token.expires };
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Take one of one's own tokens back
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)), security(("bearer" = [])),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn revoke(
    State(api): State<Api>,
    person: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    person.may_token(&api, Action::TokenRevoke)?;
    let id = TokenId::parse(&id).ok_or_else(|| Problem::not_found("token"))?;
    let mut all = api.0.tokens.list().await?.into_iter();
    let own = all.any(|token| token.id == id && token.user == person.user && token.issuer == person.issuer);
    if own && api.0.tokens.revoke(&id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("token")) }
}
