//! Asking in a name that nobody gave it.

use super::*;

async fn with_token(token: String) -> Refusal {
    let (_spoke, _server, mut hub) = with_permit().await;
    let mut asked = few();
    asked.envelope.as_mut().unwrap().token = token.clone();
    let refusal = hub.ask(&asked).await.unwrap_err();
    let mut envelope = envelope();
    envelope.token = token;
    assert_eq!(hub.catalogue(envelope).await.unwrap_err(), refusal);
    refusal
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_without_a_token() {
    let refusal = with_token(String::new()).await;
    assert_eq!(refusal.kind, Kind::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_with_a_token_that_is_over() {
    let mut over = claims(ANNA);
    over["exp"] = (chrono::Utc::now().timestamp() - 120).into();
    assert_eq!(with_token(token_by(&issuer_key(), &over)).await.kind, Kind::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_with_another_users_token() {
    // Bo's token, in Anna's name.
    let refusal = with_token(token("bo@example.org")).await;
    assert_eq!((refusal.kind, refusal.message.as_str()), (Kind::Denied, DENIED));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_names_another_user_than_the_token() {
    // Anna's token, in Bo's name: what is logged must be who the token says.
    let (spoke, _server, mut hub) = with_permit().await;
    spoke.grant("diabetes", "enclave", &[ANNA, "bo@example.org"], LMDB);
    let mut asked = few();
    asked.envelope.as_mut().unwrap().user = "bo@example.org".to_owned();
    let refusal = hub.ask(&asked).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.message.as_str()), (Kind::Denied, DENIED));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_with_a_token_for_another_audience() {
    let mut other = claims(ANNA);
    other["aud"] = "a shop".into();
    assert_eq!(with_token(token_by(&issuer_key(), &other)).await.kind, Kind::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_with_a_token_of_its_own_issuer() {
    let own = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    // Its own issuer's, and one that claims to be the trusted issuer's.
    let mut other = claims(ANNA);
    other["iss"] = "https://id.hub.example.org".into();
    for token in [token_by(&own, &other), token_by(&own, &claims(ANNA)), token_by(&issuer_key(), &other)] {
        assert_eq!(with_token(token).await.kind, Kind::Unauthenticated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_names_a_user_of_another_issuer() {
    // The permit names Anna of another issuer; a namesake is not she.
    let (spoke, _server, mut hub) = without_permit().await;
    let mut other = permit("diabetes");
    other.users[0].issuer = format!("{ISSUER}/other");
    spoke.sign(other);
    denied(&mut hub).await;
}
