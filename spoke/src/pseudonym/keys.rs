//! The spoke's own secrets: `K_store`, `K_project` and the cache key, each 32 random bytes in a sealed file, and
//! the sub-keys that HKDF-SHA256 derives from them by label.
//!
//! INVARIANT: no key is printed, logged or written unsealed; every copy in memory is wiped when dropped.

use super::OrderKey;
use aes::{
    Aes256,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use hkdf::Hkdf;
use proto::ids::ProjectId;
use runtime::seal::{self, Passphrase, SealError};
use sha2::Sha256;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Why a key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is a key already.
    #[error("{}: a key is already there and is not overwritten", path.display())]
    Exists {
        /// which file
        path: PathBuf,
    },
    /// The file can't be read or opened.
    #[error("key {}: {cause}", path.display())]
    Sealed {
        /// which file
        path: PathBuf,
        /// why
        cause: SealError,
    },
    /// The file can't be written.
    #[error("key {}: can't be written: {cause}", path.display())]
    Write {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// The file opens but holds something else.
    #[error("key {}: holds no key of this kind. Restore it from its backup", path.display())]
    Malformed {
        /// which file
        path: PathBuf,
    },
    /// The operating system gives no randomness.
    #[error("no key could be made: {0}")]
    Random(String),
}

/// 32 secret bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Secret(pub(super) [u8; 32]);

impl Secret {
    pub(super) fn random() -> Result<Self, KeyError> {
        let mut secret = Self([0; 32]);
        getrandom::fill(&mut secret.0).map_err(|e| KeyError::Random(e.to_string()))?;
        Ok(secret)
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// A sub-key for one use.
    pub(super) fn derive(&self, salt: &str, label: &str) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        // Fails only for outputs of more than 8,160 bytes.
        let _ = Hkdf::<Sha256>::new(Some(salt.as_bytes()), &self.0).expand(label.as_bytes(), out.as_mut());
        out
    }

    pub(super) fn cipher(&self, salt: &str, label: &str) -> Aes256 {
        Aes256::new((&*self.derive(salt, label)).into())
    }

    /// A public name for the key: 16 hex digits that tell nothing of it.
    pub(super) fn kid(&self, salt: &str) -> String {
        hex::encode(self.derive(salt, "kid").get(..8).unwrap_or_default())
    }

    pub(super) fn create(path: &Path, context: &str, pass: &Passphrase) -> Result<Self, KeyError> {
        if path.exists() {
            return Err(KeyError::Exists { path: path.to_owned() });
        }
        let secret = Self::random()?;
        write(path, context, pass, &secret.0)?;
        Ok(secret)
    }

    pub(super) fn load(path: &Path, context: &str, pass: &Passphrase) -> Result<Self, KeyError> {
        Self::from_slice(&read(path, context, pass)?).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })
    }
}

pub(super) fn write(path: &Path, context: &str, pass: &Passphrase, plain: &[u8]) -> Result<(), KeyError> {
    let sealed = seal::seal(pass, context, plain).map_err(|cause| KeyError::Sealed { path: path.to_owned(), cause })?;
    seal::write_private(path, &sealed).map_err(|cause| KeyError::Write { path: path.to_owned(), cause })
}

pub(super) fn read(path: &Path, context: &str, pass: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let wrap = |cause| KeyError::Sealed { path: path.to_owned(), cause };
    let file = seal::read_private(path).map_err(wrap)?;
    seal::open(pass, context, &file).map_err(wrap)
}

/// `K_store`: turns P into S, the form on disk. One for each spoke, kept as long as its tables.
#[derive(Clone, ZeroizeOnDrop)]
pub struct StoreKey {
    pub(super) person: Aes256,
    pub(super) key: Aes256,
    rounding: OrderKey,
    #[zeroize(skip)]
    kid: String,
}

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreKey({})", self.kid)
    }
}

impl StoreKey {
    const CONTEXT: &str = "eger/spoke/store-key/v1";

    pub(super) fn from_secret(secret: &Secret) -> Self {
        Self {
            person: secret.cipher(Self::CONTEXT, "person"),
            key: secret.cipher(Self::CONTEXT, "key"),
            rounding: OrderKey::new(&secret.derive(Self::CONTEXT, "statistics")),
            kid: secret.kid(Self::CONTEXT),
        }
    }

    /// Where the classes begin in which statistics are told.
    #[must_use]
    pub fn rounding(&self) -> &OrderKey {
        &self.rounding
    }

    /// A new key in a new sealed file (`keys/store.key`).
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn create(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        Secret::create(path, Self::CONTEXT, pass).map(|secret| Self::from_secret(&secret))
    }

    /// The key in a sealed file.
    ///
    /// # Errors
    /// When it can't be read, or the passphrase is another.
    pub fn load(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        Secret::load(path, Self::CONTEXT, pass).map(|secret| Self::from_secret(&secret))
    }

