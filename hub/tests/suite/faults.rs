//! A spoke that is away, slow, dies or talks nonsense: an error that names it, never a smaller number.

pub mod broken;
mod cable;
mod cancelled;
mod counted;
mod killed;
mod left_over;
mod matrix;
mod shapes;

use crate::{
    client::rows,
    house::{ANNA, Build, House, lab, lmdb, two},
    spoke::{Manner, Proxy, Spoke},
};
use futures::StreamExt;
use policies::zone::Zone;
use proto::refusal::Kind;
use std::{net::SocketAddr, time::Duration};
use tokio::time::Instant;

const JOIN: &str = "SELECT count(*) AS n FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr";
const BIG: i64 = 400_000;

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_that_is_down_is_named_and_the_others_answer() {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let house = Build::new().spoke(&sds).await.at("region-h", nobody().await).start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let started = Instant::now();
    let refusal = anna.refused(JOIN).await;
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.message.contains("'region-h'") && refusal.retryable(), "{refusal}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(anna.shown("SELECT count(*) AS n FROM sds.lmdb").await.contains("40"));
    let unknown = anna.refused("SELECT * FROM sds.nothing").await;
    assert!(unknown.message.contains("Can't be reached at the moment: region-h"), "{unknown}");
    assert!(anna.shown("SHOW TABLES").await.contains("lmdb"));
}

