//! The folder as `infra/deploy/install-spoke` leaves it: what each of the two users can open, tried as these users.

use super::*;
use crate::pseudonym::CacheKey;
use std::{os::unix::fs::PermissionsExt, process::Command};

const SERVE: &str = "61001";
const INGEST: &str = "61002";
const GROUP: &str = "61000";

fn install(folder: &Path, sources: &Path) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/deploy/install-spoke");
    Command::new("bash")
        .arg(script)
        .arg(folder)
        .args(["--serve-user", SERVE, "--ingest-user", INGEST, "--group", GROUP, "--sources"])
        .arg(sources)
        .output()
        .unwrap()
}

/// Runs a shell line as a user with no more rights than its own.
fn as_user(user: &str, line: &str) -> bool {
    let ids = [format!("--reuid={user}"), format!("--regid={user}"), format!("--groups={GROUP}")];
    Command::new("setpriv")
        .args(ids)
        .args(["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "sh", "-c", line])
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn a_hostile_serve_process_can_open_neither_sources_nor_cache_nor_cache_key() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (home, sources) = (dir.path().join("eger"), dir.path().join("sources"));
    std::fs::create_dir_all(&sources).unwrap();
    std::fs::write(sources.join("bef.csv"), "PNR\n").unwrap();
    init::run(&InitOptions { separate_ingest: true, ..options(home.clone(), "localhost:1") }).unwrap();
    let config = SpokeConfig::load(&home.join("spoke.toml")).unwrap();
    std::fs::write(config.cache_file(), "persons").unwrap();
    let done = install(&home, &sources);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if !done.status.success() {
        // Only root can give files to two users, and the script says so.
        assert!(said.contains("must run as root"), "{said}");
        return;
    }
    let open = |user: &str, path: &Path| as_user(user, &format!("exec 3< '{}'", path.display()));
    let ingest_only = [
        sources.join("bef.csv"),
        config.cache_file(),
        config.cache_key(),
        config.ingest_keys_dir().join("store.key"),
        config.keys.ingest_passphrase_file.clone().unwrap(),
    ];
    for path in &ingest_only {
        assert!(open(INGEST, path), "{}", path.display());
        assert!(!open(SERVE, path), "{}", path.display());
    }
    for path in [config.store_key(), config.identity_key(), config.keys.passphrase_file.clone()] {
        assert!(open(SERVE, &path), "{}", path.display());
        assert!(!open(INGEST, &path), "{}", path.display());
    }
    // nor can it get at them by what it may write: renaming, linking, giving away
    for line in [
        "mv {}/ingest {}/mine",
        "mv {}/cache {}/mine",
        "ln {}/cache/persons.cache {}/spill/mine",
        "chmod a+rx {}/ingest",
    ] {
        let line = line.replace("{}", &home.display().to_string());
        assert!(!as_user(SERVE, &line), "{line}");
    }
    // both do their work
    let write = |user: &str, path: PathBuf| as_user(user, &format!("exec 3>> '{}'", path.display()));
    for user in [SERVE, INGEST] {
        assert!(open(user, &home.join("spoke.toml")));
        assert!(write(user, config.state_db()) && write(user, config.audit_log()));
        assert!(write(user, home.join(format!("state/new-{user}"))) && write(user, home.join(format!("spill/{user}"))));
    }
    assert!(write(INGEST, home.join("data/new")) && write(INGEST, config.lock_file()));
    assert!(open(SERVE, &home.join("data/new")) || !as_user(SERVE, &format!("test -r {}/data/new", home.display())));
    // what decides is written by neither, and what is published not by serve
    for path in ["data/x", "tables/x.toml", "permits/x.jws", "approvers/x.pub", "spoke.toml"] {
        assert!(!write(SERVE, home.join(path)), "{path}");
    }
    for path in ["approvers/x.pub", "permits/x.jws", "spoke.toml"] {
        assert!(!write(INGEST, home.join(path)), "{path}");
    }
    // and were it to get the file: its passphrase doesn't open the key
    assert!(CacheKey::load(&config.cache_key(), &config.passphrase().unwrap()).is_err());
    assert!(CacheKey::load(&config.cache_key(), &config.ingest_passphrase().unwrap()).is_ok());
    // the script can be run again
    assert!(install(&home, &sources).status.success());
}
