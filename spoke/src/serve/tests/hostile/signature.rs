//! Asking what the user did not sign.

use super::*;

/// A permit that demands the user's signature, and a token that is bound to the user's key.
struct Signing {
    spoke: Fixture,
    _server: Server,
    hub: Hub,
    key: BindingKey,
}

impl Signing {
    async fn new() -> Self {
        let (spoke, server, hub) = without_permit().await;
        let mut demanding = permit("diabetes");
        demanding.client_signature = true;
        spoke.sign(demanding);
        Self { spoke, _server: server, hub, key: BindingKey::generate(Algorithm::EdDsa).unwrap() }
    }

    fn request(&self) -> ScanRequest {
        let mut asked = few();
        let mut bound = claims(ANNA);
        bound["cnf"] = json!({ "jkt": self.key.thumbprint() });
        asked.envelope.as_mut().unwrap().token = token_by(&issuer_key(), &bound);
        asked
    }

    fn digest(asked: &ScanRequest) -> Digest {
        let (project, controller): (ProjectId, ControllerId) =
            ("diabetes".parse().unwrap(), "region-h".parse().unwrap());
        query_signature::digest(&Asked {
            project: &project,
            controller: &controller,
            zone: asked.envelope.as_ref().unwrap().zone(),
            fragment: &asked.fragment.as_ref().unwrap().encode_to_vec(),
            schema_fingerprint: &asked.schema_fingerprint,
        })
    }

    fn sign(key: &BindingKey, asked: &mut ScanRequest, digests: &[Digest]) {
        let envelope = asked.envelope.as_mut().unwrap();
        let until = SystemTime::now() + Duration::from_secs(60);
        let query = envelope.query_id.parse().unwrap();
        envelope.signature = query_signature::make(key, &query, digests, until).unwrap();
    }

    async fn refused(&mut self, asked: &ScanRequest) {
        let refusal = self.hub.ask(asked).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Unauthenticated, "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_leaves_out_the_users_signature() {
    let mut test = Signing::new().await;
    assert!(test.hub.catalogue(envelope()).await.unwrap().client_signature);
    let mut asked = test.request();
    test.refused(&asked).await;
    // A token that is bound to no key can't sign at all.
    test.refused(&few()).await;
    let digest = Signing::digest(&asked);
    Signing::sign(&test.key, &mut asked, &[digest]);
    assert_eq!(count(&test.hub.ask(&asked).await.unwrap()), 5);
    drop(test.spoke);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_signs_for_the_user_with_its_own_key() {
    let mut test = Signing::new().await;
    let mut asked = test.request();
    let digest = Signing::digest(&asked);
    Signing::sign(&BindingKey::generate(Algorithm::EdDsa).unwrap(), &mut asked, &[digest]);
    test.refused(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_another_fragment_than_the_user_signed() {
    let mut test = Signing::new().await;
    let mut asked = test.request();
    let digest = Signing::digest(&asked);
    Signing::sign(&test.key, &mut asked, &[digest]);
    let mut other = asked.clone();
    other.fragment = request(read(&["pnr", "atc"])).fragment;
    test.refused(&other).await;
    // The same fragment, to be shown elsewhere.
    let mut elsewhere = asked.clone();
    elsewhere.envelope.as_mut().unwrap().zone = Zone::Open.into();
    test.refused(&elsewhere).await;
    assert!(test.hub.ask(&asked).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_replays_a_users_signature_for_another_query() {
    let mut test = Signing::new().await;
    let mut asked = test.request();
    let digest = Signing::digest(&asked);
    Signing::sign(&test.key, &mut asked, &[digest]);
    assert!(test.hub.ask(&asked).await.is_ok());
    asked.envelope.as_mut().unwrap().query_id = QueryId::new().to_string();
    test.refused(&asked).await;
}
