//! The issuer's HTTP side.

use super::{Issuer, IssuerError, LIFE, key_set, now};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use runtime::token::binding;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// How long a device code is good, seconds.
const CODE: u64 = 600;
/// Codes and proofs remembered at once.
const MAX: usize = 1000;
/// A proof of a key must be this fresh, seconds.
const FRESH: u64 = 60;
/// The grant of the device flow.
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

struct Service {
    issuer: Issuer,
    /// device codes that were given out, and until when they are good
    codes: Mutex<VecDeque<(String, u64)>>,
    /// proofs that were used
    proofs: Mutex<VecDeque<String>>,
}

type Shared = State<Arc<Service>>;

pub(super) fn run(issuer: Issuer, ready: Option<PathBuf>) -> Result<(), IssuerError> {
    runtime::telemetry::init("demo");
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(IssuerError::Serve)?;
    executor.block_on(serve(issuer, ready))
}

async fn serve(issuer: Issuer, ready: Option<PathBuf>) -> Result<(), IssuerError> {
    let place = issuer.settings.url.trim_start_matches("http://").to_owned();
    let address: SocketAddr = place.parse().map_err(|e: std::net::AddrParseError| IssuerError::File {
        path: PathBuf::from("issuer.json"),
        message: format!("url: {e}"),
    })?;
    let failed = |cause| IssuerError::Listen { address, cause };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!(%address, "an issuer that believes everybody serves: synthetic data only");
    if let Some(path) = ready {
        runtime::ready::write(&path, &[("listen", address)])
            .map_err(|e| IssuerError::File { path, message: e.to_string() })?;
    }
    let shutdown = runtime::shutdown::on_signal();
    axum::serve(listener, router(issuer))
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
        .map_err(IssuerError::Serve)
}

fn router(issuer: Issuer) -> Router {
    let service = Service { issuer, codes: Mutex::default(), proofs: Mutex::default() };
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(keys))
        .route("/device", get(device_page))
        .route("/device/auth", post(device))
        .route("/token", post(token))
        .with_state(Arc::new(service))
}

async fn discovery(State(service): Shared) -> Json<Value> {
    let url = &service.issuer.settings.url;
    Json(json!({
        "issuer": url,
        "jwks_uri": format!("{url}/jwks"),
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device/auth"),
        "grant_types_supported": [DEVICE],
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["none"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
    }))
}

async fn keys(State(service): Shared) -> Json<Value> {
    Json(key_set(&service.issuer.key))
}

async fn device_page() -> &'static str {
    "There is nothing to do here: the demo's issuer approves every sign-in at once.\n"
}

async fn device(State(service): Shared) -> Json<Value> {
    let code = uuid::Uuid::new_v4().to_string();
    let mut codes = service.codes.lock().unwrap_or_else(PoisonError::into_inner);
    codes.truncate(MAX);
    codes.push_front((code.clone(), now() + CODE));
    Json(json!({
        "device_code": code,
        "user_code": "DEMO-DEMO",
        "verification_uri": format!("{}/device", service.issuer.settings.url),
        "expires_in": CODE,
        "interval": 1,
    }))
}

fn refused(error: &str, why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error, "error_description": why }))).into_response()
}

async fn token(State(service): Shared, headers: HeaderMap, body: String) -> Response {
    let fields: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    if fields.get("grant_type").is_none_or(|grant| grant != DEVICE) {
        return refused("unsupported_grant_type", "the demo's issuer knows the device flow only");
    }
    let thumbprint = match headers.get("dpop").map(|proof| service.bound_to(proof.to_str().unwrap_or_default())) {
        Some(Err(why)) => return refused("invalid_dpop_proof", why),
        Some(Ok(thumbprint)) => Some(thumbprint),
        None => None,
    };
    if !fields.get("device_code").is_some_and(|code| service.redeem(code)) {
        return refused("invalid_grant", "there is no such device code, or its time is over");
    }
    let issuer = &service.issuer;
    let access = issuer.token(&issuer.settings.user, LIFE, thumbprint.as_deref());
    let kind = if thumbprint.is_some() { "DPoP" } else { "Bearer" };
    Json(json!({ "access_token": access, "token_type": kind, "expires_in": LIFE })).into_response()
}

