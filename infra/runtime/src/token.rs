//! Access tokens of people: JWTs (RFC 9068) that trusted issuers signed for this platform. Hub and spoke each verify
//! them with issuers of their own configuration; neither takes the other's word.
//!
//! INVARIANT: a token counts only with a trusted issuer, the platform's audience, a signature by a key of that issuer
//! under an asymmetric algorithm, and within its time. The error to the outside doesn't say which was missing.

pub mod binding;
mod keys;

use crate::config::relative_to;
use jsonwebtoken::{Algorithm, Validation};
use keys::Keys;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Clocks of issuer and verifier may differ by so much, seconds.
pub const LEEWAY: u64 = 30;
/// The longest token looked at, bytes.
pub const MAX_TOKEN: usize = 16 << 10;
/// What is taken from an issuer: nothing symmetric, and not `none`.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// One trusted issuer: `[[issuer]]` in `hub.toml` and `spoke.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// its URL, exactly as in the claim `iss`; https, or http on loopback
    pub url: String,
    /// the audience that tokens for this platform carry
    #[serde(default = "platform")]
    pub audience: String,
    /// the claim that holds the internal person id
    #[serde(default = "subject")]
    pub user_claim: String,
    /// the token's type in its header; `JWT` for issuers that don't follow RFC 9068
    #[serde(default = "at_jwt")]
    pub token_type: String,
    /// a file with the issuer's public keys (JWK set), for a place that can't reach the issuer; read again when it changes
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// certificate authority of the issuer's web server, PEM, when it isn't a public one
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn platform() -> String {
    "eger".to_owned()
}

fn subject() -> String {
    "sub".to_owned()
}

fn at_jwt() -> String {
    "at+jwt".to_owned()
}

impl IssuerConfig {
    /// The same with relative paths taken below `base`.
    #[must_use]
    pub fn below(mut self, base: &Path) -> Self {
        self.jwks_file = self.jwks_file.map(|file| relative_to(base, &file));
        self.ca = self.ca.map(|file| relative_to(base, &file));
        self
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// The field that can't be as it is, and why.
    pub fn check(&self) -> Result<(), String> {
        let url = url::Url::parse(&self.url).map_err(|e| format!("issuer.url '{}': {e}", self.url))?;
        let local = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            return Err(format!("issuer.url '{}': must be https (http on loopback only)", self.url));
        }
        for (field, value) in
            [("audience", &self.audience), ("user_claim", &self.user_claim), ("token_type", &self.token_type)]
        {
            if value.trim().is_empty() {
                return Err(format!("issuer.{field} of '{}': is empty", self.url));
            }
        }
        Ok(())
    }
}

/// Who a token says that somebody is, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// the issuer's URL
    pub issuer: String,
    /// the issuer's own id of the person
    pub subject: String,
    /// the internal person id, from the configured claim
    pub user: String,
    /// when the token ends
    pub expires: SystemTime,
    /// SHA-256 thumbprint (RFC 7638) of the key that the person signs with, when the token is bound to one (RFC 9449)
    pub key_thumbprint: Option<String>,
    /// a name of this token for logs, of which the token can't be found: 16 hex digits
    pub id: String,
}

/// Why a token doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token that counts here. `0` is for the log; the outside reads one sentence.
    #[error(
        "this access token is not valid here: it has another issuer or audience, is over, or was changed. Sign in again (hub login)"
    )]
    Invalid(String),
    /// The issuer's keys can't be had at the moment.
    #[error("the keys of the issuer {issuer} can't be had at the moment; try again shortly")]
    Unavailable {
        /// which issuer
        issuer: String,
        /// what went wrong, for the log
        cause: String,
    },
}

impl TokenError {
    /// What the log keeps: never the token.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Invalid(detail) => detail,
            Self::Unavailable { cause, .. } => cause,
        }
    }
}

/// Why issuers can't be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// A field is wrong.
    #[error("{0}")]
    Field(String),
    /// A file can't be used.
    #[error("{}: {message}", path.display())]
    File {
        /// which file
        path: PathBuf,
        /// what is wrong
        message: String,
    },
}

/// The issuers that are trusted here. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Issuers {
    by_url: Arc<BTreeMap<String, Issuer>>,
}

#[derive(Debug)]
struct Issuer {
    config: IssuerConfig,
    keys: Keys,
}

