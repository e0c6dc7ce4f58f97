//! The linkage key `k_oprf` and its evaluation: RFC 9497, VOPRF mode, ristretto255-SHA512.
//!
//! INVARIANT: the private key is on disk only sealed, is wiped from memory, and is never printed.

use rand_core06::{CryptoRng, OsRng, RngCore};
use runtime::seal::{self, Passphrase, SealError};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use voprf::{BlindedElement, Group, Ristretto255, VoprfServer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of one blinded or evaluated element.
pub const ELEMENT: usize = 32;
/// What the sealed file is for, authenticated with it.
const CONTEXT: &str = "eger/custodian/linkage-key/v1";
/// Domain separation of the key derivation.
const DERIVE: &[u8] = b"eger/linkage-key/v1";

/// Why there is no linkage key to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key is there already.
    #[error("{}: a linkage key is already there, and every pseudonym depends on it. Choose another folder", path.display())]
    Exists {
        /// which file
        path: PathBuf,
    },
    /// The key file can't be read or opened.
    #[error("linkage key {}: {cause}", path.display())]
    Sealed {
        /// which file
        path: PathBuf,
        /// why
        cause: SealError,
    },
    /// The key file can't be written.
    #[error("linkage key {}: can't be written: {cause}", path.display())]
    Write {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// The file holds something else.
    #[error("linkage key {}: does not hold a ristretto255 key. Restore it from its backup", path.display())]
    Malformed {
        /// which file
        path: PathBuf,
    },
    /// No randomness, or the derivation failed.
    #[error("no linkage key could be made: {0}")]
    Generate(String),
}

/// What is wrong with a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not a positive multiple of the element size.
    #[error("{bytes} bytes are not a whole number of 32-byte elements")]
    Length {
        /// bytes received
        bytes: usize,
    },
    /// A batch without elements.
    #[error("the batch is empty")]
    Empty,
    /// More elements than a proof may cover.
    #[error("{elements} elements, at most {limit} are allowed")]
    TooMany {
        /// elements received
        elements: usize,
        /// most allowed
        limit: usize,
    },
    /// An element that is no point, or the identity.
    #[error("element {index} is not a ristretto255 point other than the identity")]
    Point {
        /// position in the batch, from 0
        index: usize,
    },
    /// The library refused for another reason.
    #[error("the batch can't be evaluated: {0}")]
    Failed(voprf::Error),
}

/// One batch's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// the evaluated elements, 32 bytes each, in the order received
    pub elements: Vec<u8>,
    /// one DLEQ proof over the whole batch
    pub proof: Vec<u8>,
}

/// The linkage key, ready to evaluate.
#[derive(ZeroizeOnDrop)]
pub struct LinkageKey {
    server: VoprfServer<Ristretto255>,
    #[zeroize(skip)]
    public: [u8; ELEMENT],
}

impl std::fmt::Debug for LinkageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkageKey({})", self.link_kid())
    }
}

