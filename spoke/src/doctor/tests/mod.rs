//! Each thing that goes wrong, made to go wrong: real listeners on loopback, a real custodian.
#![allow(clippy::unwrap_used)]

mod network;
mod users;

use super::*;
use crate::{
    init::{self, InitOptions},
    pseudonym::enrol,
};
use ::custodian::{Config, ServeOptions, setup};
use runtime::{audit::AuditLog, ca::Authority, peer::Peer, seal::write_private, sign::SigningKey};
use std::{net::SocketAddr, path::PathBuf};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A spoke in good health, with the custodian that it is enrolled at.
struct Patient {
    folder: tempfile::TempDir,
    config: SpokeConfig,
    authority: Authority,
    custodian: Config,
    _stop: tokio_util::sync::DropGuard,
}

async fn custodian(folder: &Path) -> (Config, SocketAddr, CancellationToken) {
    let (path, _) = setup::init(folder, "national", "127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = Config::load(&path).unwrap();
    config.limits.drain_seconds = 0;
    let (ready, bound) = oneshot::channel();
    let shutdown = CancellationToken::new();
    let options = ServeOptions {
        config: config.clone(),
        listen: None,
        ready: Some(ready),
        tap: None,
        shutdown: shutdown.clone(),
    };
    tokio::spawn(::custodian::serve(options));
    (config, bound.await.unwrap(), shutdown)
}

fn options(folder: PathBuf, custodian: &str) -> InitOptions {
    InitOptions {
        folder,
        controller: "region-h".parse().unwrap(),
        title_da: String::new(),
        title_en: String::new(),
        listen: "127.0.0.1:0".to_owned(),
        hub: "main".to_owned(),
        custodian: custodian.to_owned(),
        custodian_name: "national".to_owned(),
        separate_ingest: false,
    }
}

async fn patient() -> Patient {
    let folder = tempfile::tempdir().unwrap();
    let (custodian, address, shutdown) = custodian(&folder.path().join("custodian")).await;
    let home = folder.path().join("spoke");
    init::run(&options(home.clone(), &address.to_string())).unwrap();
    let toml = home.join("spoke.toml");
    let issuer = "\n[[issuer]]\nurl = \"https://login.example.org\"\njwks_file = \"jwks.json\"\n";
    std::fs::write(&toml, std::fs::read_to_string(&toml).unwrap() + issuer).unwrap();
    std::fs::write(home.join("jwks.json"), "{\"keys\":[]}").unwrap();
    let config = SpokeConfig::load(&toml).unwrap();

    let approver = SigningKey::generate().unwrap();
    std::fs::create_dir_all(config.approvers_dir()).unwrap();
    std::fs::write(config.approvers_dir().join("anna.pub"), format!("{}\n", approver.public())).unwrap();
    ::custodian::enrol::register(&custodian, "region-h", &approver.public(), 10, false).await.unwrap();
    let request = enrol::request(&config, &approver, approver.public(), 7).unwrap();
    let reply = ::custodian::enrol::enrol(&custodian, &serde_json::to_string(&request).unwrap(), 365).await.unwrap();
    enrol::install(&config, &reply).unwrap();
    let authority = Authority::create("hub").unwrap();
    let patient = Patient { folder, config, authority, custodian, _stop: shutdown.drop_guard() };
    patient.link("region-h", 30);
    patient
}

impl Patient {
    fn link(&self, name: &str, days: u32) {
        let issued = self.authority.issue(&Peer::spoke(name).unwrap(), days).unwrap();
        std::fs::write(&self.config.link.cert, issued.cert_pem).unwrap();
        write_private(&self.config.link.key, issued.key_pem.as_bytes()).unwrap();
        std::fs::write(&self.config.link.ca, self.authority.cert_pem()).unwrap();
    }

    fn custodian(&mut self) -> &mut crate::config::Custodian {
        self.config.custodian.as_mut().unwrap()
    }
}

/// The check called `what`, which must have come out as `verdict`, and says `words` in what was found or advised.
#[track_caller]
fn expect(report: &Report, what: &str, verdict: Verdict, words: &[&str]) {
    let found = report.checks.iter().find(|c| c.what == what && c.verdict == verdict);
    let Some(check) = found else { unreachable!("no {verdict:?} of {what}: {:#?}", report.checks) };
    let text = format!("{} {}", check.found, check.advice);
    for word in words {
        assert!(text.contains(word), "{word}: {check:#?}");
    }
    assert_eq!(check.advice.is_empty(), verdict == Verdict::Ok, "{check:?}");
}

/// Nothing is wrong, but perhaps that the disk of the machine that runs the tests is nearly full.
fn well(check: &Check) -> bool {
    check.verdict == Verdict::Ok || (check.verdict == Verdict::Warn && check.advice == "make room on this disk")
}

fn look(look: impl FnOnce(&mut Report)) -> Report {
    let mut report = Report::default();
    look(&mut report);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_spoke_has_nothing_that_fails_and_says_so_as_json() {
    let patient = patient().await;
    let checks = examine(&patient.folder.path().join("spoke/spoke.toml")).await;
    let failed: Vec<_> = checks.iter().filter(|c| c.verdict == Verdict::Fail).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    for what in
        ["custodian", "custodian's key", "enrolment", "clock", "store key", "cache key", "approvers", "data folder"]
    {
        assert!(checks.iter().any(|c| c.what == what && well(c)), "{what}: {checks:#?}");
    }
    let json = serde_json::to_value(&checks).unwrap();
    assert_eq!(json[0]["verdict"], "ok");
    // nothing is left behind
    let left = std::fs::read_dir(patient.folder.path().join("spoke")).unwrap();
    assert!(left.filter_map(Result::ok).all(|e| !e.file_name().to_string_lossy().contains("doctor")));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_all_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spoke.toml");
    std::fs::write(&path, "controller = \"region-h\"\n[serve]\nmax_scan = 1\n").unwrap();
    let checks = examine(&path).await;
    assert_eq!(checks.len(), 1);
    expect(&Report { checks }, "configuration", Verdict::Fail, &["line 3", "max_scan", "spoke init"]);
    let report = Report { checks: examine(&dir.path().join("nothing.toml")).await };
    expect(&report, "configuration", Verdict::Fail, &["can't be read"]);
}

#[tokio::test]
async fn files_that_others_can_read_keys_that_do_not_open_and_folders_that_cannot_be_written_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("spoke");
    init::run(&options(home.clone(), "localhost:1")).unwrap();
    let mut config = SpokeConfig::load(&home.join("spoke.toml")).unwrap();
    expect(&look(|r| files::secrets(&config, r)), "secret files", Verdict::Ok, &[]);
    std::fs::set_permissions(config.store_key(), std::fs::Permissions::from_mode(0o640)).unwrap();
    expect(&look(|r| files::secrets(&config, r)), "secret files", Verdict::Fail, &["store.key", "640", "chmod 600"]);
    let report = look(|r| files::keys(&config, r));
    expect(&report, "store key", Verdict::Fail, &["chmod 600"]);
    expect(&report, "identity key", Verdict::Ok, &[]);
    expect(&report, "separation", Verdict::Warn, &["install-spoke"]);
    std::fs::remove_file(config.store_key()).unwrap();
    write_private(&config.keys.passphrase_file, b"other words\n").unwrap();
    let report = look(|r| files::keys(&config, r));
    expect(&report, "store key", Verdict::Fail, &["backup"]);
    expect(&report, "cache key", Verdict::Fail, &["passphrase is wrong", "same backup"]);
    std::fs::remove_file(&config.keys.passphrase_file).unwrap();
    expect(&look(|r| files::keys(&config, r)), "passphrase", Verdict::Fail, &["[keys]"]);
    // a file stands where the folder should be: nobody can write there, not even root
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    config.store.url = file.display().to_string();
    expect(&look(|r| files::folders(&config, r)), "data folder", Verdict::Fail, &["ingest publishes there", "file"]);
    let report = look(|r| files::folders(&config, r));
    assert!(report.checks.iter().any(|c| c.what == "spill folder" && well(c)), "{:#?}", report.checks);
}

#[tokio::test]
async fn a_log_that_was_changed_and_missing_approvers_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = SpokeConfig::parse("controller = \"region-h\"\n", "spoke.toml", dir.path()).unwrap();
    expect(&look(|r| records::audit(&config, r)), "audit log", Verdict::Ok, &["none yet"]);
    let log = AuditLog::open(&config.audit_log()).unwrap();
    log.append(&"one").unwrap();
    log.append(&"two").unwrap();
    expect(&look(|r| records::audit(&config, r)), "audit log", Verdict::Ok, &["2 entries"]);
    let text = std::fs::read_to_string(config.audit_log()).unwrap();
    std::fs::write(config.audit_log(), text.replacen("one", "won", 1)).unwrap();
    expect(&look(|r| records::audit(&config, r)), "audit log", Verdict::Fail, &["line 1", "evidence"]);

    expect(&look(|r| records::approvers(&config, r)), "approvers", Verdict::Fail, &["no such folder"]);
    std::fs::create_dir_all(config.approvers_dir()).unwrap();
    expect(&look(|r| records::approvers(&config, r)), "approvers", Verdict::Fail, &["no permit will count"]);
    let key = SigningKey::generate().unwrap().public();
    std::fs::write(config.approvers_dir().join("anna.pub"), key.to_string()).unwrap();
    expect(&look(|r| records::approvers(&config, r)), "approvers", Verdict::Ok, &["anna"]);
    std::fs::write(config.approvers_dir().join("bo.pub"), "nothing").unwrap();
    expect(&look(|r| records::approvers(&config, r)), "approvers", Verdict::Fail, &["bo.pub", "64 hex"]);
}

