//! Shares of blind totals: what leaves under a permit that lets nothing else out.

use super::fixture::{Fixture, LMDB, PEOPLE, ROWS, envelope, filtered, permit, read, request, tables_of};
use crate::pseudonym::identity::signing;
use arrow::{array::AsArray, record_batch::RecordBatch};
use datafusion::{
    logical_expr::{Expr, when},
    prelude::{col, lit},
};
use policies::permit::{Blind, Member, Output, Permit};
use prost::Message;
use proto::{
    blind::{self, SEED, SEED_INFO, SeedStatement, columns},
    ids::{PermitId, QueryId},
    plan,
    refusal::Kind,
    wire::{self, MeasureKind, Rel, ScanRequest, SealedSeed, Zone},
};
use runtime::{
    sealing::{Sealed, SealingKey},
    sign,
};

/// A spoke under a permit with blind totals, and the custodian's key.
struct Place {
    spoke: Fixture,
    custodian: SealingKey,
}

fn blind_permit(custodian: &SealingKey) -> Permit {
    let mut blind = permit("diabetes");
    for name in ["dst", "sds"] {
        let (sealing, signing) = (format!("seal-{name}"), format!("sign-{name}"));
        blind.members.push(Member { controller: name.parse().unwrap(), sealing, signing });
    }
    blind.output = Output::SpokeAggregates;
    let members = ["dst", "region-h", "sds"].map(|name| name.parse().unwrap()).to_vec();
    blind.blind = Some(Blind { members, custodian: custodian.public().clone() });
    blind.tables = tables_of(&LMDB.replace("\"row\"", "\"row\", \"volume\""));
    blind
}

async fn place(more: &str) -> Place {
    let spoke = Fixture::with(more).await;
    let custodian = SealingKey::generate().unwrap();
    spoke.sign(blind_permit(&custodian));
    Place { spoke, custodian }
}

fn column(name: &str) -> Option<wire::Expr> {
    Some(plan::encode_expr(&col(name)).unwrap())
}

/// Rows, the sum of `row`, and people.
fn statistics(input: Rel) -> Rel {
    let measures = vec![
        plan::measure("n", MeasureKind::Count, None),
        plan::measure("s", MeasureKind::Sum, column("row")),
        plan::measure("people", MeasureKind::Persons, column("pnr")),
    ];
    plan::aggregate(input, vec![], measures)
}

fn blind_request(root: Rel, total: QueryId) -> ScanRequest {
    let mut request = request(root);
    request.envelope.as_mut().unwrap().zone = Zone::Open.into();
    request.blind = Some(wire::Blind { total: total.to_string() });
    request
}

/// The words and what the custodian reads.
fn opened(place: &Place, answer: &[RecordBatch]) -> (Vec<u64>, SeedStatement) {
    assert_eq!((answer.len(), answer[0].num_rows()), (1, 1));
    assert_eq!(answer[0].schema(), columns::answer_schema());
    let bytes = |name: &str| answer[0].column_by_name(name).unwrap().as_binary::<i32>().value(0).to_vec();
    let words = bytes(columns::SHARES).chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().unwrap())).collect();
    let sealed = SealedSeed::decode(bytes(columns::SEALED).as_slice()).unwrap();
    assert_eq!(sealed.controller, "region-h");
    let (encapsulated, ciphertext) = (sealed.encapsulated, sealed.ciphertext);
    let plain = place.custodian.open(SEED_INFO, &[], &Sealed { encapsulated, ciphertext }).unwrap();
    let pass = place.spoke.config.passphrase().unwrap();
    let key = signing::load(&place.spoke.config.signing_key(), &pass).unwrap().public();
    let signed = sign::verify(std::str::from_utf8(&plain).unwrap(), SEED, [&key]).unwrap();
    (words, serde_json::from_slice(&signed.payload).unwrap())
}

