//! The encrypted cache person -> P on the ingest side: an append-only file.
//!
//! ```text
//! header  "EGER-PERSONS-1\0\0" | file id 16 | linkage public key 32 | nonce 24 | tag 16
//! block   "EGERBLK1" | counter 8 | entries 4 | nonce 24 | sealed (entries x 24 bytes) | tag 16
//! ```
//! XChaCha20-Poly1305 under the cache key; a block is bound to the file's header, its counter and its length. A block
//! is written and synced before anybody uses what is in it. So after a crash only the last block can be damaged: such a
//! tail is cut off. Damage before it is an error that names the file.
//!
//! INVARIANT: P is on disk in this file alone, sealed; a cache of another linkage key is never read.

mod read;

use super::keys::CacheKey;
use chacha20poly1305::{AeadInPlace, KeyInit, XChaCha20Poly1305, XNonce};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const FILE_MAGIC: &[u8; 16] = b"EGER-PERSONS-1\0\0";
const BLOCK_MAGIC: &[u8; 8] = b"EGERBLK1";
const NONCE: usize = 24;
const TAG: usize = 16;
const FILE_ID: usize = 16;
const LINK_KEY: usize = 32;
const HEADER: usize = FILE_MAGIC.len() + FILE_ID + LINK_KEY + NONCE + TAG;
const BLOCK_HEADER: usize = BLOCK_MAGIC.len() + 8 + 4 + NONCE;
const ENTRY: usize = 24;
/// Entries of the largest block: bounds memory while reading and what a crash can cost.
pub(super) const MAX_ENTRIES: usize = 65_536;
const MAX_BLOCK: usize = BLOCK_HEADER + MAX_ENTRIES * ENTRY + TAG;

/// One cached evaluation.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Entry {
    /// the ten-digit person number, or a domain's number with the top bit set
    pub(super) id: u64,
    /// P
    pub(super) p: [u8; 16],
}

/// Entries that wipe themselves.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Entries(pub(super) Vec<Entry>);

/// Takes what is read from the cache.
pub(super) trait Load {
    /// Told first: at most so many entries will come.
    fn expect(&mut self, entries: usize);
    /// A block's entries; their memory is wiped afterwards.
    fn block(&mut self, entries: &[Entry]);
}

/// Why the cache can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The file can't be read or written (such as a full disk).
    #[error("person cache {}: {cause}. Nothing that was published is affected; free the cause and run again", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
    /// Not a cache at all.
    #[error("person cache {}: is not a person cache. Move it away; the next run makes a new one", path.display())]
    Format {
        /// which file
        path: PathBuf,
    },
    /// Another cache key.
    #[error("person cache {}: does not open with this spoke's cache key: the key is another, or the file was changed. \
             Restore both from one backup, or move the file away; the next run asks the custodian for everybody again", path.display())]
    Key {
        /// which file
        path: PathBuf,
    },
    /// Another linkage key.
    #[error("person cache {}: holds pseudonyms of another linkage key ({found}) than the custodian's ({expected}). \
             If the custodian changed its key on purpose, move the file away and ingest every table again", path.display())]
    OtherLinkage {
        /// which file
        path: PathBuf,
        /// key id of the cache
        found: String,
        /// key id that is pinned
        expected: String,
    },
    /// Damage before the last block.
    #[error("person cache {}: is damaged at byte {offset}, before its end, so no crash did it. \
             Restore it from a backup, or move it away; the next run asks the custodian for everybody again", path.display())]
    Damaged {
        /// which file
        path: PathBuf,
        /// where the damaged block begins
        offset: u64,
    },
    /// In use.
    #[error("person cache {}: is in use by another ingest of this spoke. Wait for it to end", path.display())]
    Busy {
        /// which file
        path: PathBuf,
    },
    /// An earlier write failed and could not be undone.
    #[error("person cache {}: an earlier write failed; run again", path.display())]
    Broken {
        /// which file
        path: PathBuf,
    },
}

impl CacheError {
    /// Whether the disk is full or can't be written: a matter of storage, not of data.
    #[must_use]
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Broken { .. })
    }
}

/// The open cache, locked against other processes.
pub(super) struct CacheFile {
    path: PathBuf,
    file: File,
    cipher: XChaCha20Poly1305,
    file_id: [u8; FILE_ID],
    /// number of the next block
    counter: u64,
    /// end of the last good block
    end: u64,
    broken: bool,
}

