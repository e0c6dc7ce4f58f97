//! The operator's commands, as the command line runs them, and what controllers signed.

use super::{asked, followed};
use crate::workspace;
use hub::{
    admin,
    apply::{Applications, Screening},
    endpoints::{COMMANDS, FETCHED},
    identify::TokenStore,
};
use policies::authorize::trail::Trail;
use runtime::sign::SigningKey;
use std::path::Path;

/// The line after `hub`, for a row.
fn line(name: &str, folder: &Path, token: &str) -> Vec<String> {
    let key = SigningKey::generate().unwrap().public().to_string();
    let out = folder.join("out").display().to_string();
    let rest: Vec<&str> = match name {
        "admin invite" => vec!["region-h", "--gateway", "hub.example.org:7003"],
        "admin expel" => vec!["region-h"],
        "admin ca issue" => vec!["spoke", "sds", "--out", &out],
        "admin token create" => vec!["bo@example.org"],
        "admin token revoke" => vec![token],
        "admin approver add" => vec!["region-h", &key],
        // There is no such key: asked all the same.
        "admin approver remove" => vec!["region-h", &key],
        "admin controllers" | "admin token list" | "admin approver list" => vec![],
        "audit show" | "audit verify" | "audit export" => vec![],
        other => panic!("say here how {other} is run"),
    };
    let config = folder.join("hub.toml").display().to_string();
    let words = ["hub"].into_iter().chain(name.split(' ')).chain(["--config", &config]).chain(rest);
    words.map(str::to_owned).collect()
}

#[test]
fn every_command_asks_what_its_row_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("hub");
    admin::init(&folder, "main").unwrap();
    let trail = Trail::default();
    let token = followed(&trail, async {
        let tokens = TokenStore::open(&folder.join("hub.db")).await.unwrap();
        tokens.create(&"anna@example.org".parse().unwrap(), None, 30).await.unwrap().id.to_string()
    });
    let _here = tracing::dispatcher::set_default(&trail.dispatch());
    for row in COMMANDS {
        trail.taken();
        let code = hub::cli::main(line(row.0, &folder, &token).into_iter().map(Into::into));
        let expected = if row.0 == "admin approver remove" { "2" } else { "0" };
        assert!(format!("{code:?}").contains(expected), "{}: {code:?}", row.0);
        asked(&trail, row);
    }
}

#[test]
fn what_a_controller_signed_is_decided_on_when_it_is_taken_in() {
    let [row] = FETCHED else { panic!("say here how the others are taken in") };
    let trail = Trail::default();
    followed(&trail, async {
        let folder = tempfile::tempdir().unwrap();
        let applications = Applications::new(&TokenStore::open(&folder.path().join("hub.db")).await.unwrap());
        let now = chrono::Utc::now();
        let application = workspace::application("heart", &["anna@example.org"], &["sds".to_owned()]);
        let by = workspace::person("anna@example.org");
        let (record, _) = applications.submit(&application, &by, None, Screening::Automatic, now).await.unwrap();
        let part = applications.parts(&record.id).await.unwrap().remove(0);
        let key = workspace::approver(&applications, &part.controller).await;
        let (permit, compact) = workspace::grant(&part.part, &key);
        let revocation = policies::permit::Revocation {
            permit: permit.id,
            controller: permit.controller.clone(),
            project: permit.project.clone(),
            approver: "Bente".to_owned(),
            reason: "consent was withdrawn".to_owned(),
            decided_at: now,
        };
        for statement in [compact, revocation.sign(&key).unwrap()] {
            trail.taken();
            assert_eq!(applications.take(&part.controller, &[statement], now).await.unwrap(), 1);
            asked(&trail, row);
        }
    });
}
