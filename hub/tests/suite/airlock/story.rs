//! What goes right.

use super::*;
use arrow::util::display::array_value_to_string;
use hub::{
    airlock::{FileChange, FileDifference, verify},
    api::{EventList, KeyView},
};
use policies::airlock::State;
use sha2::{Digest, Sha256, Sha512};

#[tokio::test(flavor = "multi_thread")]
async fn two_organisations_approve_and_a_signed_crate_leaves() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let mut behind = file("largest.csv", &[]);
    behind.inside = true;
    let form = form("diabetes", vec![file("a.csv", &["n"]), behind]);
    let id = anna.sent(&form, &[("a.csv", TABLE), ("largest.csv", "kom,n_1\n101,1\n")]).await;
    let view = anna.show(&id).await;
    assert_eq!(view.state, State::UnderReview);
    assert_eq!(view.content.unwrap().snapshots.keys().collect::<Vec<_>>(), ["sds.lmdb"]);

    // Both checkers see it, with all of its files, and neither who handed it in nor what the other said.
    let (carl, dora) = (inside(&house, CARL), inside(&house, DORA));
    assert_eq!(carl.list().await, std::slice::from_ref(&id));
    let seen = carl.show(&id).await.content.unwrap();
    assert_eq!((seen.files.len(), seen.submitted_by), (2, None));
    let path = format!("/v1/airlock/{id}/files/a.csv");
    assert_eq!(carl.call(Method::GET, &path, None).await, (StatusCode::OK, TABLE.as_bytes().to_vec()));
    assert_eq!(carl.review(&id, &[("a.csv", None)]).await, StatusCode::NO_CONTENT);
    assert_eq!(carl.list().await, Vec::<String>::new());
    assert_eq!(anna.show(&id).await.state, State::UnderReview);
    assert_eq!(anna.release(&id).await.0, StatusCode::FORBIDDEN);
    assert_eq!(dora.review(&id, &[("a.csv", None)]).await, StatusCode::NO_CONTENT);

    // Outside, the member takes it out, twice the same.
    let outside = at(&house, ANNA, Zone::Open);
    assert_eq!(outside.show(&id).await.state, State::Approved);
    let (status, made) = outside.release(&id).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&made));
    assert_eq!(outside.release(&id).await, (StatusCode::OK, made.clone()));
    assert_eq!(outside.show(&id).await.state, State::Released);

    let key: KeyView = outside.get("/v1/published/key").await;
    let verified = verify(&made, &key.key.parse().unwrap()).unwrap();
    assert_eq!(verified.release.approved_by, ["ku", "ssi"]);
    let paths: Vec<&str> = verified.files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "data/outputs/a.csv",
            "data/release.json",
            "data/ro-crate-metadata.json",
            "data/workflow/queries.sql",
            "data/workflow/ro-crate-metadata.json"
        ]
    );
    let text = String::from_utf8_lossy(&made);
    for secret in [CARL, DORA, "largest.csv"] {
        assert!(!text.contains(secret), "{secret} is in the crate");
    }
    assert!(text.contains("sds.lmdb") && text.contains("count(DISTINCT pnr)") && text.contains("5s-crate/0.4"));
    let release = said(&made);
    assert_eq!(release["threshold"], 5);
    assert_eq!(release["rules"]["threshold"], "a count of people is 0 or at least 5");
    assert_eq!(release["rules"].as_object().unwrap().len(), hub::airlock::Rule::ALL.len());
    assert_eq!((&release["release_rules"], &release["noise"]), (&serde_json::Value::Null, &serde_json::Value::Null));

    // The hub's log has who did what, the project's has no checker.
    let log = std::fs::read_to_string(hub::audit::log_path(house.path())).unwrap();
    for what in ["begun", "added", "checked", "sent", "released", "taken_out_again"] {
        assert!(logged(&house, what, &id, Some(ANNA)), "{what}");
    }
    for (what, who) in [("examined", CARL), ("read", CARL), ("reviewed", CARL), ("reviewed", DORA)] {
        assert!(logged(&house, what, &id, Some(who)), "{what} by {who}");
    }
    // Which bytes were taken, and which left.
    for bytes in [TABLE.as_bytes(), &made] {
        let hash = if bytes == made { hex::encode(Sha512::digest(bytes)) } else { hex::encode(Sha256::digest(bytes)) };
        assert!(log.contains(&hash));
    }
    let application = house.applications.latest(&"diabetes".parse().unwrap()).await.unwrap().id;
    let events: EventList = outside.get(&format!("/v1/applications/{application}/events?limit=200")).await;
    let told = serde_json::to_string(&events).unwrap();
    assert!(told.contains("airlock_sent") && told.contains("airlock_approved") && told.contains("airlock_released"));
    assert!(!told.contains(CARL) && !told.contains("airlock_reviewed") && !told.contains("\"ssi\""), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_goes_to_a_third_and_comments_are_read_when_they_are_done() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let two = form("diabetes", vec![file("a.csv", &["n"]), file("b.csv", &["n"])]);
    let id = anna.sent(&two, &[("a.csv", TABLE), ("b.csv", "koen,n\n1,100\n2,65\n")]).await;
    let review = async |who, a, b| inside(&house, who).review(&id, &[("a.csv", a), ("b.csv", b)]).await;
    assert_eq!(review(CARL, None, Some("say what koen means")).await, StatusCode::NO_CONTENT);
    assert_eq!(review(DORA, None, None).await, StatusCode::NO_CONTENT);
    let view = anna.show(&id).await;
    assert_eq!(view.state, State::Conflict);
    assert_eq!(view.content.unwrap().comments, []);
    // The third sees what there is to decide, and neither what the others said nor who they are.
    let finn = inside(&house, FINN);
    assert_eq!(finn.list().await, std::slice::from_ref(&id));
    let seen = serde_json::to_string(&finn.show(&id).await).unwrap();
    for hidden in ["say what koen means", "CHANGES_REQUESTED", "APPROVED", CARL, DORA, ANNA, "\"ssi\"", "\"ku\""] {
        assert!(!seen.contains(hidden), "{hidden}: {seen}");
    }
    assert_eq!(review(FINN, None, Some("koen needs words")).await, StatusCode::NO_CONTENT);
    let view = anna.show(&id).await;
    assert_eq!(view.state, State::ChangesRequested);
    let comments = view.content.unwrap().comments;
    let said: Vec<&str> = comments.iter().map(|one| one.comment.as_str()).filter(|text| !text.is_empty()).collect();
    assert_eq!(said, ["koen needs words", "say what koen means"]);
    let text = serde_json::to_string(&comments).unwrap();
    assert!(!["ssi", "ku", "auh", CARL].iter().any(|name| text.contains(&format!("\"{name}\""))), "{text}");
    assert_eq!(anna.release(&id).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resubmission_shows_what_it_changes() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let two = form("diabetes", vec![file("a.csv", &["n"]), file("b.csv", &["n"])]);
    let b = ("b.csv", "koen,n\n1,100\n2,65\n");
    let first = anna.sent(&two, &[("a.csv", TABLE), b]).await;
    let change = [("a.csv", Some("one row too many")), ("b.csv", None)];
    assert_eq!(inside(&house, CARL).review(&first, &change).await, StatusCode::NO_CONTENT);
    assert_eq!(inside(&house, DORA).review(&first, &change).await, StatusCode::NO_CONTENT);
    let mut again = form("diabetes", vec![file("a.csv", &["n"]), file("c.csv", &["n"])]);
    again.earlier = Some(first.clone());
    let second = anna.sent(&again, &[("a.csv", "kom,n\n101,125\n147,45\n"), ("c.csv", b.1)]).await;
    let path = format!("/v1/airlock/{second}/difference");
    // The checkers see it as well as the submitter.
    for who in [ANNA, FINN] {
        let all: Vec<FileDifference> = inside(&house, who).get(&path).await;
        let changes: Vec<(&str, FileChange)> = all.iter().map(|one| (one.file.as_str(), one.change.clone())).collect();
        assert_eq!(changes, [("a.csv", FileChange::Changed), ("b.csv", FileChange::Gone), ("c.csv", FileChange::New)]);
        let cell = &all[0].cells[0];
        let values = (cell.before.as_deref(), cell.after.as_deref());
        assert_eq!((cell.row.as_str(), cell.column.as_str(), values), ("101", "n", (Some("120"), Some("125"))));
        assert_ne!(all[0].sha256_before, all[0].sha256_after);
        assert!(logged(&house, "compared", &second, Some(who)));
    }
    let outside = at(&house, ANNA, Zone::Open);
    assert_eq!(outside.call(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_is_gone_and_what_left_is_compared_with() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let (form, files) = simple();
    let id = anna.sent(&form, &files).await;
    let folder = house.path().join("airlock").join(&id);
    assert!(folder.join("a.csv.sealed").is_file());
    assert!(!std::fs::read(folder.join("a.csv.sealed")).unwrap().windows(7).any(|w| w == b"101,120"));
    let (status, _) = anna.post(&format!("/v1/airlock/{id}/withdraw"), &()).await;
    assert_eq!((status, folder.exists()), (StatusCode::OK, false));
    assert!(logged(&house, "withdrawn", &id, Some(ANNA)));
    assert_eq!(anna.show(&id).await.state, State::Withdrawn);
    assert_eq!(inside(&house, CARL).list().await, Vec::<String>::new());
    assert_eq!(inside(&house, CARL).review(&id, &[("a.csv", None)]).await, StatusCode::NOT_FOUND);
    // A second submission leaves; a third is measured by it.
    let id = anna.sent(&form, &files).await;
    for who in [CARL, DORA] {
        assert_eq!(inside(&house, who).review(&id, &[("a.csv", None)]).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(anna.release(&id).await.0, StatusCode::OK);
    let (status, _) = anna.post(&format!("/v1/airlock/{id}/withdraw"), &()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "it has left");
    let third = anna.checked(&form, &[("a.csv", "kom,n\n101,122\n147,45\n")]).await;
    let findings = &third.content.unwrap().files[0].findings;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.contains("differs by fewer than 5"), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_open_zone_leaves_at_once_as_the_platform_writes_it() {
    let (house, _sds) = house().await;
    let outside = at(&house, ANNA, Zone::Open);
    let made = outside.post("/v1/airlock/answers", &counts()).await;
    assert_eq!(made.0, StatusCode::CREATED, "{}", String::from_utf8_lossy(&made.1));
    let made: hub::api::SubmissionView = serde_json::from_slice(&made.1).unwrap();
    assert_eq!((made.state, made.content), (State::Approved, None));
    assert!(logged(&house, "answered", &made.id, Some(ANNA)));
    let (status, packed) = outside.release(&made.id).await;
    assert_eq!(status, StatusCode::OK);
    let key: KeyView = outside.get("/v1/published/key").await;
    let verified = verify(&packed, &key.key.parse().unwrap()).unwrap();
    assert!(verified.release.computed && verified.release.approved_by.is_empty());

    // Its numbers can be traced: which rules the open zone applied, with which table of noise, under which key.
    let release = said(&packed);
    let mut client = house.client(ANNA, Zone::Open).await;
    let query = counts().files[0].query.clone().unwrap();
    let mut told = Vec::new();
    for batch in client.sql(&format!("EXPLAIN RELEASE {query}")).await.unwrap() {
        let cell = |at: usize, row| array_value_to_string(batch.column(at), row).unwrap();
        let note = |row| serde_json::json!({ "about": cell(0, row), "rule": cell(1, row), "what": cell(2, row) });
        told.extend((0..batch.num_rows()).map(note));
    }
    assert!(told.iter().any(|note| note["rule"].as_str().unwrap().starts_with("perturbed")), "{told:?}");
    assert_eq!(release["release_rules"], serde_json::json!({ "counts.csv": told }));
    let published = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/disclosure/noise.csv")).unwrap();
    let noise = serde_json::json!({ "table_sha256": hex::encode(Sha256::digest(published)), "key_epoch": 1 });
    assert_eq!((&release["noise"], &release["rules"]), (&noise, &serde_json::Value::Null));

    // It is what the open zone answers to the same person.
    let mut client = house.client(ANNA, Zone::Open).await;
    let query = counts().files[0].query.clone().unwrap();
    let mut lines = Vec::new();
    for batch in client.sql(&query).await.unwrap() {
        let cell = |at: usize, row| array_value_to_string(batch.column(at), row).unwrap();
        lines.extend((0..batch.num_rows()).map(|row| format!("{},{}", cell(0, row), cell(1, row))));
    }
    // The row of small groups leaves nothing.
    lines.retain(|line| line != ",");
    lines.sort();
    let table = format!("atc,n\n{}\n", lines.join("\n"));
    assert_eq!(lines.len(), 2);
    let file = inside(&house, ANNA).call(Method::GET, &format!("/v1/airlock/{}/files/counts.csv", made.id), None).await;
    assert_eq!(String::from_utf8(file.1).unwrap(), table);

    // Beside what was made inside and approved: the same, cell by cell.
    let text = table.replace('\n', "\r\n");
    let mut again = counts();
    again.earlier = Some(inside(&house, ANNA).approved(&house, &counts(), &[("counts.csv", &text)]).await);
    assert_eq!(outside.post("/v1/airlock/answers", &again).await.0, StatusCode::CREATED);
}
