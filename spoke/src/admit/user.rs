//! Who asks: what the user's own access token says, verified here with issuers of this spoke's own choice.
//!
//! INVARIANT: the hub's word for who asks counts only as a claim that must agree with the token.

use super::under::denied;
use crate::receive::Envelope;
use proto::{
    ids::UserId,
    refusal::{Kind, Refusal},
};
use runtime::token::{Claims, Issuers, TokenError};

/// A person, as an issuer that is trusted here says.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) user: UserId,
    pub(crate) issuer: String,
    /// a name of the token, for the log
    pub(crate) token: String,
    /// thumbprint of the key that the token is bound to
    pub(crate) key: Option<String>,
}

/// Who the envelope's token names.
pub(crate) async fn identify(issuers: &Issuers, envelope: &Envelope) -> Result<Asker, Refusal> {
    let claims = issuers.verify(envelope.token.reveal()).await.map_err(|error| {
        tracing::info!(query = %envelope.query_id, reason = error.detail(), "a token doesn't count here");
        let kind = match error {
            TokenError::Invalid(_) => Kind::Unauthenticated,
            TokenError::Unavailable { .. } => Kind::Unavailable,
        };
        Refusal::new(kind, error.to_string())
    })?;
    let Claims { issuer, user, key_thumbprint, id, .. } = claims;
    let user: UserId = user.parse().map_err(|_| {
        tracing::warn!(query = %envelope.query_id, token = %id, "a token's user claim is no user id");
        denied()
    })?;
    if user != envelope.user {
        tracing::warn!(
            query = %envelope.query_id, token = %id, said = %envelope.user, is = %user,
            "the hub names another user than the token"
        );
        return Err(denied());
    }
    Ok(Asker { user, issuer, token: id, key: key_thumbprint })
}
