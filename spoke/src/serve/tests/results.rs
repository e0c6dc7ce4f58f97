//! Answers that are kept: given again without scanning, and never to a question that has another one.

use super::fixture::{
    Fixture, LMDB, PEOPLE, ROWS, count, filtered, numbers, permit, pseudonyms, question, read, request, tables_of,
};
use crate::{
    admit::Admission,
    member::LivePermits,
    optout::Kind as Left,
    pseudonym::project_key::Held,
    receive::Question,
    results::{Facts, Key},
    scan,
};
use arrow::record_batch::RecordBatch;
use chrono::{Days, NaiveDate};
use datafusion::prelude::{col, lit};
use futures::TryStreamExt;
use proto::{
    plan::{self, keys::Keys},
    refusal::{Kind, Refusal},
    wire::{MeasureKind, Zone},
};
use std::sync::Arc;

const EACH: usize = ROWS / PEOPLE;
const ON: &str = "results = \"64MiB\"\n";

/// The rows, and whether they were kept from an earlier asking.
async fn asked(admission: &Admission, question: Question) -> Result<(Vec<RecordBatch>, bool), Refusal> {
    let running = scan::run(admission.admit(question).await?).await?;
    let work = running.work.clone();
    let rows: Vec<RecordBatch> = running.rows.try_collect().await.unwrap();
    assert!(!work.kept() || work.effort() == scan::Effort::default(), "nothing is read");
    Ok((rows, work.kept()))
}

async fn kept(admission: &Admission, question: Question) -> bool {
    asked(admission, question).await.unwrap().1
}