#[tokio::test]
async fn certificates_that_are_missing_mixed_up_or_over_are_named() {
    let patient = patient().await;
    let what = "certificate for the hub";
    let check = || look(|r| certificates::all(&patient.config, r));
    expect(&check(), what, Verdict::Ok, &["eger://spoke/region-h"]);
    expect(&check(), "certificate for the custodian", Verdict::Ok, &["until"]);
    patient.link("region-h", 0);
    expect(&check(), what, Verdict::Fail, &["ended on", "spoke join"]);
    patient.link("region-h", 1);
    expect(&check(), what, Verdict::Warn, &["ends on"]);
    patient.link("region-m", 30);
    expect(&check(), what, Verdict::Fail, &["names eger://spoke/region-m"]);
    patient.link("region-h", 30);
    let other = Authority::create("other").unwrap();
    std::fs::write(&patient.config.link.ca, other.cert_pem()).unwrap();
    expect(&check(), what, Verdict::Fail, &["not of the authority"]);
    let issued = other.issue(&Peer::spoke("region-h").unwrap(), 30).unwrap();
    write_private(&patient.config.link.key, issued.key_pem.as_bytes()).unwrap();
    expect(&check(), what, Verdict::Fail, &["is not the key of", "mixed up"]);
    std::fs::remove_file(&patient.config.link.cert).unwrap();
    expect(&check(), what, Verdict::Fail, &["link.crt", "hub admin invite"]);
}

#[test]
fn a_clock_that_is_wrong_is_judged_by_what_others_say() {
    use chrono::{TimeDelta, Utc};
    let judge = |seconds: Option<i64>| {
        let mut dates = clock::Dates::default();
        if let Some(seconds) = seconds {
            dates.note("the custodian", Utc::now() + TimeDelta::seconds(seconds));
        }
        look(|r| clock::judge(&dates, r))
    };
    expect(&judge(Some(2)), "clock", Verdict::Ok, &["custodian"]);
    expect(&judge(Some(20)), "clock", Verdict::Warn, &["behind", "NTP"]);
    expect(&judge(Some(-40)), "clock", Verdict::Fail, &["ahead of the custodian", "NTP"]);
    expect(&judge(Some(3600)), "clock", Verdict::Fail, &["behind the custodian"]);
    expect(&judge(None), "clock", Verdict::Warn, &["nobody could be asked"]);
}
