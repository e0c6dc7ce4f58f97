//! Why a project key can't be made, shared or imported; every message says what to do.

use crate::pseudonym::keys::KeyError;
use proto::ids::{ControllerId, ProjectId};
use std::path::PathBuf;

/// Why a project key can't be made, shared or imported.
#[derive(Debug, thiserror::Error)]
pub enum ProjectKeyError {
    /// A key file can't be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file to hand over can't be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// The project has a key already.
    #[error(
        "project '{project}' already has a key, epoch {epoch}. To give it to one more member, share it; \
             a new epoch gives everybody in the project new pseudonyms, ask for it explicitly"
    )]
    Exists {
        /// which project
        project: ProjectId,
        /// its present epoch
        epoch: u32,
    },
    /// Not such a file.
    #[error("{}: is not a sealed project key: {reason}", path.display())]
    Format {
        /// which file
        path: PathBuf,
        /// what is wrong
        reason: String,
    },
    /// Sealed to another spoke.
    #[error("{}: is sealed to '{to}' (fingerprint {recipient}), this spoke's fingerprint is {own}. \
             Ask the lead to seal it to the public key that `spoke identity` prints here", path.display())]
    Recipient {
        /// which file
        path: PathBuf,
        /// whom it names
        to: ControllerId,
        /// the identity it is sealed to
        recipient: String,
        /// the own identity
        own: String,
    },
    /// Bytes were changed, or the lead named in it did not make it.
    #[error("{}: does not open: it was changed on the way, or was not made by the lead it names. \
             Ask the lead for the file again", path.display())]
    Altered {
        /// which file
        path: PathBuf,
    },
    /// Another lead than the one that is known.
    #[error("{}: is from an identity with fingerprint {found}, but the lead of project '{project}' has {expected}. \
             Compare fingerprints with the lead's controller before going on", path.display())]
    Lead {
        /// which file
        path: PathBuf,
        /// which project
        project: ProjectId,
        /// fingerprint in the file
        found: String,
        /// fingerprint that is known
        expected: String,
    },
    /// Only the lead gives a project's key to others.
    #[error("{}: the key of project '{project}' was made by the lead with fingerprint {lead}, this spoke's is {own}: \
             only the lead makes epochs and gives the key to members", path.display())]
    NotLead {
        /// the own key file
        path: PathBuf,
        /// which project
        project: ProjectId,
        /// the own fingerprint
        own: String,
        /// the lead's fingerprint
        lead: String,
    },
    /// Older than what is there.
    #[error("{}: is of epoch {found}, project '{project}' is at epoch {present} here; it is not taken back", path.display())]
    Older {
        /// which file
        path: PathBuf,
        /// which project
        project: ProjectId,
        /// epoch in the file
        found: u32,
        /// epoch here
        present: u32,
    },
    /// Same epoch, another key.
    #[error("{}: holds another key for epoch {epoch} of project '{project}' than the one here. \
             The lead must make a new epoch", path.display())]
    Conflict {
        /// which file
        path: PathBuf,
        /// which project
        project: ProjectId,
        /// which epoch
        epoch: u32,
    },
    /// The cryptographic library refused.
    #[error("the key can't be sealed to '{to}': {reason}. Check the member's public key")]
    Seal {
        /// to whom
        to: ControllerId,
        /// what the library said
        reason: String,
    },
}
