//! How answers travel: compressed when both sides can, and no faster than they are taken.

use super::fixture::{ANNA, Fixture, LMDB, envelope, numbers, question, read_of, request};
use crate::{config::Compression as Configured, reply, scan};
use futures::StreamExt;
use proto::wire::Compression;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_compressed_when_configured_and_the_hub_reads_it() {
    const ROWS: usize = 40_000;
    for configured in [Configured::Lz4, Configured::Zstd, Configured::None] {
        let mut spoke = Fixture::new().await;
        spoke.publish("large", ROWS, ROWS).await;
        spoke.config.link.compression = configured;
        spoke.grant("diabetes", "enclave", &[ANNA], &LMDB.replace("lmdb", "large"));
        let server = spoke.serve().await;
        let mut hub = spoke.hub(&server);
        assert_eq!(hub.catalogue(envelope()).await.unwrap().compresses, [1, 2]);
        let mut asked = request(read_of("large", &["row", "pnr", "atc"]));
        let plain = hub.ask(&asked).await.unwrap();
        // What this spoke has never heard of is no trouble.
        asked.accepts = vec![Compression::Lz4.into(), Compression::Zstd.into(), 1_000];
        let rows = hub.ask(&asked).await.unwrap();
        assert_eq!(numbers(&rows), numbers(&plain), "the same rows in the same order");
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), ROWS);
        asked.accepts = vec![1; 17];
        assert!(hub.ask(&asked).await.unwrap_err().message.contains("accepts"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_taken_is_not_read_either() {
    const ROWS: usize = 600_000;
    let mut spoke = Fixture::new().await;
    spoke.config.serve.threads = 2;
    spoke.publish("large", ROWS, 100_000).await;
    spoke.grant("diabetes", "enclave", &[ANNA], &LMDB.replace("lmdb", "large"));
    let admission = spoke.admission().await;
    let admitted = admission.admit(question("diabetes", read_of("large", &["row", "pnr"]))).await.unwrap();
    let running = scan::run(admitted).await.unwrap();
    let work = running.work.clone();
    let pace = reply::Pace::new(Configured::Auto).of(&[]);
    let mut answer = reply::stream(running, Duration::ZERO, pace, CancellationToken::new(), tracing::Span::none());
    for _ in 0..3 {
        assert!(answer.next().await.unwrap().is_ok());
    }
    let read = || work.effort().rows;
    // Each of two readers is two batches of at most 8,192 rows ahead, holds one more and offers one.
    let runs_away = async {
        while read() < 100_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), runs_away).await.is_err(), "{} rows", read());
    // It would have gone on.
    while let Some(message) = answer.next().await {
        // The final status, with what it took.
        let Err(status) = message else { continue };
        assert_eq!(status.code(), tonic::Code::Ok);
    }
    assert_eq!(read(), ROWS);
}
