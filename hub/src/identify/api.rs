//! Callers of the HTTP API: programs and pages that handle applications and permits, never data.
//!
//! INVARIANT: nobody gets data with what is made here; an [`ApiCaller`] is no [`super::Caller`].

use super::{Identify, PERSONAL, header, no_token, person, unknown_token};
use proto::{
    ids::{ProjectId, UserId},
    refusal::{Kind, Refusal},
};

/// Someone who proved to the HTTP API who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCaller {
    /// the user
    pub user: UserId,
    /// who vouches for the user; none with a personal access token that the hub's operator made: this hub itself
    pub issuer: Option<String>,
    /// proved by a personal access token
    pub personal: bool,
    /// the only project that the personal access token is good for
    pub bound: Option<ProjectId>,
}

impl Identify {
    /// The caller that an `authorization` header proves: an issuer's access token or a personal one.
    ///
    /// # Errors
    /// When there is none, or it isn't good.
    pub async fn api_caller(&self, authorization: Option<&str>) -> Result<ApiCaller, Refusal> {
        let header = authorization.ok_or_else(no_token)?;
        let sent = header::sent(header).ok_or_else(unknown_token)?;
        let caller = if sent.token.reveal().starts_with(PERSONAL) {
            let record = self.tokens.verify(sent.token.reveal()).await.map_err(|error| {
                tracing::error!(%error, "tokens can't be read");
                Refusal::new(Kind::Unavailable, "the hub can't check tokens at the moment. Try again shortly")
            })?;
            let record = record.ok_or_else(unknown_token)?;
            ApiCaller { user: record.user, issuer: record.issuer, personal: true, bound: record.project }
        } else {
            let claims = self.verified(sent.token.reveal()).await?;
            ApiCaller { user: person(&claims)?, issuer: Some(claims.issuer), personal: false, bound: None }
        };
        if sent.user.is_some_and(|claimed| claimed != caller.user.as_ref()) {
            return Err(unknown_token());
        }
        Ok(caller)
    }
}
