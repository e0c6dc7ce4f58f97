//! Running answers end with their permit, whether the hub wants it or not.

use super::fixture::{ANNA, Fixture, Hub, LMDB, Server, permit, question, read, read_of, refusal, request};
use crate::{optout::Kind as Left, scan};
use arrow_flight::decode::FlightRecordBatchStream;
use futures::StreamExt;
use proto::{
    ids::PermitId,
    refusal::{Kind, Refusal},
};
use std::{
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

struct Reading {
    spoke: Fixture,
    _server: Server,
    _hub: Hub,
    rows: FlightRecordBatchStream,
    permit: PermitId,
}

/// A stream of many rows, of which the first has come.
async fn reading() -> Reading {
    let spoke = Fixture::new().await;
    spoke.publish("large", 600_000, 100_000).await;
    let mut wide = permit("diabetes");
    wide.tables = super::fixture::tables_of(&LMDB.replace("lmdb", "large"));
    let id = spoke.sign(wide);
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let asked = request(read_of("large", &["row", "pnr", "kontakt", "atc"]));
    let mut rows = hub.start(prost::Message::encode_to_vec(&asked)).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    Reading { spoke, _server: server, _hub: hub, rows, permit: id }
}

/// The log says when it ended.
async fn end(spoke: &Fixture) -> serde_json::Value {
    let asked = spoke.audit().into_iter().find(|e| e["stage"] == "asked").unwrap();
    let look = tokio::time::timeout(Duration::from_secs(20), async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            look.tick().await;
            let events = spoke.audit();
            if let Some(event) = events.iter().find(|e| e["stage"] == "answered" && e["query"] == asked["query"]) {
                return event.clone();
            }
        }
    });
    look.await.expect("no end in the audit log")
}

/// Reads on slowly: without an end it would take far longer than the five seconds.
async fn ends(mut reading: Reading) {
    let changed = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(200));
    let mut last = None;
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(batch) = reading.rows.next().await {
            // What has left the spoke already may be read as slowly as one likes; read it at once after five seconds.
            if changed.elapsed() < Duration::from_secs(5) {
                pause.tick().await;
            }
            last = Some(batch);
        }
    });
    waited.await.expect("the stream didn't end");
    let refusal = refusal(last.unwrap().expect_err("the answer came whole"));
    assert_eq!(refusal.kind, Kind::Denied, "{refusal}");
    assert!(refusal.message.contains("permit at this controller is over"), "{refusal}");
    let answered = end(&reading.spoke).await;
    assert_eq!(answered["outcome"], "its permit was over, or somebody left");
    assert!(answered["ms"].as_u64().unwrap() < 8_000, "{answered}");
    assert!(answered["rows"].as_u64().unwrap() < 600_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_answer_ends_when_its_permit_is_revoked() {
    let reading = reading().await;
    reading.spoke.revoke(reading.permit);
    ends(reading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_answer_ends_when_its_permits_file_is_removed() {
    let reading = reading().await;
    std::fs::remove_file(reading.spoke.permit_file(reading.permit)).unwrap();
    ends(reading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_answer_ends_when_somebody_withdraws_and_the_next_one_leaves_them_out() {
    let reading = reading().await;
    let state = reading.spoke.state().await;
    state.exclude(&reading.spoke.stored[..1], Left::Withdrawn, reading.spoke.store_key.kid()).await.unwrap();
    ends(reading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_answer_ends_when_its_permit_is_replaced() {
    let reading = reading().await;
    let mut next = permit("diabetes");
    next.replaces = Some(reading.permit);
    reading.spoke.sign(next);
    ends(reading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_answer_ends_when_its_approver_is_trusted_no_more() {
    let reading = reading().await;
    crate::approve::approvers::untrust(&reading.spoke.config.approvers_dir(), "bente").unwrap();
    ends(reading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_is_told_whether_a_permit_was_taken_back_or_its_last_day_is_over() {
    let spoke = Fixture::new().await;
    let taken_back = spoke.grant("diabetes", "enclave", &["anna@example.org"], LMDB);
    spoke.revoke(taken_back);
    let first = spoke.permit_file(taken_back).parent().unwrap().to_owned();
    // The fixture's own permit of the project.
    for entry in std::fs::read_dir(first).unwrap() {
        let id = entry.unwrap().path().file_stem().and_then(|stem| stem.to_str()?.parse::<PermitId>().ok());
        if let Some(id) = id.filter(|id| *id != taken_back) {
            spoke.revoke(id);
        }
    }
    let mut over = permit("cancer");
    over.valid_to = chrono::Utc::now().date_naive() - chrono::Days::new(1);
    spoke.sign(over);
    let _server = spoke.serve().await;
    spoke.asked(&["cancer.expired", "diabetes.revoked"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_that_does_not_read_on_keeps_no_answer_running_after_a_revocation() {
    let spoke = Fixture::new().await;
    let permit = spoke.grant("diabetes", "enclave", &[ANNA], LMDB);
    let admission = spoke.admission().await;
    let stop = CancellationToken::new();
    let watch = tokio::spawn(Arc::clone(admission.permits()).watch(stop.clone()));
    let admitted = admission.admit(question("diabetes", read(&["row", "pnr", "kontakt"]))).await.unwrap();
    let mut answer = crate::reply::stream(
        scan::run(admitted).await.unwrap(),
        Duration::ZERO,
        crate::reply::Pace::new(crate::config::Compression::Auto).of(&[]),
        stop.clone(),
        tracing::Span::none(),
    );
    assert!(answer.next().await.unwrap().is_ok());
    // Nobody takes anything from now on, so that nothing asks the answer whether it may go on.
    let revoked = Instant::now();
    spoke.revoke(permit);
    let answered = end(&spoke).await;
    assert!(revoked.elapsed() < Duration::from_secs(5), "{} ms", revoked.elapsed().as_millis());
    assert_eq!(answered["outcome"], "its permit was over, or somebody left");
    assert_eq!(admission.free_slots(), spoke.config.serve.max_scans, "it still holds its place");
    let refusal = Refusal::from(answer.next().await.unwrap().unwrap_err());
    assert_eq!(refusal.kind, Kind::Denied, "{refusal}");
    stop.cancel();
    watch.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_given_up_while_it_is_written_down_has_its_end_in_the_log() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let mut admitting = Box::pin(admission.admit(question("diabetes", read(&["row", "pnr"]))));
    // Polled no more from the moment on that its entry can be read, which is before it is sure to be on disk.
    while !spoke.audit().iter().any(|event| event["stage"] == "asked") {
        if let Poll::Ready(admitted) = futures::poll!(admitting.as_mut()) {
            drop(admitted.unwrap());
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(admitting);
    let answered = end(&spoke).await;
    assert_eq!((answered["outcome"].as_str(), answered["rows"].as_u64()), (Some("the caller went away"), Some(0)));
    assert_eq!(admission.free_slots(), spoke.config.serve.max_scans, "it still holds its place");
}
