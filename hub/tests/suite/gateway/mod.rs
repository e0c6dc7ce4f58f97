//! Spokes that open their links, newcomers, and everybody who would like to be one of them.

mod enrolment;
mod hostile;
mod relay;
mod rows;

use crate::{
    client::Client,
    house::{ANNA, Build, House, lab},
    spoke::{Dialled, Spoke},
};
use hub::admin;
use policies::zone::Zone;
use proto::{
    refusal::{Kind, Refusal},
    wire::{JoinRequest, LinkCertificate, gateway_client::GatewayClient},
};
use runtime::{
    ca::CertRequest,
    invite::Invite,
    peer::Peer,
    tls::{self, Tls, TlsFiles},
};
use std::{path::Path, time::Duration};

const COUNT: &str = "SELECT count(*) AS n FROM \"region-h\".lab_forsker";

/// A hub with a gateway, and a spoke of `region-h` that isn't connected yet.
async fn house() -> (House, Spoke) {
    house_of(Build::new()).await
}

/// The same with further controllers.
async fn house_of(build: Build) -> (House, Spoke) {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    (build.dials("region-h").start(&[("diabetes", &[ANNA])]).await, region)
}

async fn invite(house: &House, controller: &str) -> Invite {
    let gateway = house.gateway().to_string();
    let code = admin::invite(&house.config(), &controller.parse().unwrap(), 72, Some(&gateway)).await.unwrap();
    code.parse().unwrap()
}

/// Uses a code, with a request of one's own.
async fn present(invite: &Invite, csr: Vec<u8>) -> Result<LinkCertificate, Refusal> {
    let channel = tls::join_channel(&invite.gateway, &invite.hub, invite.authority).await.unwrap();
    let request = JoinRequest { secret: invite.secret.text().to_string(), csr };
    Ok(GatewayClient::new(channel).join(request).await?.into_inner())
}

/// An identity from a key and what the gateway answered.
fn identity(folder: &Path, key: &str, reply: &LinkCertificate) -> Tls {
    let folder = folder.join(uuid::Uuid::new_v4().to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let at = |name: &str| folder.join(name);
    let files = TlsFiles { cert: at("link.crt"), key: at("link.key"), ca: at("link-ca.crt") };
    std::fs::write(&files.cert, &reply.certificate).unwrap();
    std::fs::write(&files.ca, &reply.authority).unwrap();
    runtime::seal::write_private(&files.key, key.as_bytes()).unwrap();
    Tls::load(&files).unwrap()
}

async fn joined(house: &House, controller: &str) -> Tls {
    let (csr, key) = CertRequest::create_der().unwrap();
    let reply = present(&invite(house, controller).await, csr).await.unwrap();
    identity(house.path(), &key, &reply)
}

pub(super) async fn connected(house: &House, spoke: &Spoke) -> (Tls, Dialled) {
    let tls = joined(house, &spoke.controller).await;
    let link = spoke.dial(house.gateway(), &tls).await.unwrap();
    (tls, link)
}

async fn anna(house: &House) -> Client {
    house.client(ANNA, Zone::Enclave).await
}

/// Polls until `what` holds.
async fn until(limit: Duration, mut what: impl AsyncFnMut() -> bool) {
    let waited = async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while !what().await {
            look.tick().await;
        }
    };
    tokio::time::timeout(limit, waited).await.expect("in time");
}

async fn links(house: &House, controller: &str) -> u32 {
    let all = admin::controllers(&house.config()).await.unwrap();
    all.iter().find(|record| record.controller.as_ref() == controller).map_or(0, |record| record.links)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_that_opens_its_links_is_asked_over_them() {
    let (house, region) = house().await;
    let mut anna = anna(&house).await;
    let refusal = anna.refused(COUNT).await;
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.message.contains("the spoke of 'region-h' is not connected"), "{refusal}");

    let tls = joined(&house, "region-h").await;
    let first = region.dial(house.gateway(), &tls).await.unwrap();
    let second = region.dial(house.gateway(), &tls).await.unwrap();
    assert!(anna.shown(COUNT).await.contains("60"));
    until(Duration::from_secs(5), async || links(&house, "region-h").await == 2).await;
    // One link less, and the other answers at once; and with none, the spoke is named.
    drop(first);
    for _ in 0..4 {
        assert!(anna.shown(COUNT).await.contains("60"));
    }
    drop(second);
    assert!(anna.refused(COUNT).await.message.contains("'region-h'"));
    let _third = region.dial(house.gateway(), &tls).await.unwrap();
    assert!(anna.shown(COUNT).await.contains("60"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_a_moment_for_a_spoke_that_is_just_coming_back() {
    let (house, region) = house().await;
    let tls = joined(&house, "region-h").await;
    let mut anna = anna(&house).await;
    let asked = tokio::spawn(async move { anna.shown(COUNT).await });
    tokio::task::yield_now().await;
    let _link = region.dial(house.gateway(), &tls).await.unwrap();
    assert!(asked.await.unwrap().contains("60"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_a_link_that_breaks_is_an_error_not_a_part() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..400_000));
    region.set(crate::spoke::Manner::Stalls(20));
    let house = Build::new().dials("region-h").start(&[("diabetes", &[ANNA])]).await;
    let (_, link) = connected(&house, &region).await;
    let mut anna = anna(&house).await;
    let asked = tokio::spawn(async move { anna.refused("SELECT sum(value) FROM \"region-h\".lab_forsker").await });
    until(Duration::from_secs(10), async || region.seen.running.load(std::sync::atomic::Ordering::SeqCst) > 0).await;
    drop(link);
    let refusal = asked.await.unwrap();
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.message.contains("'region-h'"), "{refusal}");
    region.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_renewed_certificate_are_preferred() {
    let (house, old) = house().await;
    let new = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let (_, _old_link) = connected(&house, &old).await;
    // Certificates tell seconds: the newer one must be newer.
    let begun = chrono::Utc::now().timestamp();
    until(Duration::from_secs(3), async || chrono::Utc::now().timestamp() > begun).await;
    let (_, _new_link) = connected(&house, &new).await;
    let mut anna = anna(&house).await;
    for _ in 0..4 {
        assert!(anna.shown(COUNT).await.contains("60"));
    }
    assert_eq!((old.asked().len(), new.asked().len()), (0, 4));
}

fn hub() -> Peer {
    Peer::hub("main").unwrap()
}
