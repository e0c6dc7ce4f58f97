//! Sealing to somebody's public key (HPKE, RFC 9180: DHKEM X25519 with HKDF-SHA256, ChaCha20-Poly1305, base mode): only the
//! holder of the private key opens it. Who sealed it is not proven; what must be is signed inside ([`crate::sign`]).
//!
//! INVARIANT: the private key is on disk only sealed under a passphrase, is wiped from memory, and is never printed.

use crate::{
    seal::{self, Passphrase, SealError},
    sign,
};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

type Suite = X25519HkdfSha256;

/// Why a sealing key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The file can't be read, opened or written, or is there already.
    #[error("key {}: {cause}", path.display())]
    File {
        /// which file
        path: PathBuf,
        /// why
        cause: SealError,
    },
    /// There is a key already.
    #[error("{}: a key is already there and is not overwritten", path.display())]
    Exists {
        /// which file
        path: PathBuf,
    },
    /// The file opens but holds something else.
    #[error("key {}: holds no sealing key. Restore it from its backup", path.display())]
    Malformed {
        /// which file
        path: PathBuf,
    },
    /// The operating system gives no randomness.
    #[error("no randomness: {0}")]
    Random(String),
    /// The receiver's key can't be used.
    #[error("it can't be sealed to that key")]
    Receiver,
    /// Sealed to somebody else, for another purpose, or changed.
    #[error("it is not sealed to this key for this purpose, or was changed")]
    Altered,
}

/// A public key that others seal to: 32 bytes, written as 64 hex digits.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicSealingKey(<Suite as Kem>::PublicKey);

/// A text that is no public sealing key.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a public sealing key: 64 hex digits, as the other party's own command prints them")]
pub struct PublicSealingKeyError;

/// Something sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// the sender's half of the key agreement
    pub encapsulated: Vec<u8>,
    /// what only the receiver reads
    pub ciphertext: Vec<u8>,
}

impl PublicSealingKey {
    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// Short form for people to compare, such as over the telephone: eight groups of four hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        sign::fingerprint(&self.to_bytes())
    }

    /// Seals `plain` for the purpose that `info` names, together with `aad`, which stays readable.
    ///
    /// # Errors
    /// When there is no randomness, or the key can't be used.
    pub fn seal(&self, info: &[u8], aad: &[u8], plain: &[u8]) -> Result<Sealed, SealingError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| SealingError::Random(e.to_string()))?;
        let mut random = ChaCha20Rng::from_seed(*seed);
        let (encapsulated, ciphertext) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Suite, _>(
            &OpModeS::Base,
            &self.0,
            info,
            plain,
            aad,
            &mut random,
        )
        .map_err(|_| SealingError::Receiver)?;
        Ok(Sealed { encapsulated: encapsulated.to_bytes().to_vec(), ciphertext })
    }
}

impl fmt::Display for PublicSealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for PublicSealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicSealingKey({self})")
    }
}

impl FromStr for PublicSealingKey {
    type Err = PublicSealingKeyError;

    fn from_str(text: &str) -> Result<Self, PublicSealingKeyError> {
        let bytes = hex::decode(text.trim()).map_err(|_| PublicSealingKeyError)?;
        <Suite as Kem>::PublicKey::from_bytes(&bytes).map(Self).map_err(|_| PublicSealingKeyError)
    }
}

impl TryFrom<String> for PublicSealingKey {
    type Error = PublicSealingKeyError;

    fn try_from(text: String) -> Result<Self, PublicSealingKeyError> {
        text.parse()
    }
}

impl From<PublicSealingKey> for String {
    fn from(key: PublicSealingKey) -> String {
        key.to_string()
    }
}

// The private key has something to do when it is dropped only where x25519-dalek wipes, which hpke does not ask of it.
const _: () = assert!(std::mem::needs_drop::<<Suite as Kem>::PrivateKey>(), "x25519-dalek needs its feature zeroize");

/// The private key that opens.
pub struct SealingKey {
    private: <Suite as Kem>::PrivateKey,
    public: PublicSealingKey,
}

impl ZeroizeOnDrop for SealingKey {}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.public)
    }
}

impl SealingKey {
    fn from_private(private: <Suite as Kem>::PrivateKey) -> Self {
        let public = PublicSealingKey(Suite::sk_to_pk(&private));
        Self { private, public }
    }

