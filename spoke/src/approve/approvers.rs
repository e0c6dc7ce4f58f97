//! The approvers whose signatures count here: `approvers/NAME.pub`, 64 hex digits each.
//!
//! INVARIANT: a key comes in by the controller's own hand only; nothing that arrives over a link is written here.

use runtime::sign::VerifyingKey;
use std::{
    io,
    path::{Path, PathBuf},
};

/// An approver whose key is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// the file's name without its end
    pub name: String,
    /// what their signatures are verified with
    pub key: VerifyingKey,
}

/// All approvers of a spoke.
#[derive(Debug, Clone, Default)]
pub struct Approvers {
    /// usable keys, by name
    pub known: Vec<Approver>,
    /// files that hold no key, with the reason
    pub broken: Vec<(PathBuf, String)>,
}

/// Why an approver can't be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ApproverError {
    /// The name can't be a file's.
    #[error(
        "'{0}' is no name for an approver: use 1 to 64 lower-case letters, digits, '-', '_' or '.', a letter first"
    )]
    Name(String),
    /// There is another key under that name.
    #[error("{}: is there already with another key (fingerprint {fingerprint}). Remove it first: spoke approver untrust {name}", path.display())]
    Other {
        /// which file
        path: PathBuf,
        /// whose
        name: String,
        /// of the key that is there
        fingerprint: String,
    },
    /// Nobody of that name is trusted.
    #[error("nobody called '{0}' is trusted here; see: spoke approver list")]
    Unknown(String),
    /// The folder.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
}

impl Approvers {
    /// Reads the folder; a missing one trusts nobody.
    ///
    /// # Errors
    /// When it can't be listed.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let mut approvers = Self::default();
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(approvers),
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|end| end != "pub") {
                continue;
            }
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let read = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            match read
                .and_then(|text| text.parse().map_err(|error: runtime::sign::VerifyingKeyError| error.to_string()))
            {
                Ok(key) => approvers.known.push(Approver { name, key }),
                Err(reason) => approvers.broken.push((path, reason)),
            }
        }
        approvers.known.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(approvers)
    }

    /// The keys that count.
    pub fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.known.iter().map(|approver| &approver.key)
    }

    /// Whose key it is.
    #[must_use]
    pub fn name_of(&self, key: &VerifyingKey) -> Option<&str> {
        self.known.iter().find(|approver| approver.key == *key).map(|approver| approver.name.as_str())
    }
}

/// Trusts a key under a name.
///
/// # Errors
/// When the name is none, another key stands under it, or the file can't be written.
pub fn trust(folder: &Path, name: &str, key: &VerifyingKey) -> Result<PathBuf, ApproverError> {
    let path = file(folder, name)?;
    let io = |cause| ApproverError::Io { path: path.clone(), cause };
    std::fs::create_dir_all(folder).map_err(io)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.parse::<VerifyingKey>() {
            Ok(there) if there == *key => return Ok(path),
            Ok(there) => {
                let fingerprint = there.fingerprint();
                return Err(ApproverError::Other { path, name: name.to_owned(), fingerprint });
            }
            Err(_) => {}
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    runtime::seal::write_private(&path, format!("{key}\n").as_bytes()).map_err(io)?;
    Ok(path)
}

/// Trusts a name no more: all that this key signed counts no more either.
///
/// # Errors
/// When nobody of that name is trusted, or the file can't be removed.
pub fn untrust(folder: &Path, name: &str) -> Result<(), ApproverError> {
    let path = file(folder, name)?;
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ApproverError::Unknown(name.to_owned())),
        Err(cause) => Err(ApproverError::Io { path, cause }),
    }
}

fn file(folder: &Path, name: &str) -> Result<PathBuf, ApproverError> {
    let fine = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    if fine { Ok(folder.join(format!("{name}.pub"))) } else { Err(ApproverError::Name(name.to_owned())) }
}
