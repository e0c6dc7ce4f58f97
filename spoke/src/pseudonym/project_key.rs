//! `K_project`: made by the lead's spoke, sealed to each member's identity, imported there. The files travel
//! by any way, the hub's included: who has not the member's private key can't open one, and who has not
//! the lead's can't make one (HPKE in its authenticated mode).
//!
//! INVARIANT: the key itself is written only sealed: under the own passphrase, or to a member's identity.

mod error;
mod sealed;

pub use error::ProjectKeyError;
pub use sealed::SealedFile;

use super::{
    identity::{Identity, PublicKey},
    keys::{self, KeyError, ProjectKey, Secret},
};
use proto::ids::{ControllerId, ProjectId};
use runtime::seal::Passphrase;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a spoke holds of a project in its own sealed file.
pub(super) struct Held {
    pub(super) secret: Secret,
    pub(super) project: ProjectId,
    pub(super) epoch: u32,
    lead: PublicKey,
}

/// Layout of the sealed content: version, epoch, key, lead's public key.
const VERSION: u8 = 1;
const HELD: usize = 1 + 4 + 32 + 32;

impl Held {
    fn context(project: &str) -> String {
        format!("eger/spoke/project-key/v1/{project}")
    }

    pub(super) fn load(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { path: path.to_owned() };
        let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(malformed)?;
        let project: ProjectId = name.parse().map_err(|_| malformed())?;
        let plain = keys::read(path, &Self::context(name), pass)?;
        let [VERSION, rest @ ..] = plain.as_slice() else { return Err(malformed()) };
        let (epoch, rest) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        let (secret, lead) = rest.split_at_checked(32).ok_or_else(malformed)?;
        Ok(Self {
            secret: Secret::from_slice(secret).ok_or_else(malformed)?,
            project,
            epoch: u32::from_le_bytes(*epoch),
            lead: hex::encode(lead).parse().map_err(|_| malformed())?,
        })
    }

    fn store(&self, path: &Path, pass: &Passphrase) -> Result<(), KeyError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(HELD));
        plain.push(VERSION);
        plain.extend_from_slice(&self.epoch.to_le_bytes());
        plain.extend_from_slice(&self.secret.0);
        plain.extend_from_slice(&self.lead.to_bytes());
        keys::write(path, &Self::context(self.project.as_ref()), pass, &plain)
    }
}

/// Where a spoke keeps a project's key: `<projects>/<project>.key`.
#[must_use]
pub fn path_of(projects: &Path, project: &ProjectId) -> PathBuf {
    projects.join(format!("{project}.key"))
}

/// This spoke's own side of a project key: what every function here needs.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// this spoke's controller
    pub controller: &'a ControllerId,
    /// this spoke's identity
    pub identity: &'a Identity,
    /// the folder `projects/`
    pub projects: &'a Path,
    /// seals the own file
    pub pass: &'a Passphrase,
}

/// What [`create`] and [`share`] made.
#[derive(Debug, Clone)]
pub struct Shared {
    /// of which epoch
    pub epoch: u32,
    /// public id of the key
    pub kid: String,
    /// this spoke's own sealed file
    pub own: PathBuf,
    /// for each member the file to hand over
    pub members: Vec<(ControllerId, PathBuf)>,
}

/// Makes a project's key at the lead's spoke: stores it, sealed, as the own key and writes one sealed file for each
/// member into `out` (`<project>.<controller>.projectkey`). With `new_epoch` an existing key is replaced by the next epoch's.
///
/// # Errors
/// When the project has a key already and no new epoch is asked for, or a file can't be written.
pub fn create(
    project: &ProjectId,
    own: Own<'_>,
    members: &[(ControllerId, PublicKey)],
    out: &Path,
    new_epoch: bool,
) -> Result<Shared, ProjectKeyError> {
    let path = path_of(own.projects, project);
    let epoch = match existing(&path, own.pass)? {
        Some(held) if !new_epoch => {
            return Err(ProjectKeyError::Exists { project: project.clone(), epoch: held.epoch });
        }
        // The members know this project's lead, and would refuse a key made by another.
        Some(held) if &held.lead != own.identity.public() => return Err(not_lead(&path, &held, own)),
        Some(held) => held.epoch.saturating_add(1),
        None => 1,
    };
    let held = Held { secret: Secret::random()?, project: project.clone(), epoch, lead: own.identity.public().clone() };
    // The members' files come first: when one can't be written, the old epoch still stands here.
    let members = hand_over(&held, own, members, out)?;
    std::fs::create_dir_all(own.projects).map_err(io(own.projects))?;
    held.store(&path, own.pass)?;
    Ok(Shared { epoch, kid: ProjectKey::new(&held.secret, held.project, epoch).kid().to_owned(), own: path, members })
}

