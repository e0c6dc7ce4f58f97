//! Codes, certificates, expulsion.

use super::*;
use hub::gateway::State;
use proto::wire::{NudgeRequest, PurgeRequest, RenewRequest};

async fn state(house: &House, controller: &str) -> State {
    let all = admin::controllers(&house.config()).await.unwrap();
    all.iter().find(|record| record.controller.as_ref() == controller).unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_how_far_each_controller_has_come() {
    let (house, region) = house().await;
    let invite = invite(&house, "region-h").await;
    assert_eq!(state(&house, "region-h").await, State::Invited);
    let (csr, key) = CertRequest::create_der().unwrap();
    let reply = present(&invite, csr).await.unwrap();
    assert_eq!((reply.hub.as_str(), state(&house, "region-h").await), ("main", State::Joined));
    let tls = identity(house.path(), &key, &reply);
    assert_eq!(tls.peer().to_string(), "eger://spoke/region-h");
    let link = region.dial(house.gateway(), &tls).await.unwrap();
    until(Duration::from_secs(5), async || links(&house, "region-h").await == 1).await;
    let record = admin::controllers(&house.config()).await.unwrap().remove(0);
    let days = (record.certificate_end.unwrap() - chrono::Utc::now()).num_days();
    assert!((89..=90).contains(&days), "{days}");
    drop(link);
    until(Duration::from_secs(5), async || links(&house, "region-h").await == 0).await;
    let unknown = admin::expel(&house.config(), &"nobody".parse().unwrap()).await.unwrap_err().to_string();
    assert!(unknown.contains("hub admin controllers"), "{unknown}");
    let hours = admin::invite(&house.config(), &"region-h".parse().unwrap(), 0, None).await.unwrap_err();
    assert!(hours.to_string().contains("--hours"), "{hours}");
    let port = admin::invite(&house.config(), &"region-h".parse().unwrap(), 1, None).await.unwrap_err();
    assert!(port.to_string().contains("[gateway] public"), "{port}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_for_the_name_that_it_has() {
    let (house, region) = house().await;
    let tls = joined(&house, "region-h").await;
    let mut gateway = GatewayClient::new(tls::channel(&house.gateway().to_string(), hub(), &tls));
    let (csr, key) = CertRequest::create_der().unwrap();
    let reply = gateway.renew(RenewRequest { csr }).await.unwrap().into_inner();
    let renewed = identity(house.path(), &key, &reply);
    assert_eq!(renewed.peer().to_string(), "eger://spoke/region-h");
    let _link = region.dial(house.gateway(), &renewed).await.unwrap();
    assert!(anna(&house).await.shown(COUNT).await.contains("60"));
    gateway.nudge(NudgeRequest {}).await.unwrap();
    // What the hub held is gone, and it says so under its signature.
    let purge = PurgeRequest { project: "diabetes".to_owned(), reason: "revoked".to_owned() };
    let receipt = gateway.purge(purge).await.unwrap().into_inner().receipt;
    assert!(runtime::sign::claimed_signer(&receipt).is_some());
    // There is an end to it.
    let mut refused = None;
    for _ in 0..60 {
        let (csr, _) = CertRequest::create_der().unwrap();
        if let Err(status) = gateway.renew(RenewRequest { csr }).await {
            refused = Some(Refusal::from(status));
            break;
        }
    }
    assert_eq!(refused.unwrap().kind, Kind::Exhausted);
}

#[tokio::test(flavor = "multi_thread")]
async fn expelling_ends_running_links_within_a_second_and_a_new_code_lets_back() {
    let (house, region) = house().await;
    let (tls, link) = connected(&house, &region).await;
    let mut anna = anna(&house).await;
    assert!(anna.shown(COUNT).await.contains("60"));
    admin::expel(&house.config(), &"region-h".parse().unwrap()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), link.watch.gone()).await.expect("within a second");
    assert_eq!(state(&house, "region-h").await, State::Expelled);
    assert!(anna.refused(COUNT).await.message.contains("not connected"));
    assert!(region.dial(house.gateway(), &tls).await.is_err());

    let (back, _link) = connected(&house, &region).await;
    assert_eq!(state(&house, "region-h").await, State::Joined);
    assert!(anna.shown(COUNT).await.contains("60"));
    assert!(region.dial(house.gateway(), &tls).await.is_err(), "the old certificate counts again");
    drop(back);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_that_listens_is_expelled_too() {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", crate::house::lmdb(0..40));
    let house = Build::new().spoke(&sds).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = anna(&house).await;
    let sql = "SELECT count(*) AS n FROM sds.lmdb";
    assert!(anna.shown(sql).await.contains("40"));
    admin::expel(&house.config(), &"sds".parse().unwrap()).await.unwrap();
    until(Duration::from_secs(2), async || anna.sql(sql).await.is_err()).await;
    let tls = house.issue(&Peer::spoke("sds").unwrap());
    drop(tls);
    let certificate = std::fs::read_to_string(house.path().join("issued/spoke-sds/link.crt")).unwrap();
    admin::write_down(&house.config(), &"sds".parse().unwrap(), &certificate).await.unwrap();
    until(Duration::from_secs(5), async || anna.sql(sql).await.is_ok()).await;
}
