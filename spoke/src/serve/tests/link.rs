//! Who may speak to a spoke, what it answers at all, and how it ends.

use super::fixture::{Fixture, Hub, count, envelope, issue_from, read, request};
use arrow_flight::{Action, Criteria, Empty, FlightDescriptor, flight_service_client::FlightServiceClient};
use futures::StreamExt;
use proto::refusal::{Kind, Refusal};
use runtime::{ca::Authority, peer::Peer};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_own_hub_may_ask() {
    let spoke = Fixture::new().await;
    let server = spoke.serve().await;
    assert_eq!(count(&spoke.hub(&server).ask(&request(read(&["row"]))).await.unwrap()), 48_000);
    for other in [Peer::hub("other").unwrap(), Peer::spoke("region-m").unwrap(), Peer::spoke("main").unwrap()] {
        let mut hub = spoke.client(&server, &other);
        let refusal = hub.ask(&request(read(&["row"]))).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Denied, "{other}");
        assert_eq!(hub.catalogue(envelope()).await.unwrap_err().kind, Kind::Denied);
        let listed = Refusal::from(hub.flight.list_actions(Empty {}).await.unwrap_err());
        assert_eq!(listed, refusal);
    }
    // A certificate of another authority, though in the right name.
    let foreign = Authority::create("another").unwrap();
    let mut files = issue_from(&foreign, &Peer::hub("main").unwrap(), &spoke.path().join("foreign"));
    files.ca = spoke.config.link.ca.clone();
    // In TLS 1.3 the caller learns of it only when it first speaks, as a broken connection.
    let refusal = Hub::connect(server.address, &files).ask(&request(read(&["row"]))).await.unwrap_err();
    assert!(matches!(refusal.kind, Kind::Unavailable | Kind::Cancelled | Kind::Internal), "{refusal:?}");
    // No certificate, and no TLS at all.
    let plain = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let refused = match plain.connect().await {
        Err(_) => true,
        Ok(channel) => FlightServiceClient::new(channel).list_actions(Empty {}).await.is_err(),
    };
    assert!(refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_in_flight_is_refused() {
    let spoke = Fixture::new().await;
    let server = spoke.serve().await;
    let mut flight = spoke.hub(&server).flight;
    let path = FlightDescriptor::new_cmd("SELECT 1");
    let refusals = vec![
        flight.list_actions(Empty {}).await.unwrap_err(),
        flight.list_flights(Criteria::default()).await.unwrap_err(),
        flight.get_flight_info(path.clone()).await.unwrap_err(),
        flight.poll_flight_info(path.clone()).await.unwrap_err(),
        flight.get_schema(path).await.unwrap_err(),
        flight.do_put(futures::stream::empty()).await.unwrap_err(),
        flight.do_exchange(futures::stream::empty()).await.unwrap_err(),
        flight.handshake(futures::stream::empty()).await.unwrap_err(),
    ];
    for status in refusals {
        let refusal = Refusal::from(status);
        assert_eq!(refusal.kind, Kind::Invalid);
        assert!(refusal.message.contains("DoGet and a few actions"), "{refusal}");
    }
    let action = Action { r#type: "DropTable".to_owned(), body: bytes::Bytes::new() };
    let refusal = Refusal::from(flight.do_action(action).await.unwrap_err());
    assert!(refusal.message.contains("the actions here are"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_lets_answers_finish_and_then_ends_them_with_an_error() {
    let spoke = Fixture::with("drain_seconds = 1\n").await;
    spoke.publish("large", 600_000, 100_000).await;
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &super::fixture::LMDB.replace("lmdb", "large"));
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let asked = request(super::fixture::read_of("large", &["row", "pnr", "kontakt"]));
    let mut rows = hub.start(prost::Message::encode_to_vec(&asked)).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    let address = server.address;
    server.shutdown.cancel();
    // A slow reader: the answer can't finish within the second that it has.
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    let mut last = None;
    while let Some(batch) = rows.next().await {
        pause.tick().await;
        last = Some(batch);
    }
    let refusal = super::fixture::refusal(last.unwrap().unwrap_err());
    assert_eq!(refusal.kind, Kind::Unavailable);
    assert!(refusal.message.contains("being stopped"), "{refusal}");
    tokio::time::timeout(Duration::from_secs(10), server.task).await.unwrap().unwrap().unwrap();
    let files = spoke.issue(&Peer::hub("main").unwrap(), "late");
    let refusal = Hub::connect(address, &files).ask(&request(read(&["row"]))).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_is_said_before_serving() {
    let spoke = Fixture::new().await;
    spoke.issue(&Peer::spoke("region-m").unwrap(), "keys/link");
    let options = crate::serve::ServeOptions {
        config: spoke.config.clone(),
        listen: None,
        ready: None,
        tap: None,
        shutdown: tokio_util::sync::CancellationToken::new(),
    };
    let error = crate::serve::run(options).await.unwrap_err().to_string();
    assert!(error.contains("eger://spoke/region-m, but this spoke is eger://spoke/region-h"), "{error}");
}
