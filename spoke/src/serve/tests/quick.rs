//! Quick tests: people counted under a standing permit, and nothing else, however a hub asks.

use super::fixture::{ANNA, Fixture, PEOPLE, envelope, pseudonyms, read, request, token};
use arrow::{array::AsArray, record_batch::RecordBatch};
use policies::permit::{Permit, QuickDecision, QuickForm};
use proto::{
    ids::{PermitId, QueryId},
    plan,
    quick::{self, NONCE, PERSON},
    refusal::{Kind, Refusal},
    wire::{self, QuickOp, ScanRequest, Zone, literal::Value},
};
use std::collections::{BTreeMap, BTreeSet};

const FORM: &str = r#"
    lead = "region-h"
    valid_from = "2020-01-01"
    valid_to = "2029-12-30"
    [[member]]
    controller = "region-h"
    sealing = "sealing"
    signing = "signing"
    [[table]]
    name = "lmdb"
    columns = ["pnr", "kontakt", "atc", "row"]
    by = ["atc"]
"#;

fn standing() -> Permit {
    let decision = QuickDecision {
        approver: "Bente".to_owned(),
        reason: "within the law".to_owned(),
        at: chrono::Utc::now(),
        opt_out_version: 0,
        replaces: None,
    };
    QuickForm::from_toml(FORM).unwrap().permit(&"region-h".parse().unwrap(), decision)
}

fn about(table: &str, column: &str) -> wire::QuickColumn {
    wire::QuickColumn { controller: "region-h".to_owned(), table: table.to_owned(), column: column.to_owned() }
}

fn whole(value: i64) -> wire::Literal {
    let of = wire::Type { kind: wire::TypeKind::Int64.into(), ..wire::Type::default() };
    wire::Literal { r#type: Some(of), value: Some(Value::Integer(value)) }
}

/// A request for the people with a row below `row`, by `by`, under another nonce each time.
fn test(row: i64, by: &[&str]) -> wire::QuickTest {
    let below = wire::QuickCondition {
        column: Some(about("lmdb", "row")),
        op: QuickOp::QuickLt.into(),
        values: vec![whole(row)],
    };
    let mut nonce = QueryId::new().to_string().into_bytes();
    nonce.reverse();
    nonce.truncate(NONCE);
    wire::QuickTest {
        nonce,
        asked_unix_ms: chrono::Utc::now().timestamp_millis(),
        any: vec![wire::QuickGroup { all: vec![below] }],
        by: by.iter().map(|column| about("lmdb", column)).collect(),
    }
}

fn leg(test: &wire::QuickTest) -> wire::QuickLeg {
    wire::QuickLeg { test: Some(test.clone()), group: 0, table: "lmdb".to_owned(), person: "pnr".to_owned() }
}

/// What an honest hub sends.
fn asking(leg: &wire::QuickLeg) -> ScanRequest {
    let fragment = quick::fragment(leg, &"region-h".parse().unwrap()).unwrap();
    with(leg, fragment)
}

fn with(leg: &wire::QuickLeg, fragment: wire::Fragment) -> ScanRequest {
    let mut request = request(wire::Rel::default());
    let envelope = request.envelope.as_mut().unwrap();
    envelope.project = "quick-test".to_owned();
    envelope.zone = Zone::Open.into();
    ScanRequest { fragment: Some(fragment), quick: Some(leg.clone()), ..request }
}

/// Each person with the groups that came with them.
fn people(answer: &[RecordBatch]) -> BTreeMap<[u8; 16], BTreeSet<String>> {
    let mut all: BTreeMap<[u8; 16], BTreeSet<String>> = BTreeMap::new();
    for batch in answer {
        let groups =
            batch.column_by_name("d0").map(|column| arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8));
        let groups = groups.map(|column| column.unwrap());
        for (row, person) in pseudonyms(std::slice::from_ref(batch), PERSON).into_iter().enumerate() {
            let of = all.entry(person).or_default();
            if let Some(groups) = &groups {
                of.insert(groups.as_string::<i32>().value(row).to_owned());
            }
        }
    }
    all
}

