//! Quick tests: how many people, without a project. For whoever signed in with an issuer, outside the secure environment.

use super::{Api, Problem, authorize::Person, body::Body};
use crate::count::{CountError, Countable, Counted, Form, MOST};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use policies::authorize::Action;
use serde::{Deserialize, Serialize};
use tonic::metadata::MetadataMap;

/// The columns that can be asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CountColumns)]
pub struct Columns {
    /// by controller and table
    pub items: Vec<Countable>,
}

/// List the columns that people can be counted and chosen by, without a project
#[utoipa::path(get, path = "/v1/count", tag = "count", security(("bearer" = [])),
    responses((status = 200, body = Columns), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn columns(
    State(api): State<Api>,
    person: Person,
    headers: HeaderMap,
) -> Result<Json<Columns>, Problem> {
    person.may(&api, Action::HubCount)?;
    let caller = api.0.identify.caller(&MetadataMap::from_headers(headers), api.1).await?;
    Ok(Json(Columns { items: api.0.counter.columns(caller).await? }))
}

/// Count people, without a project
///
/// The people of any of the groups, each once, by up to three columns, rounded to tens. Cells of fewer than ten people are
/// left out. A person may ask a hundred requests in an hour; the same request within ten minutes gets the same answer, and
/// counts for none.
#[utoipa::path(post, path = "/v1/count", tag = "count", request_body = Form, security(("bearer" = [])),
    responses((status = 200, body = Counted), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem),
        (status = 503, body = Problem)))]
pub(super) async fn count(
    State(api): State<Api>,
    person: Person,
    headers: HeaderMap,
    Body(form): Body<Form>,
) -> Result<Response, Problem> {
    person.may(&api, Action::HubCount)?;
    let caller = api.0.identify.caller(&MetadataMap::from_headers(headers), api.1).await?;
    match api.0.counter.answer(caller, &form).await {
        Ok(counted) => Ok(([(header::CACHE_CONTROL, "no-store")], Json(counted)).into_response()),
        Err(CountError::Refused(refusal)) => Err(refusal.into()),
        Err(CountError::Full(used)) => {
            let detail = format!(
                "you have asked {MOST} quick tests within an hour; the next one is taken at {} (in {} s)",
                used.again.format("%H:%M:%S UTC"),
                used.seconds
            );
            let mut response = Problem::too_many(detail).into_response();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(used.seconds));
            Ok(response)
        }
    }
}
