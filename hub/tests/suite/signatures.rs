//! A permit that demands the user's own signature over what is asked.

use crate::{
    client::Client,
    house::{ANNA, Build, House, lab, lmdb},
    spoke::Spoke,
};
use arrow_flight::{
    FlightInfo, Ticket,
    sql::{
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery,
        ProstMessageExt,
    },
};
use hub::receive::ToSign;
use policies::query_signature::{self, Asked, Digest};
use prost::Message;
use proto::{
    ids::{PermitId, QueryId},
    refusal::{Kind, Refusal},
    wire,
};
use runtime::token::binding::{Algorithm, BindingKey};
use std::time::{Duration, SystemTime};

const SQL: &str =
    "SELECT count(*) AS n FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr WHERE m.eksd < now()";

struct Signing {
    house: House,
    sds: Spoke,
    region: Spoke,
    key: BindingKey,
    client: Client,
}

async fn signing() -> Signing {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    *sds.terms.lock().unwrap() = wire::CatalogueReply {
        permit: PermitId::new().to_string(),
        epoch: 3,
        key_id: "k3".to_owned(),
        client_signature: true,
        ..Default::default()
    };
    *region.terms.lock().unwrap() = wire::CatalogueReply { epoch: 3, key_id: "k3".to_owned(), ..Default::default() };
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let key = BindingKey::generate(Algorithm::Es256).unwrap();
    let client = Client::connect(house.at.enclave, &house.issuer.bound(ANNA, &key.thumbprint())).await;
    Signing { house, sds, region, key, client }
}

fn facts(info: &FlightInfo) -> ToSign {
    serde_json::from_slice(&info.app_metadata).unwrap()
}

impl Signing {
    fn sign(&self, key: &BindingKey, query: &QueryId, digests: &[Digest]) -> String {
        query_signature::make(key, query, digests, SystemTime::now() + Duration::from_secs(60)).unwrap()
    }

    /// Signs what `of` tells, and fetches `info`'s answer with it.
    async fn fetch(&mut self, info: &FlightInfo, signature: Option<String>) -> Result<usize, Refusal> {
        self.client.headers.retain(|(name, _)| *name != query_signature::HEADER);
        self.client.headers.extend(signature.map(|s| (query_signature::HEADER, s)));
        self.client.fetch(info).await.map(|batches| crate::client::rows(&batches))
    }
}

