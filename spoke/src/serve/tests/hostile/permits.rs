//! Forging, widening, extending and replaying permits.

use super::*;

fn forged(header: &serde_json::Value, payload: &[u8], key: Option<&SigningKey>) -> String {
    match key {
        // What this platform's own signing makes, with a header that says whose it is.
        Some(key) => {
            let compact = key.sign(PERMIT, payload);
            let (_, rest) = compact.split_once('.').unwrap();
            format!("{}.{rest}", BASE64.encode(header.to_string()))
        }
        None => format!("{}.{}.", BASE64.encode(header.to_string()), BASE64.encode(payload)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_signs_a_permit_with_its_own_key() {
    let (spoke, _server, mut hub) = without_permit().await;
    let own = SigningKey::generate().unwrap();
    let wanted = permit("diabetes");
    spoke.put(wanted.id, SignedPermit::sign(wanted.clone(), &own).unwrap().compact());
    denied(&mut hub).await;
    // Its own key under the approver's name changes nothing either.
    let header = json!({ "alg": "EdDSA", "typ": PERMIT, "kid": spoke.approver.public().fingerprint() });
    spoke.put(wanted.id, &forged(&header, &serde_json::to_vec(&wanted).unwrap(), Some(&own)));
    denied(&mut hub).await;
    spoke.sign(wanted);
    assert_eq!(count(&hub.ask(&few()).await.unwrap()), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_leaves_the_signature_out() {
    let (spoke, _server, mut hub) = without_permit().await;
    let wanted = permit("diabetes");
    let payload = serde_json::to_vec(&wanted).unwrap();
    let kid = spoke.approver.public().fingerprint();
    for alg in ["none", "None", "EdDSA", "HS256"] {
        spoke.put(wanted.id, &forged(&json!({ "alg": alg, "typ": PERMIT, "kid": kid }), &payload, None));
        denied(&mut hub).await;
    }
    spoke.put(wanted.id, &String::from_utf8(payload).unwrap());
    denied(&mut hub).await;
}

/// A permit that was signed, with its content changed afterwards and the signature kept.
async fn changed(change: impl Fn(&mut serde_json::Value)) {
    let (spoke, _server, mut hub) = without_permit().await;
    let mut over = permit("diabetes");
    over.valid_to = "2021-12-31".parse().unwrap();
    let signed = SignedPermit::sign(over.clone(), &spoke.approver).unwrap();
    let parts: Vec<&str> = signed.compact().split('.').collect();
    let mut content = serde_json::to_value(&over).unwrap();
    content["valid_to"] = "2029-12-30".into();
    change(&mut content);
    spoke.put(over.id, &format!("{}.{}.{}", parts[0], BASE64.encode(content.to_string()), parts[2]));
    // Nothing but the signature stands between the hub and the rows.
    spoke.make_key(&over.project);
    denied(&mut hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_extends_a_permit() {
    changed(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_widens_a_permits_columns() {
    changed(|content| content["tables"][0]["columns"] = json!(["pnr", "kontakt", "eksd", "atc", "row", "volume"]))
        .await;
    // A live permit is no help: the wider copy of it counts for nothing.
    let (spoke, _server, mut hub) = with_permit().await;
    let narrow = permit("diabetes");
    let id = spoke.sign(narrow.clone());
    let text = std::fs::read_to_string(spoke.permit_file(id)).unwrap();
    let parts: Vec<&str> = text.split('.').collect();
    let mut content = serde_json::to_value(&narrow).unwrap();
    content["tables"][0]["columns"] = json!(["row", "volume"]);
    spoke.put(id, &format!("{}.{}.{}", parts[0], BASE64.encode(content.to_string()), parts[2]));
    let refusal = hub.ask(&request(read(&["row", "volume"]))).await.unwrap_err();
    assert_eq!(refusal.message, "column volume does not exist here");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_adds_a_user_to_a_permit() {
    let (spoke, _server, mut hub) = with_permit().await;
    let mut asked = few();
    let envelope = asked.envelope.as_mut().unwrap();
    // Bo is a person of the same issuer, with a good token of his own.
    envelope.user = "bo@example.org".to_owned();
    envelope.token = token("bo@example.org");
    assert_eq!(hub.ask(&asked).await.unwrap_err().message, DENIED);
    spoke.grant("diabetes", "enclave", &["bo@example.org"], LMDB);
    asked.envelope.as_mut().unwrap().query_id = QueryId::new().to_string();
    assert_eq!(count(&hub.ask(&asked).await.unwrap()), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_replays_a_permit_of_another_controller() {
    let (spoke, _server, mut hub) = without_permit().await;
    // The same approver decides for two controllers: the signature is good, the permit is another's.
    let mut other = permit("diabetes");
    other.controller = "region-m".parse().unwrap();
    other.members[0].controller = "region-m".parse().unwrap();
    other.lead = "region-m".parse().unwrap();
    spoke.sign(other);
    denied(&mut hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_replays_a_permit_of_another_project() {
    let (spoke, _server, mut hub) = without_permit().await;
    let other = spoke.grant("cancer", "enclave", &[ANNA], LMDB);
    let text = std::fs::read_to_string(spoke.permit_file(other)).unwrap();
    spoke.put(PermitId::new(), &text);
    denied(&mut hub).await;
    // Naming the other project's permit for this one, too.
    spoke.sign(permit("diabetes"));
    let mut asked = few();
    asked.envelope.as_mut().unwrap().permit = other.to_string();
    assert_eq!(hub.ask(&asked).await.unwrap_err().message, DENIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_replays_a_permit_under_another_name() {
    let (spoke, _server, mut hub) = without_permit().await;
    let id = spoke.sign(permit("diabetes"));
    let text = std::fs::read_to_string(spoke.permit_file(id)).unwrap();
    spoke.revoke(id);
    // The revocation names the file; a copy of the permit elsewhere would escape it.
    spoke.put(PermitId::new(), &text);
    denied(&mut hub).await;
}
