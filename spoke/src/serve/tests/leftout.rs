//! People who are left out: of which permits, of which snapshots, and with which columns.

use super::fixture::{Fixture, LMDB, PEOPLE, ROWS, count, direct, filtered, permit, pseudonyms, question, read};
use crate::{admit::Admission, optout::Kind, publish::Pin};
use datafusion::prelude::{col, lit};
use proto::{plan, wire::MeasureKind};

const EACH: usize = ROWS / PEOPLE;

async fn rows(admission: &Admission, project: &str, columns: &[&str]) -> usize {
    count(&direct(admission, question(project, read(columns))).await.unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_person_is_gone_at_once_under_an_old_permit_and_a_pinned_snapshot() {
    let spoke = Fixture::new().await;
    let state = spoke.state().await;
    let pin = Pin { project: "diabetes".parse().unwrap(), table: "lmdb".parse().unwrap(), version: 0 };
    state.pin(&pin).await.unwrap();
    let admission = spoke.admission().await;
    assert_eq!(rows(&admission, "diabetes", &["row"]).await, ROWS);
    // Another snapshot: the project goes on with the one that it has pinned.
    spoke.publish("lmdb", PEOPLE, PEOPLE).await;
    assert_eq!(rows(&admission, "diabetes", &["row"]).await, ROWS);
    let kid = spoke.store_key.kid();
    let gone = [spoke.stored[7], spoke.stored[2_900]];
    state.exclude(&gone[..1], Kind::Withdrawn, kid).await.unwrap();
    assert_eq!(rows(&admission, "diabetes", &["row"]).await, ROWS - EACH);
    state.exclude(&gone[1..], Kind::Erased, kid).await.unwrap();
    // Whatever is asked: rows, no column at all, a filter on that very person, a count.
    let (seen, _) = direct(&admission, question("diabetes", read(&["pnr", "row"]))).await.unwrap();
    let shown = pseudonyms(&seen, "pnr");
    assert_eq!(shown.len(), ROWS - 2 * EACH);
    for person in [7, 2_900] {
        let theirs = spoke.pseudonym("diabetes", person);
        assert!(!shown.contains(&theirs));
        let constant = lit(datafusion::common::ScalarValue::FixedSizeBinary(16, Some(theirs.to_vec())));
        let (rows, _) =
            direct(&admission, question("diabetes", filtered(&["row"], &col("pnr").eq(constant)))).await.unwrap();
        assert_eq!(count(&rows), 0);
    }
    let all = plan::aggregate(read(&["row"]), vec![], vec![plan::measure("n", MeasureKind::Count, None)]);
    let (counted, _) = direct(&admission, question("diabetes", all)).await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&counted).unwrap().to_string();
    assert!(shown.contains(&(ROWS - 2 * EACH).to_string()), "{shown}");
    // A consent given again counts at once too; an erasure stays.
    state.include(&gone[..1], Kind::Withdrawn, kid).await.unwrap();
    assert_eq!(rows(&admission, "diabetes", &["row"]).await, ROWS - EACH);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_counts_for_permits_that_record_its_version() {
    let spoke = Fixture::new().await;
    let state = spoke.state().await;
    let kid = spoke.store_key.kid();
    let admission = spoke.admission().await;
    let first = state.exclude(&[spoke.stored[1]], Kind::OptOut, kid).await.unwrap();
    assert_eq!((first.version, first.added), (1, 1));
    // The permit of the project is older than the list.
    assert_eq!(rows(&admission, "diabetes", &["row"]).await, ROWS);
    let mut newer = permit("diabetes");
    newer.opt_out_version = 1;
    spoke.sign(newer);
    assert_eq!(rows(&admission, "diabetes", &["row"]).await, ROWS - EACH);
    // Later opt-outs and changed minds leave the project's people as they were: an analysis can be repeated.
    state.exclude(&[spoke.stored[2]], Kind::OptOut, kid).await.unwrap();
    let back = state.include(&[spoke.stored[1]], Kind::OptOut, kid).await.unwrap();
    assert_eq!((back.version, back.removed), (3, 1));
    assert_eq!(rows(&admission, "diabetes", &["row"]).await, ROWS - EACH);
    let mut newest = permit("cancer");
    newest.opt_out_version = 3;
    spoke.sign(newest);
    let (seen, _) = direct(&admission, question("cancer", read(&["pnr", "row"]))).await.unwrap();
    let shown = pseudonyms(&seen, "pnr");
    assert!(shown.contains(&spoke.pseudonym("cancer", 1)) && !shown.contains(&spoke.pseudonym("cancer", 2)));
    // Twice the same is no new version.
    let same = state.exclude(&[spoke.stored[2]], Kind::OptOut, kid).await.unwrap();
    assert_eq!((same.version, same.added), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_left_out_where_the_person_column_is_not_permitted() {
    let spoke = Fixture::new().await;
    let state = spoke.state().await;
    let filter = format!("{}row_filter = \"row < 160\"\n", LMDB.replace("\"pnr\", ", ""));
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &filter);
    state.exclude(&[spoke.stored[3]], Kind::Withdrawn, spoke.store_key.kid()).await.unwrap();
    let admission = spoke.admission().await;
    assert_eq!(rows(&admission, "diabetes", &["row"]).await, 160 - EACH);
    assert_eq!(rows(&admission, "diabetes", &["atc", "eksd"]).await, 160 - EACH);
    assert_eq!(rows(&admission, "diabetes", &[]).await, 160 - EACH);
    // A limit counts rows that exist.
    let limited = direct(&admission, question("diabetes", plan::limit(read(&["row"]), 150))).await.unwrap();
    assert_eq!(count(&limited.0), 160 - EACH);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_under_another_store_key_stops_all_answers() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    spoke.state().await.exclude(&[[1; 16]], Kind::Withdrawn, "another").await.unwrap();
    let refusal = direct(&admission, question("diabetes", read(&["row"]))).await.unwrap_err();
    assert!(refusal.message.contains("lists of people can't be used"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn serving_asks_the_hub_to_remove_what_it_holds_of_people_who_leave_also_what_it_missed() {
    let spoke = Fixture::new().await;
    let (state, kid) = (spoke.state().await, spoke.store_key.kid());
    spoke.grant("cancer", "enclave", &["anna@example.org"], LMDB);
    let mut later = permit("heart");
    later.valid_from = chrono::Utc::now().date_naive() + chrono::Days::new(3);
    spoke.sign(later);
    let server = spoke.serve().await;
    // Opt-outs ask for nothing: they came first, and are looked at first.
    state.exclude(&spoke.stored[..2], Kind::OptOut, kid).await.unwrap();
    state.exclude(&spoke.stored[..1], Kind::Withdrawn, kid).await.unwrap();
    spoke.asked(&["cancer.withdrawn.2", "diabetes.withdrawn.2"]).await;
    server.shutdown.cancel();
    server.task.await.unwrap().unwrap();
    // Nobody serves.
    state.exclude(&spoke.stored[1..2], Kind::Erased, kid).await.unwrap();
    let _server = spoke.serve().await;
    spoke.asked(&["cancer.erased.3", "cancer.withdrawn.2", "diabetes.erased.3", "diabetes.withdrawn.2"]).await;
}
