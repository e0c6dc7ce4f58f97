//! S on disk -> a project's pseudonym, and back for the constants of filters: `AES(K_project, AES^-1(K_store, S))`
//! over whole columns.
//!
//! INVARIANT: P exists only between the two ciphers, a few blocks at a time, inside the buffer that then takes
//! the pseudonym. Afterwards no memory, stack or register that the ciphers used holds a P.

use super::keys::{ProjectKey, StoreKey};
use aes::{
    Aes256, Block,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt},
};
use arrow::{
    array::{Array, FixedSizeBinaryArray},
    buffer::Buffer,
    error::ArrowError,
};

/// Width of S and of a pseudonym.
pub const WIDTH: i32 = 16;
const BYTES: usize = 16;
/// Bytes recoded at once: both passes stay in the first-level cache.
const CHUNK: usize = 256 * BYTES;
/// Enough blocks to run through the ciphers' parallel paths and their remainder paths (widest: 64 blocks).
const SCRUB: usize = 127 * BYTES;

/// Which kind of column: they are under different sub-keys, so that a person's pseudonym never equals a key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// a person
    Person,
    /// a linking key, such as a contact's id
    Key,
}

/// Why a column can't be recoded.
#[derive(Debug, thiserror::Error)]
pub enum RecodeError {
    /// The values have another width.
    #[error("a person or key column must hold 16 bytes a value, this one holds {0}")]
    Width(i32),
    /// Arrow refused the result.
    #[error("the recoded column can't be built: {0}")]
    Arrow(ArrowError),
}

/// Recodes columns of one spoke for one project.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct Recoder {
    store: Aes256,
    project: Aes256,
}

impl std::fmt::Debug for Recoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recoder(..)")
    }
}

impl Recoder {
    /// A recoder from the store's to the project's form.
    #[must_use]
    pub fn new(store: &StoreKey, project: &ProjectKey, role: Role) -> Self {
        let (store, project) = match role {
            Role::Person => (&store.person, &project.person),
            Role::Key => (&store.key, &project.key),
        };
        Self { store: store.clone(), project: project.clone() }
    }

    /// A column of S as a column of the project's pseudonyms. Nulls stay null (their hidden bytes become zero).
    ///
    /// # Errors
    /// When the column is not 16 bytes wide.
    pub fn forward(&self, array: &FixedSizeBinaryArray) -> Result<FixedSizeBinaryArray, RecodeError> {
        if array.value_length() != WIDTH {
            return Err(RecodeError::Width(array.value_length()));
        }
        let mut nothing = [0; SCRUB];
        let mut bytes = Vec::with_capacity(array.len() * BYTES);
        for part in array.value_data().chunks(CHUNK) {
            let from = bytes.len();
            bytes.extend_from_slice(part);
            pass(&self.store, &self.project, bytes.get_mut(from..).unwrap_or_default());
        }
        pass(&self.store, &self.project, &mut nothing);
        std::hint::black_box(&nothing);
        if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
            for (value, valid) in bytes.chunks_exact_mut(BYTES).zip(nulls.iter()) {
                if !valid {
                    value.fill(0);
                }
            }
        }
        FixedSizeBinaryArray::try_new(WIDTH, Buffer::from_vec(bytes), array.nulls().cloned())
            .map_err(RecodeError::Arrow)
    }

    /// The S behind a project's pseudonym, for the constants of a filter.
    #[must_use]
    pub fn inverse(&self, pseudonym: &[u8; 16]) -> [u8; 16] {
        let mut value = [*pseudonym];
        self.inverse_all(&mut value);
        let [value] = value;
        value
    }

    /// As [`Recoder::inverse`] for a whole list, in place.
    pub fn inverse_all(&self, pseudonyms: &mut [[u8; 16]]) {
        let mut nothing = [0; SCRUB];
        for part in pseudonyms.as_flattened_mut().chunks_mut(CHUNK) {
            pass(&self.project, &self.store, part);
        }
        pass(&self.project, &self.store, &mut nothing);
        std::hint::black_box(&nothing);
    }
}

/// Opens with one cipher and closes with the other, in place. Never inlined: the callers end with a pass over
/// blocks of no meaning, which runs through the same stack frames and registers and so wipes what a P left there.
#[inline(never)]
fn pass(open: &Aes256, close: &Aes256, bytes: &mut [u8]) {
    let (blocks, _) = Block::slice_as_chunks_mut(bytes);
    open.decrypt_blocks(blocks);
    close.encrypt_blocks(blocks);
}

#[cfg(test)]
mod tests;
