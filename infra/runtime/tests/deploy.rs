//! The service units of `infra/deploy` keep what they promise: each hardening line is there, and says what it should.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd")
}

/// Section and key -> values, in order.
fn unit(name: &str) -> BTreeMap<(String, String), Vec<String>> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let (mut section, mut all) = (String::new(), BTreeMap::<_, Vec<String>>::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| unreachable!("{name}: {line}"));
        all.entry((section.clone(), key.to_owned())).or_default().push(value.to_owned());
    }
    all
}

const SERVICES: [&str; 4] =
    ["eger-spoke-serve.service", "eger-spoke-ingest.service", "eger-hub.service", "eger-custodian.service"];

/// What every service must say, word by word.
const HARDENING: [(&str, &[&str]); 26] = [
    ("LimitCORE", &["0"]),
    ("UMask", &["0027"]),
    ("NoNewPrivileges", &["yes"]),
    ("CapabilityBoundingSet", &[""]),
    ("AmbientCapabilities", &[""]),
    ("RestrictSUIDSGID", &["yes"]),
    ("RemoveIPC", &["yes"]),
    ("KeyringMode", &["private"]),
    ("ProtectSystem", &["strict"]),
    ("ProtectHome", &["yes"]),
    ("PrivateTmp", &["yes"]),
    ("PrivateDevices", &["yes"]),
    ("ProtectProc", &["invisible"]),
    ("ProcSubset", &["pid"]),
    ("ProtectClock", &["yes"]),
    ("ProtectHostname", &["yes"]),
    ("ProtectKernelLogs", &["yes"]),
    ("ProtectKernelModules", &["yes"]),
    ("ProtectKernelTunables", &["yes"]),
    ("ProtectControlGroups", &["yes"]),
    ("RestrictNamespaces", &["yes"]),
    ("RestrictRealtime", &["yes"]),
    ("LockPersonality", &["yes"]),
    ("MemoryDenyWriteExecute", &["yes"]),
    ("SystemCallArchitectures", &["native"]),
    ("SystemCallFilter", &["@system-service", "~@privileged @resources"]),
];

fn service(name: &str, key: &str) -> Vec<String> {
    unit(name).remove(&("Service".to_owned(), key.to_owned())).unwrap_or_default()
}

fn words(name: &str, key: &str) -> Vec<String> {
    service(name, key).iter().flat_map(|value| value.split_whitespace()).map(str::to_owned).collect()
}

#[test]
fn every_service_has_every_hardening_line() {
    for name in SERVICES {
        for (key, values) in HARDENING {
            assert_eq!(service(name, key), values, "{name}: {key}");
        }
        let families = words(name, "RestrictAddressFamilies");
        assert_eq!(families, ["AF_UNIX", "AF_INET", "AF_INET6"], "{name}");
        let user = service(name, "User").pop().unwrap();
        assert!(user.starts_with("eger-"), "{name}: {user}");
    }
}

#[test]
fn who_serves_is_another_user_than_who_publishes_and_reaches_none_of_its_secrets() {
    let (serve, ingest) = ("eger-spoke-serve.service", "eger-spoke-ingest.service");
    assert_ne!(service(serve, "User"), service(ingest, "User"));
    let hidden = words(serve, "InaccessiblePaths");
    for path in ["-/srv/eger/ingest", "-/srv/eger/cache", "-/srv/eger/rejects", "-/srv/sources"] {
        assert!(hidden.iter().any(|h| h == path), "{path}");
    }
    // the other way round: who publishes has no key of a project
    for path in ["-/srv/eger/keys", "-/srv/eger/projects", "-/srv/eger/passphrase"] {
        assert!(words(ingest, "InaccessiblePaths").iter().any(|h| h == path), "{path}");
    }
    for path in words(serve, "ReadWritePaths") {
        assert!(!hidden.iter().any(|h| path.starts_with(h.trim_start_matches('-'))), "{path}");
        assert!(!["/srv/eger", "/srv/eger/data", "/srv/eger/permits", "/srv/eger/approvers"].contains(&path.as_str()));
    }
    // each is given its own passphrase, and by the service manager
    assert_eq!(service(serve, "LoadCredential"), ["eger:/srv/eger/passphrase"]);
    assert_eq!(service(ingest, "LoadCredential"), ["eger-ingest:/srv/eger/ingest/passphrase"]);
}

#[test]
fn no_secret_stands_on_a_command_line_or_in_the_environment() {
    for name in SERVICES {
        for key in ["ExecStart", "Environment"] {
            for value in service(name, key) {
                let lower = value.to_lowercase();
                assert!(!["pass", "token", "secret"].iter().any(|word| lower.contains(word)), "{name}: {value}");
            }
        }
    }
}

#[test]
fn users_of_the_units_are_those_of_sysusers_and_the_timer_starts_the_ingest() {
    let users = std::fs::read_to_string(folder().join("eger.sysusers.conf")).unwrap();
    for name in SERVICES {
        let user = service(name, "User").pop().unwrap();
        assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{user}");
    }
    assert!(unit("eger-spoke-ingest.timer").contains_key(&("Timer".to_owned(), "OnCalendar".to_owned())));
    assert_eq!(service("eger-spoke-ingest.service", "Type"), ["oneshot"]);
}

/// What systemd itself says, where it is installed.
#[test]
fn systemd_finds_the_units_sound_and_little_exposed() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in SERVICES {
        let text = std::fs::read_to_string(folder().join(name)).unwrap();
        let program = service(name, "ExecStart").pop().unwrap().split_whitespace().next().unwrap().to_owned();
        let path = dir.path().join(name);
        std::fs::write(&path, text.replace(&program, "/bin/true")).unwrap();
        let said = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && !text.contains(name), "{text}");
        let security = ["security", "--offline=yes", "--no-pager", "--threshold=20"];
        let said = Command::new("systemd-analyze").args(security).arg(&path).output().unwrap();
        assert!(said.status.success(), "{name} is exposed: {}", String::from_utf8_lossy(&said.stdout));
    }
}
