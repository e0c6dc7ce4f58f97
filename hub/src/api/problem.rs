//! How the API says no: RFC 9457, `application/problem+json`, with the fields that are wrong.

use crate::{airlock::AirlockError, apply::ApplyError, identify::TokenError};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use policies::application::{Problem as Field, Problems};
use proto::refusal::{Kind, Refusal};

/// What a caller reads when a call fails.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// which kind, as a name that stays the same
    #[serde(rename = "type")]
    pub kind: String,
    /// the kind in words
    pub title: String,
    /// HTTP status
    pub status: u16,
    /// what is wrong here, and what to do
    pub detail: String,
    /// the fields that are wrong
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Field>,
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:eger:problem:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            format!("there is no such {what}, or it is not yours"),
        )
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "Method not allowed",
            "this address doesn't take that method; /openapi.json lists what there is",
        )
    }

    pub(super) fn denied(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "denied", "Not permitted", detail)
    }

    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![Field { field: field.to_owned(), message: message.into() }])
    }

    pub(super) fn fields(errors: Vec<Field>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.to_string(),
            all => format!("{} fields are wrong", all.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "fields", "Fields are wrong", detail) }
    }

    pub(super) fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unreadable", "The request can't be read", detail)
    }

    pub(super) fn too_large(most: usize) -> Self {
        let detail = format!("the body is larger than {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
    }

    pub(super) fn too_many(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many requests", detail)
    }

    pub(super) fn late() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", "the hub took too long. Try again shortly")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Problems> for Problem {
    fn from(problems: Problems) -> Self {
        Self::fields(problems.0)
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::NotFound(what) => Self::not_found(what),
            ApplyError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail),
            ApplyError::Illegal(illegal) => {
                Self::new(StatusCode::CONFLICT, "state", "Not in this state", illegal.to_string())
            }
            ApplyError::Stale => {
                Self::new(StatusCode::PRECONDITION_FAILED, "stale", "Changed meanwhile", ApplyError::Stale.to_string())
            }
            ApplyError::Problems(problems) => problems.into(),
            error @ (ApplyError::Database(_) | ApplyError::Corrupt { .. }) => fault(&error),
        }
    }
}

impl From<AirlockError> for Problem {
    fn from(error: AirlockError) -> Self {
        match error {
            AirlockError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail),
            AirlockError::Illegal(illegal) => {
                Self::new(StatusCode::CONFLICT, "state", "Not in this state", illegal.to_string())
            }
            AirlockError::File(detail) => Self::field("file", detail),
            AirlockError::Differs(file, differs) => Self::field(&file, differs.to_string()),
            AirlockError::Kind(error) => Self::field("file", error.to_string()),
            AirlockError::Review(error) => Self::field("files", error.to_string()),
            AirlockError::Stored(error) => error.into(),
            AirlockError::Audit(refusal) => refusal.into(),
            error @ (AirlockError::Vault(_) | AirlockError::Crate(_) | AirlockError::Release(_)) => fault(&error),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        fault(&error)
    }
}

/// The log keeps what happened; the outside reads that it is the hub's fault.
fn fault(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a call failed");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "fault",
        "A fault of the hub",
        "the hub could not do this. Try again shortly; if it stays so, tell the hub's operator",
    )
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, kind, title) = match refusal.kind {
            Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "token", "No good token"),
            Kind::Denied => (StatusCode::FORBIDDEN, "denied", "Not permitted"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Kind::Invalid => (StatusCode::BAD_REQUEST, "unreadable", "The request can't be read"),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
            Kind::Stale | Kind::Exhausted | Kind::Unavailable | Kind::Deadline | Kind::Cancelled => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy")
            }
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "fault", "A fault of the hub"),
        };
        Self::new(status, kind, title, refusal.message)
    }
}