impl LinkageKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| KeyError::Generate(e.to_string()))?;
        let server =
            VoprfServer::new_from_seed(seed.as_ref(), DERIVE).map_err(|e| KeyError::Generate(e.to_string()))?;
        Ok(Self::from_server(server))
    }

    /// A new random key, sealed into a new file.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn create(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        if path.exists() {
            return Err(KeyError::Exists { path: path.to_owned() });
        }
        let key = Self::generate()?;
        key.save(path, pass)?;
        Ok(key)
    }

    /// Seals the key into a new file.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn save(&self, path: &Path, pass: &Passphrase) -> Result<(), KeyError> {
        if path.exists() {
            return Err(KeyError::Exists { path: path.to_owned() });
        }
        let sealed = seal::seal(pass, CONTEXT, self.secret().as_ref())
            .map_err(|cause| KeyError::Sealed { path: path.to_owned(), cause })?;
        seal::write_private(path, &sealed).map_err(|cause| KeyError::Write { path: path.to_owned(), cause })
    }

    /// The private scalar, for its sealed file and its backup.
    pub(crate) fn secret(&self) -> Zeroizing<[u8; ELEMENT]> {
        let mut pair = self.server.serialize();
        let mut secret = Zeroizing::new([0u8; ELEMENT]);
        // The pair is the scalar, then the public point.
        for (to, from) in secret.iter_mut().zip(pair.iter()) {
            *to = *from;
        }
        pair.as_mut_slice().zeroize();
        secret
    }

    /// The key of a private scalar.
    pub(crate) fn from_secret(secret: &[u8]) -> Result<Self, voprf::Error> {
        VoprfServer::new_with_key(secret).map(Self::from_server)
    }

    /// The key in a sealed file.
    ///
    /// # Errors
    /// When the file can't be read, the passphrase is another, or it holds no key.
    pub fn load(path: &Path, pass: &Passphrase) -> Result<Self, KeyError> {
        let sealed = |cause| KeyError::Sealed { path: path.to_owned(), cause };
        let file = seal::read_private(path).map_err(sealed)?;
        let secret = seal::open(pass, CONTEXT, &file).map_err(sealed)?;
        Self::from_secret(&secret).map_err(|_| KeyError::Malformed { path: path.to_owned() })
    }

    fn from_server(server: VoprfServer<Ristretto255>) -> Self {
        let public = Ristretto255::serialize_elem(server.get_public_key()).into();
        Self { server, public }
    }

    /// The public key that spokes pin: a compressed point.
    #[must_use]
    pub fn public_key(&self) -> [u8; ELEMENT] {
        self.public
    }

    /// The id of this key in file metadata: 16 hex digits of the public key's SHA-256, so that
    /// whoever has the public key can check it.
    #[must_use]
    pub fn link_kid(&self) -> String {
        kid_of(&self.public)
    }

    /// How many elements a batch holds, before any of them is looked at.
    ///
    /// # Errors
    /// When it is empty, not a whole number of elements, or too long.
    pub fn count(blinded: &[u8], limit: usize) -> Result<usize, BatchError> {
        if blinded.is_empty() {
            return Err(BatchError::Empty);
        }
        if !blinded.len().is_multiple_of(ELEMENT) {
            return Err(BatchError::Length { bytes: blinded.len() });
        }
        let elements = blinded.len() / ELEMENT;
        if elements > limit { Err(BatchError::TooMany { elements, limit }) } else { Ok(elements) }
    }

    /// Evaluates a batch of blinded elements and proves that it was done with this key.
    ///
    /// # Errors
    /// When the batch is empty, too long, or an element is no point; the error names it.
    pub fn evaluate(&self, blinded: &[u8], limit: usize) -> Result<Evaluated, BatchError> {
        self.evaluate_with(blinded, limit, &mut OsRng)
    }

    fn evaluate_with(
        &self,
        blinded: &[u8],
        limit: usize,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Evaluated, BatchError> {
        Self::count(blinded, limit)?;
        let points = blinded
            .chunks_exact(ELEMENT)
            .enumerate()
            .map(|(index, bytes)| BlindedElement::deserialize(bytes).map_err(|_| BatchError::Point { index }))
            .collect::<Result<Vec<BlindedElement<Ristretto255>>, _>>()?;
        let prepared: Vec<_> = self.server.batch_blind_evaluate_prepare(points.iter()).collect();
        let done =
            self.server.batch_blind_evaluate_finish(rng, points.iter(), &prepared).map_err(BatchError::Failed)?;
        let mut elements = Vec::with_capacity(blinded.len());
        for element in done.messages {
            elements.extend_from_slice(&element.serialize());
        }
        Ok(Evaluated { elements, proof: done.proof.serialize().to_vec() })
    }
}

/// The id of a key by its public key.
pub(crate) fn kid_of(public: &[u8]) -> String {
    hex::encode(Sha256::digest(public).get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests;
