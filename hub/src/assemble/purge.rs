//! A controller's data have to go from the hub: a permit was revoked or ended, or people withdrew.
//!
//! INVARIANT: a receipt is signed only when everything that it is about is gone.

use super::store::EpochStore;
use crate::{
    airlock::Airlock,
    audit::{Event, HubAudit},
    release::Ledgers,
};
use async_trait::async_trait;
use chrono::Utc;
use policies::receipt::{Reason, Receipt};
use proto::{
    ids::{ControllerId, ProjectId},
    refusal::{Kind, Refusal},
};
use runtime::sign::SigningKey;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Removes what the hub holds of one controller in one project. The gateway calls it for the controller whose
/// certificate asked.
#[async_trait]
pub trait PurgeHandler: Send + Sync + 'static {
    /// Removes it and says so: the receipt as compact JWS ([`policies::receipt::Receipt`]).
    ///
    /// # Errors
    /// When something could not be removed. The spoke asks again.
    async fn purge(&self, controller: &ControllerId, project: &ProjectId, reason: Reason) -> Result<String, Refusal>;
}

/// Forgets catalogue answers of a controller in a project; says how many.
pub type Forget = dyn Fn(&ControllerId, &ProjectId) -> u64 + Send + Sync;

/// What the hub holds beside the extracts.
pub struct Held {
    /// sealed keys
    pub store: EpochStore,
    /// what was made of data and has not left
    pub airlock: Airlock,
    /// what was released, which goes with the last key: as long as a member has it, the same people can be asked for
    pub ledgers: Ledgers,
    /// catalogue answers
    pub forget: Box<Forget>,
}

/// What the hub holds, and how it goes.
///
/// Tickets and prepared statements are sealed texts in their clients' hands: the hub holds none of them.
pub struct Purger {
    hub: String,
    workspaces: PathBuf,
    key: Arc<SigningKey>,
    audit: HubAudit,
    held: Held,
}

impl Purger {
    /// For the hub `hub`, whose extracts lie in `folder`'s `workspaces/<project>/`.
    #[must_use]
    pub fn new(hub: String, folder: &Path, key: Arc<SigningKey>, audit: HubAudit, held: Held) -> Self {
        Self { hub, workspaces: folder.join("workspaces"), key, audit, held }
    }
}

#[async_trait]
impl PurgeHandler for Purger {
    async fn purge(&self, controller: &ControllerId, project: &ProjectId, reason: Reason) -> Result<String, Refusal> {
        let failed = |what: &str, error: &dyn std::fmt::Display| failed(project, what, error);
        let catalogues = (self.held.forget)(controller, project);
        let sealed_keys = match reason {
            Reason::Revoked | Reason::Expired => {
                self.held.store.remove(project, controller).await.map_err(|error| failed("its sealed key", &error))?
            }
            // The project goes on, and its spoke may still have to get its key. Nothing of people is in it.
            Reason::Withdrawn | Reason::Erased => 0,
        };
        // An extract is joined of all controllers' rows: none of it can stay.
        let folder = self.workspaces.join(project.as_ref());
        let removed = tokio::task::spawn_blocking(move || remove(&folder)).await;
        let (files, bytes) =
            removed.map_err(|error| failed("the extracts", &error))?.map_err(|error| failed("the extracts", &error))?;
        // Nor what was made of them, while it hasn't left.
        let held = self
            .held
            .airlock
            .purge(project, Utc::now())
            .await
            .map_err(|error| failed("what lies in the airlock", &error))?;
        let (files, bytes) = (files + held.0, bytes + held.1);
        let released = match reason {
            Reason::Revoked | Reason::Expired => self.released(project).await?,
            // It names nobody, and the project's later answers have to agree with its earlier ones.
            Reason::Withdrawn | Reason::Erased => (0, 0),
        };
        let (files, bytes) = (files + released.0, bytes + released.1);
        self.audit
            .record(Event::Purged {
                controller: controller.clone(),
                project: project.clone(),
                reason: reason.as_str().to_owned(),
                files,
                bytes,
            })
            .await?;
        let receipt = Receipt {
            hub: self.hub.clone(),
            controller: controller.clone(),
            project: project.clone(),
            reason,
            catalogues,
            sealed_keys,
            files,
            bytes,
            at: Utc::now(),
        };
        tracing::info!(%controller, %project, files, bytes, "removed what the hub held");
        receipt.sign(&self.key).map_err(|error| failed("it and sign for it", &error))
    }
}

impl Purger {
    /// Removes the memory of what was released, when no member is left who has the project's key. Files and bytes.
    async fn released(&self, project: &ProjectId) -> Result<(u64, u64), Refusal> {
        let failed = |error: &dyn std::fmt::Display| failed(project, "the ledger of what was released", error);
        if self.held.store.members(project).await.map_err(|error| failed(&error))? > 0 {
            return Ok((0, 0));
        }
        let (ledgers, of) = (self.held.ledgers.clone(), project.clone());
        let removed = tokio::task::spawn_blocking(move || ledgers.end(&of)).await;
        removed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

fn failed(project: &ProjectId, what: &str, error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%project, %error, what, "what has to go can't be removed");
    Refusal::new(Kind::Unavailable, format!("the hub can't remove {what} at the moment; ask again"))
}

/// Removes a folder with all that is in it. Links are removed, not followed.
fn remove(folder: &Path) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += meta.len();
            }
        }
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ if folder.exists() => Err(io::Error::other("it is still there")),
        _ => Ok((files, bytes)),
    }
}

#[cfg(test)]
mod tests;
