//! Who asks: an access token becomes a [`Caller`], and the caller's request becomes one about a project.
//!
//! Data are asked for with access tokens that trusted issuers signed, and with nothing else: the spokes verify the same
//! token again. Personal access tokens remain for the HTTP API.
//!
//! INVARIANT: a token that is unknown, over, changed or of another user gets one answer; so does a project that doesn't
//! exist or that the caller is no member of. No token is ever logged, whole or in part.

mod api;
mod header;
mod project;
mod tokens;

pub use api::ApiCaller;
pub use project::choose;
pub use tokens::{NewToken, TokenError, TokenId, TokenRecord, TokenStore};

use header::{Sent, sent};
use policies::zone::Zone;
use proto::{
    envelope::Proof,
    ids::UserId,
    refusal::{Kind, Refusal},
};
use runtime::token::{Claims, Issuers, TokenError as Untrusted, token_id};
use std::time::{Duration, SystemTime};
use tonic::metadata::MetadataMap;

/// How personal access tokens begin.
const PERSONAL: &str = "eger_";

/// Someone who proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// the user
    pub user: UserId,
    /// who vouches for the user: the issuer's URL
    pub issuer: String,
    /// the access token, for the spokes to verify themselves
    pub token: Proof,
    /// a name of the token for logs
    pub token_id: String,
    /// when the token ends, and all that hangs on it
    pub expires: SystemTime,
    /// thumbprint of the key that the token is bound to
    pub key: Option<String>,
    /// where the answer will be shown: follows from the listener
    pub zone: Zone,
}

impl Caller {
    /// How long the token is still good.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.expires.duration_since(SystemTime::now()).unwrap_or_default()
    }

    /// Somebody, for tests.
    #[cfg(test)]
    pub(crate) fn for_tests(user: &str, zone: Zone) -> Self {
        Self {
            user: user.parse().unwrap_or_else(|_| unreachable!("a user id")),
            issuer: "https://id.example.org".to_owned(),
            token: Proof::new("token"),
            token_id: "0123456789abcdef".to_owned(),
            expires: SystemTime::now() + Duration::from_secs(600),
            key: None,
            zone,
        }
    }
}

/// The one answer to every access token that isn't good.
#[must_use]
pub fn unknown_token() -> Refusal {
    Refusal::new(
        Kind::Unauthenticated,
        "this access token is not valid here: it has another issuer or audience, is over, or was changed. Sign in again \
         (hub login) and send it as 'authorization: Bearer TOKEN', or as the password of a user name and password",
    )
}

fn no_token() -> Refusal {
    Refusal::new(
        Kind::Unauthenticated,
        "no token was sent: sign in (hub login) and send 'authorization: Bearer TOKEN', or the token as the password of a \
         user name and password",
    )
}

fn personal() -> Refusal {
    Refusal::new(
        Kind::Unauthenticated,
        "personal access tokens are not taken for data, only by the HTTP API: sign in with your issuer (hub login) and \
         send the access token that it gives you",
    )
}

/// Tells who callers are.
#[derive(Debug, Clone)]
pub struct Identify {
    issuers: Issuers,
    tokens: TokenStore,
}

impl Identify {
    /// Believes these issuers, and the personal access tokens of `tokens` where those are taken.
    #[must_use]
    pub fn new(issuers: Issuers, tokens: TokenStore) -> Self {
        Self { issuers, tokens }
    }

    /// The caller that the request's `authorization` header proves.
    ///
    /// # Errors
    /// When there is no header, or no good access token in it.
    pub async fn caller(&self, headers: &MetadataMap, zone: Zone) -> Result<Caller, Refusal> {
        let header = headers.get("authorization").ok_or_else(no_token)?;
        let Sent { user: claimed, token } = header.to_str().ok().and_then(sent).ok_or_else(unknown_token)?;
        if token.reveal().starts_with(PERSONAL) {
            return Err(personal());
        }
        let claims = self.verified(token.reveal()).await?;
        let user = person(&claims)?;
        if claimed.is_some_and(|claimed| claimed != user.as_ref()) {
            return Err(unknown_token());
        }
        Ok(Caller {
            user,
            issuer: claims.issuer,
            token,
            token_id: claims.id,
            expires: claims.expires,
            key: claims.key_thumbprint,
            zone,
        })
    }

    async fn verified(&self, token: &str) -> Result<Claims, Refusal> {
        if self.issuers.is_empty() {
            return Err(Refusal::new(
                Kind::Unauthenticated,
                "this hub trusts no issuer of access tokens yet. Its operator has to name one under [[issuer]] in hub.toml",
            ));
        }
        self.issuers.verify(token).await.map_err(|error| {
            tracing::info!(token = token_id(token), detail = error.detail(), "an access token is refused");
            match error {
                Untrusted::Invalid(_) => unknown_token(),
                Untrusted::Unavailable { .. } => Refusal::new(Kind::Unavailable, error.to_string()),
            }
        })
    }
}

/// The internal person id that the issuer's claims map to.
fn person(claims: &Claims) -> Result<UserId, Refusal> {
    claims.user.parse().map_err(|_| {
        tracing::warn!(token = claims.id, issuer = claims.issuer, "the user claim of this issuer holds no user id");
        unknown_token()
    })
}

#[cfg(test)]
mod tests;
