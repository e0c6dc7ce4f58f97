//! Somebody who isn't who they should be: every way in is tried.

use crate::{
    client::Client,
    house::{ANNA, BO, Build, House, lmdb},
    issuer::{ISSUER, Issuer},
    spoke::{Manner, Spoke},
    terminal::hub,
    tickets::{handle, redeem, set},
};
use arrow_flight::{
    Action, FlightData, FlightDescriptor, HandshakeRequest, Ticket,
    sql::{
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetCatalogs,
        CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt,
    },
};
use policies::zone::Zone;
use prost::Message;
use proto::refusal::{Kind, Refusal};
use std::sync::atomic::Ordering;

const OTHER: &str = "https://other.example.org";

async fn house(cache: u32) -> (House, Spoke, Issuer) {
    let sds = Spoke::new("sds").offer("a", "lmdb", lmdb(0..10)).offer("b", "lmdb", lmdb(0..50_000));
    let mut build = Build::new().spoke(&sds).await;
    let other = Issuer::new(2, OTHER);
    build.more = other.table(build.path());
    build.cache = cache;
    let namesake = format!("{ANNA} {OTHER}");
    (build.start(&[("a", &[ANNA, BO, &namesake]), ("b", &[ANNA])]).await, sds, other)
}

/// Every call that there is, but the one that tells where to sign in.
async fn every_call(client: &mut Client) -> Vec<(&'static str, Option<Refusal>)> {
    let statement = CommandStatementQuery { query: "SELECT count(*) FROM sds.lmdb".into(), transaction_id: None };
    let (statement, tables) =
        (statement.as_any().encode_to_vec(), CommandGetTables::default().as_any().encode_to_vec());
    let prepare = ActionCreatePreparedStatementRequest { query: "SELECT 1".into(), transaction_id: None };
    let mut all = Vec::new();
    let mut said = |name, status: Option<tonic::Status>| all.push((name, status.map(Refusal::from)));
    let descriptor = |command: &[u8]| FlightDescriptor::new_cmd(command.to_vec());
    for (name, command) in [("info of a statement", &statement), ("info of tables", &tables)] {
        let request = client.request(descriptor(command));
        said(name, client.inner.get_flight_info(request).await.err());
    }
    let request = client.request(descriptor(&statement));
    said("schema", client.inner.get_schema(request).await.err());
    let request = client.request(descriptor(&statement));
    said("poll", client.inner.poll_flight_info(request).await.err());
    for (name, ticket) in
        [("get tables", tables.clone()), ("get catalogs", CommandGetCatalogs {}.as_any().encode_to_vec())]
    {
        let request = client.request(Ticket::new(ticket));
        said(name, client.inner.do_get(request).await.err());
    }
    for (name, body) in [
        ("SetSessionOptions", vec![]),
        ("GetSessionOptions", vec![]),
        ("CloseSession", vec![]),
        ("CancelFlightInfo", vec![]),
        ("eger.v1.progress", vec![]),
        ("CreatePreparedStatement", prepare.as_any().encode_to_vec()),
    ] {
        let request = client.request(Action::new(name, body));
        said(name, client.inner.do_action(request).await.err());
    }
    let handle = CommandPreparedStatementQuery { prepared_statement_handle: vec![1].into() };
    let data = FlightData::new().with_descriptor(descriptor(&handle.as_any().encode_to_vec()));
    let request = client.request(futures::stream::iter([data]));
    said("put", client.inner.do_put(request).await.err());
    let request = client.request(futures::stream::iter([HandshakeRequest::default()]));
    said("handshake", client.inner.handshake(request).await.err());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_without_an_issuers_token_no_call_gets_anything() {
    let (house, sds, _) = house(0).await;
    let personal =
        house.tokens.create(&ANNA.parse().unwrap(), Some(&"a".parse().unwrap()), 1).await.unwrap().text.to_string();
    let stranger = Issuer::new(3, ISSUER).token(ANNA, 600);
    let mut elsewhere = house.issuer.claims(ANNA, 600);
    elsewhere["aud"] = "another".into();
    for zone in [Zone::Open, Zone::Enclave] {
        for token in ["", "x", &personal, &stranger, &house.issuer.sign(&elsewhere), &house.issuer.token(ANNA, -60)] {
            let mut client = Client::connect(house.address(zone), token).await;
            if token.is_empty() {
                client.headers.clear();
            }
            for (call, refusal) in every_call(&mut client).await {
                let refusal = refusal.unwrap_or_else(|| panic!("{call} was answered"));
                assert_eq!(refusal.kind, Kind::Unauthenticated, "{call}: {refusal}");
                assert!(refusal.message.contains("hub login"), "{call}: {refusal}");
            }
        }
    }
    assert_eq!(sds.seen.catalogues.load(Ordering::SeqCst), 0, "nobody is asked for a stranger");
    // The same calls with a good token: none of them fails for want of one.
    let mut anna = house.client(ANNA, Zone::Enclave).await.project("a");
    for (call, refusal) in every_call(&mut anna).await {
        assert!(refusal.is_none_or(|r| r.kind != Kind::Unauthenticated), "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_may_ask_where_to_sign_in_and_nothing_else() {
    let (house, ..) = house(0).await;
    let mut nobody = Client::connect(house.at.open, "").await;
    nobody.headers.clear();
    let told = nobody.action(hub::receive::ISSUERS, vec![]).await.unwrap();
    let told: Vec<hub::login::LoginConfig> = serde_json::from_slice(&told).unwrap();
    let issuers: Vec<&str> = told.iter().map(|login| login.issuer.as_str()).collect();
    assert_eq!((issuers, told[0].client_id.as_str()), (vec![ISSUER, OTHER], "eger-cli"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_stolen_ticket_or_statement_is_worth_nothing_to_another_person() {
    let (house, _, other) = house(0).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await.project("a");
    let ticket = handle(&anna.announce("SELECT count(*) FROM sds.lmdb").await.unwrap());
    let prepare =
        ActionCreatePreparedStatementRequest { query: "SELECT count(*) FROM sds.lmdb".into(), transaction_id: None };
    let made = anna.action("CreatePreparedStatement", prepare.as_any().encode_to_vec()).await.unwrap();
    let made: ActionCreatePreparedStatementResult = Any::decode(made.as_slice()).unwrap().unpack().unwrap().unwrap();
    let statement = CommandPreparedStatementQuery { prepared_statement_handle: made.prepared_statement_handle };
    redeem(&mut anna, ticket.clone()).await.unwrap();
    anna.info(&statement).await.unwrap();

    let bo = house.client(BO, Zone::Enclave).await.project("a");
    // The same user id, for which another issuer vouches: another person.
    let namesake = Client::connect(house.at.enclave, &other.token(ANNA, 600)).await.project("a");
    for mut thief in [bo, namesake] {
        let refusal = redeem(&mut thief, ticket.clone()).await.unwrap_err();
        assert!(refusal.kind == Kind::Denied && refusal.message.contains("not valid for you"), "{refusal}");
        let refusal = thief.info(&statement).await.unwrap_err();
        assert!(refusal.kind == Kind::Denied && refusal.message.contains("not valid for you"), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_ticket_ends_with_the_token_that_it_was_made_with() {
    let (house, ..) = house(0).await;
    // Issuers' clocks may differ by 30 s, so that the token itself is still taken.
    let brief = house.issuer.token(ANNA, 1);
    let mut anna = Client::connect(house.at.enclave, &brief).await.project("a");
    let ticket = handle(&anna.announce("SELECT count(*) FROM sds.lmdb").await.unwrap());
    let mut again = tokio::time::interval(std::time::Duration::from_millis(100));
    let refusal = loop {
        again.tick().await;
        if let Err(refusal) = redeem(&mut anna, ticket.clone()).await {
            break refusal;
        }
    };
    assert!(refusal.message.contains("expired"), "{refusal}");
    // Nor does a fresh token bring it back.
    let mut fresh = house.client(ANNA, Zone::Enclave).await;
    assert!(redeem(&mut fresh, ticket).await.unwrap_err().message.contains("expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_bearer_replaced_in_mid_session_gets_nothing_of_the_session() {
    let (house, sds, _) = house(0).await;
    let mut client = house.client(ANNA, Zone::Enclave).await;
    assert!(set(&mut client, "catalog", "b").await.is_empty());
    sds.set(Manner::Stalls(1));
    let info = client.announce("SELECT volume FROM sds.lmdb").await.unwrap();
    let running = client.stream(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    // The same connection, another person.
    client.headers = vec![("authorization", format!("Bearer {}", house.token(BO)))];
    let options = client.action("GetSessionOptions", vec![]).await.unwrap();
    assert!(options.is_empty(), "another person's option");
    let cancel = arrow_flight::CancelFlightInfoRequest { info: Some(info) };
    let refusal = client.action("CancelFlightInfo", cancel.encode_to_vec()).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Denied);
    let refusal = client.refused("SELECT * FROM b.sds.lmdb").await;
    assert_eq!(refusal.kind, Kind::NotFound, "{refusal}");
    // A fresh token of the same person goes on with the session.
    client.headers = vec![("authorization", format!("Bearer {}", house.token(ANNA)))];
    assert!(!client.action("GetSessionOptions", vec![]).await.unwrap().is_empty());
    drop(running);
    sds.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_what_was_told_to_one_person_is_not_shown_to_a_namesake() {
    let (house, sds, other) = house(60).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await.project("a");
    anna.announce("SELECT count(*) FROM sds.lmdb").await.unwrap();
    anna.announce("SELECT count(*) FROM sds.lmdb").await.unwrap();
    assert_eq!(sds.seen.catalogues.load(Ordering::SeqCst), 1, "what a spoke offers is used again");
    let token = other.token(ANNA, 600);
    let mut namesake = Client::connect(house.at.enclave, &token).await.project("a");
    namesake.announce("SELECT count(*) FROM sds.lmdb").await.unwrap();
    let asked = sds.seen.asked_by.lock().unwrap();
    assert_eq!(asked.len(), 2, "the controller decides on each person");
    assert_eq!(asked[1].token.reveal(), token);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_token_in_the_log_would_be_found_and_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("hub");
    hub::admin::init(&folder, "main").unwrap();
    let issuer = Issuer::new(1, ISSUER);
    let config = folder.join("hub.toml");
    let text = std::fs::read_to_string(&config).unwrap() + &issuer.table(&folder);
    std::fs::write(&config, text).unwrap();
    let ready = dir.path().join("ready.json");
    let any = [
        "--listen-open",
        "127.0.0.1:0",
        "--listen-enclave",
        "127.0.0.1:0",
        "--listen-api",
        "127.0.0.1:0",
        "--listen-gateway",
        "127.0.0.1:0",
    ];
    let mut serve = hub(&["serve", "--config", config.to_str().unwrap(), "--ready-file", ready.to_str().unwrap()]);
    let mut child = serve.args(any).env("EGER_LOG", "trace").spawn().unwrap();
    while !ready.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the hub ended");
        tokio::task::yield_now().await;
    }
    let at = runtime::ready::read(&ready).unwrap()["open"];
    let (good, stranger, late) =
        (issuer.token(ANNA, 600), Issuer::new(3, ISSUER).token(ANNA, 600), issuer.token(ANNA, -60));
    for token in [&good, &stranger, &late] {
        let mut client = Client::connect(at, token).await;
        every_call(&mut client).await;
        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{ANNA}:{token}"));
        client.headers = vec![("authorization", format!("Basic {basic}")), ("x-eger-signature", token.clone())];
        every_call(&mut client).await;
    }
    let pid = child.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let log = String::from_utf8(child.wait_with_output().await.unwrap().stderr).unwrap();
    // What stands in a token's parts must not be there either.
    let found = |log: &str| {
        [&good, &stranger, &late].iter().flat_map(|token| token.split('.').skip(1)).any(|part| log.contains(part))
    };
    assert!(log.contains("an access token is refused") && log.contains(&runtime::token::token_id(&stranger)), "{log}");
    assert!(!found(&log), "{log}");
    assert!(found(&format!("{log}\nauthorization: Bearer {good}\n")), "the search finds a planted one");
}
