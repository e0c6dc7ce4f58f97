//! Signing in in a browser, for pages: authorization code with PKCE (RFC 7636), state and nonce.
//!
//! INVARIANT: a code is exchanged only by whoever began: with the same state, and the verifier that never left the server.

use super::{Granted, Http, Issuer, LoginConfig, LoginError, issuer::denied};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    TokenResponse, core::CoreResponseType,
};
use subtle::ConstantTimeEq;

/// A sign-in that has begun: kept at the server until the browser comes back.
pub struct Begun {
    /// where the browser goes
    pub url: url::Url,
    redirect: RedirectUrl,
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

/// Somebody who signed in.
pub struct SignedIn {
    /// the issuer's id of the person, from a verified identity token
    pub subject: String,
    /// the access token
    pub granted: Granted,
}

/// Begins: the browser is to go to the URL given, and comes back to `redirect` with `code` and `state`.
///
/// # Errors
/// When `redirect` is no URL.
pub fn begin(issuer: &Issuer, login: &LoginConfig, redirect: &str) -> Result<Begun, LoginError> {
    let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|e| LoginError::Usage(format!("{redirect}: {e}")))?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let client = issuer.client(login).set_redirect_uri(redirect.clone());
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let mut request = client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(issuer.scopes(login).into_iter().filter(|scope| scope.as_str() != "openid"))
        .set_pkce_challenge(challenge);
    if let Some(resource) = &login.resource {
        request = request.add_extra_param("resource", resource.clone());
    }
    let (url, state, nonce) = request.url();
    Ok(Begun { url, redirect, state, nonce, verifier })
}

/// Ends what was begun, with the `code` and `state` that the browser brought.
///
/// # Errors
/// When the state is another, the issuer doesn't take the code, or its identity token isn't for this sign-in.
pub async fn finish(
    issuer: &Issuer,
    login: &LoginConfig,
    http: &Http,
    begun: Begun,
    code: &str,
    state: &str,
) -> Result<SignedIn, LoginError> {
    if !bool::from(state.as_bytes().ct_eq(begun.state.secret().as_bytes())) {
        return Err(LoginError::Denied(
            "this answer belongs to no sign-in that was begun here. Sign in again".to_owned(),
        ));
    }
    let client = issuer.client(login).set_redirect_uri(begun.redirect);
    let mut request = client.exchange_code(AuthorizationCode::new(code.to_owned())).set_pkce_verifier(begun.verifier);
    if let Some(resource) = &login.resource {
        request = request.add_extra_param("resource", resource.clone());
    }
    let answer = request.request_async(http).await.map_err(|e| denied(issuer.url(), &e))?;
    let bad = |what: String| LoginError::Denied(format!("{}: {what}", issuer.url()));
    let identity = answer.id_token().ok_or_else(|| bad("no identity token came".to_owned()))?;
    let verifier = client.id_token_verifier();
    let claims =
        identity.claims(&verifier, &begun.nonce).map_err(|e| bad(format!("the identity token doesn't count: {e}")))?;
    Ok(SignedIn { subject: claims.subject().to_string(), granted: Granted::new(&answer) })
}
