//! What the hub holds of this controller has to go: a permit was revoked or is over, or people withdrew. The hub is
//! asked until there is its signed receipt.
//!
//! What is asked for stands in `receipts/<project>.<reason>.pending`, so that a restart forgets nothing; receipts lie
//! beside it. Of people who leave each change of the lists is asked for by itself, with its version in the name: a receipt
//! for one of them says nothing about those who left while the hub was removing.
//!
//! INVARIANT: a removal is done when there is a receipt signed by the hub's key, for just this removal, on disk and in the audit log.

use super::Witnessing;
use crate::optout::Unasked;
use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use policies::receipt::{Reason, Receipt};
use proto::{
    ids::{ControllerId, ProjectId},
    refusal::Refusal,
};
use runtime::{
    audit::{AuditError, AuditLog},
    seal::write_private,
};
use serde_json::json;
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// The hub has this long.
const IN_TIME: Duration = Duration::hours(24);
/// How often is looked for something to ask.
const ROUND: std::time::Duration = std::time::Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST: Duration = Duration::minutes(5);

/// Asks the hub to remove what it holds.
#[async_trait]
pub trait Removal: Send + Sync + 'static {
    /// Asks once. The receipt, as compact JWS.
    ///
    /// # Errors
    /// When the hub can't be reached or could not remove something.
    async fn purge(&self, project: &ProjectId, reason: Reason) -> Result<String, Refusal>;
}

