//! Why a project key can't be made, sealed or opened; every message says what to do.

use crate::pseudonym::keys::KeyError;
use proto::ids::ControllerId;
use std::path::PathBuf;

/// Why a project key can't be made, sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum ProjectKeyError {
    /// A key file can't be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The own file can't be read, written or removed.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// Not such bytes.
    #[error("what came is no sealed project key: {0}")]
    Format(String),
    /// Sealed to another spoke.
    #[error("the key is sealed to '{to}' (fingerprint {recipient}); this spoke's fingerprint is {own}")]
    Recipient {
        /// whom it names
        to: ControllerId,
        /// the identity it is sealed to
        recipient: String,
        /// the own identity
        own: String,
    },
    /// Bytes were changed, or who is named in it did not make it.
    #[error("the sealed key does not open: it was changed on the way, or was not made by whom it names")]
    Altered,
    /// The cryptographic library refused.
    #[error("the key can't be sealed to '{to}': {reason}. Check the member's public key")]
    Seal {
        /// to whom
        to: ControllerId,
        /// what the library said
        reason: String,
    },
}
