//! Bodies and headers of calls.

use super::{MAX_BODY, Problem};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;

/// A JSON body; errors name the place.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !kind.is_empty() && !kind.starts_with("application/json") {
            return Err(Problem::unreadable("send the body as application/json"));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                Problem::too_large(MAX_BODY)
            } else {
                Problem::unreadable("the body did not come whole")
            }
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::unreadable(format!("the body: {error}")))
    }
}

/// The key of a call that may be repeated.
pub(super) fn idempotency(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=128).contains(&key.len()) => Ok(Some(key)),
        _ => Err(Problem::unreadable("the header Idempotency-Key has 1 to 128 printable characters")),
    }
}

/// The revision that the caller read, from `If-Match`.
pub(super) fn revision(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = tag.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    text.trim_matches('"')
        .parse()
        .map(Some)
        .map_err(|_| Problem::unreadable("the header If-Match holds the ETag that you read"))
}
