//! `K_project`: made by the lead's spoke, sealed to each member's identity, opened there. The sealed bytes travel by any
//! way, the hub's included: who has not the member's private key can't open them, and who has not the lead's can't make
//! them (HPKE in its authenticated mode).
//!
//! Whether a key may be made, given or taken is decided in [`crate::member`]; here are only the key and its forms.
//!
//! INVARIANT: the key itself is written only sealed: under the own passphrase, or to a member's identity.

mod error;
mod file;
mod sealed;

pub use error::ProjectKeyError;
pub use sealed::SealedKey;

use super::{
    identity::Identity,
    keys::{self, KeyError, ProjectKey, Secret},
};
use proto::ids::{ControllerId, ProjectId};
use runtime::seal::Passphrase;
use std::path::{Path, PathBuf};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A project's key of one epoch, in the hands of a member.
#[derive(ZeroizeOnDrop)]
pub struct Held {
    pub(super) secret: Secret,
    #[zeroize(skip)]
    pub(super) project: ProjectId,
    #[zeroize(skip)]
    pub(super) epoch: u32,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({}, epoch {}, {})", self.project, self.epoch, self.key_id())
    }
}

/// Layout of the own file's sealed content: version, epoch, key.
const VERSION: u8 = 2;
const HELD: usize = 1 + 4 + 32;

impl Held {
    /// A new key.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn new(project: ProjectId, epoch: u32) -> Result<Self, ProjectKeyError> {
        Ok(Self { secret: Secret::random()?, project, epoch })
    }

    /// Of which epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Public id of the key.
    #[must_use]
    pub fn key_id(&self) -> String {
        ProjectKey::new(&self.secret, self.project.clone(), self.epoch).kid().to_owned()
    }

    fn context(project: &str) -> String {
        format!("eger/spoke/project-key/v1/{project}")
    }

    /// The key of the own sealed file, whose name is part of its seal.
    ///
    /// # Errors
    /// When it can't be read, the passphrase is another, or it is of another project.
    pub fn load(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { path: path.to_owned() };
        let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(malformed)?;
        let project: ProjectId = name.parse().map_err(|_| malformed())?;
        let plain = keys::read(path, &Self::context(name), pass)?;
        let [VERSION, rest @ ..] = plain.as_slice() else { return Err(malformed()) };
        let (epoch, secret) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        Ok(Self {
            secret: Secret::from_slice(secret).ok_or_else(malformed)?,
            project,
            epoch: u32::from_le_bytes(*epoch),
        })
    }

    /// Writes the own sealed file in place of an older epoch's, whose bytes are overwritten.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn store(&self, projects: &Path, pass: &Passphrase) -> Result<(), ProjectKeyError> {
        let path = path_of(projects, &self.project);
        std::fs::create_dir_all(projects).map_err(io(projects))?;
        let old = file::Old::of(&path).map_err(io(&path))?;
        let mut plain = Zeroizing::new(Vec::with_capacity(HELD));
        plain.push(VERSION);
        plain.extend_from_slice(&self.epoch.to_le_bytes());
        plain.extend_from_slice(&self.secret.0);
        keys::write(&path, &Self::context(self.project.as_ref()), pass, &plain)?;
        old.overwrite().map_err(io(&path))
    }

    /// Seals the key to one member.
    ///
    /// # Errors
    /// When the member's public key can't be used.
    pub fn seal_to(
        &self,
        from: (&ControllerId, &Identity),
        to: &ControllerId,
        key: &super::identity::PublicKey,
    ) -> Result<SealedKey, ProjectKeyError> {
        SealedKey::seal(self, from, to, key)
    }
}

/// Where a spoke keeps a project's key: `<projects>/<project>.key`.
#[must_use]
pub fn path_of(projects: &Path, project: &ProjectId) -> PathBuf {
    projects.join(format!("{project}.key"))
}

/// Overwrites and removes the key of a project. `false`: there was none.
///
/// # Errors
/// When the file can't be overwritten or removed.
pub fn destroy(projects: &Path, project: &ProjectId) -> Result<bool, ProjectKeyError> {
    let path = path_of(projects, project);
    file::destroy(&path).map_err(io(&path))
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ProjectKeyError + use<> {
    let path = path.to_owned();
    move |cause| ProjectKeyError::Io { path: path.clone(), cause }
}

#[cfg(test)]
mod tests;