async fn with_proxy(region: &Spoke, query: &str) -> (House, Proxy) {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let mut build = Build::new().spoke(&sds).await;
    build.query = query.to_owned();
    let proxy = Proxy::to(region.serve(&build.tls("region-h")).await).await;
    let house = build.at("region-h", proxy.address).start(&[("diabetes", &[ANNA])]).await;
    (house, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_that_goes_away_between_planning_and_running() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let (house, proxy) = with_proxy(&region, "").await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let info = anna.announce(JOIN).await.unwrap();
    proxy.cut.cancel();
    let refusal = anna.fetch(&info).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.message.contains("'region-h'"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_that_dies_while_it_answers() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..BIG));
    region.set(Manner::Stalls(20));
    let (house, proxy) = with_proxy(&region, "").await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let info = anna.announce("SELECT value FROM \"region-h\".lab_forsker").await.unwrap();
    let mut stream = anna.stream(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert!(first.num_rows() > 0);
    proxy.cut.cancel();
    let mut last = None;
    while let Some(next) = stream.next().await {
        last = Some(next);
    }
    let error = last.expect("an end").expect_err("an error").to_string();
    assert!(error.contains("'region-h' broke while it was answering"), "{error}");
    region.idle().await;

    // The same under an aggregate: no number.
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..BIG));
    region.set(Manner::Stalls(20));
    let (house, proxy) = with_proxy(&region, "").await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let cut = tokio::spawn({
        let seen = std::sync::Arc::clone(&region.seen);
        async move {
            while seen.running.load(std::sync::atomic::Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            proxy.cut.cancel();
        }
    });
    let refusal = anna.refused("SELECT sum(value) FROM \"region-h\".lab_forsker").await;
    cut.await.unwrap();
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.message.contains("'region-h'"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_spoke_is_named_at_the_deadline_and_stops() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..BIG));
    region.set(Manner::Stalls(3));
    let (house, _proxy) = with_proxy(&region, "timeout_seconds = 2").await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let started = Instant::now();
    let refusal = anna.refused("SELECT sum(value) FROM \"region-h\".lab_forsker").await;
    assert_eq!(refusal.kind, Kind::Deadline);
    assert!(refusal.message.contains("'region-h' has not answered within 2 s"), "{refusal}");
    assert!(started.elapsed() < Duration::from_secs(4));
    region.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_an_error_that_names_the_spoke() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    for manner in [Manner::AnotherSchema, Manner::Garbage] {
        two.sds.set(manner);
        let refusal = anna.refused("SELECT sum(volume) FROM sds.lmdb").await;
        assert_eq!(refusal.kind, Kind::Internal);
        assert!(refusal.message.contains("'sds'"), "{refusal}");
    }
    two.sds.set(Manner::Refuses(Kind::TooLarge));
    let refusal = anna.refused("SELECT sum(volume) FROM sds.lmdb").await;
    assert_eq!((refusal.kind, refusal.message.as_str()), (Kind::TooLarge, "'sds': that is too much for today"));
    two.sds.set(Manner::Refuses(Kind::Internal));
    let refusal = anna.refused("SELECT sum(volume) FROM sds.lmdb").await;
    assert!(
        refusal.message.contains("'sds' failed while answering") && !refusal.message.contains("today"),
        "{refusal}"
    );

    let mut sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    sds.garbage_catalogue = true;
    let house = Build::new().spoke(&sds).await.start(&[("diabetes", &[ANNA])]).await;
    let refusal = house.client(ANNA, Zone::Enclave).await.refused("SELECT * FROM sds.lmdb").await;
    assert!(refusal.message.contains("'sds'") && refusal.message.contains("can't read"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_lost_is_sent_once_more() {
    let two = two().await;
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    two.sds.set(Manner::LostOnce);
    assert!(anna.shown("SELECT count(*) AS n FROM sds.lmdb").await.contains("40"));
    assert_eq!(two.sds.asked().len(), 2);
    two.sds.set(Manner::Refuses(Kind::Unavailable));
    assert_eq!(anna.refused("SELECT count(*) AS n FROM sds.lmdb").await.kind, Kind::Unavailable);
    assert_eq!(two.sds.asked().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_else_at_a_spokes_address_is_not_asked() {
    let build = Build::new();
    let impostor = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let address = impostor.serve(&build.tls("region-h")).await;
    let house = build.at("sds", address).start(&[("diabetes", &[ANNA])]).await;
    let refusal = house.client(ANNA, Zone::Enclave).await.refused("SELECT * FROM sds.lmdb").await;
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert_eq!(impostor.seen.catalogues.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_and_one_that_cancels_stop_the_spoke() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..BIG));
    region.set(Manner::Stalls(5));
    let (house, _proxy) = with_proxy(&region, "").await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT value FROM \"region-h\".lab_forsker";

    let info = anna.announce(sql).await.unwrap();
    let mut stream = anna.stream(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    region.idle().await;

    let info = anna.announce(sql).await.unwrap();
    let mut stream = anna.stream(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let cancel = prost::Message::encode_to_vec(&arrow_flight::CancelFlightInfoRequest::new(info));
    let mut other = house.client("bo@example.org", Zone::Enclave).await;
    assert_eq!(other.action("CancelFlightInfo", cancel.clone()).await.unwrap_err().kind, Kind::Denied);
    let said = anna.action("CancelFlightInfo", cancel.clone()).await.unwrap();
    let said: arrow_flight::CancelFlightInfoResult = prost::Message::decode(said.as_slice()).unwrap();
    assert_eq!(said.status, arrow_flight::CancelStatus::Cancelled as i32);
    let mut last = None;
    while let Some(next) = stream.next().await {
        last = Some(next);
    }
    assert!(last.unwrap().unwrap_err().to_string().contains("was cancelled"));
    region.idle().await;
    let said = anna.action("CancelFlightInfo", cancel).await.unwrap();
    let said: arrow_flight::CancelFlightInfoResult = prost::Message::decode(said.as_slice()).unwrap();
    assert_eq!(said.status, arrow_flight::CancelStatus::NotCancellable as i32);
}

#[tokio::test(flavor = "multi_thread")]
async fn backpressure_reaches_the_spoke() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..BIG));
    let (house, _proxy) = with_proxy(&region, "").await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let all = anna.sql("SELECT pnr, value FROM \"region-h\".lab_forsker").await.unwrap();
    assert_eq!(rows(&all), usize::try_from(BIG).unwrap());
}