fn digests(facts: &ToSign) -> Vec<Digest> {
    facts.digests.iter().map(|part| part.digest).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_query_is_answered_and_the_signature_travels_to_those_who_demand_it() {
    let mut all = signing().await;
    let info = all.client.announce(SQL).await.unwrap();
    let told = facts(&info);
    assert!(told.sign && told.digests.len() == 1 && told.digests[0].controller.as_ref() == "sds", "{told:?}");
    let signature = all.sign(&all.key, &told.query_id, &digests(&told));
    assert_eq!(all.fetch(&info, Some(signature.clone())).await.unwrap(), 1);

    let scan = all.sds.seen.scans.lock().unwrap().pop().unwrap();
    let envelope = scan.envelope.unwrap();
    let terms = all.sds.terms.lock().unwrap().clone();
    assert_eq!((envelope.permit, envelope.epoch, envelope.signature), (terms.permit, 3, signature.clone()));
    // What a spoke works out from the message that it got is what the client signed.
    let digest = query_signature::digest(&Asked {
        project: &envelope.project.parse().unwrap(),
        controller: &"sds".parse().unwrap(),
        zone: wire::Zone::try_from(envelope.zone).unwrap(),
        fragment: &scan.fragment.unwrap().encode_to_vec(),
        schema_fingerprint: &scan.schema_fingerprint,
    });
    let print = all.key.thumbprint();
    query_signature::verify(&signature, &print, &digest, &told.query_id, SystemTime::now()).unwrap();
    // Who doesn't demand it doesn't get it.
    let other = all.region.seen.scans.lock().unwrap().pop().unwrap().envelope.unwrap();
    assert!(other.signature.is_empty() && !other.token.is_empty() && other.permit.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_query_that_its_user_did_not_sign_is_not_asked() {
    let mut all = signing().await;
    let info = all.client.announce(SQL).await.unwrap();
    let told = facts(&info);
    let other = facts(&all.client.announce("SELECT count(*) AS n FROM sds.lmdb").await.unwrap());
    let stranger = BindingKey::generate(Algorithm::EdDsa).unwrap();
    let attacks = [
        ("no signature", None, "demands your signature"),
        ("of another query", Some(all.sign(&all.key, &other.query_id, &digests(&other))), "another query"),
        ("over another query's digests", Some(all.sign(&all.key, &told.query_id, &digests(&other))), "not among"),
        ("another key's", Some(all.sign(&stranger, &told.query_id, &digests(&told))), "another key"),
        ("no signature at all", Some("a.b.c".to_owned()), "can't be read"),
    ];
    for (name, signature, words) in attacks {
        let refusal = all.fetch(&info, signature).await.unwrap_err();
        assert!(refusal.kind == Kind::Denied && refusal.message.contains(words), "{name}: {refusal}");
    }
    // A prepared statement run without having been announced can't have been signed.
    let prepare = ActionCreatePreparedStatementRequest { query: SQL.into(), transaction_id: None };
    let made = all.client.action("CreatePreparedStatement", prepare.as_any().encode_to_vec()).await.unwrap();
    let made: ActionCreatePreparedStatementResult = Any::decode(made.as_slice()).unwrap().unpack().unwrap().unwrap();
    let direct = CommandPreparedStatementQuery { prepared_statement_handle: made.prepared_statement_handle };
    let refusal = all.client.stream(Ticket::new(direct.as_any().encode_to_vec())).await.err().unwrap();
    assert!(refusal.message.contains("announce it with GetFlightInfo"), "{refusal}");
    // A token that is bound to no key.
    all.client = Client::connect(all.house.at.enclave, &all.house.token(ANNA)).await;
    let info = all.client.announce(SQL).await.unwrap();
    let signature = all.sign(&all.key, &facts(&info).query_id, &digests(&facts(&info)));
    let refusal = all.fetch(&info, Some(signature)).await.unwrap_err();
    assert!(refusal.message.contains("bound to no key"), "{refusal}");
    assert!(all.sds.asked().is_empty() && all.region.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_plan_than_the_one_that_was_signed_is_not_run() {
    let mut all = signing().await;
    let info = all.client.announce(SQL).await.unwrap();
    let told = facts(&info);
    let signature = all.sign(&all.key, &told.query_id, &digests(&told));
    let terms = all.sds.terms.lock().unwrap().clone();
    // The other controller's new permit demands a signature too.
    *all.region.terms.lock().unwrap() = terms.clone();
    let refusal = all.fetch(&info, Some(signature)).await.unwrap_err();
    assert!(refusal.retryable() && refusal.message.contains("Plan it again"), "{refusal}");
    assert!(all.sds.asked().is_empty());
    let info = all.client.announce(SQL).await.unwrap();
    let told = facts(&info);
    assert_eq!(told.digests.len(), 2);
    let signature = all.sign(&all.key, &told.query_id, &digests(&told));
    all.fetch(&info, Some(signature)).await.unwrap();
    // EXPLAIN asks nobody, and needs no signature.
    let shown = all.client.shown(&format!("EXPLAIN {SQL}")).await;
    assert!(shown.contains("sds"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_with_different_keys_are_not_joined() {
    let mut all = signing().await;
    let terms = |key: &str| wire::CatalogueReply { epoch: 3, key_id: key.to_owned(), ..Default::default() };
    *all.sds.terms.lock().unwrap() = terms("k3");
    *all.region.terms.lock().unwrap() = terms("k2");
    let refusal = all.client.refused(SQL).await;
    assert!(refusal.retryable() && refusal.message.contains("are not in step yet"), "{refusal}");
    assert!(all.client.shown("SELECT count(*) AS n FROM sds.lmdb").await.contains("40"), "one alone is fine");
    *all.region.terms.lock().unwrap() = terms("k3");
    assert!(all.client.shown(SQL).await.contains("| 40 |"));
}
