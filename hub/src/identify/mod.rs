//! Who asks: a token becomes a [`Caller`], and the caller's request becomes one about a project.
//!
//! INVARIANT: a token that is unknown, expired, revoked or of another user gets one answer; so does a project
//! that doesn't exist or that the caller is no member of.

mod project;
mod tokens;

pub use project::choose;
pub use tokens::{NewToken, TokenError, TokenId, TokenRecord, TokenStore};

use base64::Engine;
use policies::zone::Zone;
use proto::{
    ids::{ProjectId, UserId},
    refusal::{Kind, Refusal},
};
use tonic::metadata::MetadataMap;

/// Someone who proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// the user
    pub user: UserId,
    /// the token used
    pub token: TokenId,
    /// the only project that the token is good for
    pub bound: Option<ProjectId>,
    /// where the answer will be shown: follows from the listener
    pub zone: Zone,
}

/// The one answer to every token that isn't good.
#[must_use]
pub fn unknown_token() -> Refusal {
    Refusal::new(
        Kind::Unauthenticated,
        "this token is not valid here: it is unknown, expired or revoked. Ask the hub's operator for a new one \
         and send it as 'authorization: Bearer TOKEN', or as the password of a user name and password",
    )
}

/// Tells who callers are.
#[derive(Debug, Clone)]
pub struct Identify {
    tokens: TokenStore,
}

impl Identify {
    /// Identifies by the tokens of `tokens`.
    #[must_use]
    pub fn new(tokens: TokenStore) -> Self {
        Self { tokens }
    }

    /// The caller that the request's `authorization` header proves.
    ///
    /// # Errors
    /// When there is no header, or no good token in it.
    pub async fn caller(&self, headers: &MetadataMap, zone: Zone) -> Result<Caller, Refusal> {
        Ok(self.caller_and_token(headers, zone).await?.0)
    }

    /// The caller, and the token to use from now on (for the answer to a handshake).
    ///
    /// # Errors
    /// As [`Identify::caller`].
    pub async fn caller_and_token(&self, headers: &MetadataMap, zone: Zone) -> Result<(Caller, String), Refusal> {
        let header = headers.get("authorization").ok_or_else(|| {
            Refusal::new(
                Kind::Unauthenticated,
                "no token was sent: send 'authorization: Bearer TOKEN', or the token as the password of a user name and password",
            )
        })?;
        let header = header.to_str().map_err(|_| unknown_token())?;
        let (claimed, token) = credentials(header).ok_or_else(unknown_token)?;
        let record = self.tokens.verify(&token).await.map_err(|error| {
            tracing::error!(%error, "tokens can't be read");
            Refusal::new(Kind::Unavailable, "the hub can't check tokens at the moment. Try again shortly")
        })?;
        let record = record.ok_or_else(unknown_token)?;
        if claimed.is_some_and(|user| user != record.user.as_ref()) {
            return Err(unknown_token());
        }
        Ok((Caller { user: record.user, token: record.id, bound: record.project, zone }, token))
    }
}

/// The user named (Basic only) and the token.
fn credentials(header: &str) -> Option<(Option<String>, String)> {
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, rest.to_owned()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        // Clients disagree about padding.
        let engine = base64::engine::GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
        );
        let text = String::from_utf8(engine.decode(rest).ok()?).ok()?;
        let (user, token) = text.split_once(':')?;
        // `token` is what drivers send that only have a field for a token.
        let user = Some(user).filter(|u| !u.is_empty() && *u != "token").map(str::to_owned);
        return Some((user, token.to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    async fn store() -> (tempfile::TempDir, TokenStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::open(&dir.path().join("hub.db")).await.unwrap();
        (dir, store)
    }

    fn headers(value: &str) -> MetadataMap {
        let mut map = MetadataMap::new();
        map.insert("authorization", value.parse().unwrap());
        map
    }

    fn basic(user: &str, password: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
    }

    #[tokio::test]
    async fn bearer_and_basic_give_the_same_caller() {
        let (_dir, store) = store().await;
        let token = store.create(&"anna@example.org".parse().unwrap(), None, 30).await.unwrap();
        let identify = Identify::new(store);
        for header in [
            format!("Bearer {}", token.text),
            format!("bearer {}", token.text),
            basic("anna@example.org", &token.text),
            basic("", &token.text),
            basic("token", &token.text),
        ] {
            let caller = identify.caller(&headers(&header), Zone::Open).await.unwrap();
            assert_eq!(caller.user.as_ref(), "anna@example.org");
        }
    }

    #[tokio::test]
    async fn every_token_that_is_not_good_gets_one_answer() {
        let (_dir, store) = store().await;
        let anna: UserId = "anna@example.org".parse().unwrap();
        let good = store.create(&anna, None, 30).await.unwrap();
        let expired = store.create(&anna, None, 0).await.unwrap();
        let revoked = store.create(&anna, None, 30).await.unwrap();
        assert!(store.revoke(&revoked.id).await.unwrap());
        let identify = Identify::new(store);
        let mut wrong = good.text.clone();
        let last = wrong.pop().unwrap();
        wrong.push(if last == '0' { '1' } else { '0' });
        for header in [
            "Bearer eger_0000000000000000_00".to_owned(),
            "Bearer nonsense".to_owned(),
            "Negotiate abc".to_owned(),
            "Basic !!!".to_owned(),
            format!("Bearer {}", expired.text),
            format!("Bearer {}", revoked.text),
            format!("Bearer {wrong}"),
            basic("bo@example.org", &good.text),
        ] {
            let refusal = identify.caller(&headers(&header), Zone::Open).await.unwrap_err();
            assert_eq!(refusal.kind, unknown_token().kind, "{header}");
            assert_eq!(refusal.message, unknown_token().message, "{header}");
        }
        let none = identify.caller(&MetadataMap::new(), Zone::Open).await.unwrap_err();
        assert_eq!(none.kind, Kind::Unauthenticated);
    }
}