/// What hub and custodian would have of this spoke together: the plain numbers.
fn together(words: &[u64], statement: &SeedStatement) -> Vec<Option<i64>> {
    let mut sum = words.to_vec();
    let masks: Vec<u64> = statement.seed.masks(statement.of(), 0).take(words.len()).collect();
    assert!(blind::add(&mut sum, &masks));
    blind::totals(&sum)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_leaves_with_its_seed_signed_for_what_the_own_permit_says() {
    let place = place("").await;
    let server = place.spoke.serve().await;
    let mut hub = place.spoke.hub(&server);
    let total = QueryId::new();
    let asked = blind_request(statistics(read(&["row", "pnr"])), total);
    let (words, statement) = opened(&place, &hub.ask(&asked).await.unwrap());
    let rows = i64::try_from(ROWS).unwrap();
    // Of people their number, and below it the sum of their keys.
    let key = (0..PEOPLE).fold(0_u8, |key, n| key.wrapping_add(place.spoke.pseudonym("diabetes", n)[15]));
    let people = (i64::try_from(PEOPLE).unwrap() << 32) | i64::from(key);
    let [Some(n), Some(sum), Some(told)] = together(&words, &statement)[..] else { panic!("three numbers") };
    assert_eq!(told, people);
    // Of rows and sums what could be shown: with the noise of a few people's.
    for (number, plain) in [(n, rows), (sum, rows * (rows - 1) / 2)] {
        assert!(number.abs_diff(plain) <= 9 * plain.unsigned_abs() / PEOPLE as u64, "{number} of {plain}");
    }
    statement.check(chrono::Utc::now()).unwrap();
    let names: Vec<_> = statement.members.iter().map(|member| member.as_str()).collect();
    assert_eq!((statement.controller.as_str(), names), ("region-h", vec!["dst", "region-h", "sds"]));
    assert_eq!((statement.project.as_ref(), statement.total, statement.words), ("diabetes", total, 6));
    assert_eq!(statement.fragment, blind::fragment_digest(asked.fragment.as_ref().unwrap()));
    assert_eq!(statement.custodian, place.custodian.public().to_bytes());
    assert_eq!(statement.snapshots.keys().map(|table| table.as_ref()).collect::<Vec<_>>(), ["lmdb"]);
    // The controller's log says of which total a share left.
    let log = place.spoke.audit();
    let scan = log.iter().find(|event| event["event"] == "scan" && event["stage"] == "answered").unwrap();
    assert_eq!((scan["blind"].as_str(), scan["rows"].as_u64()), (Some(total.to_string().as_str()), Some(1)));
    let asked = log.iter().find(|event| event["event"] == "scan" && event["stage"] == "asked").unwrap();
    assert!(asked["sql"].as_str().unwrap().to_lowercase().contains("count"), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_asking_again_gives_other_shares_and_no_number() {
    let place = place("results = \"64MiB\"\n").await;
    let server = place.spoke.serve().await;
    let mut hub = place.spoke.hub(&server);
    let total = QueryId::new();
    let asked = blind_request(statistics(read(&["row", "pnr"])), total);
    let mut seen = std::collections::HashSet::new();
    let mut first = None;
    for _ in 0..5 {
        let (words, statement) = opened(&place, &hub.ask(&asked).await.unwrap());
        let numbers = together(&words, &statement);
        assert_eq!(first.get_or_insert_with(|| numbers.clone()), &numbers, "the same numbers, for ever");
        assert!(words.iter().all(|word| seen.insert(*word)), "a word came twice");
        assert!(!words.contains(&(ROWS as u64)) && !words.contains(&(PEOPLE as u64)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_without_such_rows_sends_a_share_like_any_other() {
    let place = place("").await;
    let server = place.spoke.serve().await;
    let mut hub = place.spoke.hub(&server);
    let nobody = filtered(&["row", "pnr"], &col("atc").eq(lit("no such code")));
    let answer = hub.ask(&blind_request(statistics(nobody), QueryId::new())).await.unwrap();
    let (words, statement) = opened(&place, &answer);
    assert_eq!(together(&words, &statement), [Some(0), None, None]);
    let some = filtered(&["row", "pnr"], &col("atc").eq(lit("A01")));
    let other = hub.ask(&blind_request(statistics(some), QueryId::new())).await.unwrap();
    assert_eq!(opened(&place, &other).0.len(), words.len(), "as many words as with rows");
    assert!(words.iter().all(|word| *word > 1_000_000), "no small word: {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_nothing_but_shares_of_one_total_leaves_under_a_blind_permit() {
    let place = place("").await;
    let server = place.spoke.serve().await;
    let mut hub = place.spoke.hub(&server);
    let refused = async |hub: &mut super::fixture::Hub, request: ScanRequest| hub.ask(&request).await.unwrap_err();

    // The same question without the word for it, in either zone, and rows.
    for root in [statistics(read(&["row", "pnr"])), read(&["row"])] {
        for zone in [Zone::Open, Zone::Enclave] {
            let mut plain = request(root.clone());
            plain.envelope.as_mut().unwrap().zone = zone.into();
            let refusal = refused(&mut hub, plain).await;
            let says = if zone == Zone::Open { "nothing out but its share" } else { "no such project" };
            assert!(refusal.kind == Kind::Denied && refusal.message.contains(says), "{refusal}");
        }
    }
    let of = |kind, name: &str| {
        let measures =
            vec![plan::measure("m", kind, column(name)), plan::measure("people", MeasureKind::Persons, column("pnr"))];
        plan::aggregate(read(&["row", "volume", "pnr"]), vec![], measures)
    };
    let grouped = plan::aggregate(
        read(&["atc"]),
        vec![plan::named("atc", column("atc").unwrap())],
        vec![plan::measure("n", MeasureKind::Count, None)],
    );
    for (root, says) in [
        (read(&["row"]), "can't have rows"),
        (grouped, "can't have groups"),
        (of(MeasureKind::Min, "row"), "MIN or MAX"),
        (of(MeasureKind::Max, "row"), "MIN or MAX"),
        (of(MeasureKind::Avg, "row"), "AVG"),
        (of(MeasureKind::StddevPop, "volume"), "doesn't add up"),
        (of(MeasureKind::Sum, "volume"), "'m' is Float64"),
        (of(MeasureKind::CountDistinct, "row"), "anything but people"),
        (of(MeasureKind::Persons, "row"), "does not fit the types"),
        (
            plan::aggregate(read(&["row"]), vec![], vec![plan::measure("m", MeasureKind::Sum, column("row"))]),
            "no people, whose contributions",
        ),
        (statistics(plan::limit(read(&["row", "pnr"]), 1)), "LIMIT"),
        (
            statistics(plan::aggregate(
                read(&["row", "pnr"]),
                vec![plan::named("row", column("row").unwrap())],
                vec![],
            )),
            "aggregate",
        ),
    ] {
        let refusal = refused(&mut hub, blind_request(root, QueryId::new())).await;
        assert!(refusal.kind == Kind::Invalid && refusal.message.contains(says), "{says}: {refusal}");
    }
    // A cohort of the hub's choosing, and a total without a name.
    let mut listed = blind_request(statistics(read(&["row", "pnr"])), QueryId::new());
    listed.keys = vec![wire::KeyList { kind: Some(wire::key_list::Kind::Ids(vec![7; 16])) }];
    assert!(refused(&mut hub, listed).await.message.contains("no key lists"));
    let mut nameless = blind_request(statistics(read(&["row", "pnr"])), QueryId::new());
    nameless.blind = Some(wire::Blind { total: "1".to_owned() });
    assert!(refused(&mut hub, nameless).await.message.contains("blind.total"));
}

/// A sum of what `value` makes of each row, and people.
fn sum_of(value: &Expr) -> Rel {
    let named = |name: &str, expr: &Expr| plan::named(name, plan::encode_expr(expr).unwrap());
    let rows = plan::project(read(&["row", "pnr"]), vec![named("v", value), named("pnr", &col("pnr"))]);
    let measures = vec![
        plan::measure("s", MeasureKind::Sum, column("v")),
        plan::measure("people", MeasureKind::Persons, column("pnr")),
    ];
    plan::aggregate(rows, vec![], measures)
}

/// Learns: nothing; the answer is the same with and without the person. Off: a refusal where somebody has something.
#[tokio::test(flavor = "multi_thread")]
async fn attack_a_number_that_is_too_large_is_no_refusal_whoever_has_it() {
    let place = place("").await;
    let server = place.spoke.serve().await;
    let mut hub = place.spoke.hub(&server);
    let most = blind::most(3);
    let mut told = Vec::new();
    // A row that is one person's, of which something is true, or not.
    for has in [col("row").gt(lit(0_i64)), col("row").lt(lit(0_i64))] {
        let somebody = col("row").eq(lit(2000_i64)).and(has);
        for others in [0_i64, 1] {
            let value = when(somebody.clone(), lit(i64::MAX - 100)).otherwise(lit(others)).unwrap();
            let answer = hub.ask(&blind_request(sum_of(&value), QueryId::new())).await.unwrap();
            let (words, statement) = opened(&place, &answer);
            told.push(together(&words, &statement)[0]);
        }
    }
    assert_eq!(told[..2], told[2..]);
    assert!(told[0].is_none() && told[1].unwrap().unsigned_abs().abs_diff(ROWS as u64) < 200, "{told:?}");
    // Where all have it, it is as large as can be added.
    for value in [most, i64::MAX - 100_000, -most] {
        let answer = hub.ask(&blind_request(sum_of(&(col("row") + lit(value))), QueryId::new())).await.unwrap();
        let (words, statement) = opened(&place, &answer);
        assert_eq!(together(&words, &statement)[0], Some(most), "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_without_blind_totals_gives_no_share_and_one_with_them_tells_no_numbers() {
    let place = place("").await;
    let server = place.spoke.serve().await;
    let mut hub = place.spoke.hub(&server);
    let mut asking = envelope();
    asking.zone = Zone::Open.into();
    let told = hub.catalogue(asking.clone()).await.unwrap();
    let set = told.blind.unwrap();
    assert_eq!(
        (set.members, set.custodian),
        (["dst", "region-h", "sds"].map(str::to_owned).to_vec(), place.custodian.public().to_string())
    );
    let [table] = told.tables.as_slice() else { panic!("{:?}", told.tables) };
    assert_eq!((table.rows, table.bytes, table.persons), (0, 0, 0));
    assert!(table.columns.iter().all(|c| (c.distinct, c.nulls, c.first_year, c.last_year) == (0, 0, None, None)));

    let mut plain = blind_permit(&place.custodian);
    (plain.id, plain.blind, plain.output) = (PermitId::new(), None, Output::HubAggregates);
    plain.decided_at = chrono::Utc::now();
    place.spoke.sign(plain.clone());
    let admission = place.spoke.admission().await;
    let asked = blind_request(statistics(read(&["row", "pnr"])), QueryId::new());
    let question = crate::receive::Question::from_ticket(&asked.encode_to_vec(), admission.fragment_limits()).unwrap();
    let refusal = admission.admit(question.clone()).await.err().unwrap();
    assert!(refusal.kind == Kind::Denied && refusal.message.contains("has no blind totals"), "{refusal}");
    // Only cells that are checked here, and a summary of people to be merged elsewhere is none.
    (plain.id, plain.output, plain.decided_at) = (PermitId::new(), Output::SpokeAggregates, chrono::Utc::now());
    place.spoke.sign(plain);
    let admission = place.spoke.admission().await;
    let question = crate::receive::Question { blind: None, ..question };
    let refusal = admission.admit(question).await.err().unwrap();
    assert!(refusal.message.contains("only cells out that its spoke has checked"), "{refusal}");
}
