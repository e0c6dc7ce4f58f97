//! The airlock in one process: what is checked again, what is told outside, what has a limit.
#![allow(clippy::unwrap_used)]
use super::*;
use chrono::TimeDelta;
use policies::airlock::{FileForm, FileName, FileReview, Form, Review, State, Submission, Verdict};
use std::collections::BTreeMap;

mod again;
mod answers;
mod beside;

pub(super) async fn airlock(folder: &Path) -> Airlock {
    let key = Arc::new(crate::audit::signing_key(folder).unwrap());
    let tokens = TokenStore::open(&folder.join("hub.db")).await.unwrap();
    Airlock::open(folder, "main", &tokens, HubAudit::open(folder).unwrap(), key).unwrap()
}

fn who(user: &str) -> Who {
    Who { user: format!("{user}@example.org").parse().unwrap(), issuer: "https://id".to_owned() }
}

pub(super) fn anna() -> Who {
    who("anna")
}

pub(super) fn day(days: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::days(days)
}

pub(super) fn log(folder: &Path) -> String {
    std::fs::read_to_string(crate::audit::log_path(folder)).unwrap()
}

/// Tables that count people in `n`; those called `inside..` stay there.
fn form(names: &[&str]) -> Submission {
    let file = |name: &&str| FileForm {
        name: (*name).to_owned(),
        description: "people by municipality".to_owned(),
        population: "adults".to_owned(),
        counts: "column n".to_owned(),
        count_columns: vec!["n".to_owned()],
        query: Some("SELECT kom, count(DISTINCT pnr) AS n FROM sds.bef GROUP BY kom".to_owned()),
        inside: name.starts_with("inside"),
        ..FileForm::default()
    };
    let files = names.iter().map(file).collect();
    Form { project: "diabetes".to_owned(), title: "Table".to_owned(), earlier: None, files }.check().unwrap()
}

fn following(earlier: &SubmissionId, names: &[&str]) -> Submission {
    Submission { earlier: Some(*earlier), ..form(names) }
}

/// A draft with its files.
async fn draft(airlock: &Airlock, form: &Submission, files: &[(&str, &str)]) -> SubmissionId {
    let id = airlock.begin(form, &anna(), day(0)).await.unwrap().id;
    for (name, text) in files {
        let name: FileName = name.parse().unwrap();
        airlock.add(&id, &name, text.as_bytes().to_vec(), &anna(), day(0)).await.unwrap();
    }
    id
}

/// The same of one table, after the checks.
async fn checked(airlock: &Airlock, name: &str, text: &str) -> SubmissionId {
    let id = draft(airlock, &form(&[name]), &[(name, text)]).await;
    assert_eq!(airlock.check(&id, &anna(), day(0)).await.unwrap().state, State::Checked);
    id
}

async fn send(airlock: &Airlock, id: &SubmissionId) -> Result<SubmissionRecord, AirlockError> {
    airlock.send(id, &BTreeMap::new(), &anna(), day(0)).await
}

/// Two organisations decide on all files.
async fn decided(airlock: &Airlock, id: &SubmissionId, verdict: Verdict) {
    let leaving: Vec<String> = airlock.get(id).await.unwrap().submission.leaving().map(str::to_owned).collect();
    let files = leaving.into_iter().map(|file| FileReview { file, verdict, comment: "say what n is".to_owned() });
    let review = Review { files: files.collect() };
    for (user, organisation) in [("carl", "ssi"), ("dora", "ku")] {
        airlock.review(id, &organisation.parse().unwrap(), &review, &who(user), day(0)).await.unwrap();
    }
}

/// One table, approved.
async fn approved(airlock: &Airlock, name: &str, text: &str) -> SubmissionId {
    let id = checked(airlock, name, text).await;
    send(airlock, &id).await.unwrap();
    decided(airlock, &id, Verdict::Approved).await;
    id
}

async fn release(airlock: &Airlock, id: &SubmissionId) -> Result<State, AirlockError> {
    let facts = ProjectFacts { title: "Diabetes".to_owned(), organisation: "KU".to_owned(), permits: BTreeMap::new() };
    airlock.release(id, &facts, &anna(), day(1)).await.map(|(record, _)| record.state)
}

async fn state(airlock: &Airlock, id: &SubmissionId) -> State {
    airlock.get(id).await.unwrap().state
}

/// What the checks found in the first file: rule, weight and message.
async fn findings(airlock: &Airlock, id: &SubmissionId) -> Vec<(Rule, Weight, String)> {
    let files = airlock.files(id).await.unwrap();
    files[0].findings.iter().map(|one| (one.rule, one.weight, one.message.clone())).collect()
}
