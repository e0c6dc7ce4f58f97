#![allow(clippy::unwrap_used)]

use super::*;
use crate::setup;
use chrono::TimeDelta;
use runtime::{audit, ca::CertFacts, sign::SigningKey};
use tempfile::TempDir;

struct Place {
    _folder: TempDir,
    config: Config,
    approver: SigningKey,
    signing: SigningKey,
}

async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = setup::init(folder.path(), "national", "127.0.0.1:0".parse().unwrap()).unwrap();
    let config = Config::load(&path).unwrap();
    let (approver, signing) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    register(&config, "region-h", &approver.public(), 1000, false).await.unwrap();
    Place { _folder: folder, config, approver, signing }
}

impl Place {
    fn request(&self, controller: &str, custodian: &str, approver: &SigningKey) -> String {
        let peer = Peer::spoke(controller).unwrap();
        let (request, _) = Request::make(&peer, custodian, approver, self.signing.public(), 7).unwrap();
        serde_json::to_string(&request).unwrap()
    }

    async fn refused(&self, request: &str) -> String {
        enrol(&self.config, request, 30).await.unwrap_err().to_string()
    }

    fn events(&self) -> Vec<String> {
        let read = audit::read(&self.config.audit_log()).unwrap();
        read.map(|entry| entry.unwrap().0.event["event"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn the_certificate_is_for_the_endorsed_key_and_the_registered_name() {
    let place = place().await;
    let (request, key) = {
        let peer = Peer::spoke("region-h").unwrap();
        Request::make(&peer, "national", &place.approver, place.signing.public(), 7).unwrap()
    };
    let reply = enrol(&place.config, &serde_json::to_string(&request).unwrap(), 30).await.unwrap();
    let facts = CertFacts::read(&reply.certificate).unwrap();
    assert_eq!(facts.peer.as_ref().unwrap().to_string(), "eger://spoke/region-h");
    assert!(facts.belongs_to(&key).unwrap() && facts.issued_by(&reply.authority));
    let pinned = std::fs::read_to_string(place.config.public_key_file()).unwrap();
    assert_eq!(reply.evaluation_key, pinned.trim());
    let found = Register::open(&place.config.register()).await.unwrap().find("region-h").await.unwrap().unwrap();
    assert_eq!((found.key, found.signing), (Some(facts.key_digest), Some(place.signing.public())));
    assert_eq!(place.events(), ["registered", "enrolled"]);
}

#[tokio::test]
async fn a_hostile_request_without_the_approvers_endorsement_is_refused_and_written_down() {
    let place = place().await;
    let own = SigningKey::generate().unwrap();
    // signed by somebody else, such as the hub or a spoke itself
    assert!(place.refused(&place.request("region-h", "national", &own)).await.contains("isn't believed"));
    // of a controller that isn't registered, with a key of another controller's approver
    assert!(
        place.refused(&place.request("sds", "national", &place.approver)).await.contains("'sds' is not registered")
    );
    // endorsed for another custodian
    assert!(place.refused(&place.request("region-h", "other", &place.approver)).await.contains("custodian 'other'"));
    // an endorsement of one key, with another key's request
    let first: Request = serde_json::from_str(&place.request("region-h", "national", &place.approver)).unwrap();
    let second: Request = serde_json::from_str(&place.request("region-h", "national", &place.approver)).unwrap();
    let swapped = Request { csr: second.csr, endorsement: first.endorsement };
    assert!(place.refused(&serde_json::to_string(&swapped).unwrap()).await.contains("not the one that the approver"));
    assert!(place.refused("{}").await.contains("spoke custodian request"));
    assert_eq!(
        place.events(),
        ["registered", "enrolment_refused", "enrolment_refused", "enrolment_refused", "enrolment_refused"]
    );
}

#[tokio::test]
async fn a_hostile_replay_of_an_old_endorsement_enrols_nothing() {
    let place = place().await;
    let old = place.request("region-h", "national", &place.approver);
    enrol(&place.config, &old, 30).await.unwrap();
    let new = place.request("region-h", "national", &place.approver);
    let reply = enrol(&place.config, &new, 30).await.unwrap();
    for used in [&old, &new] {
        assert!(place.refused(used).await.contains("used before"));
    }
    let found = Register::open(&place.config.register()).await.unwrap().find("region-h").await.unwrap().unwrap();
    assert_eq!(found.key, Some(CertFacts::read(&reply.certificate).unwrap().key_digest));
}

#[tokio::test]
async fn a_registration_is_not_changed_by_accident_and_an_old_approver_no_longer_counts() {
    let place = place().await;
    let next = SigningKey::generate().unwrap();
    let again = register(&place.config, "region-h", &next.public(), 5, false).await.unwrap_err();
    assert!(again.to_string().contains("--replace"), "{again}");
    register(&place.config, "region-h", &next.public(), 2000, true).await.unwrap();
    assert!(place.refused(&place.request("region-h", "national", &place.approver)).await.contains("isn't believed"));
    enrol(&place.config, &place.request("region-h", "national", &next), 30).await.unwrap();
    remove(&place.config, "region-h").await.unwrap();
    assert!(place.refused(&place.request("region-h", "national", &next)).await.contains("controller add"));
    assert!(remove(&place.config, "region-h").await.is_err());
    assert!(register(&place.config, "Region H", &next.public(), 1, false).await.is_err());
    let quota = Register::open(&place.config.register()).await.unwrap().quota("region-h", Utc::now()).await.unwrap();
    assert_eq!(quota.once, 2100);
    let late = Utc::now() + TimeDelta::days(8);
    let request: Request = serde_json::from_str(&place.request("region-h", "national", &next)).unwrap();
    assert!(request.verify("region-h", "national", &next.public(), late).is_err());
}
