//! One ingest at a time.

use super::IngestError;
use std::{
    fs::{File, TryLockError},
    path::Path,
};

/// Held while an ingest runs; the operating system lets go of it however the process ends.
pub(crate) struct Lock(#[expect(dead_code)] File);

impl Lock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(path: &Path) -> Result<Self, IngestError> {
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(|error| IngestError::disk(path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(IngestError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(IngestError::disk(path, error)),
        }
    }
}
