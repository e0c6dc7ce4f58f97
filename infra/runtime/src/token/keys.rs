//! An issuer's public keys: from its discovery document, or from a file. Kept for a while; asked for again when a token
//! names a key that isn't known (keys rotate), but not more often than the pause between two tries.

use super::{IssuerConfig, IssuersError};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{sync::Mutex, time::Instant};

/// Keys are asked for again after this.
const KEEP: Duration = Duration::from_secs(3600);
/// An issuer that can't be reached may still be believed by keys this old: it has not taken them back.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Between two tries, whatever callers send.
const PAUSE: Duration = Duration::from_secs(10);
/// How long an issuer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest document taken from an issuer, bytes.
const MAX_DOCUMENT: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Keys {
    source: Source,
    known: Mutex<Known>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Issuer { url: String, client: reqwest::Client },
}

#[derive(Debug, Default)]
struct Known {
    set: Option<Arc<JwkSet>>,
    /// of the issuer: when they came
    fetched: Option<Instant>,
    tried: Option<Instant>,
    /// of a file: its time
    modified: Option<SystemTime>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(super) fn new(config: &IssuerConfig) -> Result<Self, IssuersError> {
        let source = match &config.jwks_file {
            Some(path) => Source::File(path.clone()),
            None => Source::Issuer { url: config.url.clone(), client: client(config)? },
        };
        Ok(Self { source, known: Mutex::default() })
    }

    pub(super) async fn probe(&self) -> Result<(), String> {
        let mut known = self.known.lock().await;
        self.refresh(&mut known, true).await
    }

    /// The key of this id for this algorithm; without an id, the only one that fits.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Option<DecodingKey>, String> {
        let mut known = self.known.lock().await;
        let refreshed = self.refresh(&mut known, false).await;
        if let Some(key) = known.set.as_deref().and_then(|set| pick(set, kid, algorithm)) {
            return Ok(Some(key));
        }
        // Rotated? A file is read again anyway; an issuer is asked now and then.
        let due = known.tried.is_none_or(|at| at.elapsed() >= PAUSE);
        if matches!(self.source, Source::Issuer { .. }) && due {
            self.refresh(&mut known, true).await?;
            return Ok(known.set.as_deref().and_then(|set| pick(set, kid, algorithm)));
        }
        if known.set.is_none() {
            refreshed?;
        }
        Ok(None)
    }

    async fn refresh(&self, known: &mut Known, force: bool) -> Result<(), String> {
        match &self.source {
            Source::File(path) => {
                let modified = tokio::fs::metadata(path)
                    .await
                    .and_then(|meta| meta.modified())
                    .map_err(|e| format!("{}: {e}", path.display()));
                let modified = modified.inspect_err(|_| known.set = None)?;
                if known.set.is_some() && known.modified == Some(modified) {
                    return Ok(());
                }
                known.set = None;
                let text = tokio::fs::read(path).await.map_err(|e| format!("{}: {e}", path.display()))?;
                let set = serde_json::from_slice(&text).map_err(|e| format!("{}: no JWK set: {e}", path.display()))?;
                known.set = Some(Arc::new(set));
                known.modified = Some(modified);
                Ok(())
            }
            Source::Issuer { url, client } => {
                let age = known.fetched.map(|at| at.elapsed());
                let fresh = age.is_some_and(|age| age < KEEP);
                let waiting = known.tried.is_some_and(|at| at.elapsed() < PAUSE);
                if !force && (fresh || waiting) {
                    return if known.set.is_some() {
                        Ok(())
                    } else {
                        Err("asked a moment ago, without an answer".to_owned())
                    };
                }
                known.tried = Some(Instant::now());
                match fetch(client, url).await {
                    Ok(set) => {
                        known.set = Some(Arc::new(set));
                        known.fetched = Some(Instant::now());
                        Ok(())
                    }
                    Err(error) => {
                        if age.is_none_or(|age| age > STALE) {
                            known.set = None;
                        }
                        Err(error)
                    }
                }
            }
        }
    }
}

fn pick(set: &JwkSet, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let fits = |key: &&Jwk| {
        let signs = key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        // A key of which the issuer says its algorithm is used for no other.
        let same = key.common.key_algorithm.as_ref().is_none_or(|stated| named(algorithm) == Some(*stated));
        signs && same
    };
    let mut found =
        set.keys.iter().filter(fits).filter(|key| kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid)));
    match (found.next(), found.next()) {
        (Some(key), None) => DecodingKey::from_jwk(key).ok().filter(|key| key.family() == algorithm.family()),
        _ => None,
    }
}

fn named(algorithm: Algorithm) -> Option<KeyAlgorithm> {
    Some(match algorithm {
        Algorithm::RS256 => KeyAlgorithm::RS256,
        Algorithm::RS384 => KeyAlgorithm::RS384,
        Algorithm::RS512 => KeyAlgorithm::RS512,
        Algorithm::PS256 => KeyAlgorithm::PS256,
        Algorithm::PS384 => KeyAlgorithm::PS384,
        Algorithm::PS512 => KeyAlgorithm::PS512,
        Algorithm::ES256 => KeyAlgorithm::ES256,
        Algorithm::ES384 => KeyAlgorithm::ES384,
        Algorithm::EdDSA => KeyAlgorithm::EdDSA,
        _ => return None,
    })
}

fn client(config: &IssuerConfig) -> Result<reqwest::Client, IssuersError> {
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        // An issuer's keys come from where it says, not from where somebody sends us.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Some(path) = &config.ca {
        let bad = |message: String| IssuersError::File { path: path.clone(), message };
        let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| bad(e.to_string()))?;
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|e| IssuersError::Field(format!("issuer.url '{}': {e}", config.url)))
}

async fn fetch(client: &reqwest::Client, issuer: &str) -> Result<JwkSet, String> {
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let discovery: Discovery = document(client, &place).await?;
    if discovery.issuer != issuer {
        return Err(format!("{place}: describes another issuer"));
    }
    // The keys must travel as safely as the issuer's own URL.
    if issuer.starts_with("https://") && !discovery.jwks_uri.starts_with("https://") {
        return Err(format!("{place}: its jwks_uri is not https"));
    }
    document(client, &discovery.jwks_uri).await
}

async fn document<T: serde::de::DeserializeOwned>(client: &reqwest::Client, url: &str) -> Result<T, String> {
    let failed = |e: reqwest::Error| format!("{url}: {}", e.without_url());
    let mut response = client.get(url).send().await.map_err(failed)?.error_for_status().map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_DOCUMENT {
            return Err(format!("{url}: is larger than {MAX_DOCUMENT} bytes"));
        }
    }
    serde_json::from_slice(&bytes).map_err(|e| format!("{url}: {e}"))
}
