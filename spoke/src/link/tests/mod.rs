#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! A spoke that joins, keeps its links standing and renews, with honest and dishonest hubs.

mod hub;

use super::*;
use crate::{
    init::{self, InitOptions},
    serve::{ServeError, ServeOptions},
};
use arrow_flight::{Empty, flight_service_client::FlightServiceClient};
use hub::Hub;
use proto::refusal::Refusal;
use runtime::{
    ca::{Authority, CertFacts},
    tls::{TlsConn, link},
};
use std::{path::PathBuf, time::Duration};
use tokio::task::JoinHandle;

struct Spoke {
    folder: tempfile::TempDir,
    config: SpokeConfig,
}

impl Spoke {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions {
            folder: folder.path().join("spoke"),
            controller: "region-h".parse().unwrap(),
            title_da: String::new(),
            title_en: String::new(),
            listen: "127.0.0.1:0".to_owned(),
            hub: "other".to_owned(),
            custodian: "127.0.0.1:1".to_owned(),
            custodian_name: "national".to_owned(),
            separate_ingest: false,
        };
        init::run(&options).unwrap();
        let config = SpokeConfig::load(&options.folder.join("spoke.toml")).unwrap();
        Self { folder, config }
    }

    fn path(&self) -> PathBuf {
        self.config.folder.join("spoke.toml")
    }

    async fn join(&mut self, hub: &Hub) -> Result<Joined, JoinError> {
        let joined = join(&self.path(), &self.config, &hub.invite()).await;
        self.config = SpokeConfig::load(&self.path()).unwrap();
        joined
    }

    fn serve(&self) -> (oneshot::Receiver<SocketAddr>, CancellationToken, JoinHandle<Result<(), ServeError>>) {
        let (ready, standing) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let options = ServeOptions {
            config: self.config.clone(),
            listen: None,
            ready: Some(ready),
            tap: None,
            shutdown: shutdown.clone(),
        };
        (standing, shutdown, tokio::spawn(crate::serve::run(options)))
    }
}

/// A link that the hub holds.
struct Held {
    watch: runtime::tls::Watch,
    /// dropped, it would close the link
    _client: FlightServiceClient<tonic::transport::Channel>,
}

