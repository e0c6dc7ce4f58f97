//! Files of submissions on disk: encrypted, each bound to its submission and name.
//!
//! The key lies in `keys/airlock.key`, sealed under the hub's passphrase as its signing key is. A file is
//! XChaCha20-Poly1305: 24 bytes nonce, ciphertext with tag.
//!
//! INVARIANT: a file is written once; writing it again is an error, whatever is written.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use proto::ids::SubmissionId;
use runtime::seal::{self, Passphrase, SealError};
use std::{
    fmt, io,
    path::{Path, PathBuf},
};
use zeroize::{ZeroizeOnDrop, Zeroizing};

const CONTEXT: &str = "eger/hub/airlock/v1";
const NONCE: usize = 24;

/// Why a file can't be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key or its passphrase.
    #[error("the airlock's key: {0}")]
    Key(#[from] SealError),
    /// A file or folder.
    #[error("{}: {cause}. Check the folder's free space and who owns it", path.display())]
    Io {
        /// which
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
    /// It was changed on disk, or belongs elsewhere.
    #[error("{}: was changed on disk, or is another file's: restore it from its backup", path.display())]
    Changed {
        /// which
        path: PathBuf,
    },
    /// It can't be encrypted.
    #[error("a file can't be encrypted: {0}")]
    Failed(String),
}

impl VaultError {
    /// Whether there is no such file.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }
}

#[derive(ZeroizeOnDrop)]
struct FileKey([u8; 32]);

/// The folder of encrypted files.
pub(super) struct Vault {
    folder: PathBuf,
    key: FileKey,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.folder.display())
    }
}

impl Vault {
    /// Below the hub's folder; makes the key when there is none and no file either.
    pub(super) fn open(hub: &Path) -> Result<Self, VaultError> {
        let (folder, path, pass) = (hub.join("airlock"), hub.join("keys/airlock.key"), hub.join("passphrase"));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| VaultError::Io { path, cause }
        };
        private_folder(&folder).map_err(failed(&folder))?;
        let pass = Passphrase::from_file(&pass)?;
        if path.exists() {
            let plain = seal::open(&pass, CONTEXT, &seal::read_private(&path)?)?;
            let key = plain.as_slice().try_into().map_err(|_| VaultError::Changed { path })?;
            return Ok(Self { folder, key: FileKey(key) });
        }
        let used = std::fs::read_dir(&folder).map_err(failed(&folder))?.next().is_some();
        if used {
            // Another key would open nothing of what is there.
            let cause = io::Error::new(io::ErrorKind::NotFound, "is missing, and there are files of submissions");
            return Err(VaultError::Io { path, cause });
        }
        let mut key = FileKey([0; 32]);
        getrandom::fill(&mut key.0).map_err(|e| VaultError::Failed(e.to_string()))?;
        seal::write_private(&path, &seal::seal(&pass, CONTEXT, &key.0)?).map_err(failed(&path))?;
        Ok(Self { folder, key })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.key.0).into())
    }

    fn path(&self, submission: &SubmissionId, name: &str) -> PathBuf {
        self.folder.join(submission.to_string()).join(format!("{name}.sealed"))
    }

    /// Keeps a file. `name` is a checked file name, or one of the hub's own.
    pub(super) fn put(&self, submission: &SubmissionId, name: &str, plain: &[u8]) -> Result<(), VaultError> {
        let path = self.path(submission, name);
        let failed = |cause| VaultError::Io { path: path.clone(), cause };
        private_folder(&self.folder.join(submission.to_string())).map_err(failed)?;
        if path.exists() {
            return Err(failed(io::Error::from(io::ErrorKind::AlreadyExists)));
        }
        let mut sealed = vec![0; NONCE];
        getrandom::fill(&mut sealed).map_err(|e| VaultError::Failed(e.to_string()))?;
        let payload = Payload { msg: plain, aad: &bound(submission, name) };
        let body = self
            .cipher()
            .encrypt(XNonce::from_slice(&sealed), payload)
            .map_err(|_| VaultError::Failed("the cipher refused".to_owned()))?;
        sealed.extend_from_slice(&body);
        seal::write_private(&path, &sealed).map_err(failed)
    }

    /// The file again.
    pub(super) fn get(&self, submission: &SubmissionId, name: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let path = self.path(submission, name);
        let sealed = std::fs::read(&path).map_err(|cause| VaultError::Io { path: path.clone(), cause })?;
        let changed = || VaultError::Changed { path: path.clone() };
        let (nonce, body) = sealed.split_at_checked(NONCE).ok_or_else(changed)?;
        let payload = Payload { msg: body, aad: &bound(submission, name) };
        self.cipher().decrypt(XNonce::from_slice(nonce), payload).map(Zeroizing::new).map_err(|_| changed())
    }

    /// Removes one file; says whether it was there.
    pub(super) fn remove(&self, submission: &SubmissionId, name: &str) -> Result<bool, VaultError> {
        gone(&self.path(submission, name), |path| std::fs::remove_file(path))
    }

    /// Submissions that have a folder here.
    pub(super) fn kept(&self) -> Result<Vec<SubmissionId>, VaultError> {
        let failed = |cause| VaultError::Io { path: self.folder.clone(), cause };
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            all.extend(entry.map_err(failed)?.file_name().to_str().and_then(|name| name.parse::<SubmissionId>().ok()));
        }
        Ok(all)
    }

    /// Removes all files of a submission.
    pub(super) fn clear(&self, submission: &SubmissionId) -> Result<(), VaultError> {
        gone(&self.folder.join(submission.to_string()), |path| std::fs::remove_dir_all(path)).map(drop)
    }
}

fn gone(path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> Result<bool, VaultError> {
    match remove(path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(VaultError::Io { path: path.to_owned(), cause }),
    }
}

fn bound(submission: &SubmissionId, name: &str) -> Vec<u8> {
    format!("{CONTEXT}\0{submission}\0{name}").into_bytes()
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn vault() -> (tempfile::TempDir, Vault) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        seal::write_private(&folder.path().join("passphrase"), b"words\n").unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        (folder, vault)
    }

    #[test]
    fn a_file_lies_encrypted_and_is_written_once() {
        let (folder, vault) = vault();
        let (id, other) = (SubmissionId::new(), SubmissionId::new());
        vault.put(&id, "a.csv", b"kom,n\n101,12\n").unwrap();
        assert!(vault.put(&id, "a.csv", b"kom,n\n101,13\n").is_err());
        let path = vault.path(&id, "a.csv");
        let sealed = std::fs::read(&path).unwrap();
        assert!(!sealed.windows(6).any(|w| w == b"101,12"));
        // A hub that starts again reads it.
        let again = Vault::open(folder.path()).unwrap();
        assert_eq!(again.get(&id, "a.csv").unwrap().as_slice(), b"kom,n\n101,12\n");
        // It is no other file, and no other submission's.
        for (to, name) in [(&id, "b.csv"), (&other, "a.csv")] {
            vault.put(to, name, b"x").unwrap();
            std::fs::copy(&path, vault.path(to, name)).unwrap();
            assert!(matches!(vault.get(to, name), Err(VaultError::Changed { .. })));
        }
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(matches!(vault.get(&id, "a.csv"), Err(VaultError::Changed { .. })));
        vault.clear(&id).unwrap();
        assert!(!path.exists() && vault.clear(&id).is_ok());
        // Without its key the rest is lost, and no new key says otherwise.
        std::fs::remove_file(folder.path().join("keys/airlock.key")).unwrap();
        assert!(Vault::open(folder.path()).unwrap_err().to_string().contains("is missing"));
    }
}
