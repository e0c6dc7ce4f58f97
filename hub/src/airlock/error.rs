//! Why a submission could not be taken, changed, reviewed or released.

use super::{at_once::Differs, kind::NoKind, vault::VaultError};
use crate::apply::ApplyError;
use policies::airlock::{Illegal, ReleaseError, ReviewError};
use proto::refusal::Refusal;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum AirlockError {
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// A file can't be taken.
    #[error("{0}")]
    File(String),
    /// A file is of no kind that may leave.
    #[error("the file {0}")]
    Kind(#[from] NoKind),
    /// The state doesn't allow it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The review can't be taken.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// A table doesn't leave at once.
    #[error("{0}: {1}")]
    Differs(String, Differs),
    /// The files can't be kept or read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The crate can't be made.
    #[error("the crate can't be made: {0}")]
    Crate(String),
    /// It can't be signed.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The audit log can't be written.
    #[error(transparent)]
    Audit(#[from] Refusal),
    /// The database can't be used, or holds something that can't be there; or there is no such thing.
    #[error(transparent)]
    Stored(#[from] ApplyError),
}

impl From<sqlx::Error> for AirlockError {
    fn from(error: sqlx::Error) -> Self {
        Self::Stored(error.into())
    }
}
