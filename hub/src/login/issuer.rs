//! An issuer as its discovery document describes it.
//!
//! INVARIANT: of an issuer that is reached over https, nothing is used that isn't.

use super::{Http, LoginConfig, LoginError};
use chrono::{DateTime, Utc};
use openidconnect::{
    AdditionalProviderMetadata, ClientId, DeviceAuthorizationUrl, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IssuerUrl, OAuth2TokenResponse, ProviderMetadata, RefreshToken, TokenUrl,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType, CoreTokenResponse,
    },
};
use runtime::token::binding::Algorithm;
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::Zeroizing;

/// What the discovery document says beyond the standard's core.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct More {
    #[serde(default)]
    device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
    #[serde(default)]
    dpop_signing_alg_values_supported: Vec<String>,
}

impl AdditionalProviderMetadata for More {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A client that knows where people are asked and where tokens come from.
pub(super) type Known =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet, EndpointMaybeSet>;

/// An issuer, discovered.
#[derive(Debug, Clone)]
pub struct Issuer {
    url: String,
    metadata: Metadata,
    token_endpoint: TokenUrl,
}

impl Issuer {
    /// Reads the issuer's discovery document.
    ///
    /// # Errors
    /// When it can't be reached, describes another issuer, or lacks what signing in needs.
    pub async fn discover(url: &str, ca: Option<&Path>) -> Result<Self, LoginError> {
        let bad = |message: String| LoginError::Issuer { issuer: url.to_owned(), message };
        let issuer = IssuerUrl::new(url.to_owned()).map_err(|e| bad(e.to_string()))?;
        let http = Http::new(url, ca, None)?;
        let metadata = Metadata::discover_async(issuer, &http).await.map_err(|e| {
            let why = std::error::Error::source(&e).map_or_else(String::new, |source| format!(": {source}"));
            bad(format!("its discovery document can't be used: {e}{why}"))
        })?;
        let token_endpoint =
            metadata.token_endpoint().cloned().ok_or_else(|| bad("it names no token endpoint".to_owned()))?;
        let more = metadata.additional_metadata();
        let mut used = vec![metadata.authorization_endpoint().url(), token_endpoint.url()];
        used.extend(more.device_authorization_endpoint.as_ref().map(|endpoint| endpoint.url()));
        if let Some(clear) = used.into_iter().find(|place| url.starts_with("https://") && place.scheme() != "https") {
            return Err(bad(format!("{clear} is not https")));
        }
        Ok(Self { url: url.to_owned(), metadata, token_endpoint })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The kind of key that it binds tokens to, when it does so at all (DPoP).
    #[must_use]
    pub fn binding(&self) -> Option<Algorithm> {
        let known = &self.metadata.additional_metadata().dpop_signing_alg_values_supported;
        [Algorithm::Es256, Algorithm::EdDsa].into_iter().find(|algorithm| known.iter().any(|n| n == algorithm.name()))
    }

    pub(super) fn device_endpoint(&self) -> Result<DeviceAuthorizationUrl, LoginError> {
        self.metadata.additional_metadata().device_authorization_endpoint.clone().ok_or_else(|| LoginError::Issuer {
            issuer: self.url.clone(),
            message: "it knows no device flow (RFC 8628). Get an access token in another way and set EGER_TOKEN"
                .to_owned(),
        })
    }

    pub(super) fn client(&self, login: &LoginConfig) -> Known {
        CoreClient::from_provider_metadata(self.metadata.clone(), ClientId::new(login.client_id.clone()), None)
            .set_token_uri(self.token_endpoint.clone())
    }

    /// Scopes to ask for: those configured, else `openid`, and a way to refresh where the issuer knows one.
    pub(super) fn scopes(&self, login: &LoginConfig) -> Vec<openidconnect::Scope> {
        if !login.scopes.is_empty() {
            return login.scopes.iter().cloned().map(openidconnect::Scope::new).collect();
        }
        let known = self.metadata.scopes_supported();
        let offline = known.is_some_and(|all| all.iter().any(|scope| scope.as_str() == "offline_access"));
        let all = ["openid"].into_iter().chain(offline.then_some("offline_access"));
        all.map(|scope| openidconnect::Scope::new(scope.to_owned())).collect()
    }

    /// Another access token for a refresh token.
    ///
    /// # Errors
    /// When the issuer can't be reached or gives none.
    pub async fn refresh(&self, login: &LoginConfig, refresh: &str, http: &Http) -> Result<Granted, LoginError> {
        let token = RefreshToken::new(refresh.to_owned());
        let client = self.client(login);
        let mut request = client.exchange_refresh_token(&token);
        if let Some(resource) = &login.resource {
            request = request.add_extra_param("resource", resource.clone());
        }
        let answer = request.request_async(http).await.map_err(|e| denied(&self.url, &e))?;
        Ok(Granted::new(&answer))
    }
}

/// What the issuer said of a request for a token.
pub(super) fn denied<E, T>(issuer: &str, error: &openidconnect::RequestTokenError<E, T>) -> LoginError
where
    E: std::error::Error + 'static,
    T: openidconnect::ErrorResponse + std::fmt::Display + 'static,
{
    use openidconnect::RequestTokenError as Error;
    match error {
        Error::ServerResponse(said) => LoginError::Denied(format!("{issuer}: {said}")),
        Error::Request(cause) => LoginError::Issuer { issuer: issuer.to_owned(), message: cause.to_string() },
        // The answer itself may hold a token.
        Error::Parse(..) => {
            LoginError::Issuer { issuer: issuer.to_owned(), message: "its answer can't be read".to_owned() }
        }
        Error::Other(message) => LoginError::Issuer { issuer: issuer.to_owned(), message: message.clone() },
    }
}

/// What an issuer gave to somebody who signed in. Wiped when dropped, never printed.
pub struct Granted {
    /// the access token
    pub access: Zeroizing<String>,
    /// what brings the next one
    pub refresh: Option<Zeroizing<String>>,
    /// when the access token ends, if the issuer says so
    pub expires: Option<DateTime<Utc>>,
}

impl Granted {
    pub(super) fn new(answer: &CoreTokenResponse) -> Self {
        let life = answer.expires_in().and_then(|life| chrono::Duration::from_std(life).ok());
        Self {
            access: Zeroizing::new(answer.access_token().secret().clone()),
            refresh: answer.refresh_token().map(|token| Zeroizing::new(token.secret().clone())),
            expires: life.map(|life| Utc::now() + life),
        }
    }
}
