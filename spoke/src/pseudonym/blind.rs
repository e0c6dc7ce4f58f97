//! The client's side of the VOPRF (RFC 9497, ristretto255-SHA512): blinding, and checking and unblinding the
//! answers. Both are arithmetic of tens of microseconds an element, for blocking threads.
//!
//! INVARIANT: an output is used only after its batch's proof was checked against the pinned public key.

use super::cache::{Entries, Entry};
use rand_core06::OsRng;
use std::sync::Arc;
use voprf::{EvaluationElement, Group, Proof, Ristretto255, VoprfClient};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of one element.
pub(super) const ELEMENT: usize = 32;
/// Set in the number of what is no person.
const DOMAIN: u64 = 1 << 63;

/// What is evaluated.
#[derive(Clone)]
pub(super) enum Input {
    /// a normalised person number
    Person(u64),
    /// the name of a key domain
    Domain(Arc<str>),
    /// the RFC's own inputs
    #[cfg(test)]
    Vector(&'static [u8]),
}

impl Input {
    /// The bytes that go into the function.
    fn text(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Person(number) => format!("{number:010}").into_bytes(),
            Self::Domain(name) => format!("key-domain:{name}").into_bytes(),
            #[cfg(test)]
            Self::Vector(bytes) => bytes.to_vec(),
        })
    }

    /// Its number in the cache.
    pub(super) fn id(&self) -> u64 {
        match self {
            Self::Person(number) => *number,
            Self::Domain(name) => domain_id(name),
            #[cfg(test)]
            Self::Vector(bytes) => bytes.len() as u64,
        }
    }
}

/// The number of a key domain in the cache: no person's number has the top bit.
pub(super) fn domain_id(name: &str) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(name.as_bytes());
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    u64::from_be_bytes(first) | DOMAIN
}

/// Whether a cached number is a key domain's.
pub(super) fn is_domain(id: u64) -> bool {
    id & DOMAIN != 0
}

/// The custodian's public key, pinned at the spoke.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkPublicKey {
    bytes: [u8; ELEMENT],
}

/// A text that is no such key.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a custodian's public key: it is 64 hex digits, as `custodian public-key` prints them")]
pub struct LinkPublicKeyError;

impl LinkPublicKey {
    /// The compressed point.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ELEMENT] {
        self.bytes
    }

    /// The id of the linkage key in file metadata.
    #[must_use]
    pub fn link_kid(&self) -> String {
        super::link_kid(&self.bytes)
    }
}

impl std::str::FromStr for LinkPublicKey {
    type Err = LinkPublicKeyError;

    fn from_str(text: &str) -> Result<Self, LinkPublicKeyError> {
        let bytes = hex::decode(text.trim()).map_err(|_| LinkPublicKeyError)?;
        Ristretto255::deserialize_elem(&bytes).map_err(|_| LinkPublicKeyError)?;
        bytes.try_into().map(|bytes| Self { bytes }).map_err(|_| LinkPublicKeyError)
    }
}

impl std::fmt::Debug for LinkPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkPublicKey({})", hex::encode(self.bytes))
    }
}

/// A blinded batch: what goes out, and what is needed to read the answer.
pub(super) struct Blinded {
    pub(super) inputs: Vec<Input>,
    clients: Vec<VoprfClient<Ristretto255>>,
    pub(super) message: Vec<u8>,
}

/// Blinds a batch.
pub(super) fn blind(inputs: Vec<Input>) -> Result<Blinded, voprf::Error> {
    let mut clients = Vec::with_capacity(inputs.len());
    let mut message = Vec::with_capacity(inputs.len() * ELEMENT);
    for input in &inputs {
        let blinded = VoprfClient::<Ristretto255>::blind(&input.text(), &mut OsRng)?;
        message.extend_from_slice(&blinded.message.serialize());
        clients.push(blinded.state);
    }
    Ok(Blinded { inputs, clients, message })
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// wrong length, or not points
    Malformed,
    /// the proof does not hold under the pinned key
    Proof,
}

impl Blinded {
    /// Checks the answer's proof and gives P of every input: the first 16 bytes of the function's output.
    pub(super) fn finish(&self, evaluated: &[u8], proof: &[u8], key: &LinkPublicKey) -> Result<Entries, Bad> {
        if evaluated.len() != self.message.len() || proof.len() != 2 * ELEMENT {
            return Err(Bad::Malformed);
        }
        let proof = Proof::<Ristretto255>::deserialize(proof).map_err(|_| Bad::Malformed)?;
        let elements = evaluated
            .chunks_exact(ELEMENT)
            .map(|bytes| EvaluationElement::deserialize(bytes).map_err(|_| Bad::Malformed))
            .collect::<Result<Vec<_>, _>>()?;
        let key = Ristretto255::deserialize_elem(&key.bytes).map_err(|_| Bad::Proof)?;
        let texts: Vec<Zeroizing<Vec<u8>>> = self.inputs.iter().map(Input::text).collect();
        let outputs =
            VoprfClient::batch_finalize(&texts, &self.clients, &elements, &proof, key).map_err(|_| Bad::Proof)?;
        let mut entries = Entries(Vec::with_capacity(self.inputs.len()));
        for (input, output) in self.inputs.iter().zip(outputs) {
            let mut output = output.map_err(|_| Bad::Malformed)?;
            let mut entry = Entry { id: input.id(), p: [0; 16] };
            entry.p.copy_from_slice(output.get(..16).unwrap_or_default());
            output.as_mut_slice().zeroize();
            entries.0.push(entry);
            entry.zeroize();
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
