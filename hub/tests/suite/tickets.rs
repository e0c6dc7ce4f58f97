//! Tickets, projects, sessions.

use crate::house::{ANNA, BO, Build, House, lmdb};
use crate::{client::Client, spoke::Spoke};
use arrow_flight::{
    FlightInfo, HandshakeRequest, Ticket,
    sql::{Any, ProstMessageExt, TicketStatementQuery},
};
use base64::Engine;
use policies::zone::Zone;
use prost::Message;
use proto::refusal::{Kind, Refusal};
use std::collections::HashMap;

async fn house(query: &str) -> House {
    let sds = Spoke::new("sds").offer("a", "lmdb", lmdb(0..10)).offer("b", "lmdb", lmdb(0..20));
    let mut build = Build::new().spoke(&sds).await;
    build.query = query.to_owned();
    build.start(&[("a", &[ANNA, BO]), ("b", &[ANNA])]).await
}

pub fn handle(info: &FlightInfo) -> Vec<u8> {
    let any = Any::decode(info.endpoint[0].ticket.clone().unwrap().ticket).unwrap();
    any.unpack::<TicketStatementQuery>().unwrap().unwrap().statement_handle.to_vec()
}

fn ticket(handle: Vec<u8>) -> Ticket {
    Ticket::new(TicketStatementQuery { statement_handle: handle.into() }.as_any().encode_to_vec())
}

pub async fn redeem(client: &mut Client, handle: Vec<u8>) -> Result<(), Refusal> {
    client.stream(ticket(handle)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_the_callers_own_whole_and_fresh() {
    let house = house("ticket_seconds = 1").await;
    let mut anna = house.client(ANNA, Zone::Enclave).await.project("a");
    let mut bo = house.client(BO, Zone::Enclave).await;
    let info = anna.announce("SELECT count(*) FROM sds.lmdb").await.unwrap();
    let good = handle(&info);
    redeem(&mut anna, good.clone()).await.unwrap();
    // Another connection and another token of the same user: fine, that is how endpoints are fetched.
    redeem(&mut house.client(ANNA, Zone::Enclave).await, good.clone()).await.unwrap();

    let of_others = redeem(&mut bo, good.clone()).await.unwrap_err();
    let mut tampered = good.clone();
    tampered[10] ^= 1;
    let tampered = redeem(&mut anna, tampered).await.unwrap_err();
    let zone = redeem(&mut house.client(ANNA, Zone::Open).await, good.clone()).await.unwrap_err();
    let cut = redeem(&mut anna, good[..20].to_vec()).await.unwrap_err();
    for refusal in [&tampered, &zone, &cut] {
        assert_eq!(*refusal, of_others);
    }
    assert_eq!(of_others.kind, Kind::Denied);
    let mut again = tokio::time::interval(std::time::Duration::from_millis(100));
    let late = loop {
        again.tick().await;
        if let Err(refusal) = redeem(&mut anna, good.clone()).await {
            break refusal;
        }
    };
    assert!(late.message.contains("expired"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_turns_a_password_into_a_bearer_token() {
    let house = house("").await;
    let token = house.token(BO);
    let mut client = Client::connect(house.at.open, "x").await;
    let shake = async |client: &mut Client, user: &str, password: &str| {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        client.headers = vec![("authorization", format!("Basic {basic}"))];
        let request = client.request(futures::stream::iter([HandshakeRequest::default()]));
        let response = client.inner.handshake(request).await?;
        Ok::<_, tonic::Status>(response.metadata().get("authorization").unwrap().to_str().unwrap().to_owned())
    };
    let bearer = shake(&mut client, BO, &token).await.unwrap();
    assert_eq!(bearer, format!("Bearer {token}"));
    client.headers = vec![("authorization", bearer)];
    client.announce("SELECT 1").await.unwrap();
    assert_eq!(shake(&mut client, ANNA, &token).await.unwrap_err().code(), tonic::Code::Unauthenticated);
    assert_eq!(shake(&mut client, BO, "wrong").await.unwrap_err().code(), tonic::Code::Unauthenticated);
}

#[derive(Clone, PartialEq, Message)]
struct SetOptions {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, OptionText>,
}
#[derive(Clone, PartialEq, Message)]
struct OptionText {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
}
#[derive(Clone, PartialEq, Message)]
struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, OptionErrorText>,
}
#[derive(Clone, PartialEq, Message)]
pub struct OptionErrorText {
    #[prost(int32, tag = "1")]
    pub value: i32,
}

pub async fn set(client: &mut Client, name: &str, value: &str) -> HashMap<String, OptionErrorText> {
    let option = OptionText { text: Some(value.to_owned()) };
    let message = SetOptions { options: [(name.to_owned(), option)].into() };
    let result = client.action("SetSessionOptions", message.encode_to_vec()).await.unwrap();
    SetResult::decode(result.as_slice()).unwrap().errors
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_option_chooses_the_project_of_one_connection() {
    let house = house("").await;
    let token = house.token(ANNA);
    let mut one = Client::connect(house.at.enclave, &token).await;
    let mut two = Client::connect(house.at.enclave, &token).await;
    assert!(set(&mut one, "catalog", "b").await.is_empty());
    assert!(one.shown("SELECT count(*) AS n FROM sds.lmdb").await.contains("| 20 |"));
    assert_eq!(two.refused("SELECT 1").await.kind, Kind::Invalid);
    assert_eq!(set(&mut one, "catalog", "zzz").await["catalog"].value, 2);
    assert_eq!(set(&mut one, "nonsense", "x").await["nonsense"].value, 1);
    let got = one.action("GetSessionOptions", vec![]).await.unwrap();
    assert_eq!(SetOptions::decode(got.as_slice()).unwrap().options["catalog"].text.as_deref(), Some("b"));
    one.action("CloseSession", vec![]).await.unwrap();
    assert_eq!(one.refused("SELECT 1").await.kind, Kind::Invalid);
}
