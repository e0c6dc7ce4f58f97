//! Reading the cache from its beginning, and telling a torn tail from damage.

use super::{
    BLOCK_HEADER, BLOCK_MAGIC, CacheError, CacheFile, ENTRY, Entries, Entry, FILE_ID, FILE_MAGIC, HEADER, LINK_KEY,
    Load, MAX_BLOCK, MAX_ENTRIES, NONCE, TAG, block_aad,
};
use chacha20poly1305::{AeadInPlace, Tag, XNonce};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use zeroize::Zeroizing;

/// One block's place and length.
struct Block {
    count: u32,
    nonce: [u8; NONCE],
}

impl CacheFile {
    pub(super) fn read_all(&mut self, link: &[u8; LINK_KEY], into: &mut impl Load) -> Result<(), CacheError> {
        let length = self.file.metadata().map_err(|e| self.io(e))?.len();
        let handle = self.file.try_clone().map_err(|e| self.io(e))?;
        let mut input = BufReader::with_capacity(1 << 20, handle);
        self.read_header(&mut input, link)?;
        self.end = HEADER as u64;
        let most = usize::try_from(length.saturating_sub(self.end)).unwrap_or(0) / ENTRY;
        into.expect(most);
        // Room for the largest block: a vector that grows would leave a copy behind unwiped.
        let room = most.min(MAX_ENTRIES);
        let mut body = Zeroizing::new(Vec::with_capacity(room * ENTRY));
        let mut entries = Entries(Vec::with_capacity(room));
        while self.end < length {
            if !self.read_block(&mut input, &mut body)? {
                return self.cut_or_refuse(length);
            }
            entries.0.clear();
            entries.0.extend(body.chunks_exact(ENTRY).filter_map(entry));
            into.block(&entries.0);
            self.end += (BLOCK_HEADER + body.len() + TAG) as u64;
            self.counter += 1;
        }
        Ok(())
    }

    fn read_header(&mut self, input: &mut impl Read, link: &[u8; LINK_KEY]) -> Result<(), CacheError> {
        let format = || CacheError::Format { path: self.path.clone() };
        let mut header = [0; HEADER];
        if !filled(input, &mut header).map_err(|e| self.io(e))? || !header.starts_with(FILE_MAGIC) {
            return Err(format());
        }
        let (signed, rest) = header.split_at(FILE_MAGIC.len() + FILE_ID + LINK_KEY);
        let (nonce, tag) = rest.split_at(NONCE);
        self.cipher
            .decrypt_in_place_detached(XNonce::from_slice(nonce), signed, &mut [], Tag::from_slice(tag))
            .map_err(|_| CacheError::Key { path: self.path.clone() })?;
        let (id, found) = signed.split_at(FILE_MAGIC.len()).1.split_at(FILE_ID);
        if found != link {
            return Err(CacheError::OtherLinkage {
                path: self.path.clone(),
                found: crate::pseudonym::link_kid(found),
                expected: crate::pseudonym::link_kid(link),
            });
        }
        self.file_id.copy_from_slice(id);
        Ok(())
    }

    /// Reads the next block's entries into `body`; false when it is not whole or does not open.
    fn read_block(&self, input: &mut impl Read, body: &mut Zeroizing<Vec<u8>>) -> Result<bool, CacheError> {
        let mut header = [0; BLOCK_HEADER];
        if !filled(input, &mut header).map_err(|e| self.io(e))? {
            return Ok(false);
        }
        let Some(Block { count, nonce }) = self.parse(&header) else { return Ok(false) };
        let entries = usize::try_from(count).unwrap_or(usize::MAX);
        if entries == 0 || entries > MAX_ENTRIES || entries * ENTRY > body.capacity() {
            return Ok(false);
        }
        body.resize(entries * ENTRY, 0);
        let mut tag = [0; TAG];
        let whole = filled(input, body).and_then(|ok| Ok(ok && filled(input, &mut tag)?)).map_err(|e| self.io(e))?;
        let aad = block_aad(&self.file_id, self.counter, count);
        Ok(whole
            && self
                .cipher
                .decrypt_in_place_detached(XNonce::from_slice(&nonce), &aad, body, Tag::from_slice(&tag))
                .is_ok())
    }

    fn parse(&self, header: &[u8; BLOCK_HEADER]) -> Option<Block> {
        let rest = header.strip_prefix(BLOCK_MAGIC)?;
        let (counter, rest) = rest.split_first_chunk::<8>()?;
        let (count, nonce) = rest.split_first_chunk::<4>()?;
        (u64::from_le_bytes(*counter) == self.counter)
            .then(|| Some(Block { count: u32::from_le_bytes(*count), nonce: nonce.try_into().ok()? }))
            .flatten()
    }

    /// At `self.end` stands no good block. A crash can have left one unfinished block at most, the last; whatever is
    /// longer, or has a later block behind it, was damaged otherwise and is not touched.
    fn cut_or_refuse(&mut self, length: u64) -> Result<(), CacheError> {
        let damaged = CacheError::Damaged { path: self.path.clone(), offset: self.end };
        let rest = usize::try_from(length - self.end).unwrap_or(usize::MAX);
        if rest > MAX_BLOCK {
            return Err(damaged);
        }
        let mut tail = vec![0; rest];
        self.file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.read_exact(&mut tail))
            .map_err(|e| self.io(e))?;
        let later = tail.windows(BLOCK_MAGIC.len() + 8).any(|window| {
            window.strip_prefix(BLOCK_MAGIC).and_then(|counter| counter.try_into().ok()).is_some_and(|counter| {
                let counter = u64::from_le_bytes(counter);
                counter > self.counter && counter - self.counter < MAX_BLOCK as u64
            })
        });
        if later {
            return Err(damaged);
        }
        tracing::warn!(
            cache = %self.path.display(),
            bytes = rest,
            "an unfinished block at the end of the person cache was cut off (a crash while ingesting)"
        );
        self.file.set_len(self.end).and_then(|()| self.file.sync_data()).map_err(|e| self.io(e))
    }
}

fn entry(bytes: &[u8]) -> Option<Entry> {
    let (id, p) = bytes.split_first_chunk::<8>()?;
    Some(Entry { id: u64::from_le_bytes(*id), p: p.try_into().ok()? })
}

/// Fills `to`; false at an early end of the file.
fn filled(input: &mut impl Read, to: &mut [u8]) -> std::io::Result<bool> {
    match input.read_exact(to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
