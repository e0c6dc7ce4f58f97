#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signer;
use runtime::token::IssuerConfig;
use serde_json::json;

const ISSUER: &str = "https://id.example.org";

struct Fixture {
    _dir: tempfile::TempDir,
    store: TokenStore,
    identify: Identify,
    key: ed25519_dalek::SigningKey,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let jwk = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k",
                                     "x": URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()) }] });
        std::fs::write(dir.path().join("jwks.json"), jwk.to_string()).unwrap();
        let config: IssuerConfig = toml::from_str(&format!("url = \"{ISSUER}\"\njwks_file = \"jwks.json\"")).unwrap();
        let store = TokenStore::open(&dir.path().join("hub.db")).await.unwrap();
        let identify = Identify::new(Issuers::new(&[config.below(dir.path())]).unwrap(), store.clone());
        Self { _dir: dir, store, identify, key }
    }

    fn token(&self, user: &str, audience: &str, seconds: i64) -> String {
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k" });
        let claims = json!({ "iss": ISSUER, "sub": user, "aud": audience, "cnf": { "jkt": "thumb" },
                             "exp": chrono::Utc::now().timestamp() + seconds });
        let text = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    async fn caller(&self, header: &str) -> Result<Caller, Refusal> {
        let mut map = MetadataMap::new();
        map.insert("authorization", header.parse().unwrap());
        self.identify.caller(&map, Zone::Open).await
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn bearer_and_basic_give_the_same_caller() {
    let fixture = Fixture::new().await;
    let token = fixture.token("anna@example.org", "eger", 600);
    for header in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        basic("anna@example.org", &token),
        basic("", &token),
        basic("token", &token),
    ] {
        let caller = fixture.caller(&header).await.unwrap();
        assert_eq!((caller.user.as_ref(), caller.issuer.as_str()), ("anna@example.org", ISSUER));
        assert_eq!((caller.token.reveal(), caller.key.as_deref()), (token.as_str(), Some("thumb")));
        assert!(!format!("{caller:?}").contains(&token));
        assert!(caller.left() > Duration::from_secs(590));
    }
}

#[tokio::test]
async fn every_token_that_is_not_good_gets_one_answer() {
    let fixture = Fixture::new().await;
    let good = fixture.token("anna@example.org", "eger", 600);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for header in [
        "Bearer nonsense".to_owned(),
        "Negotiate abc".to_owned(),
        "Basic !!!".to_owned(),
        format!("Bearer {}", fixture.token("anna@example.org", "eger", -600)),
        format!("Bearer {}", fixture.token("anna@example.org", "another", 600)),
        format!("Bearer {}", fixture.token("not a user", "eger", 600)),
        format!("Bearer {signed}.{}", signature.chars().rev().collect::<String>()),
        basic("bo@example.org", &good),
    ] {
        assert_eq!(fixture.caller(&header).await.unwrap_err(), unknown_token(), "{header}");
    }
    let none = fixture.identify.caller(&MetadataMap::new(), Zone::Open).await.unwrap_err();
    assert_eq!(none, no_token());
}

#[tokio::test]
async fn hostile_personal_tokens_open_the_api_and_no_data() {
    let fixture = Fixture::new().await;
    let (anna, project): (UserId, proto::ids::ProjectId) = ("anna@example.org".parse().unwrap(), "a".parse().unwrap());
    let personal = fixture.store.create(&anna, Some(&project), 1).await.unwrap().text.to_string();
    for header in [format!("Bearer {personal}"), basic("anna@example.org", &personal)] {
        let refusal = fixture.caller(&header).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Unauthenticated);
        assert!(refusal.message.contains("hub login") && refusal.message.contains("HTTP API"), "{refusal}");
        let caller = fixture.identify.api_caller(Some(&header)).await.unwrap();
        assert_eq!((caller.user, caller.issuer, caller.bound), (anna.clone(), None, Some(project.clone())));
    }
    let token = fixture.token("anna@example.org", "eger", 600);
    let caller = fixture.identify.api_caller(Some(&format!("Bearer {token}"))).await.unwrap();
    assert_eq!(caller.issuer.as_deref(), Some(ISSUER));
    for header in [
        None,
        Some("Bearer eger_0000000000000000_00".to_owned()),
        Some(basic("bo@example.org", &personal)),
        Some(basic("bo@example.org", &token)),
    ] {
        let refusal = fixture.identify.api_caller(header.as_deref()).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Unauthenticated);
    }
}

#[tokio::test]
async fn a_hub_without_issuers_says_so() {
    let fixture = Fixture::new().await;
    let alone = Identify::new(Issuers::new(&[]).unwrap(), fixture.store.clone());
    let mut map = MetadataMap::new();
    map.insert("authorization", format!("Bearer {}", fixture.token("anna", "eger", 60)).parse().unwrap());
    let refusal = alone.caller(&map, Zone::Open).await.unwrap_err();
    assert!(refusal.message.contains("[[issuer]]"), "{refusal}");
}