/// Why a removal can't be asked for or its receipt not be kept.
#[derive(Debug, thiserror::Error)]
pub enum PurgesError {
    /// A file in `receipts/`.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
    /// The hub refused, or is away.
    #[error("the hub: {0}")]
    Hub(#[from] Refusal),
    /// The receipt is not believed.
    #[error("the hub's receipt: {0}")]
    Receipt(#[from] policies::receipt::ReceiptError),
    /// The hub's key is not known.
    #[error("the hub's signing key is not known yet: no checkpoint was exchanged with it")]
    NoKey,
    /// The hub's key can't be read.
    #[error(transparent)]
    Key(#[from] runtime::audit::witness::WitnessError),
    /// The log can't be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Something that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    project: ProjectId,
    reason: Reason,
    /// the lists' version, when people left
    version: Option<u64>,
    /// asked for since then; receipts from before don't count
    since: DateTime<Utc>,
    /// what it is about came about then, and the hub's time runs from then on
    from: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct Tries {
    count: u32,
    next: Option<DateTime<Utc>>,
    warned: bool,
    said: String,
}

/// Removals that are asked for. Cheap to ask for from anywhere; asked of the hub by [`Purges::run`].
#[derive(Debug)]
pub struct Purges {
    folder: PathBuf,
    controller: ControllerId,
    audit: Arc<AuditLog>,
    hub: Arc<Witnessing>,
    tries: Mutex<HashMap<PathBuf, Tries>>,
}

impl Purges {
    /// Receipts are kept in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf, controller: ControllerId, audit: Arc<AuditLog>, hub: Arc<Witnessing>) -> Self {
        Self { folder, controller, audit, hub, tries: Mutex::default() }
    }

    /// From now on the hub has to remove what it holds of this controller in `project`.
    ///
    /// # Errors
    /// When that can't be written down.
    pub fn ask(&self, project: &ProjectId, reason: Reason) -> Result<(), PurgesError> {
        self.write_down(&format!("{project}.{}", reason.as_str()), "")
    }

    /// As [`Purges::ask`], because of people who left.
    ///
    /// # Errors
    /// When that can't be written down.
    pub fn ask_about(&self, project: &ProjectId, change: &Unasked) -> Result<(), PurgesError> {
        let from = change.since.to_rfc3339();
        self.write_down(&format!("{project}.{}.{}", change.reason.as_str(), change.version), &from)
    }

    fn write_down(&self, name: &str, from: &str) -> Result<(), PurgesError> {
        std::fs::create_dir_all(&self.folder).map_err(io_at(&self.folder))?;
        let path = self.folder.join(format!("{name}.pending"));
        if path.exists() {
            return Ok(());
        }
        let text = format!("{}\n{from}\n", Utc::now().to_rfc3339());
        write_private(&path, text.as_bytes()).map_err(io_at(&path))
    }

    /// Asks the hub, again and again, until `stop`.
    pub async fn run(self: Arc<Self>, removal: Arc<dyn Removal>, stop: CancellationToken) {
        let mut round = tokio::time::interval(ROUND);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = round.tick() => {}
            }
            self.round(removal.as_ref(), Utc::now()).await;
        }
    }

    /// Asks for everything that is due at `now`.
    pub(super) async fn round(&self, removal: &dyn Removal, now: DateTime<Utc>) {
        let pending = match self.pending() {
            Ok(pending) => pending,
            Err(error) => {
                tracing::error!(%error, "it can't be read what the hub has to remove");
                return;
            }
        };
        for (path, pending) in pending {
            if self.tries().get(&path).and_then(|tries| tries.next).is_some_and(|next| now < next) {
                continue;
            }
            match self.remove(removal, &path, &pending).await {
                Ok(()) => {
                    self.tries().remove(&path);
                }
                Err(error) => self.failed(&path, &pending, &error, now),
            }
        }
    }

    async fn remove(&self, removal: &dyn Removal, path: &Path, pending: &Pending) -> Result<(), PurgesError> {
        // Without the hub's key nothing that it says could be believed.
        let key = self.hub.hub_key()?.ok_or(PurgesError::NoKey)?;
        let text = removal.purge(&pending.project, pending.reason).await?;
        let receipt = Receipt::verify(&text, &key, &self.controller, &pending.project, pending.reason, pending.since)?;
        let kept = path.with_extension(format!("{}.jws", receipt.at.format("%Y%m%dT%H%M%S")));
        write_private(&kept, text.as_bytes()).map_err(io_at(&kept))?;
        self.audit.append(&json!({
            "event": "receipt", "project": receipt.project, "reason": receipt.reason, "version": pending.version,
            "hub": receipt.hub, "files": receipt.files, "bytes": receipt.bytes, "sealed_keys": receipt.sealed_keys, "at": receipt.at,
        }))?;
        std::fs::remove_file(path).map_err(io_at(path))?;
        tracing::info!(project = %receipt.project, files = receipt.files, "the hub has removed what it held; its receipt is kept");
        Ok(())
    }

    fn failed(&self, path: &Path, pending: &Pending, error: &PurgesError, now: DateTime<Utc>) {
        let mut all = self.tries();
        let tries = all.entry(path.to_owned()).or_default();
        tries.count = tries.count.saturating_add(1);
        let wait = Duration::seconds(1 << tries.count.min(9)).min(LONGEST);
        tries.next = Some(now + wait);
        let text = error.to_string();
        if tries.said != text {
            tracing::warn!(project = %pending.project, %error, "no receipt from the hub yet; it is asked again");
            tries.said = text;
        }
        if !tries.warned && now - pending.from > IN_TIME {
            tries.warned = true;
            tracing::error!(
                project = %pending.project, since = %pending.from,
                "the hub has had 24 hours to remove what it holds of this controller, and there is no receipt. Ask its operator"
            );
            let event = json!({
                "event": "alarm", "what": "no receipt from the hub within 24 hours", "project": pending.project,
                "reason": pending.reason, "version": pending.version, "since": pending.from,
            });
            if let Err(error) = self.audit.append(&event) {
                tracing::error!(%error, "the alarm can't be written to the audit log");
            }
        }
    }

    fn pending(&self) -> Result<Vec<(PathBuf, Pending)>, PurgesError> {
        let listing = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(io_at(&self.folder))?,
        };
        let mut all = Vec::new();
        for entry in listing {
            let path = entry.map_err(io_at(&self.folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".pending"));
            let Some((project, reason, version)) = name.and_then(named) else { continue };
            let text = std::fs::read_to_string(&path).map_err(io_at(&path))?;
            let mut times = text.lines().map(|line| line.parse().ok());
            let since = times.next().flatten().unwrap_or_else(Utc::now);
            let from = times.next().flatten().unwrap_or(since);
            all.push((path, Pending { project, reason, version, since, from }));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file's name says that is asked for.
fn named(name: &str) -> Option<(ProjectId, Reason, Option<u64>)> {
    let (project, reason) = name.split_once('.')?;
    let (reason, version) = match reason.split_once('.') {
        Some((reason, version)) => (reason, Some(version.parse().ok()?)),
        None => (reason, None),
    };
    Some((project.parse().ok()?, Reason::parse(reason)?, version))
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> PurgesError + use<> {
    let path = path.to_owned();
    move |cause| PurgesError::Io { path: path.clone(), cause }
}
