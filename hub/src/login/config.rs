//! Where people sign in, as the hub tells everybody who asks.

use runtime::token::IssuerConfig;
use serde::{Deserialize, Serialize};

/// The public client that `hub login` uses where none is named.
const CLIENT: &str = "eger-cli";

/// `[[login]]` in `hub.toml`: the public client of one issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// the issuer's URL, one of `[[issuer]]`
    pub issuer: String,
    /// the public client that is registered there
    #[serde(default = "client")]
    pub client_id: String,
    /// scopes to ask for; `openid`, and `offline_access` where the issuer knows it, when there are none
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// the resource (RFC 8707) to ask a token for, where the issuer wants one
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

fn client() -> String {
    CLIENT.to_owned()
}

/// What is told: the logins given, or without any, each issuer with the usual client.
///
/// # Errors
/// When a login names an issuer that isn't trusted, or stands twice.
pub(crate) fn offered(issuers: &[IssuerConfig], given: Vec<LoginConfig>) -> Result<Vec<LoginConfig>, String> {
    for (number, login) in given.iter().enumerate() {
        if !issuers.iter().any(|issuer| issuer.url == login.issuer) {
            return Err(format!("'{}' is not among [[issuer]]: its tokens would not be believed", login.issuer));
        }
        if given.iter().take(number).any(|before| before.issuer == login.issuer) {
            return Err(format!("'{}' stands twice. Remove one of them", login.issuer));
        }
    }
    if !given.is_empty() {
        return Ok(given);
    }
    let usual = |issuer: &IssuerConfig| LoginConfig {
        issuer: issuer.url.clone(),
        client_id: client(),
        scopes: Vec::new(),
        resource: None,
    };
    Ok(issuers.iter().map(usual).collect())
}