/// Asks over a link; the spoke's own refusal proves that it serves there.
async fn ask(mut conn: TlsConn) -> Held {
    let watch = conn.watch();
    let mut client = FlightServiceClient::new(link::link_channel(conn).await.unwrap());
    let refusal = Refusal::from(client.list_actions(Empty {}).await.unwrap_err());
    assert!(refusal.message.contains("a spoke answers DoGet"), "{refusal}");
    Held { watch, _client: client }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(15), what).await.expect("soon")
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_writes_the_identity_and_the_settings() {
    let mut spoke = Spoke::new();
    let hub = Hub::start(spoke.folder.path()).await;
    let before = std::fs::read_to_string(spoke.path()).unwrap();
    let joined = spoke.join(&hub).await.unwrap();
    assert_eq!(joined.hub.to_string(), "eger://hub/main");
    let after = std::fs::read_to_string(spoke.path()).unwrap();
    let comments = |text: &str| text.lines().filter(|line| line.contains('#')).count();
    assert_eq!(comments(&before), comments(&after));
    assert_eq!(spoke.config.link.gateway.as_deref(), Some(hub.address.to_string().as_str()));
    assert_eq!(spoke.config.hub_peer().to_string(), "eger://hub/main");
    let tls = Tls::load(&spoke.config.link_tls()).unwrap();
    tls.check_own().unwrap();
    assert_eq!(tls.peer().to_string(), "eger://spoke/region-h");
    nudge(&spoke.config).await.unwrap();
    let put_off = purge(&spoke.config, &"diabetes".parse().unwrap(), "revoked").await.unwrap_err();
    assert!(put_off.to_string().contains("not now"), "{put_off}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_impostor_gets_no_secret() {
    let mut spoke = Spoke::new();
    let (honest, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start(honest.path()).await;
    let impostor = Hub::start(other.path()).await;
    // The code of the honest hub, but somebody else sits at the address.
    let mut invite = hub.invite();
    invite.gateway = impostor.address.to_string();
    let error = join(&spoke.path(), &spoke.config, &invite).await.unwrap_err();
    assert!(matches!(error, JoinError::Gateway { .. }), "{error}");
    assert!(impostor.calls.secrets.lock().unwrap().is_empty());
    assert!(!spoke.config.link_tls().cert.exists());
    // The same code still works where it belongs.
    spoke.join(&hub).await.unwrap();
    assert_eq!(hub.calls.secrets.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_to_a_newcomer_are_not_taken() {
    let mut spoke = Spoke::new();
    let hub = Hub::start(spoke.folder.path()).await;
    let own = hub.calls.says.lock().unwrap().clone();
    *hub.calls.says.lock().unwrap() = Authority::create("links").unwrap().cert_pem().to_owned();
    assert!(matches!(spoke.join(&hub).await, Err(JoinError::Answer(_))));
    *hub.calls.says.lock().unwrap() = own;
    for other in ["eger://spoke/region-m", "eger://hub/main"] {
        *hub.calls.names.lock().unwrap() = other.parse().unwrap();
        let error = spoke.join(&hub).await.unwrap_err().to_string();
        assert!(error.contains(other), "{error}");
    }
    assert!(!spoke.config.link_tls().cert.exists() && spoke.config.link.gateway.is_none());
    let mut other = hub.invite();
    other.spoke = Peer::spoke("region-m").unwrap();
    let error = join(&spoke.path(), &spoke.config, &other).await.unwrap_err().to_string();
    assert!(error.contains("for 'region-m', but this spoke is 'region-h'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_stand_come_back_and_end_in_order() {
    let mut spoke = Spoke::new();
    assert!(spoke.serve().2.await.unwrap().unwrap_err().to_string().contains("spoke join"));
    let mut hub = Hub::start(spoke.folder.path()).await;
    spoke.join(&hub).await.unwrap();
    let (ready, shutdown, serving) = spoke.serve();
    let first = ask(hub.link().await).await;
    assert_eq!(soon(ready).await.unwrap(), hub.address);
    let second = ask(hub.link().await).await;
    // One breaks: another comes in its place.
    first.watch.cut();
    let third = ask(hub.link().await).await;
    // The hub dies and is started again at the same address.
    let address = hub.address;
    let authority = Authority::load(hub.authority.cert_pem(), hub.authority.key_pem()).unwrap();
    drop(hub);
    second.watch.cut();
    third.watch.cut();
    soon(async { tokio::join!(second.watch.gone(), third.watch.gone()) }).await;
    let again = tempfile::tempdir().unwrap();
    let mut hub = Hub::with(again.path(), authority, &address.to_string()).await;
    let fourth = ask(hub.link().await).await;
    shutdown.cancel();
    soon(serving).await.unwrap().unwrap();
    soon(fourth.watch.gone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_impostor_gets_no_link() {
    let mut spoke = Spoke::new();
    let hub = Hub::start(spoke.folder.path()).await;
    spoke.join(&hub).await.unwrap();
    let address = hub.address.to_string();
    drop(hub);
    let other = tempfile::tempdir().unwrap();
    let bind = async {
        loop {
            if let Ok(free) = tokio::net::TcpListener::bind(&address).await {
                drop(free);
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(bind).await;
    let mut impostor = Hub::with(other.path(), Authority::create("links").unwrap(), &address).await;
    let (mut ready, shutdown, serving) = spoke.serve();
    let nothing = tokio::time::timeout(Duration::from_secs(3), impostor.links.recv()).await;
    assert!(nothing.is_err(), "the impostor got a link");
    assert!(ready.try_recv().is_err());
    shutdown.cancel();
    soon(serving).await.unwrap().unwrap();
}

/// Gives the spoke a certificate of which two thirds are over.
fn age(spoke: &Spoke, authority: &Authority) {
    use chrono::Datelike;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
    let own_key = KeyPair::from_pem(authority.key_pem()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(authority.cert_pem(), &own_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("eger://spoke/region-h".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let day = |days: i64| {
        let day = (chrono::Utc::now() + chrono::Duration::days(days)).date_naive();
        rcgen::date_time_ymd(day.year(), u8::try_from(day.month()).unwrap(), u8::try_from(day.day()).unwrap())
    };
    params.not_before = day(-60);
    params.not_after = day(10);
    let files = spoke.config.link_tls();
    std::fs::write(&files.cert, params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    runtime::seal::write_private(&files.key, key.serialize_pem().as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_certificate_is_renewed_and_the_links_are_replaced() {
    let mut spoke = Spoke::new();
    let mut hub = Hub::start(spoke.folder.path()).await;
    spoke.join(&hub).await.unwrap();
    age(&spoke, &hub.authority);
    let fingerprint = |conn: &TlsConn| conn.info().certificate.as_ref().unwrap().fingerprint.clone();
    let on_disk = || CertFacts::read(&std::fs::read_to_string(spoke.config.link_tls().cert).unwrap()).unwrap();
    let old = on_disk().fingerprint;
    let (_ready, shutdown, serving) = spoke.serve();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    while after.len() < 2 {
        let conn = hub.link().await;
        let renewed = fingerprint(&conn) != old;
        let held = ask(conn).await;
        if renewed { after.push(held) } else { before.push(held) }
    }
    assert_eq!(*hub.calls.renewals.lock().unwrap(), 1);
    assert_ne!(on_disk().fingerprint, old);
    assert!(on_disk().not_after > chrono::Utc::now() + chrono::Duration::days(80));
    // The old ones are given up, the new ones stay.
    for held in &before {
        soon(held.watch.gone()).await;
    }
    assert!(after.iter().all(|held| !held.watch.is_gone()));
    shutdown.cancel();
    soon(serving).await.unwrap().unwrap();
}
