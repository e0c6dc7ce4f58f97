#![allow(clippy::unwrap_used)]
use super::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::Signer;
use serde_json::json;

const ISSUER: &str = "https://id.example.org";

struct Key(ed25519_dalek::SigningKey, &'static str);

impl Key {
    fn new(seed: u8, kid: &'static str) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]), kid)
    }

    fn jwk(&self) -> serde_json::Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.1,
                "x": BASE64.encode(self.0.verifying_key().to_bytes()) })
    }

    fn token(&self, header: &serde_json::Value, claims: &serde_json::Value) -> String {
        let text = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        format!("{text}.{}", BASE64.encode(self.0.sign(text.as_bytes()).to_bytes()))
    }
}

fn header() -> serde_json::Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k1" })
}

fn claims() -> serde_json::Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    json!({ "iss": ISSUER, "sub": "anna@example.org", "aud": "eger", "exp": now + 600, "iat": now,
            "cnf": { "jkt": "thumb" } })
}

fn with(mut value: serde_json::Value, field: &str, to: serde_json::Value) -> serde_json::Value {
    value[field] = to;
    value
}

fn without(mut value: serde_json::Value, field: &str) -> serde_json::Value {
    value.as_object_mut().unwrap().remove(field);
    value
}

fn trusting(keys: &[&Key]) -> (tempfile::TempDir, Issuers) {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, keys);
    let config = IssuerConfig {
        url: ISSUER.to_owned(),
        audience: platform(),
        user_claim: subject(),
        token_type: at_jwt(),
        jwks_file: Some(dir.path().join("jwks.json")),
        ca: None,
    };
    let issuers = Issuers::new(&[config]).unwrap();
    (dir, issuers)
}

fn write(dir: &tempfile::TempDir, keys: &[&Key]) {
    let keys: Vec<_> = keys.iter().map(|k| k.jwk()).collect();
    let path = dir.path().join("jwks.json");
    let next = dir.path().join("next.json");
    std::fs::write(&next, json!({ "keys": keys }).to_string()).unwrap();
    // Another time than before, whatever the clock's grain.
    let before = std::fs::metadata(&path).and_then(|m| m.modified()).ok();
    let later = before.map_or(SystemTime::now(), |at| at + Duration::from_secs(1));
    std::fs::File::options().append(true).open(&next).unwrap().set_modified(later).unwrap();
    std::fs::rename(next, path).unwrap();
}

#[tokio::test]
async fn a_good_token_tells_who_it_is() {
    let key = Key::new(1, "k1");
    let (_dir, issuers) = trusting(&[&key]);
    let told = issuers.verify(&key.token(&header(), &claims())).await.unwrap();
    assert_eq!((told.user.as_str(), told.issuer.as_str()), ("anna@example.org", ISSUER));
    assert_eq!(told.key_thumbprint.as_deref(), Some("thumb"));
    assert!(told.expires > SystemTime::now());
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same() {
    let (key, other) = (Key::new(1, "k1"), Key::new(2, "k1"));
    let (_dir, issuers) = trusting(&[&key]);
    let good = key.token(&header(), &claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let tokens = [
        other.token(&header(), &claims()),
        key.token(&with(header(), "kid", json!("k2")), &claims()),
        key.token(&with(header(), "alg", json!("none")), &claims()),
        key.token(&with(header(), "alg", json!("HS256")), &claims()),
        key.token(&with(header(), "typ", json!("JWT")), &claims()),
        key.token(&without(header(), "typ"), &claims()),
        key.token(&header(), &with(claims(), "iss", json!("https://id.example.org.evil"))),
        key.token(&header(), &with(claims(), "aud", json!("another"))),
        key.token(&header(), &without(claims(), "aud")),
        key.token(&header(), &with(claims(), "exp", json!(now - LEEWAY - 5))),
        key.token(&header(), &without(claims(), "exp")),
        key.token(&header(), &with(claims(), "exp", json!(u64::MAX))),
        key.token(&header(), &with(claims(), "nbf", json!(now + LEEWAY + 60))),
        key.token(&header(), &without(claims(), "sub")),
        format!("{signed}."),
        format!("{}.{signature}", signed.replace('.', ".e30")),
        "a.b.c".to_owned(),
        String::new(),
        "x".repeat(MAX_TOKEN + 1),
    ];
    assert!(issuers.verify(&good).await.is_ok());
    for token in tokens {
        let error = issuers.verify(&token).await.unwrap_err();
        assert!(matches!(error, TokenError::Invalid(_)), "{token}: {error:?}");
        assert!(error.to_string().contains("not valid here"));
        assert!(token.is_empty() || !format!("{error:?}").contains(&token));
    }
}

#[tokio::test]
async fn keys_rotate_and_a_key_that_was_taken_back_counts_no_more() {
    let (old, new) = (Key::new(1, "k1"), Key::new(2, "k2"));
    let (dir, issuers) = trusting(&[&old]);
    let (by_old, by_new) = (old.token(&header(), &claims()), new.token(&with(header(), "kid", json!("k2")), &claims()));
    assert!(issuers.verify(&by_old).await.is_ok() && issuers.verify(&by_new).await.is_err());
    write(&dir, &[&old, &new]);
    assert!(issuers.verify(&by_old).await.is_ok() && issuers.verify(&by_new).await.is_ok());
    write(&dir, &[&new]);
    assert!(issuers.verify(&by_old).await.is_err() && issuers.verify(&by_new).await.is_ok());
    std::fs::remove_file(dir.path().join("jwks.json")).unwrap();
    assert!(matches!(issuers.verify(&by_new).await, Err(TokenError::Unavailable { .. })));
}

#[test]
fn issuers_are_https_or_on_this_machine_and_stand_once() {
    let config = |url: &str| IssuerConfig {
        url: url.to_owned(),
        audience: platform(),
        user_claim: subject(),
        token_type: at_jwt(),
        jwks_file: None,
        ca: None,
    };
    for good in ["https://id.example.org", "http://127.0.0.1:9000", "http://localhost:9000/realm"] {
        assert!(config(good).check().is_ok(), "{good}");
    }
    for bad in ["http://id.example.org", "id.example.org", "ftp://127.0.0.1/x"] {
        assert!(config(bad).check().is_err(), "{bad}");
    }
    let twice = Issuers::new(&[config(ISSUER), config(ISSUER)]).unwrap_err();
    assert!(twice.to_string().contains("stands twice"));
}