impl CacheFile {
    /// Opens the cache of the linkage key `link`, or makes it, and hands what is in it to `into`.
    pub(super) fn open(
        path: &Path,
        key: &CacheKey,
        link: &[u8; LINK_KEY],
        into: &mut impl Load,
    ) -> Result<Self, CacheError> {
        let cipher = XChaCha20Poly1305::new((&*key.cipher_key()).into());
        if !path.exists() {
            create(path, &cipher, link)?;
        }
        let io = |cause| CacheError::Io { path: path.to_owned(), cause };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
        }
        let mut cache =
            Self { path: path.to_owned(), file, cipher, file_id: [0; FILE_ID], counter: 0, end: 0, broken: false };
        cache.read_all(link, into)?;
        Ok(cache)
    }

    /// Adds entries durably: when it returns they survive a crash. On an error the file is as before.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), CacheError> {
        if self.broken {
            return Err(CacheError::Broken { path: self.path.clone() });
        }
        for block in entries.chunks(MAX_ENTRIES) {
            let bytes = self.seal(block)?;
            if let Err(cause) = self.write(&bytes) {
                // What got into the file is cut off again; else the next block would stand behind rubbish.
                self.broken = self.file.set_len(self.end).and_then(|()| self.file.sync_data()).is_err();
                return Err(self.io(cause));
            }
            self.end += bytes.len() as u64;
            self.counter += 1;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        // One block, one sync: only the last block of the file can ever be half there.
        self.file.sync_data()
    }

    fn seal(&self, entries: &[Entry]) -> Result<Zeroizing<Vec<u8>>, CacheError> {
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let mut bytes = Zeroizing::new(Vec::with_capacity(BLOCK_HEADER + entries.len() * ENTRY + TAG));
        bytes.extend_from_slice(BLOCK_MAGIC);
        bytes.extend_from_slice(&self.counter.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        let nonce = self.nonce()?;
        bytes.extend_from_slice(&nonce);
        for entry in entries {
            bytes.extend_from_slice(&entry.id.to_le_bytes());
            bytes.extend_from_slice(&entry.p);
        }
        let aad = block_aad(&self.file_id, self.counter, count);
        let body = bytes.get_mut(BLOCK_HEADER..).unwrap_or_default();
        let tag = self
            .cipher
            .encrypt_in_place_detached(XNonce::from_slice(&nonce), &aad, body)
            .map_err(|_| self.io(io::Error::other("the cipher refused")))?;
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    fn nonce(&self) -> Result<[u8; NONCE], CacheError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|e| self.io(io::Error::other(e.to_string())))?;
        Ok(nonce)
    }

    fn io(&self, cause: io::Error) -> CacheError {
        CacheError::Io { path: self.path.clone(), cause }
    }
}

fn block_aad(file_id: &[u8; FILE_ID], counter: u64, count: u32) -> [u8; FILE_ID + 12] {
    let mut aad = [0; FILE_ID + 12];
    let (id, rest) = aad.split_at_mut(FILE_ID);
    let (at, length) = rest.split_at_mut(8);
    id.copy_from_slice(file_id);
    at.copy_from_slice(&counter.to_le_bytes());
    length.copy_from_slice(&count.to_le_bytes());
    aad
}

fn create(path: &Path, cipher: &XChaCha20Poly1305, link: &[u8; LINK_KEY]) -> Result<(), CacheError> {
    let io = |cause| CacheError::Io { path: path.to_owned(), cause };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let mut random = [0; FILE_ID + NONCE];
    getrandom::fill(&mut random).map_err(|e| io(io::Error::other(e.to_string())))?;
    let (id, nonce) = random.split_at(FILE_ID);
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(FILE_MAGIC);
    header.extend_from_slice(id);
    header.extend_from_slice(link);
    // The tag of nothing: it proves the cache key and that the header was not changed.
    let tag = cipher
        .encrypt_in_place_detached(XNonce::from_slice(nonce), &header, &mut [])
        .map_err(|_| io(io::Error::other("the cipher refused")))?;
    header.extend_from_slice(nonce);
    header.extend_from_slice(&tag);
    runtime::seal::write_private(path, &header).map_err(io)
}

#[cfg(test)]
mod tests;