#[derive(Deserialize)]
struct Raw {
    iss: String,
    sub: String,
    exp: u64,
    #[serde(default)]
    email_verified: Option<bool>,
    #[serde(default)]
    cnf: Option<Confirmation>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(default)]
    jkt: Option<String>,
}

#[derive(Deserialize)]
struct OnlyIssuer {
    iss: String,
}

impl Issuers {
    /// Trusts these issuers; their keys are fetched when the first token comes.
    ///
    /// # Errors
    /// When a field or file can't be used, or an issuer stands twice.
    pub fn new(configs: &[IssuerConfig]) -> Result<Self, IssuersError> {
        crate::crypto::install();
        let mut by_url = BTreeMap::new();
        for config in configs {
            config.check().map_err(IssuersError::Field)?;
            let keys = Keys::new(config)?;
            let issuer = Issuer { config: config.clone(), keys };
            if by_url.insert(config.url.clone(), issuer).is_some() {
                return Err(IssuersError::Field(format!("issuer.url '{}': stands twice", config.url)));
            }
        }
        Ok(Self { by_url: Arc::new(by_url) })
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_url.is_empty()
    }

    /// The trusted issuers' URLs.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.by_url.keys().map(String::as_str)
    }

    /// Fetches each issuer's keys once, so that trouble shows early.
    ///
    /// # Errors
    /// The first issuer whose keys can't be had.
    pub async fn probe(&self) -> Result<(), TokenError> {
        for issuer in self.by_url.values() {
            issuer.keys.probe().await.map_err(|cause| issuer.unavailable(cause))?;
        }
        Ok(())
    }

    /// Who the token says that somebody is.
    ///
    /// # Errors
    /// When it doesn't count here, or the issuer's keys can't be had.
    pub async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let invalid = |detail: &str| TokenError::Invalid(detail.to_owned());
        if token.len() > MAX_TOKEN {
            return Err(invalid("too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid("no JWT"))?;
        // Only to find the issuer whose keys decide.
        let unverified: OnlyIssuer =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| invalid("no claims with an issuer"))?;
        let issuer = self.by_url.get(&unverified.iss).ok_or_else(|| invalid("another issuer"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(invalid("an algorithm that is not taken"));
        }
        let typ = header.typ.as_deref().unwrap_or_default();
        let typ = typ.strip_prefix("application/").unwrap_or(typ);
        if !typ.eq_ignore_ascii_case(&issuer.config.token_type) {
            return Err(invalid("another type of token"));
        }
        let key =
            issuer.keys.find(header.kid.as_deref(), header.alg).await.map_err(|cause| issuer.unavailable(cause))?;
        let key = key.ok_or_else(|| invalid("signed with no key of its issuer"))?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&issuer.config.url]);
        validation.set_audience(&[&issuer.config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let raw = jsonwebtoken::decode::<Raw>(token, &key, &validation).map_err(|e| invalid(&e.to_string()))?.claims;
        issuer.claims(raw, token)
    }
}

impl Issuer {
    fn unavailable(&self, cause: String) -> TokenError {
        TokenError::Unavailable { issuer: self.config.url.clone(), cause }
    }

    fn claims(&self, raw: Raw, token: &str) -> Result<Claims, TokenError> {
        let claim = self.config.user_claim.as_str();
        let user = match claim {
            "sub" => Some(raw.sub.as_str()),
            // An address that nobody checked says nothing about who somebody is.
            "email" if raw.email_verified == Some(false) => None,
            other => raw.rest.get(other).and_then(serde_json::Value::as_str),
        };
        let user =
            user.filter(|u| !u.is_empty()).ok_or_else(|| TokenError::Invalid(format!("no usable claim {claim}")))?;
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(raw.exp));
        let expires = expires.ok_or_else(|| TokenError::Invalid("an end beyond all time".to_owned()))?;
        Ok(Claims {
            user: user.to_owned(),
            issuer: raw.iss,
            subject: raw.sub,
            expires,
            key_thumbprint: raw.cnf.and_then(|c| c.jkt),
            id: token_id(token),
        })
    }
}

/// A name of a token for logs, of which the token can't be found: the first 16 hex digits of its SHA-256.
#[must_use]
pub fn token_id(token: &str) -> String {
    let mut id = hex::encode(Sha256::digest(token));
    id.truncate(16);
    id
}

#[cfg(test)]
mod tests;
