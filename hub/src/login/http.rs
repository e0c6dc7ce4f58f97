//! Talking to an issuer: no redirects, bounded answers, and at the token endpoint a proof of the key that the token is to be
//! bound to (DPoP, RFC 9449).

use super::{LoginError, file_error};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use runtime::token::binding::BindingKey;
use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// How long an issuer may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer taken from an issuer, bytes.
const MAX_ANSWER: usize = 1 << 20;
/// JWS type of a proof.
const PROOF: &str = "dpop+jwt";

/// A client for one issuer.
pub struct Http {
    client: reqwest::Client,
    key: Option<Arc<BindingKey>>,
    /// what the issuer last gave, to stand in the next proof
    nonce: Mutex<Option<String>>,
}

/// Why there was no answer. Holds no URL's query and no token.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HttpError(String);

impl Http {
    /// A client that proves possession of `key` at the token endpoint.
    ///
    /// # Errors
    /// When the certificates can't be used.
    pub fn new(issuer: &str, ca: Option<&Path>, key: Option<Arc<BindingKey>>) -> Result<Self, LoginError> {
        runtime::crypto::install();
        let bad = |message: String| LoginError::Issuer { issuer: issuer.to_owned(), message };
        // Redirects could take tokens elsewhere.
        let mut builder =
            reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy();
        if let Some(path) = ca {
            let pem = std::fs::read(path).map_err(file_error(path))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| bad(e.to_string()))? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder.build().map_err(|e| bad(e.to_string()))?;
        Ok(Self { client, key, nonce: Mutex::default() })
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let proving = self.key.as_deref().filter(|_| asks_for_token(&request));
        let Some(key) = proving else { return self.once(&request, None).await };
        let answer = self.once(&request, Some(self.proof(key, &request)?)).await?;
        let given = answer.headers().get("dpop-nonce").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(given) = given else { return Ok(answer) };
        *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
        // The issuer wants its own number in the proof.
        let again = !answer.status().is_success() && answer.body().windows(14).any(|w| w == b"use_dpop_nonce");
        if again { self.once(&request, Some(self.proof(key, &request)?)).await } else { Ok(answer) }
    }

    fn proof(&self, key: &BindingKey, request: &HttpRequest) -> Result<String, HttpError> {
        let failed = |e: String| HttpError(format!("no proof of the key: {e}"));
        let mut id = [0u8; 16];
        getrandom::fill(&mut id).map_err(|e| failed(e.to_string()))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|e| failed(e.to_string()))?;
        let place = request.uri().to_string();
        let place = place.split(['?', '#']).next().unwrap_or_default();
        let mut claims = serde_json::json!({
            "jti": BASE64.encode(id), "htm": request.method().as_str(), "htu": place, "iat": now.as_secs(),
        });
        if let Some(nonce) = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            claims["nonce"] = nonce.as_str().into();
        }
        key.sign(PROOF, claims.to_string().as_bytes()).map_err(|e| failed(e.to_string()))
    }

    async fn once(&self, request: &HttpRequest, proof: Option<String>) -> Result<HttpResponse, HttpError> {
        let failed = |e: reqwest::Error| {
            let why = std::error::Error::source(&e).map_or_else(String::new, |source| format!(": {source}"));
            HttpError(format!("{}{why}", e.without_url()))
        };
        let mut outgoing = reqwest::Request::try_from(request.clone()).map_err(failed)?;
        if let Some(proof) = proof {
            let value = proof.parse().map_err(|_| HttpError("a proof that can't be sent".to_owned()))?;
            outgoing.headers_mut().insert("dpop", value);
        }
        let mut answer = self.client.execute(outgoing).await.map_err(failed)?;
        let mut builder = http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            builder = builder.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(HttpError(format!("an answer of more than {MAX_ANSWER} bytes")));
            }
        }
        builder.body(body).map_err(|e| HttpError(e.to_string()))
    }
}

/// The requests that a token comes back from say which grant they are.
fn asks_for_token(request: &HttpRequest) -> bool {
    request.method() == http::Method::POST
        && url::form_urlencoded::parse(request.body()).any(|(name, _)| name == "grant_type")
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
