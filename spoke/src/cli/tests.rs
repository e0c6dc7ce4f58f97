#![allow(clippy::unwrap_used)]
//! The commands, run as a shell would.

use super::*;
use crate::approve::{Book, State, inbox::Inbox};
use clap::CommandFactory;
use policies::application::{EXAMPLE, Form};
use std::path::Path;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

fn spoke(folder: &Path, line: &str) -> bool {
    let line = line.replace("DIR", &folder.display().to_string());
    let mut args: Vec<OsString> = vec!["spoke".into()];
    // A text in quotes is one argument.
    for (n, part) in line.split('\'').enumerate() {
        if n % 2 == 1 {
            args.push(part.into());
        } else {
            args.extend(part.split_whitespace().map(OsString::from));
        }
    }
    format!("{:?}", main(args)) == format!("{:?}", ExitCode::SUCCESS)
}

const LAB: &str = r#"
name = "lab_forsker"
role = "person"
[source]
path = "lab.csv"
format = "csv"
[[column]]
name = "pnr"
role = "person"
[[column]]
name = "samplingdate"
type = "date"
[[column]]
name = "analysiscode"
type = "text"
[[column]]
name = "value"
type = "float64"
"#;

#[test]
fn an_approver_decides_from_key_to_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(spoke(dir, "init DIR --controller region-h"));
    std::fs::write(dir.join("tables/lab_forsker.toml"), LAB).unwrap();
    runtime::seal::write_private(&dir.join("words"), b"a long passphrase\n").unwrap();
    let (key, config) = ("--key DIR/bente.key --passphrase-file DIR/words", "--config DIR/spoke.toml");
    assert!(spoke(dir, &format!("approver create {key}")));
    assert!(!spoke(dir, &format!("approver create {key}")), "a key is not overwritten");
    let pass = runtime::seal::Passphrase::from_text("a long passphrase");
    let public = runtime::sign::SigningKey::load(&dir.join("bente.key"), "eger/approver/v1", &pass).unwrap().public();

    let loaded = SpokeConfig::load(&dir.join("spoke.toml")).unwrap();
    let form: Form = toml::from_str(EXAMPLE).unwrap();
    let parts = form.check().unwrap().split();
    let part = parts.into_iter().find(|part| part.controller.as_str() == "region-h").unwrap();
    Inbox::from(&loaded).receive(&part.to_json()).unwrap();
    assert!(spoke(dir, &format!("inbox {config}")));
    assert!(spoke(dir, &format!("approve {} {config} --show", part.id)));
    let yes = format!("approve {} {config} {key} --yes --reason 'within the law' --valid-to 2027-12-31", part.id);
    assert!(!spoke(dir, &yes), "nobody trusts the key yet");
    assert!(spoke(dir, &format!("approver trust bente {public} {config}")));
    assert!(!spoke(dir, &format!("{yes} --drop-column lab_forsker.nowhere")));
    assert!(spoke(dir, &yes));
    assert!(!spoke(dir, &yes), "it was decided on");

    let read = || Book::read(&(&loaded).into()).unwrap();
    let day = "2027-06-01".parse().unwrap();
    let held = read().live(&part.project, day).unwrap().permit().clone();
    assert_eq!((held.approver.as_str(), held.reason.as_str()), ("bente", "within the law"));
    assert_eq!(held.valid_to, "2027-12-31".parse().unwrap());
    for list in
        ["permits", "permits --json", "inbox --json", "approver list", "audit show", "audit export --format csv"]
    {
        assert!(spoke(dir, &format!("{list} {config}")), "{list}");
    }
    assert!(!spoke(dir, &format!("revoke cancer --reason over {config} {key}")));
    assert!(spoke(dir, &format!("revoke diabetes --reason 'the contract has ended' {config} {key}")));
    assert_eq!(read().state(&held, day), State::Revoked);

    let mut next = part.clone();
    next.id = proto::ids::PartId::new();
    std::fs::write(dir.join("part.json"), next.to_json()).unwrap();
    assert!(spoke(dir, &format!("refuse DIR/part.json --reason 'another purpose' {config} {key}")));
    assert!(read().decided(next.id));

    assert!(spoke(dir, &format!("audit verify {config}")));
    assert!(spoke(dir, &format!("audit show --project diabetes --since 2026-01-01 {config}")));
    let log = loaded.audit_log();
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 4, "trusted, signed, revoked, refused");
    assert!(!text.contains("a long passphrase"));
    std::fs::write(&log, text.replacen("bente", "berta", 1)).unwrap();
    assert!(!spoke(dir, &format!("audit verify {config}")));
}

