//! Each call of the gateway asks the rules what its row says.

use super::*;
use crate::decided::{asked, followed};
use arrow_flight::{Ticket, flight_service_client::FlightServiceClient};
use hub::endpoints::GATEWAY;
use policies::authorize::trail::Trail;
use proto::wire::{NudgeRequest, PurgeRequest, RenewRequest};
use tonic::Request;

#[test]
fn every_call_of_the_gateway_asks_what_its_row_says() {
    let trail = Trail::default();
    followed(&trail, async {
        let (house, region) = house().await;
        let tls = joined(&house, "region-h").await;
        let mut gateway = GatewayClient::new(tls::channel(&house.gateway().to_string(), hub(), &tls));
        let worker = house.issue(&Peer::hub("worker").unwrap());
        let worker = tls::channel(&house.gateway().to_string(), hub(), &worker);
        for row in GATEWAY {
            let invite = invite(&house, "sds").await;
            trail.taken();
            match row.0 {
                "Join" => drop(present(&invite, CertRequest::create_der().unwrap().0).await.unwrap()),
                "Renew" => {
                    let csr = CertRequest::create_der().unwrap().0;
                    gateway.renew(RenewRequest { csr }).await.unwrap();
                }
                "Nudge" => drop(gateway.nudge(NudgeRequest {}).await.unwrap()),
                "Purge" => {
                    let purge = PurgeRequest { project: "diabetes".to_owned(), reason: "revoked".to_owned() };
                    gateway.purge(purge).await.unwrap();
                }
                "link" => drop(region.dial(house.gateway(), &tls).await.unwrap()),
                "relay" => {
                    let mut request = Request::new(Ticket::new(Vec::new()));
                    request.metadata_mut().insert("x-eger-controller", "region-h".parse().unwrap());
                    // Its link is gone again: what counts is that the rules were asked before.
                    assert!(FlightServiceClient::new(worker.clone()).do_get(request).await.is_err());
                }
                other => panic!("say here how {other} is called"),
            }
            asked(&trail, row);
        }
    });
}
