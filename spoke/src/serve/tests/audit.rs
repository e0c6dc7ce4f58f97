//! What is written down, and that nothing is answered when it can't be.

use super::fixture::{ANNA, Fixture, direct, envelope, filtered, question, read, request};
use datafusion::{
    common::ScalarValue,
    prelude::{col, lit},
};
use proto::{plan, refusal::Kind};

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_written_before_its_first_row_and_after_its_last() {
    let spoke = Fixture::new().await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    hub.catalogue(envelope()).await.unwrap();
    let person = spoke.pseudonym("diabetes", 7);
    let constant = lit(ScalarValue::FixedSizeBinary(16, Some(person.to_vec())));
    let asked = request(filtered(&["row"], &col("pnr").eq(constant).and(col("atc").eq(lit("A00")))));
    let rows = super::fixture::count(&hub.ask(&asked).await.unwrap());
    assert!(hub.ask(&request(read(&["nowhere"]))).await.is_err());
    // The key of the other project, for which there is no permit, is destroyed meanwhile. A refusal is written beside the answer.
    let mut look = tokio::time::interval(std::time::Duration::from_millis(20));
    let events = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            look.tick().await;
            let events: Vec<_> = spoke.audit().into_iter().filter(|e| e["event"] != "epoch").collect();
            if events.iter().any(|e| e["stage"] == "refused") {
                return events;
            }
        }
    });
    let events = events.await.expect("the refusal is not in the log");
    let kinds: Vec<_> = events.iter().map(|e| e["stage"].as_str().or(e["event"].as_str()).unwrap()).collect();
    assert_eq!(kinds, ["catalogue", "asked", "answered", "refused"]);
    let (asked, answered) = (&events[1], &events[2]);
    assert_eq!((asked["user"].as_str(), asked["project"].as_str()), (Some(ANNA), Some("diabetes")));
    assert_eq!((asked["purpose"].as_str(), asked["zone"].as_str()), (Some("scientific-research"), Some("enclave")));
    let sql = asked["sql"].as_str().unwrap();
    // Readable, with the question's constants: the project's pseudonym and the code, no stored pseudonym.
    assert!(sql.contains("FROM lmdb") && sql.contains("A00"), "{sql}");
    assert!(sql.to_lowercase().contains(&hex::encode(person)), "{sql}");
    assert!(!sql.to_lowercase().contains(&hex::encode(spoke.stored[7])));
    assert_eq!((answered["rows"].as_u64(), answered["outcome"].as_str()), (Some(rows as u64), Some("whole")));
    assert_eq!((&answered["query"], &answered["digest"]), (&asked["query"], &asked["digest"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_stops_the_answer() {
    let mut spoke = Fixture::new().await;
    // A disk without room: every write fails, whoever runs the test.
    let log = spoke.config.audit_log();
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    for refusal in [
        hub.ask(&request(plan::limit(read(&["row"]), 1))).await.unwrap_err(),
        hub.catalogue(envelope()).await.unwrap_err(),
    ] {
        assert_eq!(refusal.kind, Kind::Unavailable, "{refusal}");
        assert!(refusal.message.contains("audit log can't be written"), "{refusal}");
    }
    // A place that can't be opened at all: nothing is served.
    std::fs::remove_file(&log).unwrap();
    spoke.config.folder = "/proc/self".into();
    assert!(crate::audit::Audit::open(&spoke.config.audit_log()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_while_serving_stops_answers() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    direct(&admission, question("diabetes", plan::limit(read(&["row"]), 1))).await.unwrap();
    let log = spoke.config.audit_log();
    std::fs::write(&log, "").unwrap();
    let refusal = direct(&admission, question("diabetes", read(&["row"]))).await.unwrap_err();
    assert!(refusal.message.contains("audit log"), "{refusal}");
}
