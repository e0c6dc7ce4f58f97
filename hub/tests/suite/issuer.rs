//! An issuer of access tokens in the test itself: an Ed25519 key, its public half in a file.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use std::path::Path;

pub const ISSUER: &str = "https://id.example.org";

pub struct Issuer {
    key: ed25519_dalek::SigningKey,
    pub url: &'static str,
}

impl Issuer {
    pub fn new(seed: u8, url: &'static str) -> Self {
        Self { key: ed25519_dalek::SigningKey::from_bytes(&[seed; 32]), url }
    }

    /// Writes the public keys to `folder`; gives the table of `hub.toml`.
    pub fn table(&self, folder: &Path) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes());
        let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] });
        let file = format!("jwks-{}.json", self.url.rsplit('/').next().unwrap());
        std::fs::write(folder.join(&file), keys.to_string()).unwrap();
        format!("[[issuer]]\nurl = \"{}\"\njwks_file = \"{file}\"\n", self.url)
    }

    pub fn claims(&self, user: &str, seconds: i64) -> Value {
        let now = chrono::Utc::now().timestamp();
        json!({ "iss": self.url, "sub": user, "aud": "eger", "iat": now, "exp": now + seconds,
                "jti": uuid::Uuid::new_v4().to_string() })
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k" });
        let text = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes()))
    }

    /// A token that is good for `seconds`.
    pub fn token(&self, user: &str, seconds: i64) -> String {
        self.sign(&self.claims(user, seconds))
    }

    /// A token that is bound to the key with this thumbprint.
    pub fn bound(&self, user: &str, thumbprint: &str) -> String {
        let mut claims = self.claims(user, 600);
        claims["cnf"] = json!({ "jkt": thumbprint });
        self.sign(&claims)
    }
}
