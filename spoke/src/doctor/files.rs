//! Folders, disk space, modes of secret files, and whether the passphrases open the keys.

use super::Report;
use crate::{
    config::SpokeConfig,
    pseudonym::{CacheKey, KeyError, StoreKey, identity::Identity},
};
use runtime::{
    enrolment::SPOKE_SIGNING_CONTEXT,
    seal::{Passphrase, SealError},
    sign::{SigningKey, SigningKeyError},
};
use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Less free disk than this stops things soon.
const LITTLE: u64 = 5 << 30;
/// Less than this stops them now.
const NOTHING: u64 = 200 << 20;

/// Write permission and space, folder by folder.
pub(super) fn folders(config: &SpokeConfig, report: &mut Report) {
    let of = |path: PathBuf| path.parent().map(Path::to_owned).unwrap_or_default();
    let mut folders = vec![
        ("audit folder", of(config.audit_log()), "answers stop when it can't be written"),
        ("state folder", of(config.state_db()), "ingest and serve both write in it"),
        ("spill folder", config.spill_dir(), "intermediate results go there"),
    ];
    if !config.store.url.contains("://") {
        folders.insert(0, ("data folder", PathBuf::from(&config.store.url), "ingest publishes there"));
    }
    for (what, path, why) in folders {
        folder(what, &path, why, config.separate_ingest(), report);
    }
}

fn folder(what: &str, path: &Path, why: &str, separate: bool, report: &mut Report) {
    // A folder that isn't there yet is made below the nearest one that is.
    let there = path.ancestors().find(|p| p.exists()).unwrap_or(path);
    match try_write(there) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::PermissionDenied && separate && what == "data folder" => {
            report.ok(what, format!("{}: this user can't write there, as it should be for serve", path.display()));
        }
        Err(error) => {
            let advice = format!(
                "{why}. Give this user the right to write in {} (install-spoke does), or mount the disk writable",
                there.display()
            );
            return report.fail(what, format!("{}: {error}", there.display()), advice);
        }
    }
    match runtime::hardening::free_space(there) {
        Ok(free) if free < NOTHING => {
            report.fail(what, format!("{}: {} MiB free", path.display(), free >> 20), "make room on this disk now");
        }
        Ok(free) if free < LITTLE => {
            report.warn(what, format!("{}: {} MiB free", path.display(), free >> 20), "make room on this disk");
        }
        Ok(free) => report.ok(what, format!("{}: writable, {} GiB free", path.display(), free >> 30)),
        Err(error) => report.warn(what, format!("{}: {error}", path.display()), "look at the disk"),
    }
}

fn try_write(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".eger-doctor-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)
}

/// Nobody else may read what is secret.
pub(super) fn secrets(config: &SpokeConfig, report: &mut Report) {
    let mut paths = vec![config.keys.passphrase_file.clone()];
    paths.extend(config.keys.ingest_passphrase_file.clone());
    for folder in [config.keys_dir(), config.ingest_keys_dir(), config.projects_dir()] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let files = entries.filter_map(Result::ok).map(|entry| entry.path());
        paths.extend(files.filter(|path| path.extension().is_some_and(|e| e == "key" || e == "new")));
    }
    paths.sort();
    paths.dedup();
    let mut exposed = 0;
    for path in &paths {
        if let Some(mode) = mode_of(path).filter(|mode| mode & 0o077 != 0) {
            exposed += 1;
            let found = format!("{}: mode {:o}, others can read it", path.display(), mode & 0o777);
            report.fail("secret files", found, format!("chmod 600 {}", path.display()));
        }
    }
    if exposed == 0 {
        report.ok("secret files", format!("{} files, readable by their owner alone", paths.len()));
    }
}

#[cfg(unix)]
fn mode_of(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).ok().map(|meta| meta.permissions().mode())
}

#[cfg(not(unix))]
fn mode_of(_: &Path) -> Option<u32> {
    None
}

/// Whether each passphrase opens its keys. Where `ingest` runs as another user, each user sees its own alone.
pub(super) fn keys(config: &SpokeConfig, report: &mut Report) {
    let separate = config.separate_ingest();
    if let Some(pass) = passphrase("passphrase", config.passphrase(), separate, report) {
        let own = config.keys_dir().join("signing.key");
        open("store key", &config.store_key(), StoreKey::load(&config.store_key(), &pass).map(drop), report);
        open("identity key", &config.identity_key(), Identity::load(&config.identity_key(), &pass).map(drop), report);
        if own.exists() {
            open("signing key", &own, SigningKey::load(&own, SPOKE_SIGNING_CONTEXT, &pass).map(drop), report);
        }
    }
    let what = if separate { "ingest's passphrase" } else { "passphrase" };
    if let Some(pass) = passphrase(what, config.ingest_passphrase(), separate, report) {
        open("cache key", &config.cache_key(), CacheKey::load(&config.cache_key(), &pass).map(drop), report);
    }
    if !separate {
        report.warn(
            "separation",
            "ingest and serve share keys and passphrase",
            "run them as two users, so that who answers the hub can't open the cache of persons: infra/deploy/install-spoke",
        );
    }
}

fn passphrase(
    what: &str,
    found: Result<Passphrase, SealError>,
    separate: bool,
    report: &mut Report,
) -> Option<Passphrase> {
    match found {
        Ok(pass) => Some(pass),
        Err(SealError::Io { path, cause }) if separate && cause.kind() == ErrorKind::PermissionDenied => {
            report.ok(what, format!("{}: not for this user, as it should be", path.display()));
            None
        }
        Err(error) => {
            let advice =
                "put the passphrase back from where it is kept ([keys] in spoke.toml names the file or credential)";
            report.fail(what, error.to_string(), advice);
            None
        }
    }
}

/// What can be wrong with a key file, whichever kind of key it holds.
trait Trouble: std::fmt::Display {
    fn cause(&self) -> Option<&SealError>;
}

impl Trouble for KeyError {
    fn cause(&self) -> Option<&SealError> {
        if let Self::Sealed { cause, .. } = self { Some(cause) } else { None }
    }
}

impl Trouble for SigningKeyError {
    fn cause(&self) -> Option<&SealError> {
        if let Self::Sealed { cause, .. } = self { Some(cause) } else { None }
    }
}

fn open<E: Trouble>(what: &str, path: &Path, result: Result<(), E>, report: &mut Report) {
    let Err(error) = result else { return report.ok(what, "opens") };
    let advice = match error.cause() {
        Some(SealError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => {
            "restore it from your backup; on a new spoke run: spoke init".to_owned()
        }
        Some(SealError::Io { cause, .. }) if cause.kind() == ErrorKind::PermissionDenied => {
            format!("run this as the user that owns {}", path.display())
        }
        Some(SealError::Exposed { .. }) => format!("chmod 600 {}", path.display()),
        _ => "the passphrase and the key file don't belong together: restore both from the same backup".to_owned(),
    };
    report.fail(what, error.to_string(), advice);
}
