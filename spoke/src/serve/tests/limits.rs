//! Time, size, memory, number, and callers that go away.

use super::fixture::{Fixture, count, envelope, filtered, question, read, refusal, request};
use crate::scan;
use datafusion::prelude::{col, lit};
use futures::{StreamExt, TryStreamExt};
use proto::{
    plan,
    refusal::Kind,
    wire::{MeasureKind, Rel},
};
use std::time::{Duration, SystemTime};

fn in_ms(ms: u64) -> i64 {
    let at = SystemTime::now() + Duration::from_millis(ms);
    i64::try_from(at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_query_that_nobody_reads() {
    let spoke = Fixture::new().await;
    spoke.publish("large", 600_000, 100_000).await;
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &super::fixture::LMDB.replace("lmdb", "large"));
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let mut asked = request(super::fixture::read_of("large", &["row", "pnr", "kontakt"]));
    asked.envelope.as_mut().unwrap().deadline_unix_ms = in_ms(0);
    let late = hub.ask(&asked).await.unwrap_err();
    assert_eq!(late.kind, Kind::Deadline);
    // A first answer opens the project's key, which takes its time.
    hub.catalogue(envelope()).await.unwrap();
    asked.envelope = Some(envelope());
    asked.envelope.as_mut().unwrap().deadline_unix_ms = in_ms(1_500);
    let mut rows = hub.start(prost::Message::encode_to_vec(&asked)).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    // A slow reader: its answer outlasts the deadline.
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    let mut last = None;
    while let Some(batch) = rows.next().await {
        pause.tick().await;
        last = Some(batch);
    }
    let refusal = refusal(last.unwrap().unwrap_err());
    assert_eq!(refusal.kind, Kind::Deadline);
    assert!(refusal.message.contains("not done in the time"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_bytes_are_capped() {
    let spoke = Fixture::with("max_rows = 40000\n").await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let mut asked = request(read(&["row"]));
    let refused = hub.ask(&asked).await.unwrap_err();
    assert_eq!(refused.kind, Kind::TooLarge);
    assert!(refused.message.contains("more than 40000 rows"), "{refused}");
    asked = request(plan::limit(read(&["row"]), 40_000));
    assert_eq!(count(&hub.ask(&asked).await.unwrap()), 40_000);
    asked.envelope = Some(envelope());
    asked.envelope.as_mut().unwrap().max_bytes = 100_000;
    let refused = hub.ask(&asked).await.unwrap_err();
    assert!(refused.message.contains("more than 100000 bytes"), "{refused}");
    asked.envelope = Some(envelope());
    asked.envelope.as_mut().unwrap().max_rows = 10;
    assert!(hub.ask(&asked).await.unwrap_err().message.contains("more than 10 rows"));
}

/// A fragment of nested conditions, of about so many bytes.
fn nested(levels: usize) -> Rel {
    let mut rel = read(&["row"]);
    for n in 0..levels {
        rel = plan::filter(rel, plan::encode_expr(&col("row").not_eq(lit(n as i64))).unwrap());
    }
    rel
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_oversized_questions_are_refused() {
    let spoke = Fixture::new().await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    for garbage in [vec![], vec![0xff; 40], b"SELECT * FROM lmdb".to_vec()] {
        assert_eq!(hub.ticket(garbage).await.unwrap_err().kind, Kind::Invalid);
    }
    let mut large = request(read(&["row"]));
    large.envelope.as_mut().unwrap().traceparent = "x".repeat(600 * 1024);
    let refused = hub.ask(&large).await.unwrap_err();
    assert_eq!(refused.kind, Kind::TooLarge);
    assert!(refused.message.contains("at most"), "{refused}");
    large.envelope.as_mut().unwrap().traceparent = "x".repeat(4 << 20);
    assert_eq!(hub.ask(&large).await.unwrap_err().kind, Kind::TooLarge);
    assert_eq!(hub.ask(&request(nested(80))).await.unwrap_err().kind, Kind::TooLarge);
    assert_eq!(count(&hub.ask(&request(nested(10))).await.unwrap()), 48_000 - 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_memory_is_said_clearly() {
    let spoke = Fixture::with("memory = \"256KiB\"\nspill = \"0\"\n").await;
    let server = spoke.serve().await;
    let refused = spoke.hub(&server).ask(&request(read(&["row", "pnr"]))).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Exhausted);
    assert!(refused.message.contains("more memory than this spoke gives"), "{refused}");
    assert!(!refused.message.contains("PermutedScan"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_memory_is_spilled() {
    let spoke = Fixture::with("memory = \"24MiB\"\nspill = \"1GiB\"\n").await;
    spoke.publish("large", 600_000, 20_000).await;
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &super::fixture::LMDB.replace("lmdb", "large"));
    let key = proto::wire::SortKey {
        expr: Some(plan::encode_expr(&col("row")).unwrap()),
        descending: true,
        nulls_first: false,
    };
    let root = plan::sort(super::fixture::read_of("large", &["row", "pnr", "kontakt"]), vec![key], None);
    let admission = spoke.admission().await;
    let running = scan::run(admission.admit(question("diabetes", root)).await.unwrap()).await.unwrap();
    let rows: Vec<_> = running.rows.try_collect().await.unwrap();
    let expected: Vec<i64> = (0..600_000).rev().collect();
    assert_eq!(super::fixture::numbers(&rows), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_frees_its_place() {
    let spoke = Fixture::with("max_scans = 1\nmax_waiting = 0\n").await;
    spoke.publish("large", 600_000, 100_000).await;
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &super::fixture::LMDB.replace("lmdb", "large"));
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let asked = || request(super::fixture::read_of("large", &["row", "pnr", "kontakt"]));
    let mut first = hub.start(prost::Message::encode_to_vec(&asked())).await.unwrap();
    assert!(first.next().await.unwrap().is_ok());
    let busy = hub.ask(&asked()).await.unwrap_err();
    assert_eq!(busy.kind, Kind::Exhausted);
    assert!(busy.retryable() && busy.message.contains("busy"), "{busy}");
    drop(first);
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match hub.ask(&request(plan::limit(super::fixture::read_of("large", &["row"]), 1))).await {
                Ok(_) => return,
                Err(refusal) if refusal.retryable() => drop(again.tick().await),
                Err(other) => panic!("{other}"),
            }
        }
    });
    waited.await.expect("the place was never freed");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_stands_in_an_error() {
    let spoke = Fixture::new().await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    use arrow::datatypes::DataType;
    use datafusion::logical_expr::cast;
    let text_as_number = cast(col("atc"), DataType::Int64).eq(lit(5_i64));
    let too_large = (cast(col("row") * lit(1_000_000_i64), DataType::Int32) + lit(1_i32)).gt(lit(0_i32));
    let by_zero = (lit(1_i64) / (col("row") - lit(47_123_i64))).gt(lit(7_i64));
    for (filter, says) in [(text_as_number, "TRY_CAST"), (too_large, "TRY_CAST"), (by_zero, "division by zero")] {
        let refused = hub.ask(&request(filtered(&["row"], &filter))).await.unwrap_err();
        assert!(refused.message.contains(says), "{refused}");
        for value in ["A00", "A01", "A02", "A03", "A04", "A05", "47123", "000000"] {
            assert!(!without_id(&refused.message).contains(value), "{refused}");
        }
    }
    // Types that don't fit are refused when the fragment is bound.
    let root = plan::aggregate(
        read(&["atc"]),
        Vec::new(),
        vec![plan::measure("s", MeasureKind::Sum, Some(plan::encode_expr(&col("atc")).unwrap()))],
    );
    assert!(hub.ask(&request(root)).await.is_err());
}

/// Query ids may hold any digits.
fn without_id(message: &str) -> String {
    message.split(' ').filter(|word| word.len() != 36).collect::<Vec<_>>().join(" ")
}