/// Seals the present key to further members, in the same epoch.
///
/// # Errors
/// When the project has no key here, this spoke is not its lead, or a file can't be written.
pub fn share(
    project: &ProjectId,
    own: Own<'_>,
    members: &[(ControllerId, PublicKey)],
    out: &Path,
) -> Result<Shared, ProjectKeyError> {
    let path = path_of(own.projects, project);
    let held = Held::load(&path, own.pass)?;
    if &held.lead != own.identity.public() {
        return Err(not_lead(&path, &held, own));
    }
    let members = hand_over(&held, own, members, out)?;
    let epoch = held.epoch;
    Ok(Shared { epoch, kid: ProjectKey::new(&held.secret, held.project, epoch).kid().to_owned(), own: path, members })
}

/// What [`import`] took in.
#[derive(Debug, Clone)]
pub struct Imported {
    /// which project
    pub project: ProjectId,
    /// of which epoch
    pub epoch: u32,
    /// public id of the key
    pub kid: String,
    /// who made it, by its own word
    pub lead: ControllerId,
    /// the identity that really made it: compare it with what the lead's controller says
    pub lead_fingerprint: String,
    /// whether anything changed (importing the same file again changes nothing)
    pub new: bool,
}

/// Opens a file that the lead sealed to this spoke and stores the key, sealed under the own passphrase.
/// The lead is `lead` when given (get it from the lead's controller, not from the hub); else, the first time, the one
/// that the file proves to be from, and ever after the same one.
///
/// # Errors
/// When it is sealed to somebody else, was changed, is from another lead, or is older than the key here.
pub fn import(file: &Path, own: Own<'_>, lead: Option<&PublicKey>) -> Result<Imported, ProjectKeyError> {
    let sealed = SealedFile::read(file)?;
    let project = sealed.project().clone();
    let path = path_of(own.projects, &project);
    let present = existing(&path, own.pass)?;
    let opened = sealed.open(file, own.identity)?;
    let expected = lead.or(present.as_ref().map(|held| &held.lead));
    if let Some(expected) = expected.filter(|expected| **expected != opened.lead) {
        return Err(ProjectKeyError::Lead {
            path: file.to_owned(),
            project,
            found: opened.lead.fingerprint(),
            expected: expected.fingerprint(),
        });
    }
    let new = match &present {
        Some(held) if opened.epoch < held.epoch => {
            return Err(ProjectKeyError::Older {
                path: file.to_owned(),
                project,
                found: opened.epoch,
                present: held.epoch,
            });
        }
        Some(held) if opened.epoch == held.epoch => {
            let same = ProjectKey::new(&held.secret, project.clone(), held.epoch).kid()
                == ProjectKey::new(&opened.secret, project.clone(), opened.epoch).kid();
            if !same {
                return Err(ProjectKeyError::Conflict { path: file.to_owned(), project, epoch: opened.epoch });
            }
            false
        }
        _ => true,
    };
    if new {
        std::fs::create_dir_all(own.projects).map_err(io(own.projects))?;
        opened.store(&path, own.pass)?;
    }
    Ok(Imported {
        kid: ProjectKey::new(&opened.secret, project.clone(), opened.epoch).kid().to_owned(),
        lead: sealed.lead().clone(),
        lead_fingerprint: opened.lead.fingerprint(),
        epoch: opened.epoch,
        project,
        new,
    })
}

fn not_lead(path: &Path, held: &Held, own: Own<'_>) -> ProjectKeyError {
    ProjectKeyError::NotLead {
        path: path.to_owned(),
        project: held.project.clone(),
        own: own.identity.fingerprint(),
        lead: held.lead.fingerprint(),
    }
}

fn existing(path: &Path, pass: &Passphrase) -> Result<Option<Held>, KeyError> {
    if path.exists() { Held::load(path, pass).map(Some) } else { Ok(None) }
}

fn hand_over(
    held: &Held,
    own: Own<'_>,
    members: &[(ControllerId, PublicKey)],
    out: &Path,
) -> Result<Vec<(ControllerId, PathBuf)>, ProjectKeyError> {
    std::fs::create_dir_all(out).map_err(io(out))?;
    let mut written = Vec::with_capacity(members.len());
    for (member, key) in members {
        let path = out.join(format!("{}.{member}.projectkey", held.project));
        SealedFile::seal(held, own, member, key)?.write(&path)?;
        written.push((member.clone(), path));
    }
    Ok(written)
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ProjectKeyError + use<> {
    let path = path.to_owned();
    move |cause| ProjectKeyError::Io { path: path.clone(), cause }
}

#[cfg(test)]
mod tests;
