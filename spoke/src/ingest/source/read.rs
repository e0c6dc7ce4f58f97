//! Reading a file's bytes in chunks, from a disk or an object store alike, with a digest of what was read.

use super::{Place, SourceError, SourceFile};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};
use std::{fs::File, io::Read};
use tokio::runtime::Handle;

/// Bytes that are asked for at a time.
pub(crate) const CHUNK: usize = 1 << 20;

/// Reads one file from its start to its end, for use on a thread that may block.
pub(crate) struct ByteReader {
    file: SourceFile,
    from: From,
    digest: Sha256,
    read: u64,
}

enum From {
    Local(File),
    Object(Handle, BoxStream<'static, object_store::Result<Bytes>>),
}

impl ByteReader {
    /// Opens a file. Must be called within a runtime that outlives the reader.
    pub(crate) async fn open(file: &SourceFile) -> Result<Self, SourceError> {
        let from = match &file.place {
            Place::Local(path) => {
                let path = path.clone();
                let opened = tokio::task::spawn_blocking(move || File::open(path)).await;
                From::Local(opened.map_err(|error| unreadable(file, error))?.map_err(|error| unreadable(file, error))?)
            }
            Place::Object(store, path) => {
                let got = store.get(path).await.map_err(|error| unreadable(file, error))?;
                From::Object(Handle::current(), got.into_stream())
            }
        };
        Ok(Self { file: file.clone(), from, digest: Sha256::new(), read: 0 })
    }

    /// Appends the next bytes to `buffer`; says how many, 0 at the end. Blocks.
    pub(crate) fn read_into(&mut self, buffer: &mut Vec<u8>) -> Result<usize, SourceError> {
        let start = buffer.len();
        match &mut self.from {
            From::Local(from) => {
                from.take(CHUNK as u64).read_to_end(buffer).map_err(|error| unreadable(&self.file, error))?;
            }
            From::Object(handle, from) => {
                while let Some(bytes) = handle.block_on(from.next()) {
                    let bytes = bytes.map_err(|error| unreadable(&self.file, error))?;
                    buffer.extend_from_slice(&bytes);
                    if !bytes.is_empty() {
                        break;
                    }
                }
            }
        }
        let new = buffer.get(start..).unwrap_or_default();
        self.digest.update(new);
        self.read += new.len() as u64;
        Ok(new.len())
    }

    /// Digest of everything, once the end was reached.
    pub(crate) fn finish(self) -> Result<[u8; 32], SourceError> {
        if self.read != self.file.size {
            return Err(SourceError::Changed { file: self.file.name.to_string() });
        }
        Ok(self.digest.finalize().into())
    }
}

/// Digest of a file without looking at what is in it.
pub(crate) async fn digest_of(file: &SourceFile) -> Result<[u8; 32], SourceError> {
    let mut reader = ByteReader::open(file).await?;
    let name = file.name.to_string();
    let blocking = tokio::task::spawn_blocking(move || {
        let mut buffer = Vec::with_capacity(CHUNK);
        while reader.read_into(&mut buffer)? > 0 {
            buffer.clear();
        }
        reader.finish()
    });
    blocking.await.unwrap_or_else(|error| Err(SourceError::Unreadable { file: name, message: error.to_string() }))
}

fn unreadable(file: &SourceFile, error: impl std::fmt::Display) -> SourceError {
    SourceError::Unreadable { file: file.name.to_string(), message: error.to_string() }
}