#[test]
fn a_cut_log_shows_against_a_witnessed_checkpoint() {
    use runtime::{
        audit::{
            AuditLog,
            checkpoint::{Checkpoint, Witnessed},
        },
        sign::SigningKey,
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(spoke(dir, "init DIR --controller region-h"));
    let log = AuditLog::open(&dir.join("audit/spoke.log")).unwrap();
    for n in 0..4 {
        log.append(&serde_json::json!({ "event": "scan", "n": n })).unwrap();
    }
    let (own, witness) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let checkpoint = Checkpoint::sign("eger://spoke/region-h", log.head().unwrap(), &own);
    std::fs::write(dir.join("seen.jws"), Witnessed::sign(&checkpoint, "eger://hub/main", &witness)).unwrap();
    let plain = "audit verify --config DIR/spoke.toml".to_owned();
    let seen = format!("{plain} --checkpoint DIR/seen.jws --witness {} --key {}", witness.public(), own.public());
    assert!(spoke(dir, &plain) && spoke(dir, &seen));
    let text = std::fs::read_to_string(log.path()).unwrap();
    let cut: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
    std::fs::write(log.path(), cut).unwrap();
    assert!(spoke(dir, &plain), "by itself a cut log looks whole");
    assert!(!spoke(dir, &seen));
    // Nobody else's word counts for a checkpoint.
    std::fs::write(log.path(), text).unwrap();
    assert!(!spoke(dir, &seen.replace(&witness.public().to_string(), &own.public().to_string())));
}

#[test]
fn a_cut_log_shows_by_itself_where_a_witness_has_countersigned() {
    use crate::audit::verify::{Given, verify};
    use runtime::{
        audit::{AuditLog, checkpoint::Witnessed, witness::Witness},
        sign::SigningKey,
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(spoke(dir, "init DIR --controller region-h"));
    let config = SpokeConfig::load(&dir.join("spoke.toml")).unwrap();
    let log = std::sync::Arc::new(AuditLog::open(&config.audit_log()).unwrap());
    let own = crate::pseudonym::identity::signing::load(&config.signing_key(), &config.passphrase().unwrap()).unwrap();
    let public = own.public();
    let own = Witness::new("eger://spoke/region-h".parse().unwrap(), own.into(), std::sync::Arc::clone(&log));
    let (hub, hubs) = ("eger://hub/main".parse().unwrap(), SigningKey::generate().unwrap());
    own.pinned(&hub, &hubs.public()).unwrap();
    let write =
        |entries: u64| (0..entries).for_each(|_| drop(log.append(&serde_json::json!({ "event": "scan" })).unwrap()));
    let said = || verify(&config, &Given::default()).unwrap().to_string();
    write(2);
    assert!(said().contains("no checkpoint of a witness was used"), "{}", said());
    // An older one that somebody keeps elsewhere, and the newest beside the log.
    std::fs::write(dir.join("old.jws"), own.checkpoint().unwrap()).unwrap();
    write(3);
    let countersigned = Witnessed::sign(&own.checkpoint().unwrap(), &hub.to_string(), &hubs);
    own.keep(&hub, &hubs.public(), &countersigned).unwrap();
    write(1);
    assert!(
        said().contains("countersigned by witnesses (audit/witnessed) lie on it; the newest, at entry 5"),
        "{}",
        said()
    );
    let plain = "audit verify --config DIR/spoke.toml";
    assert!(spoke(dir, plain));
    let text = std::fs::read_to_string(log.path()).unwrap();
    let cut: String = text.lines().take(4).map(|line| format!("{line}\n")).collect();
    std::fs::write(log.path(), cut).unwrap();
    assert!(!spoke(dir, plain));
    let error = verify(&config, &Given::default()).unwrap_err().to_string();
    assert!(error.contains("its tail was cut"), "{error}");
    // What is given is used in place of what lies there; the own key is opened, or given too.
    assert!(spoke(dir, &format!("{plain} --checkpoint DIR/old.jws")));
    let given = Given { checkpoints: vec![dir.join("old.jws")], witness: None, key: Some(public) };
    let verified = verify(&config, &given).unwrap();
    assert_eq!((verified.head.seq, verified.proven()), (4, Some(2)));
    assert!(verified.to_string().contains("1 checkpoints given lie on it"), "{verified}");
    // Without the key nothing that was countersigned is passed over.
    std::fs::write(log.path(), text).unwrap();
    std::fs::rename(config.signing_key(), dir.join("elsewhere")).unwrap();
    let error = verify(&config, &Given::default()).unwrap_err().to_string();
    assert!(error.contains("--key"), "{error}");
    assert!(!spoke(dir, plain) && spoke(dir, &format!("{plain} --key {public}")));
}

#[test]
fn people_are_counted_and_never_named_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(spoke(dir, "init DIR --controller region-h"));
    assert!(
        spoke(dir, "optout list --config DIR/spoke.toml") && spoke(dir, "optout list --json --config DIR/spoke.toml")
    );
    assert!(!spoke(dir, "optout add 0101011234 --config DIR/spoke.toml"));
    std::fs::write(dir.join("numbers"), "0101011234\nnobody\n").unwrap();
    assert!(!spoke(dir, "optout import DIR/numbers --config DIR/spoke.toml"));
    assert!(!spoke(dir, "optout remove --kind erased --file DIR/numbers --config DIR/spoke.toml"));
}