#[derive(Deserialize)]
struct Proof {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
}

impl Service {
    /// A code is good once.
    fn redeem(&self, code: &str) -> bool {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|(_, until)| *until > now());
        let before = codes.len();
        codes.retain(|(known, _)| known != code);
        codes.len() < before
    }

    /// The thumbprint of the key that the proof is made with.
    fn bound_to(&self, proof: &str) -> Result<String, &'static str> {
        let signed = binding::verify(proof, "dpop+jwt").map_err(|_| "the proof is not signed with its own key")?;
        let proof: Proof = serde_json::from_slice(&signed.payload).map_err(|_| "the proof lacks a claim")?;
        if proof.htm != "POST" || proof.htu != format!("{}/token", self.issuer.settings.url) {
            return Err("the proof is for another request");
        }
        if proof.iat.abs_diff(now()) > FRESH {
            return Err("the proof is not fresh");
        }
        let mut used = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        if used.contains(&proof.jti) {
            return Err("the proof was used before");
        }
        used.truncate(MAX);
        used.push_front(proof.jti);
        Ok(signed.thumbprint)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::issuer::{Settings, init};
    use ed25519_dalek::SigningKey;
    use runtime::token::{
        IssuerConfig, Issuers,
        binding::{Algorithm, BindingKey},
    };

    fn service(url: &str) -> Service {
        let settings = Settings { url: url.to_owned(), user: "anna@example.org".to_owned() };
        let issuer = Issuer { settings, key: SigningKey::from_bytes(&[1; 32]) };
        Service { issuer, codes: Mutex::default(), proofs: Mutex::default() }
    }

    #[tokio::test]
    async fn what_it_signs_is_what_the_platform_verifies() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path(), "anna@example.org").unwrap();
        let issuer = Issuer::open(&dir.path().join("issuer.json")).unwrap();
        let text = format!("url = \"{}\"\njwks_file = \"jwks.json\"", issuer.settings.url);
        let config: IssuerConfig = toml::from_str(&text).unwrap();
        let issuers = Issuers::new(&[config.below(dir.path())]).unwrap();
        let claims = issuers.verify(&issuer.token("anna@example.org", 60, Some("thumb"))).await.unwrap();
        assert_eq!((claims.user.as_str(), claims.key_thumbprint.as_deref()), ("anna@example.org", Some("thumb")));
        // Made once: its address stands in permits.
        init(dir.path(), "bo@example.org").unwrap();
        assert_eq!(Issuer::open(&dir.path().join("issuer.json")).unwrap().settings.url, issuer.settings.url);
    }

    #[test]
    fn a_proof_counts_once_for_this_request_while_it_is_fresh() {
        let service = service("http://127.0.0.1:20001");
        let key = BindingKey::generate(Algorithm::Es256).unwrap();
        let proof = |jti: &str, htu: &str, iat: u64| {
            let claims = json!({ "jti": jti, "htm": "POST", "htu": htu, "iat": iat });
            key.sign("dpop+jwt", claims.to_string().as_bytes()).unwrap()
        };
        let place = "http://127.0.0.1:20001/token";
        let good = proof("1", place, now());
        assert_eq!(service.bound_to(&good).unwrap(), key.thumbprint());
        assert!(service.bound_to(&good).unwrap_err().contains("before"));
        assert!(service.bound_to(&proof("2", "http://127.0.0.1:1/token", now())).unwrap_err().contains("another"));
        assert!(service.bound_to(&proof("3", place, now() - 600)).unwrap_err().contains("fresh"));
        assert!(service.bound_to("a.b.c").is_err());
    }
}