async fn place() -> (Fixture, PermitId) {
    let spoke = Fixture::new().await;
    let permit = spoke.sign(standing());
    (spoke, permit)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_leg_come_once_with_each_of_their_groups_under_the_requests_own_pseudonyms() {
    let (spoke, _) = place().await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    // 16 rows a person: the first hundred people have rows below 1,600, all in the first group of codes.
    let first = people(&hub.ask(&asking(&leg(&test(1_600, &["atc"])))).await.unwrap());
    assert_eq!(first.len(), 100);
    assert!(first.values().all(|groups| groups.iter().eq(["A00"])));
    let everybody = people(&hub.ask(&asking(&leg(&test(i64::MAX, &[])))).await.unwrap());
    assert_eq!(everybody.len(), PEOPLE);
    // Nobody has the same pseudonym in two requests, nor that of the group's secret.
    assert!(first.keys().all(|person| !everybody.contains_key(person)));
    assert!((0..100).all(|person| !first.contains_key(&spoke.pseudonym("quick-test", person))));
    // Somebody whom no permit names may ask, too.
    let mut bo = asking(&leg(&test(1_600, &[])));
    let envelope = bo.envelope.as_mut().unwrap();
    (envelope.user, envelope.token) = ("bo@example.org".to_owned(), token("bo@example.org"));
    assert_eq!(people(&hub.ask(&bo).await.unwrap()).len(), 100);
    // The controller's log says who had whom counted, in SQL.
    let log = spoke.audit();
    let scan = log.iter().find(|event| event["event"] == "scan" && event["stage"] == "asked").unwrap();
    assert_eq!((scan["project"].as_str(), scan["user"].as_str()), (Some("quick-test"), Some(ANNA)));
    assert!(scan["sql"].as_str().unwrap().contains("1600"), "{scan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_by_a_replayed_nonce_is_refused_whatever_it_asks() {
    let (spoke, _) = place().await;
    let asked = test(1_600, &["atc"]);
    {
        let server = spoke.serve().await;
        let mut hub = spoke.hub(&server);
        hub.ask(&asking(&leg(&asked))).await.unwrap();
        let again = hub.ask(&asking(&leg(&asked))).await.unwrap_err();
        assert_eq!(again.kind, Kind::Denied, "{again}");
        // Another question under the same nonce would have people under other pseudonyms, but is refused all the same.
        let other = wire::QuickTest { nonce: asked.nonce.clone(), ..test(3_200, &["atc"]) };
        assert_eq!(hub.ask(&asking(&leg(&other))).await.unwrap_err().kind, Kind::Denied);
        server.shutdown.cancel();
        server.task.await.unwrap().unwrap();
    }
    // A restart forgets nothing.
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    assert_eq!(hub.ask(&asking(&leg(&asked))).await.unwrap_err().kind, Kind::Denied);
    // What is too old to have been kept is refused for its age, and so is what is from a clock that is ahead.
    for minutes in [-3, 3] {
        let mut old = test(1_600, &["atc"]);
        old.asked_unix_ms += minutes * 60_000;
        let refusal = hub.ask(&asking(&leg(&old))).await.unwrap_err();
        assert!(refusal.message.contains("two minutes"), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_by_a_hub_that_asks_for_more_than_counts_gets_nothing() {
    let (spoke, _) = place().await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let mut refused = async |request: ScanRequest| -> Refusal { hub.ask(&request).await.unwrap_err() };
    let good = test(1_600, &["atc"]);
    let honest = leg(&good);
    let fragment = || quick::fragment(&honest, &"region-h".parse().unwrap()).unwrap();
    // Another fragment than follows from the request: rows, a maximum, more columns, no condition.
    let person = plan::encode_expr(&datafusion::prelude::col("pnr")).unwrap();
    let row = plan::encode_expr(&datafusion::prelude::col("row")).unwrap();
    let most = plan::measure("m", wire::MeasureKind::Max, Some(row.clone()));
    let others = [
        read(&["pnr", "atc", "row"]),
        plan::aggregate(read(&["pnr", "row"]), vec![plan::named("p", person.clone())], vec![most]),
        plan::aggregate(read(&["pnr", "row"]), vec![plan::named("p", person), plan::named("d0", row)], Vec::new()),
    ];
    for root in others {
        let refusal = refused(with(&honest, plan::fragment(root))).await;
        assert!(refusal.message.contains("not what follows"), "{refusal}");
    }
    // Columns that the permit only chooses by, identifiers, and whoever isn't a person.
    let by_row = refused(asking(&leg(&test(1_600, &["row"])))).await;
    assert_eq!(by_row.kind, Kind::Denied, "{by_row}");
    let by_contact = refused(asking(&leg(&test(1_600, &["kontakt"])))).await;
    assert_eq!(by_contact.kind, Kind::Denied, "{by_contact}");
    let not_people = wire::QuickLeg { person: "kontakt".to_owned(), ..leg(&test(1_600, &["atc"])) };
    assert!(refused(asking(&not_people)).await.message.contains("person column is none"));
    // Four columns, over whichever controllers: each spoke sees the whole request.
    let mut four = test(1_600, &["atc"]);
    let elsewhere = |column: &str| wire::QuickColumn { controller: "dst".to_owned(), ..about("bef", column) };
    four.by.extend(["a", "b", "c"].map(elsewhere));
    let four = wire::QuickLeg { test: Some(four), ..honest.clone() };
    assert!(refused(with(&four, fragment())).await.message.contains("3 at most"));
    // Key lists, a column that isn't permitted, a table that isn't.
    let mut keys = asking(&leg(&test(1_600, &["atc"])));
    keys.keys.push(wire::KeyList { kind: Some(wire::key_list::Kind::Everything(true)) });
    assert!(refused(keys).await.message.contains("no key lists"));
    let mut hidden = test(1_600, &["atc"]);
    hidden.any[0].all[0].column = Some(about("lmdb", "volume"));
    assert_eq!(refused(asking(&leg(&hidden))).await.kind, Kind::NotFound);
    // No leg under the standing permit, and a leg under no standing permit: one and the same refusal.
    let plain = ScanRequest { quick: None, ..asking(&leg(&test(1_600, &["atc"]))) };
    let denied = refused(plain).await;
    let mut elsewhere = asking(&leg(&test(1_600, &["atc"])));
    elsewhere.envelope.as_mut().unwrap().project = "diabetes".to_owned();
    elsewhere.envelope.as_mut().unwrap().zone = Zone::Enclave.into();
    assert_eq!((denied.kind, refused(elsewhere).await), (Kind::Denied, denied.clone()));
    // Inside the secure environment nobody is counted.
    let mut inside = asking(&leg(&test(1_600, &["atc"])));
    inside.envelope.as_mut().unwrap().zone = Zone::Enclave.into();
    assert_eq!(refused(inside).await.kind, Kind::Denied);
    // And what was asked at first is answered still.
    assert_eq!(people(&hub.ask(&asking(&honest)).await.unwrap()).len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_says_what_people_are_counted_by_and_a_revoked_permit_counts_nobody() {
    let (spoke, permit) = place().await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let mut asked = envelope();
    (asked.project, asked.zone) = ("quick-test".to_owned(), Zone::Open.into());
    let told = hub.catalogue(asked.clone()).await.unwrap();
    let set = told.quick.unwrap();
    assert_eq!((set.by, set.threshold), (vec![about("lmdb", "atc")], 0));
    assert_eq!((told.tables.len(), told.tables[0].rows), (1, 0), "numbers are told to nobody");
    spoke.revoke(permit);
    assert_eq!(hub.ask(&asking(&leg(&test(1_600, &["atc"])))).await.unwrap_err().kind, Kind::Denied);
    assert_eq!(hub.catalogue(asked).await.unwrap_err().kind, Kind::Denied);
}
