//! Hostile callers of the gateway.

use super::*;
use proto::wire::{NudgeRequest, PurgeRequest, RenewRequest};
use rcgen::{CertificateParams, KeyPair, SanType};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::net::TcpStream;

async fn csr() -> Vec<u8> {
    CertRequest::create_der().unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_codes_wrong_used_void_and_expired_get_one_answer() {
    let (house, _) = house().await;
    let first = invite(&house, "region-h").await;
    let used = invite(&house, "region-h").await;
    let voided = present(&first, csr().await).await.unwrap_err();
    present(&used, csr().await).await.unwrap();
    let replayed = present(&used, csr().await).await.unwrap_err();
    let expired = invite(&house, "region-h").await;
    let mut db = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(house.path().join("hub.db")))
        .await
        .unwrap();
    sqlx::query("UPDATE invite SET expires_at = 1").execute(&mut db).await.unwrap();
    let late = present(&expired, csr().await).await.unwrap_err();
    let mut wrong = invite(&house, "region-h").await;
    wrong.secret = runtime::invite::InviteSecret::random().unwrap();
    let guessed = present(&wrong, csr().await).await.unwrap_err();
    assert_eq!(guessed.kind, Kind::Denied);
    assert_eq!([&voided, &replayed, &late], [&guessed, &guessed, &guessed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_twins_with_one_code_get_one_certificate() {
    let (house, _) = house().await;
    let invite = invite(&house, "region-h").await;
    let tries = (0..8).map(|_| async { present(&invite, csr().await).await });
    let got = futures::future::join_all(tries).await;
    assert_eq!(got.iter().filter(|reply| reply.is_ok()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_guessing_is_slowed_down() {
    let (house, _) = house().await;
    let good = invite(&house, "region-h").await;
    let mut wrong = invite(&house, "region-m").await;
    wrong.secret = runtime::invite::InviteSecret::random().unwrap();
    let mut kinds = Vec::new();
    for _ in 0..12 {
        kinds.push(present(&wrong, csr().await).await.unwrap_err().kind);
    }
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Denied).count(), 10);
    assert_eq!(kinds.last(), Some(&Kind::Exhausted));
    assert_eq!(present(&good, csr().await).await.unwrap_err().kind, Kind::Exhausted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_request_naming_another_controller_or_hub_gets_the_codes_name() {
    let (house, _) = house().await;
    let mut tls = None;
    for other in ["eger://spoke/region-m", "eger://hub/main"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(other.try_into().unwrap())];
        let csr = params.serialize_request(&key).unwrap().der().to_vec();
        // By joining, and then by renewing with what came of it.
        let reply = match &tls {
            None => present(&invite(&house, "region-h").await, csr).await.unwrap(),
            Some(tls) => {
                let channel = tls::channel(&house.gateway().to_string(), hub(), tls);
                GatewayClient::new(channel).renew(RenewRequest { csr }).await.unwrap().into_inner()
            }
        };
        let issued = identity(house.path(), &key.serialize_pem(), &reply);
        assert_eq!(issued.peer().to_string(), "eger://spoke/region-h");
        tls = Some(issued);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_spoke_answers_for_no_other_controller() {
    let (house, _) = house_of(Build::new().dials("region-m")).await;
    // It calls itself region-h in what it says, but its certificate says region-m.
    let impostor = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let tls = joined(&house, "region-m").await;
    let _link = impostor.dial(house.gateway(), &tls).await.unwrap();
    let mut anna = anna(&house).await;
    let refusal = anna.refused(COUNT).await;
    assert!(refusal.message.contains("'region-h' is not connected"), "{refusal}");
    let refusal = anna.refused("SELECT count(*) FROM \"region-m\".lab_forsker").await;
    assert!(refusal.message.contains("region-m"), "{refusal}");
    assert_eq!(impostor.asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_stranger_gets_no_link_and_no_call() {
    let (house, region) = house().await;
    let other = Build::new().dials("region-h").start(&[]).await;
    // Another hub's authority; a hub's certificate instead of a spoke's.
    let foreign = {
        let tls = joined(&other, "region-h").await;
        let text = |name: &str| {
            let entry = std::fs::read_dir(other.path()).unwrap().map(|e| e.unwrap().path());
            let folder = entry.into_iter().find(|path| path.join("link.key").exists()).unwrap();
            std::fs::read_to_string(folder.join(name)).unwrap()
        };
        drop(tls);
        let own_authority = std::fs::read_to_string(house.path().join("keys/link-ca.crt")).unwrap();
        let reply = LinkCertificate { certificate: text("link.crt"), authority: own_authority, hub: "main".to_owned() };
        identity(house.path(), &text("link.key"), &reply)
    };
    assert!(region.dial(house.gateway(), &foreign).await.is_err());
    assert!(region.dial(house.gateway(), &house.issue(&Peer::hub("other").unwrap())).await.is_err());
    let invite = invite(&house, "region-h").await;
    let channel = tls::join_channel(&invite.gateway, &invite.hub, invite.authority).await.unwrap();
    let mut gateway = GatewayClient::new(channel);
    let purge = PurgeRequest { project: "diabetes".to_owned(), reason: "revoked".to_owned() };
    for status in [
        gateway.renew(RenewRequest { csr: csr().await }).await.unwrap_err(),
        gateway.nudge(NudgeRequest {}).await.unwrap_err(),
        gateway.purge(purge).await.unwrap_err(),
    ] {
        assert_eq!(Refusal::from(status).kind, Kind::Unauthenticated);
    }
    let worker = house.issue(&Peer::hub("worker").unwrap());
    let mut gateway = GatewayClient::new(tls::channel(&house.gateway().to_string(), hub(), &worker));
    let status = gateway.renew(RenewRequest { csr: csr().await }).await.unwrap_err();
    assert_eq!(Refusal::from(status).kind, Kind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_expelled_controller_gets_back_neither_by_calls_nor_by_older_certificates() {
    let (house, region) = house().await;
    // One by code, one by hand that nobody wrote down.
    let (by_code, by_hand) = (joined(&house, "region-h").await, house.issue(&Peer::spoke("region-h").unwrap()));
    drop(region.dial(house.gateway(), &by_hand).await.unwrap());
    let pending = invite(&house, "region-h").await;
    admin::expel(&house.config(), &"region-h".parse().unwrap()).await.unwrap();
    for tls in [&by_code, &by_hand] {
        assert!(region.dial(house.gateway(), tls).await.is_err());
        let mut gateway = GatewayClient::new(tls::channel(&house.gateway().to_string(), hub(), tls));
        let status = gateway.renew(RenewRequest { csr: csr().await }).await.unwrap_err();
        assert_eq!(Refusal::from(status).kind, Kind::Denied);
        assert_eq!(Refusal::from(gateway.nudge(NudgeRequest {}).await.unwrap_err()).kind, Kind::Denied);
    }
    assert_eq!(present(&pending, csr().await).await.unwrap_err().kind, Kind::Denied);
    // Let back, the older ones stay worthless.
    let (_, _link) = connected(&house, &region).await;
    for tls in [&by_code, &by_hand] {
        assert!(region.dial(house.gateway(), tls).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_silence_at_the_gateway_blocks_nobody() {
    let (house, region) = house_of(Build::new().dials("region-m")).await;
    let tls = joined(&house, "region-h").await;
    let mut held = Vec::new();
    let mut silent = Vec::new();
    for _ in 0..150 {
        held.push(TcpStream::connect(house.gateway()).await.unwrap());
    }
    for _ in 0..20 {
        // A link on which nobody serves, by a spoke in good standing.
        let other = joined_once(&house, &mut silent).await;
        held.push(TcpStream::connect(house.gateway()).await.unwrap());
        silent.push(other);
    }
    let _link = region.dial(house.gateway(), &tls).await.unwrap();
    assert!(anna(&house).await.shown(COUNT).await.contains("60"));
    let refusal = anna(&house).await.refused("SELECT count(*) FROM \"region-m\".lab_forsker").await;
    assert!(refusal.message.contains("region-m"), "{refusal}");
    assert_eq!(links(&house, "region-m").await, 0, "a link that says nothing counts");
}

async fn joined_once(house: &House, so_far: &mut [(Tls, tls::TlsConn)]) -> (Tls, tls::TlsConn) {
    let tls = match so_far.first() {
        Some((tls, _)) => tls.clone(),
        None => joined(house, "region-m").await,
    };
    let conn = tls::link::dial_link(&house.gateway().to_string(), &hub(), &tls).await.unwrap();
    (tls, conn)
}