fn usual() -> Question {
    question("diabetes", read(&["row", "pnr", "atc"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_question_is_answered_without_scanning_in_the_same_order_and_only_when_switched_on() {
    let off = Fixture::new().await;
    let admission = off.admission().await;
    assert!(!kept(&admission, usual()).await && !kept(&admission, usual()).await);

    let spoke = Fixture::with(ON).await;
    let admission = spoke.admission().await;
    let (first, was_kept) = asked(&admission, usual()).await.unwrap();
    assert!(!was_kept);
    let (second, was_kept) = asked(&admission, usual()).await.unwrap();
    assert!(was_kept);
    assert_eq!(numbers(&second), numbers(&first));
    assert_eq!(pseudonyms(&second, "pnr"), pseudonyms(&first, "pnr"));
    // Scanned again, the order is the same too: what is kept shows no more.
    let fresh = spoke.admission().await;
    assert_eq!(numbers(&asked(&fresh, usual()).await.unwrap().0), numbers(&first));
    let total = || plan::aggregate(read(&["row"]), vec![], vec![plan::measure("n", MeasureKind::Count, None)]);
    assert!(!kept(&admission, question("diabetes", total())).await);
    assert!(kept(&admission, question("diabetes", total())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_asked_for_under_the_same_rules_counted_and_written_down_and_capped() {
    let spoke = Fixture::with(ON).await;
    let mut few = permit("diabetes");
    few.caps.queries_per_day = 4;
    few.tables = tables_of(LMDB);
    spoke.sign(few);
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let sent = || request(read(&["row"]));
    for _ in 0..2 {
        assert_eq!(count(&hub.ask(&sent()).await.unwrap()), ROWS);
    }
    let mut capped = sent();
    capped.envelope.as_mut().unwrap().max_rows = 1_000;
    assert_eq!(hub.ask(&capped).await.unwrap_err().kind, Kind::TooLarge);
    let mut nobody = sent();
    nobody.envelope.as_mut().unwrap().token = super::fixture::token("bo@example.org");
    assert_eq!(hub.ask(&nobody).await.unwrap_err().kind, Kind::Denied);
    assert_eq!(count(&hub.ask(&sent()).await.unwrap()), ROWS);
    let used_up = hub.ask(&sent()).await.unwrap_err();
    assert!(used_up.message.contains("today's are used up"), "{used_up}");
    let events = spoke.audit();
    let stage = |name: &str| events.iter().filter(|event| event["stage"] == name).count();
    assert_eq!((stage("asked"), stage("answered")), (4, 4), "{events:?}");
    let rows: Vec<u64> = events.iter().filter_map(|event| event["rows"].as_u64()).collect();
    assert_eq!(rows.iter().filter(|rows| **rows == ROWS as u64).count(), 3, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_question_another_list_another_snapshot_another_permit_or_key_is_another_answer() {
    let spoke = Fixture::with(ON).await;
    let admission = spoke.admission().await;
    assert!(!kept(&admission, usual()).await);
    // The question and what comes with it.
    assert!(!kept(&admission, question("diabetes", read(&["row", "atc", "pnr"]))).await);
    assert!(!kept(&admission, question("diabetes", filtered(&["row"], &col("row").lt(lit(5_i64))))).await);
    assert!(!kept(&admission, question("diabetes", filtered(&["row"], &col("row").lt(lit(6_i64))))).await);
    let listed = |people: &[usize]| {
        let column = proto::wire::Expr { kind: Some(proto::wire::expr::Kind::Column("pnr".to_owned())) };
        let found = proto::wire::InKeys { expr: Some(Box::new(column)), list: 0 };
        let found = proto::wire::Expr { kind: Some(proto::wire::expr::Kind::InKeys(Box::new(found))) };
        let mut asked = question("diabetes", plan::filter(read(&["row", "pnr"]), found));
        asked.keys = vec![Arc::new(Keys::ids(people.iter().map(|person| spoke.pseudonym("diabetes", *person))))];
        asked
    };
    assert!(!kept(&admission, listed(&[1])).await);
    let (rows, was_kept) = asked(&admission, listed(&[1, 2])).await.unwrap();
    assert_eq!((count(&rows), was_kept), (2 * EACH, false));
    assert!(kept(&admission, listed(&[1, 2])).await);
    // The permit.
    assert!(kept(&admission, usual()).await);
    spoke.grant("diabetes", "enclave", &["anna@example.org"], LMDB);
    assert!(!kept(&admission, usual()).await, "another permit with the same tables");
    let narrowed = format!("{LMDB}row_filter = \"row < 160\"\n");
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &narrowed);
    let (rows, was_kept) = asked(&admission, usual()).await.unwrap();
    assert_eq!((count(&rows), was_kept), (160, false));
    assert!(kept(&admission, usual()).await);
    // The snapshot, also when the table was published with the same content.
    spoke.publish("lmdb", ROWS, super::fixture::GROUP).await;
    assert!(!kept(&admission, usual()).await);
    assert!(kept(&admission, usual()).await);
    // The project's key.
    let (before, _) = asked(&admission, usual()).await.unwrap();
    let held = Held::new("diabetes".parse().unwrap(), 2).unwrap();
    held.store(&spoke.config.projects_dir(), &spoke.config.passphrase().unwrap()).unwrap();
    let (after, was_kept) = asked(&admission, usual()).await.unwrap();
    assert!(!was_kept);
    assert!(pseudonyms(&after, "pnr").iter().all(|id| !pseudonyms(&before, "pnr").contains(id)));
    // Opt-outs, when the permit records them.
    let state = spoke.state().await;
    state.exclude(&spoke.stored[1..2], Left::OptOut, spoke.store_key.kid()).await.unwrap();
    let mut newer = permit("diabetes");
    newer.opt_out_version = 1;
    spoke.sign(newer);
    let (rows, was_kept) = asked(&admission, usual()).await.unwrap();
    assert_eq!((count(&rows), was_kept), (ROWS - EACH, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_another_project_never_gets_what_was_kept_for_one() {
    let spoke = Fixture::with(ON).await;
    spoke.grant("cancer", "enclave", &["anna@example.org"], LMDB);
    let admission = spoke.admission().await;
    let (own, _) = asked(&admission, usual()).await.unwrap();
    let (other, was_kept) = asked(&admission, question("cancer", read(&["row", "pnr", "atc"]))).await.unwrap();
    assert!(!was_kept);
    let own = pseudonyms(&own, "pnr");
    assert!(pseudonyms(&other, "pnr").iter().all(|id| !own.contains(id)));
    // The other project's key destroyed: its answers go, and this one's stay.
    let (answers, _) = admission.results().unwrap().kept();
    admission.forget(&"cancer".parse().unwrap()).await;
    assert_eq!(admission.results().unwrap().kept().0, answers - 1);
    assert!(kept(&admission, usual()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_withdrawal_empties_what_was_kept_and_the_next_answer_leaves_them_out() {
    let spoke = Fixture::with(ON).await;
    let admission = spoke.admission().await;
    let (state, kid) = (spoke.state().await, spoke.store_key.kid());
    asked(&admission, usual()).await.unwrap();
    assert!(kept(&admission, usual()).await);
    for (gone, kind) in [(7, Left::Withdrawn), (9, Left::Erased)] {
        state.exclude(&[spoke.stored[gone]], kind, kid).await.unwrap();
        let (rows, was_kept) = asked(&admission, usual()).await.unwrap();
        assert!(!was_kept);
        assert!(!pseudonyms(&rows, "pnr").contains(&spoke.pseudonym("diabetes", gone)));
        assert_eq!(admission.results().unwrap().kept().0, 1, "what was kept before is gone");
    }
    // And when nobody asks: the duty that looks at the lists ends what runs, and memory is given back.
    admission.permits().interrupt();
    admission.results().unwrap().sweep();
    assert_eq!(admission.results().unwrap().kept(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_a_revoked_permit_refuses_though_the_answer_is_kept() {
    let spoke = Fixture::with(ON).await;
    let admission = spoke.admission().await;
    let id = spoke.grant("diabetes", "enclave", &["anna@example.org"], LMDB);
    asked(&admission, usual()).await.unwrap();
    assert!(kept(&admission, usual()).await);
    spoke.revoke(id);
    // The usual permit of the fixture counts again: another one, for which nothing is kept.
    assert!(!kept(&admission, usual()).await);
    assert!(kept(&admission, usual()).await);
    let live = admission.permits().find(&"diabetes".parse().unwrap()).await.unwrap().permit.id;
    spoke.revoke(live);
    let refused = asked(&admission, usual()).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Denied);
    admission.results().unwrap().sweep();
    assert_eq!(admission.results().unwrap().kept(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_filter_with_the_clock_in_it_is_refused_so_that_no_kept_answer_can_be_of_another_hour() {
    let spoke = Fixture::with(ON).await;
    let admission = spoke.admission().await;
    for clock in ["now()", "current_date()", "random()"] {
        let filter = format!("{LMDB}row_filter = \"eksd < {clock}\"\n").replace("eksd < random", "row < random");
        spoke.grant("diabetes", "enclave", &["anna@example.org"], &filter);
        let refusal = asked(&admission, usual()).await.unwrap_err();
        assert!(refusal.message.contains("does not fit its tables"), "{clock}: {refusal}");
    }
}

/// Each fact by itself.
#[test]
fn every_fact_is_in_the_key() {
    struct Case {
        question: Question,
        permit: policies::permit::Permit,
        key: (u32, &'static str),
        lists: u64,
        today: NaiveDate,
    }
    let permit = permit("diabetes");
    let base = || Case {
        question: usual(),
        permit: permit.clone(),
        key: (1, "kid"),
        lists: 4,
        today: NaiveDate::from_ymd_opt(2026, 1, 31).unwrap(),
    };
    let of = |case: &Case| -> Key {
        let mut facts = Facts::new();
        facts.question(&case.question);
        facts.terms(&case.permit, case.key, case.lists, case.today);
        facts.key()
    };
    // Query id, token and deadline are others each time.
    let plain = of(&base());
    let mut again = base();
    again.question.envelope.deadline = Some(std::time::SystemTime::now());
    again.question.envelope.max_rows = Some(7);
    assert_eq!(of(&again), plain);
    type Change = fn(&mut Case);
    let changes: [(&str, Change); 12] = [
        ("project", |case| case.question.envelope.project = "cancer".parse().unwrap()),
        ("zone", |case| case.question.envelope.zone = Zone::Open),
        ("fragment", |case| case.question.fragment = plan::fragment(read(&["row"]))),
        ("version", |case| case.question.fragment.version = 2),
        ("fingerprint", |case| case.question.fingerprint = Some([1; 32])),
        ("key list", |case| case.question.keys = vec![Arc::new(Keys::ids([[1; 16]]))]),
        ("permit", |case| case.permit.id = proto::ids::PermitId::new()),
        ("what the permit says", |case| case.permit.tables.clear()),
        ("epoch", |case| case.key.0 = 2),
        ("kid", |case| case.key.1 = "another"),
        ("lists", |case| case.lists = 5),
        ("today", |case| case.today = case.today + Days::new(1)),
    ];
    for (name, change) in changes {
        let mut case = base();
        change(&mut case);
        assert_ne!(of(&case), plain, "{name}");
    }
}
