//! The hub's own log, `audit/hub.log`: who asked what, what was released, who signed in, what the operator and the projects did;
//! and the hub's signing key, `keys/signing.key`.
//!
//! INVARIANT: a question whose entry can't be written is not answered.

mod event;
mod mask;
mod show;

pub use event::Event;
pub use mask::masked;
pub use show::{Filter, ShowError, export, show, verify};

use proto::refusal::{Kind, Refusal};
use runtime::{
    audit::{AuditError, AuditLog},
    seal::{Passphrase, SealError, write_private},
    sign::{SigningKey, SigningKeyError},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const CONTEXT: &str = "eger/hub/signing/v1";

/// Why the hub's log or signing key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HubAuditError {
    /// The log.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// The signing key.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// The passphrase.
    #[error(transparent)]
    Passphrase(#[from] SealError),
    /// A file of the hub's folder.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
}

/// Where a hub's log lies.
#[must_use]
pub fn log_path(folder: &Path) -> PathBuf {
    folder.join("audit").join("hub.log")
}

/// The hub's signing key, sealed under the file `passphrase`; both are made when there is no key yet.
///
/// # Errors
/// When a file can't be read or written, or the passphrase is another.
pub fn signing_key(folder: &Path) -> Result<SigningKey, HubAuditError> {
    let (path, pass) = (folder.join("keys").join("signing.key"), folder.join("passphrase"));
    if path.exists() {
        return Ok(SigningKey::load(&path, CONTEXT, &Passphrase::from_file(&pass)?)?);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| HubAuditError::Io { path: path.clone(), cause }
    };
    std::fs::create_dir_all(folder.join("keys")).map_err(failed(&path))?;
    if !pass.exists() {
        write_private(&pass, format!("{}\n", *Passphrase::random()?).as_bytes()).map_err(failed(&pass))?;
    }
    Ok(SigningKey::create(&path, CONTEXT, &Passphrase::from_file(&pass)?)?)
}

/// The hub's log, for its server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HubAudit(Arc<AuditLog>);

impl HubAudit {
    /// Opens the log of the hub in `folder`, and checks every line.
    ///
    /// # Errors
    /// When it can't be read or written, or was changed.
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        Ok(Self(Arc::new(AuditLog::open(&log_path(folder))?)))
    }

    /// The log itself.
    #[must_use]
    pub fn log(&self) -> &Arc<AuditLog> {
        &self.0
    }

    /// Writes an entry; returns when it is on disk.
    ///
    /// # Errors
    /// When it can't be written: what it is about must not go on.
    pub async fn record(&self, event: Event) -> Result<(), Refusal> {
        let log = Arc::clone(&self.0);
        let written = tokio::task::spawn_blocking(move || log.append(&event)).await;
        match written {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => tracing::error!(%error, "the audit log can't be written"),
            Err(_) => {}
        }
        Err(Refusal::new(
            Kind::Unavailable,
            "the hub can't write its audit log, and answers nothing until it can. Tell the hub's operator",
        ))
    }

    /// Writes an entry some time soon, when nobody can wait for it any more.
    pub(crate) fn record_later(&self, event: Event) {
        let log = Arc::clone(&self.0);
        let write = move || {
            if let Err(error) = log.append(&event) {
                tracing::error!(%error, "the audit log can't be written");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(write)),
            Err(_) => write(),
        }
    }
}

/// Writes one entry; for the operator's commands.
///
/// # Errors
/// When it can't be written.
pub fn note(folder: &Path, event: &Event) -> Result<(), AuditError> {
    AuditLog::open(&log_path(folder))?.append(event).map(drop)
}
