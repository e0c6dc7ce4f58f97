//! The device authorization flow (RFC 8628): a code is shown here and entered in any browser, while this program asks the
//! issuer now and then whether that has been done, as often as the issuer allows.

use super::{Granted, Http, Issuer, LoginConfig, LoginError, issuer::denied};
use openidconnect::{AuthType, core::CoreDeviceAuthorizationResponse};

/// What the person is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// the page to open
    pub uri: String,
    /// the code to enter there
    pub code: String,
    /// a page that needs no code
    pub complete: Option<String>,
    /// how long the code is good
    pub minutes: u64,
}

/// Lets somebody sign in: `show` is told what to do, and the answer comes when they have done it.
///
/// # Errors
/// When the issuer knows no such flow or can't be reached, the person says no, or the code's time is over.
pub async fn device(
    issuer: &Issuer,
    login: &LoginConfig,
    http: &Http,
    show: impl FnOnce(&Shown),
) -> Result<Granted, LoginError> {
    let client = issuer
        .client(login)
        .set_device_authorization_url(issuer.device_endpoint()?)
        .set_auth_type(AuthType::RequestBody);
    let mut request = client.exchange_device_code().add_scopes(issuer.scopes(login));
    if let Some(resource) = &login.resource {
        request = request.add_extra_param("resource", resource.clone());
    }
    let details: CoreDeviceAuthorizationResponse =
        request.request_async(http).await.map_err(|e| denied(issuer.url(), &e))?;
    show(&Shown {
        uri: details.verification_uri().to_string(),
        code: details.user_code().secret().clone(),
        complete: details.verification_uri_complete().map(|uri| uri.secret().clone()),
        minutes: details.expires_in().as_secs().div_ceil(60),
    });
    let answer = client
        .exchange_device_access_token(&details)
        .request_async(http, tokio::time::sleep, None)
        .await
        .map_err(|e| denied(issuer.url(), &e))?;
    Ok(Granted::new(&answer))
}
