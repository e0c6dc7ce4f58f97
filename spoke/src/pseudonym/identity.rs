//! The spoke's HPKE identity (RFC 9180, DHKEM X25519 with HKDF-SHA256): to its public key other spokes seal project
//! keys; and its signing identity ([`signing`]). Controllers tell each other the fingerprints themselves; the hub's word
//! does not count.

pub mod signing;

use super::keys::{self, KeyError};
use hpke::{Deserializable, Kem, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256};
use runtime::seal::Passphrase;
use std::{fmt, path::Path, str::FromStr};
use zeroize::{ZeroizeOnDrop, Zeroizing};

pub(super) type Suite = X25519HkdfSha256;
pub(super) type Kdf = HkdfSha256;
pub(super) type Aead = ChaCha20Poly1305;

const CONTEXT: &str = "eger/spoke/identity/v1";

/// A public identity: 32 bytes, written as 64 hex digits.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(pub(super) <Suite as Kem>::PublicKey);

/// A text that is no public key.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a public key: write the 64 hex digits that `spoke identity` prints at the other controller")]
pub struct PublicKeyError;

impl PublicKey {
    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// Short form for people to compare, such as over the telephone: eight groups of four hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        runtime::sign::fingerprint(&self.to_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let bytes = hex::decode(text.trim()).map_err(|_| PublicKeyError)?;
        <Suite as Kem>::PublicKey::from_bytes(&bytes).map(Self).map_err(|_| PublicKeyError)
    }
}

// The private key has something to do when it is dropped only where x25519-dalek wipes, which hpke does not ask of it.
const _: () = assert!(std::mem::needs_drop::<<Suite as Kem>::PrivateKey>(), "x25519-dalek needs its feature zeroize");

/// A spoke's own identity, with its private key, which is wiped when dropped.
pub struct Identity {
    pub(super) private: <Suite as Kem>::PrivateKey,
    public: PublicKey,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public)
    }
}

impl ZeroizeOnDrop for Identity {}

impl Identity {
    fn from_private(private: <Suite as Kem>::PrivateKey) -> Self {
        let public = PublicKey(Suite::sk_to_pk(&private));
        Self { private, public }
    }

    /// A new identity in a new sealed file (`keys/identity.key`).
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn create(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        if path.exists() {
            return Err(KeyError::Exists { path: path.to_owned() });
        }
        let seed = keys::Secret::random()?;
        let (private, _) = Suite::derive_keypair(&seed.0);
        let mut bytes = private.to_bytes();
        let written = keys::write(path, CONTEXT, pass, &bytes);
        zeroize::Zeroize::zeroize(bytes.as_mut_slice());
        written?;
        Ok(Self::from_private(private))
    }

    /// The identity in a sealed file.
    ///
    /// # Errors
    /// When it can't be read, or the passphrase is another.
    pub fn load(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        let bytes: Zeroizing<Vec<u8>> = keys::read(path, CONTEXT, pass)?;
        <Suite as Kem>::PrivateKey::from_bytes(&bytes)
            .map(Self::from_private)
            .map_err(|_| KeyError::Malformed { path: path.to_owned() })
    }

    /// What others seal to: `to_string` is what `spoke identity` prints.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Short form of the public key for people to compare.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint()
    }
}