    /// The same key in another new sealed file, under another passphrase.
    ///
    /// # Errors
    /// When the first can't be opened, the second exists or can't be written.
    pub fn copy(from: &Path, pass: &Passphrase, to: &Path, other: &Passphrase) -> Result<(), KeyError> {
        if to.exists() {
            return Err(KeyError::Exists { path: to.to_owned() });
        }
        let secret = Secret::load(from, Self::CONTEXT, pass)?;
        write(to, Self::CONTEXT, other, &secret.0)
    }

    /// Public id of the key, for file metadata (`store_kid`).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// S of a person.
    #[must_use]
    pub fn stored_person(&self, p: &[u8; 16]) -> [u8; 16] {
        encrypt(&self.person, p)
    }

    /// S of a hashed key value.
    #[must_use]
    pub fn stored_key(&self, hash: &[u8; 16]) -> [u8; 16] {
        encrypt(&self.key, hash)
    }
}

fn encrypt(cipher: &Aes256, block: &[u8; 16]) -> [u8; 16] {
    let mut block = aes::Block::from(*block);
    cipher.encrypt_block(&mut block);
    block.into()
}

/// `K_project` of one epoch: turns S into the project's own pseudonyms.
#[derive(Clone, ZeroizeOnDrop)]
pub struct ProjectKey {
    pub(super) person: Aes256,
    pub(super) key: Aes256,
    order: Zeroizing<[u8; 32]>,
    #[zeroize(skip)]
    project: ProjectId,
    #[zeroize(skip)]
    epoch: u32,
    #[zeroize(skip)]
    kid: String,
}

impl std::fmt::Debug for ProjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProjectKey({}, epoch {}, {})", self.project, self.epoch, self.kid)
    }
}

impl ProjectKey {
    const SALT: &str = "eger/project-key/v1";

    pub(super) fn new(secret: &Secret, project: ProjectId, epoch: u32) -> Self {
        Self {
            person: secret.cipher(Self::SALT, "person"),
            key: secret.cipher(Self::SALT, "key"),
            order: secret.derive(Self::SALT, "order"),
            kid: secret.kid(Self::SALT),
            project,
            epoch,
        }
    }

    /// The project's key from `projects/<project>.key`. The file's name is part of its seal: a renamed
    /// file does not open.
    ///
    /// # Errors
    /// When it can't be read, the passphrase is another, or it is of another project.
    pub fn load(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        let held = super::project_key::Held::load(path, pass)?;
        Ok(Self::new(&held.secret, held.project.clone(), held.epoch))
    }

    /// Whose key it is.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.project
    }

    /// From 1; a new epoch gives everybody new pseudonyms.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Public id of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key of row order, for this project alone.
    #[must_use]
    pub fn order(&self) -> super::OrderKey {
        super::OrderKey::new(&self.order)
    }
}

/// What the members of the quick test's group share: of it each request's own key is made.
///
/// INVARIANT: no column is ever recoded by it as it is.
#[derive(Clone, ZeroizeOnDrop)]
pub struct GroupSecret(Secret);

impl std::fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupSecret(..)")
    }
}

impl GroupSecret {
    const SALT: &str = "eger/quick-test/v1";

    /// The group's secret from `projects/quick-test.key`.
    ///
    /// # Errors
    /// As [`ProjectKey::load`].
    pub fn load(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        Ok(Self(super::project_key::Held::load(path, pass)?.secret.clone()))
    }

    /// The key of one request: HKDF-SHA256 of the secret, of the request's nonce and of the digest of all that it asks. Who
    /// asks anything else, or again, gets other pseudonyms.
    #[must_use]
    pub fn request(&self, nonce: &[u8], digest: &[u8; 32], epoch: u32) -> ProjectKey {
        let salt = format!("{}/{}", Self::SALT, hex::encode(nonce));
        let secret = Secret(*self.0.derive(&salt, &hex::encode(digest)));
        ProjectKey::new(&secret, ProjectId::quick_test(), epoch)
    }
}

/// Opens the encrypted cache of person numbers. Only `ingest` may read its file.
#[derive(ZeroizeOnDrop)]
pub struct CacheKey(pub(super) Secret);

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheKey(..)")
    }
}

impl CacheKey {
    const CONTEXT: &str = "eger/spoke/cache-key/v1";

    /// A new key in a new sealed file (`keys/cache.key`).
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn create(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        Secret::create(path, Self::CONTEXT, pass).map(Self)
    }

    /// The key in a sealed file.
    ///
    /// # Errors
    /// When it can't be read, or the passphrase is another.
    pub fn load(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        Secret::load(path, Self::CONTEXT, pass).map(Self)
    }

    pub(super) fn cipher_key(&self) -> Zeroizing<[u8; 32]> {
        self.0.derive(Self::CONTEXT, "cache")
    }
}
