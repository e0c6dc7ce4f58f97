//! The same ingest again, changed files, appending, pins.

use super::*;
use crate::{ingest::Outcome, publish::Pin};

fn spoke(mode: &str) -> Spoke {
    let spoke = Spoke::new();
    spoke.declare(
        "t",
        "person",
        &format!("mode = \"{mode}\"\n"),
        "[[column]]\nname = \"pnr\"\nrole = \"person\"\n[[column]]\nname = \"x\"\ntype = \"text\"\n",
    );
    spoke.file("in/t1.csv", "pnr;x\n0707614285;a\n");
    spoke
}

async fn outcome(spoke: &Spoke) -> (Outcome, i64) {
    let summary = &spoke.ingest().await[0];
    (summary.outcome, summary.snapshot)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_ingest_again_changes_nothing() {
    let spoke = spoke("replace");
    assert_eq!(outcome(&spoke).await, (Outcome::Published, 0));
    let files = spoke.files("data");
    assert_eq!(outcome(&spoke).await, (Outcome::NothingNew, 0));
    assert_eq!(spoke.files("data"), files);
    // same size and time stamp, other content: only the digest tells
    let path = spoke.path("in/t1.csv");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    spoke.file("in/t1.csv", "pnr;x\n0707614285;b\n");
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(outcome(&spoke).await, (Outcome::Published, 1));
    assert_eq!(spoke.rows("t").await, [format!("{}|b", hex(person(707_614_285)))]);
    // another file, and a file less
    spoke.file("in/t2.csv", "pnr;x\n0707614285;c\n");
    assert_eq!(outcome(&spoke).await, (Outcome::Published, 2));
    assert_eq!(spoke.rows("t").await.len(), 2);
    std::fs::remove_file(spoke.path("in/t1.csv")).unwrap();
    assert_eq!(outcome(&spoke).await, (Outcome::Published, 3));
    assert_eq!(spoke.rows("t").await, [format!("{}|c", hex(person(707_614_285)))]);
    // another declaration
    let declaration = std::fs::read_to_string(spoke.path("tables/t.toml")).unwrap();
    spoke.file("tables/t.toml", format!("{declaration}description = {{ da = \"ny\" }}\n"));
    assert_eq!(outcome(&spoke).await, (Outcome::Published, 4));
    assert_eq!(outcome(&spoke).await, (Outcome::NothingNew, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn appending_adds_files_that_were_not_seen() {
    let spoke = spoke("append");
    assert_eq!(outcome(&spoke).await, (Outcome::Published, 0));
    assert_eq!(outcome(&spoke).await, (Outcome::NothingNew, 0));
    spoke.file("in/t2.csv", "pnr;x\n3112991231;b\n");
    let summary = &spoke.ingest().await[0];
    assert_eq!((summary.snapshot, summary.files, summary.rows_published, summary.rows_in_table), (1, 1, 1, 2));
    // the same content under another name, and the old name gone: nothing new
    std::fs::rename(spoke.path("in/t1.csv"), spoke.path("in/t3.csv")).unwrap();
    assert_eq!(outcome(&spoke).await, (Outcome::NothingNew, 1));
    assert_eq!(spoke.rows("t").await.len(), 2);
    assert_eq!(spoke.snapshot("t").await.unwrap().files.len(), 2);
    // a new description needs no new rows
    let declaration = std::fs::read_to_string(spoke.path("tables/t.toml")).unwrap();
    spoke.file("tables/t.toml", format!("{declaration}description = {{ da = \"ny\" }}\n"));
    let summary = &spoke.ingest().await[0];
    assert_eq!((summary.outcome, summary.rows_read, summary.rows_in_table), (Outcome::Published, 0, 2));
    assert_eq!(spoke.snapshot("t").await.unwrap().schema.field(1).metadata()["eger.da"], "ny");
    assert_eq!(outcome(&spoke).await, (Outcome::NothingNew, 2));
    // other columns do not fit to what is there
    spoke.file("tables/t.toml", declaration.replace("type = \"text\"", "type = \"int32\""));
    let error = spoke.error().await;
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("column 'x' of type Int32 where 'x' of type Utf8 was"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn appending_without_history_is_refused() {
    let spoke = spoke("append");
    spoke.ingest().await;
    for file in spoke.files("").iter().filter(|file| file.starts_with("state.db")) {
        std::fs::remove_file(spoke.path(file)).unwrap();
    }
    let error = spoke.error().await;
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("state.db does not know"), "{error}");
    assert_eq!(spoke.rows("t").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_store_key_is_not_mixed_in() {
    let spoke = spoke("append");
    spoke.ingest().await;
    *spoke.pseudonyms.store_kid.lock().unwrap() = "other".to_owned();
    spoke.file("in/t2.csv", "pnr;x\n3112991231;b\n");
    let error = spoke.error().await;
    assert!(error.to_string().contains("stored under different keys"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_versions_outlive_their_successors() {
    let spoke = spoke("replace");
    spoke.ingest().await;
    let state = spoke.state().await;
    let project: proto::ids::ProjectId = "diabetes".parse().unwrap();
    let table: TableName = "t".parse().unwrap();
    state.pin(&Pin { project: project.clone(), table: table.clone(), version: 0 }).await.unwrap();
    assert_eq!(state.pinned(&project, &table).await.unwrap(), Some(0));
    spoke.file("in/t1.csv", "pnr;x\n0707614285;b\n");
    spoke.ingest().await;
    let store = spoke.store();
    let later = chrono::Utc::now() + chrono::TimeDelta::days(2);
    let pins = state.pins_of(&table).await.unwrap();
    assert_eq!(store.vacuum(&table, &pins, later).await.unwrap().outdated, 0);
    assert_eq!(store.snapshot_at(&table, 0).await.unwrap().rows, 1);
    state.unpin(&project).await.unwrap();
    // still within its time of grace
    assert_eq!(store.vacuum(&table, &[], chrono::Utc::now()).await.unwrap().outdated, 0);
    assert_eq!(store.vacuum(&table, &[], later).await.unwrap().outdated, 1);
    assert_eq!(spoke.rows("t").await, [format!("{}|b", hex(person(707_614_285)))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ingests_at_a_time_are_one_too_many() {
    let spoke = spoke("replace");
    let lock = crate::ingest::lock::Lock::take(&spoke.config.lock_file()).unwrap();
    let error = spoke.error().await;
    assert_eq!(error.exit_code(), 7);
    assert!(error.to_string().starts_with("another ingest is running on this spoke"), "{error}");
    drop(lock);
    spoke.ingest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_read_before_notices_the_next_one() {
    let spoke = spoke("replace");
    let store = spoke.store();
    let table: TableName = "t".parse().unwrap();
    assert!(store.snapshot(&table).await.unwrap().is_none());
    spoke.ingest().await;
    let first = store.snapshot(&table).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &store.snapshot(&table).await.unwrap().unwrap()), "read once");
    spoke.file("in/t1.csv", "pnr;x\n0707614285;b\n");
    spoke.ingest().await;
    assert_eq!(store.snapshot(&table).await.unwrap().unwrap().version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_ingest_publishes_nothing() {
    let spoke = spoke("replace");
    let options = IngestOptions::default();
    options.cancel.cancel();
    let error = spoke.try_ingest(options).await.unwrap_err();
    assert_eq!(error.exit_code(), 130);
    assert_eq!(error.to_string(), "the ingest was stopped: nothing was published for table 't'");
    assert!(spoke.files("data").is_empty() && spoke.files("spill").is_empty());
    assert_eq!(outcome(&spoke).await, (Outcome::Published, 0));
}
