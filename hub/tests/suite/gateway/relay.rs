//! Flight calls of other hub processes, relayed to a controller's link.

use super::*;
use crate::spoke::Manner;
use arrow_flight::{FlightData, Ticket, flight_service_client::FlightServiceClient};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use proto::{ids::QueryId, plan, wire};
use tonic::{Request, transport::Channel};

fn worker(house: &House, who: &Peer) -> FlightServiceClient<Channel> {
    let tls = house.issue(who);
    let channel = tls::channel(&house.gateway().to_string(), hub(), &tls);
    FlightServiceClient::new(channel).max_decoding_message_size(tls::MAX_MESSAGE)
}

fn ticket(controller: Option<&str>) -> Request<Ticket> {
    let envelope = wire::Envelope {
        version: 1,
        query_id: QueryId::new().to_string(),
        project: "diabetes".to_owned(),
        user: ANNA.to_owned(),
        zone: wire::Zone::Enclave.into(),
        ..wire::Envelope::default()
    };
    let rows = plan::read(&"lab_forsker".parse().unwrap(), &["pnr".to_owned(), "value".to_owned()]);
    let scan = wire::ScanRequest {
        blind: None,
        quick: None,
        versions: Vec::new(),
        envelope: Some(envelope),
        fragment: Some(plan::fragment(rows)),
        schema_fingerprint: vec![],
        keys: Vec::new(),
        accepts: Vec::new(),
    };
    let mut request = Request::new(Ticket { ticket: scan.encode_to_vec().into() });
    if let Some(controller) = controller {
        request.metadata_mut().insert("x-eger-controller", controller.parse().unwrap());
    }
    request
}

async fn all(client: &mut FlightServiceClient<Channel>, controller: Option<&str>) -> Vec<FlightData> {
    let mut stream = client.do_get(ticket(controller)).await.unwrap().into_inner();
    let mut data = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        data.push(message);
    }
    let trailers = stream.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "0", "the spoke's final status");
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_relayed_is_what_the_spoke_said() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..200_000));
    let house = Build::new().dials("region-h").start(&[("diabetes", &[ANNA])]).await;
    let (_, _link) = connected(&house, &region).await;
    // The same spoke, asked without anybody in between.
    let direct = region.serve(&house.issue(&Peer::spoke("region-h").unwrap())).await;
    let own = tls::channel(&direct.to_string(), Peer::spoke("region-h").unwrap(), &house.issue(&hub()));
    let mut own = FlightServiceClient::new(own).max_decoding_message_size(tls::MAX_MESSAGE);
    let mut client = worker(&house, &Peer::hub("worker").unwrap());
    let relayed = all(&mut client, Some("region-h")).await;
    let expected = all(&mut own, None).await;
    assert!(relayed.len() > 100 && relayed == expected);
    // A refusal passes as it is.
    region.set(Manner::Refuses(Kind::TooLarge));
    let status = client.do_get(ticket(Some("region-h"))).await.unwrap_err();
    let refusal = Refusal::from(status);
    assert_eq!((refusal.kind, refusal.message.as_str()), (Kind::TooLarge, "that is too much for today"));
    let nobody = Refusal::from(client.do_get(ticket(Some("sds"))).await.unwrap_err());
    assert_eq!(nobody.kind, Kind::Unavailable);
    assert!(nobody.message.contains("'sds' is not connected"), "{nobody}");
    let unnamed = Refusal::from(client.do_get(ticket(None)).await.unwrap_err());
    assert_eq!(unnamed.kind, Kind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_call_that_is_dropped_or_not_read_stops_the_spoke() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..1_500_000));
    let house = Build::new().dials("region-h").start(&[("diabetes", &[ANNA])]).await;
    let (_, _link) = connected(&house, &region).await;
    region.set(Manner::Stalls(5));
    let mut client = worker(&house, &Peer::hub("worker").unwrap());
    let mut stream = client.do_get(ticket(Some("region-h"))).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    assert_eq!(region.seen.running.load(std::sync::atomic::Ordering::SeqCst), 1);
    drop(stream);
    region.idle().await;
    // Whoever doesn't read holds the spoke back; whoever then reads gets everything.
    region.set(Manner::Answers);
    let mut stream = client.do_get(ticket(Some("region-h"))).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    assert_eq!(region.seen.running.load(std::sync::atomic::Ordering::SeqCst), 1, "it ran ahead of its reader");
    let rest: Vec<FlightData> = stream.try_collect().await.unwrap();
    assert!(rest.len() >= 1_500);
    region.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_spoke_or_stranger_reaches_no_spoke_through_the_gateway() {
    let (house, region) = house().await;
    let (_, _link) = connected(&house, &region).await;
    for other in
        [Peer::spoke("region-m").unwrap(), Peer::spoke("region-h").unwrap(), Peer::custodian("national").unwrap()]
    {
        let status = worker(&house, &other).do_get(ticket(Some("region-h"))).await.unwrap_err();
        assert_eq!(Refusal::from(status).kind, Kind::Denied, "{other}");
    }
    let invite = invite(&house, "region-m").await;
    let channel = tls::join_channel(&invite.gateway, &invite.hub, invite.authority).await.unwrap();
    let status = FlightServiceClient::new(channel).do_get(ticket(Some("region-h"))).await.unwrap_err();
    assert_eq!(Refusal::from(status).kind, Kind::Unauthenticated);
    assert_eq!(region.asked(), Vec::<String>::new());
}