    /// A new key, in memory only.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, SealingError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| SealingError::Random(e.to_string()))?;
        let (private, _) = Suite::derive_keypair(seed.as_ref());
        Ok(Self::from_private(private))
    }

    /// A new key in a new file, sealed under the passphrase for the use that `context` names.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn create(path: &Path, context: &str, pass: &Passphrase) -> Result<Self, SealingError> {
        if path.exists() {
            return Err(SealingError::Exists { path: path.to_owned() });
        }
        let failed = |cause| SealingError::File { path: path.to_owned(), cause };
        let key = Self::generate()?;
        let mut bytes = key.private.to_bytes();
        let sealed = seal::seal(pass, context, &bytes);
        bytes.as_mut_slice().zeroize();
        seal::write_private(path, &sealed.map_err(failed)?)
            .map_err(|cause| failed(SealError::Io { path: path.to_owned(), cause }))?;
        Ok(key)
    }

    /// The key of a sealed file.
    ///
    /// # Errors
    /// When it can't be read, others can read it, the passphrase is another, or it was sealed for another use.
    pub fn load(path: &Path, context: &str, pass: &Passphrase) -> Result<Self, SealingError> {
        let failed = |cause| SealingError::File { path: path.to_owned(), cause };
        let bytes = seal::open(pass, context, &seal::read_private(path).map_err(failed)?).map_err(failed)?;
        <Suite as Kem>::PrivateKey::from_bytes(&bytes)
            .map(Self::from_private)
            .map_err(|_| SealingError::Malformed { path: path.to_owned() })
    }

    /// What others seal to.
    #[must_use]
    pub fn public(&self) -> &PublicSealingKey {
        &self.public
    }

    /// Opens what was sealed to this key for `info`, together with `aad`.
    ///
    /// # Errors
    /// When it was sealed to another key, for another purpose or beside other readable text, or was changed.
    pub fn open(&self, info: &[u8], aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let encapsulated =
            <Suite as Kem>::EncappedKey::from_bytes(&sealed.encapsulated).map_err(|_| SealingError::Altered)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Suite>(
            &OpModeR::Base,
            &self.private,
            &encapsulated,
            info,
            &sealed.ciphertext,
            aad,
        )
        .map(Zeroizing::new)
        .map_err(|_| SealingError::Altered)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_receiver_opens_it_for_the_same_purpose_beside_the_same_text() {
        let (key, other) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        let sealed = key.public().seal(b"seed", b"for a total", b"what is inside").unwrap();
        assert_eq!(key.open(b"seed", b"for a total", &sealed).unwrap().as_slice(), b"what is inside");
        let altered = |result: Result<_, SealingError>| matches!(result, Err(SealingError::Altered));
        assert!(altered(other.open(b"seed", b"for a total", &sealed)));
        assert!(altered(key.open(b"key", b"for a total", &sealed)));
        assert!(altered(key.open(b"seed", b"for another", &sealed)));
        for at in 0..sealed.ciphertext.len() {
            let mut changed = sealed.clone();
            changed.ciphertext[at] ^= 1;
            assert!(altered(key.open(b"seed", b"for a total", &changed)), "byte {at}");
        }
        let again = key.public().seal(b"seed", b"for a total", b"what is inside").unwrap();
        assert!(again != sealed, "the same twice can't be told");
        assert!(altered(key.open(b"seed", b"for a total", &Sealed { encapsulated: vec![0; 32], ..sealed })));
    }

    #[test]
    fn a_key_comes_back_from_its_file_only_with_passphrase_and_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sealing.key");
        let pass = Passphrase::from_text("correct horse");
        let key = SealingKey::create(&path, "totals", &pass).unwrap();
        assert!(matches!(SealingKey::create(&path, "totals", &pass), Err(SealingError::Exists { .. })));
        assert_eq!(SealingKey::load(&path, "totals", &pass).unwrap().public(), key.public());
        assert!(SealingKey::load(&path, "other", &pass).is_err());
        assert_eq!(key.public().to_string().parse::<PublicSealingKey>().unwrap(), *key.public());
        assert!("12".parse::<PublicSealingKey>().is_err());
    }
}
