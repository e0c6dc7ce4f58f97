//! Key files: sealed under a passphrase, readable by their owner alone.
//!
//! Format: `EGER-SEAL-1`, 16 bytes salt, 24 bytes nonce, ciphertext with tag. The key is
//! Argon2id (RFC 9106, second recommended option: 64 MiB, 3 passes, 1 lane here) of the passphrase, the cipher
//! XChaCha20-Poly1305, and `context` (what the file is for) is authenticated with it, so that one sealed
//! file can't stand in for another.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce, aead::Aead, aead::Payload};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const MAGIC: &[u8; 11] = b"EGER-SEAL-1";
const SALT: usize = 16;
const NONCE: usize = 24;

/// Why a sealed or private file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file can't be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
    /// Others than the owner can read the file.
    #[error("{}: others can read this file; run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// which file
        path: PathBuf,
    },
    /// The passphrase file holds nothing.
    #[error("{}: the passphrase is empty", path.display())]
    Empty {
        /// which file
        path: PathBuf,
    },
    /// Not a sealed file at all.
    #[error("not a sealed file, or cut short")]
    Format,
    /// Wrong passphrase, changed bytes, or a file sealed for something else.
    #[error("can't be opened: the passphrase is wrong, or the file was changed or is for another use")]
    Refused,
    /// Key derivation or the random source failed.
    #[error("sealing failed: {0}")]
    Failed(String),
}

/// A passphrase; wiped when dropped, never printed.
#[derive(ZeroizeOnDrop)]
pub struct Passphrase(Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// The first line of a file that only its owner can read.
    ///
    /// # Errors
    /// When the file is missing, empty, or readable by others.
    pub fn from_file(path: &Path) -> Result<Self, SealError> {
        Self::first_line(path, 0o077)
    }

    fn first_line(path: &Path, forbidden: u32) -> Result<Self, SealError> {
        let bytes = read_unless(path, forbidden)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SealError::Empty { path: path.to_owned() })?;
        let line = text.lines().next().unwrap_or("").trim();
        if line.is_empty() {
            return Err(SealError::Empty { path: path.to_owned() });
        }
        Ok(Self(Zeroizing::new(line.to_owned())))
    }

    /// A passphrase given as text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The first line of a systemd credential (`LoadCredential=NAME:..`). The service manager decides who reads it, and may
    /// do so by an access list, which shows as the group's right: only one that everybody can read is refused.
    ///
    /// # Errors
    /// When the process was started without credentials, or the file is missing, empty or readable by everybody.
    pub fn from_credential(name: &str) -> Result<Self, SealError> {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
        Self::first_line(&Path::new(&folder).join(name), 0o007)
    }

    /// Whether the two are the same words.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }

    /// A new random passphrase of 256 bits, as base64 text to be written to a file.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn random() -> Result<Zeroizing<String>, SealError> {
        use base64::Engine;
        let mut bytes = Zeroizing::new([0u8; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|e| SealError::Failed(e.to_string()))?;
        Ok(Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_ref())))
    }

    fn key(&self, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let failed = |e: argon2::Error| SealError::Failed(e.to_string());
        let params = Params::new(64 * 1024, 3, 1, Some(32)).map_err(failed)?;
        let mut key = Zeroizing::new([0u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.0.as_bytes(), salt, key.as_mut())
            .map_err(failed)?;
        Ok(key)
    }
}

/// Seals `plain` under the passphrase; `context` must be given again to open it.
///
/// # Errors
/// When the operating system gives no randomness or memory.
pub fn seal(pass: &Passphrase, context: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut random = [0u8; SALT + NONCE];
    getrandom::fill(&mut random).map_err(|e| SealError::Failed(e.to_string()))?;
    let (salt, nonce) = random.split_at(SALT);
    let key = pass.key(salt)?;
    let cipher = XChaCha20Poly1305::new(key.as_ref().into());
    let sealed = cipher
        .encrypt(XNonce::from_slice(nonce), Payload { msg: plain, aad: context.as_bytes() })
        .map_err(|_| SealError::Failed("the cipher refused".to_owned()))?;
    let mut out = Vec::with_capacity(MAGIC.len() + random.len() + sealed.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&random);
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// When it is no sealed file, the passphrase or context is another, or a byte was changed.
pub fn open(pass: &Passphrase, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let rest = sealed.strip_prefix(MAGIC.as_slice()).ok_or(SealError::Format)?;
    let (salt, rest) = rest.split_at_checked(SALT).ok_or(SealError::Format)?;
    let (nonce, body) = rest.split_at_checked(NONCE).ok_or(SealError::Format)?;
    let key = pass.key(salt)?;
    let cipher = XChaCha20Poly1305::new(key.as_ref().into());
    cipher
        .decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: context.as_bytes() })
        .map(Zeroizing::new)
        .map_err(|_| SealError::Refused)
}

/// Writes a file that only its owner can read, all at once and durably.
///
/// # Errors
/// When the folder can't be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Reads a file, refusing one that the group or others can read.
///
/// # Errors
/// When it can't be read or is exposed.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SealError> {
    read_unless(path, 0o077)
}

/// Reads a file unless its mode has one of the `forbidden` bits.
fn read_unless(path: &Path, forbidden: u32) -> Result<Zeroizing<Vec<u8>>, SealError> {
    use std::io::Read;
    let wrap = |cause| SealError::Io { path: path.to_owned(), cause };
    let mut file = std::fs::File::open(path).map_err(wrap)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.metadata().map_err(wrap)?.permissions().mode() & forbidden != 0 {
            return Err(SealError::Exposed { path: path.to_owned() });
        }
    }
    let mut bytes = Zeroizing::new(Vec::new());
    if let Err(cause) = file.read_to_end(&mut bytes) {
        bytes.zeroize();
        return Err(wrap(cause));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn opens_only_with_the_passphrase_and_context_it_was_sealed_with() {
        let pass = Passphrase::from_text("correct horse");
        let sealed = seal(&pass, "store key", b"secret").unwrap();
        assert_eq!(open(&pass, "store key", &sealed).unwrap().as_slice(), b"secret");
        assert!(matches!(open(&pass, "cache key", &sealed), Err(SealError::Refused)));
        assert!(matches!(open(&Passphrase::from_text("x"), "store key", &sealed), Err(SealError::Refused)));
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(matches!(open(&pass, "store key", &changed), Err(SealError::Refused)));
        assert!(matches!(open(&pass, "store key", &sealed[..20]), Err(SealError::Format)));
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
    }

    #[test]
    #[cfg(unix)]
    fn a_key_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("eger-seal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("passphrase");
        write_private(&path, b"words\n").unwrap();
        assert!(Passphrase::from_file(&path).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = Passphrase::from_file(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
