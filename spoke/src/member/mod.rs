//! This spoke as a member of projects: it accepts the others, makes or takes the projects' keys epoch by epoch, and
//! destroys them when they are over.
//!
//! INVARIANT: what counts is this controller's own live permit. Who is a member, whose keys they are and who leads is
//! read there; what the hub brings is compared with it and never believed by itself.

mod actions;
mod destroy;
mod duties;
mod error;
mod group;
mod history;
mod leaving;
mod make;
mod permits;
mod purge;
mod take;
mod witness;

pub use duties::Duties;
pub use error::MemberError;
pub use make::Made;
pub use permits::{LivePermits, Standing};
pub use purge::{Purges, PurgesError, Removal};
pub use witness::Witnessing;

use crate::{
    config::SpokeConfig,
    pseudonym::{
        identity::{Identity, signing},
        project_key::{self, Held},
    },
};
use chrono::Utc;
use history::History;
use policies::{
    epoch::{Acceptance, Holds},
    permit::SignedPermit,
};
use proto::ids::{ControllerId, ProjectId};
use runtime::{audit::AuditLog, seal::Passphrase, sign::SigningKey};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// The key that a file holds, for as long as the file stays the same.
type Known = HashMap<ProjectId, (SystemTime, Holds)>;

/// This spoke's part in all its projects. Everything in here works on files: call it where blocking is allowed.
pub struct Member {
    controller: ControllerId,
    sealing: Identity,
    signing: Arc<SigningKey>,
    projects: PathBuf,
    pass: Passphrase,
    permits: Arc<dyn LivePermits>,
    audit: Arc<AuditLog>,
    known: Mutex<Known>,
    /// one key at a time is made, taken or destroyed
    turn: Mutex<()>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Member({})", self.controller)
    }
}

impl Member {
    /// Opens the spoke's identities.
    ///
    /// # Errors
    /// When a key file can't be opened.
    pub fn open(
        config: &SpokeConfig,
        permits: Arc<dyn LivePermits>,
        audit: Arc<AuditLog>,
    ) -> Result<Self, MemberError> {
        let pass = config.passphrase()?;
        Ok(Self {
            controller: config.controller.clone(),
            sealing: Identity::load(&config.identity_key(), &pass)?,
            signing: Arc::new(signing::load(&config.signing_key(), &pass)?),
            projects: config.projects_dir(),
            pass,
            permits,
            audit,
            known: Mutex::default(),
            turn: Mutex::default(),
        })
    }

    /// The spoke's signing identity.
    #[must_use]
    pub fn signing(&self) -> &Arc<SigningKey> {
        &self.signing
    }

    /// This spoke's signed acceptance of a project's members. `None`: no live permit here.
    ///
    /// # Errors
    /// When the own key file can't be read.
    pub fn accept(&self, project: &ProjectId) -> Result<Option<String>, MemberError> {
        let Some(live) = self.permits.live(project) else { return Ok(None) };
        let permit = live.permit();
        let mut members = permit.members.clone();
        members.sort_by(|a, b| a.controller.cmp(&b.controller));
        let acceptance = Acceptance {
            project: project.clone(),
            controller: self.controller.clone(),
            permit: permit.id,
            members,
            lead: permit.lead.clone(),
            deputy: permit.deputy.clone(),
            sealing: self.sealing.public().to_string(),
            signing: self.signing.public(),
            holds: self.holding(project)?,
            at: Utc::now(),
        };
        Ok(Some(acceptance.sign(&self.signing)?))
    }

    fn permit(&self, project: &ProjectId) -> Result<Arc<SignedPermit>, MemberError> {
        self.permits.live(project).ok_or_else(|| MemberError::NoPermit(project.clone()))
    }

    /// Which key the own file holds. Opening a sealed file is slow on purpose, so it is done once for each.
    fn holding(&self, project: &ProjectId) -> Result<Option<Holds>, MemberError> {
        let path = project_key::path_of(&self.projects, project);
        let changed = match std::fs::metadata(&path).and_then(|meta| meta.modified()) {
            Ok(changed) => changed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.known().remove(project);
                return Ok(None);
            }
            Err(cause) => return Err(MemberError::Io { path, cause }),
        };
        if let Some((at, holds)) = self.known().get(project)
            && *at == changed
        {
            return Ok(Some(holds.clone()));
        }
        let held = Held::load(&path, &self.pass)?;
        let holds = Holds { epoch: held.epoch(), key_id: held.key_id() };
        self.known().insert(project.clone(), (changed, holds.clone()));
        Ok(Some(holds))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self, project: &ProjectId) -> Result<History, MemberError> {
        History::load(&self.projects, project)
    }
}

#[cfg(test)]
mod tests;
