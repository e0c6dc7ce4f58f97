//! Why this spoke doesn't make, take or give a key. The hub's operator and this controller's own log read the same
//! message: there is no secret in it.

use crate::pseudonym::{KeyError, project_key::ProjectKeyError};
use policies::epoch::EpochError;
use proto::{
    ids::{ControllerId, ProjectId},
    refusal::{Kind, Refusal},
};
use runtime::{audit::AuditError, seal::SealError, sign::SigningKeyError};
use std::path::PathBuf;

/// Why this spoke doesn't make, take or give a key.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// Own key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Own signing key.
    #[error("{0}. `spoke identity` makes the key when it is missing")]
    Signing(#[from] SigningKeyError),
    /// The passphrase.
    #[error(transparent)]
    Passphrase(#[from] SealError),
    /// A project's key, or its sealed form.
    #[error(transparent)]
    ProjectKey(#[from] ProjectKeyError),
    /// The log can't be written, so nothing is done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A file in the spoke's folder.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// The file of a project's epochs can't be read.
    #[error("{}: can't be read as the record of a project's epochs: {cause}. Restore it: without it epochs could go back", path.display())]
    History {
        /// which file
        path: PathBuf,
        /// what is wrong
        cause: String,
    },
    /// No live permit.
    #[error("no permit of project '{0}' is live at this controller")]
    NoPermit(ProjectId),
    /// The rules.
    #[error("the rules of the platform don't allow this here; docs/permissions.md says who may do what")]
    Forbidden,
    /// Not this spoke's business.
    #[error("this controller's permit says that '{lead}' makes the key, and this spoke is not its deputy")]
    NotMaker {
        /// who makes it
        lead: ControllerId,
    },
    /// The lead is there.
    #[error("the lead '{0}' has accepted: it makes the key, not its deputy")]
    LeadIsThere(ControllerId),
    /// A statement is not believed.
    #[error("{what}: {cause}")]
    Statement {
        /// which statement
        what: String,
        /// why
        cause: EpochError,
    },
    /// An acceptance from before another that was seen.
    #[error("the acceptance of '{0}' is older than one that was seen here already: somebody sends it again")]
    Replayed(ControllerId),
    /// Two members who shared a key don't name one another any longer.
    #[error(
        "'{0}' and '{1}' share the key, but one's permit no longer names the other: the controllers must agree first"
    )]
    Parted(ControllerId, ControllerId),
    /// The number of the next epoch makes no sense.
    #[error("the hub says that epoch {after} was the last one, this spoke knows {own}: that can't be")]
    Leap {
        /// what the hub says
        after: u32,
        /// what is known here
        own: u32,
    },
    /// Each epoch gives everybody new pseudonyms and released numbers new noise.
    #[error("{0} epochs of this project were made within a day; no more are made before tomorrow")]
    TooMany(usize),
    /// Older than what is known.
    #[error("it is of epoch {found}; project '{project}' is at epoch {known} here, and epochs only grow")]
    Older {
        /// which project
        project: ProjectId,
        /// of the record
        found: u32,
        /// here
        known: u32,
    },
    /// Same epoch, another key.
    #[error(
        "it is another key for epoch {epoch} of project '{project}' than the one known here. The lead must make a new epoch"
    )]
    Conflict {
        /// which project
        project: ProjectId,
        /// which epoch
        epoch: u32,
    },
    /// Record and sealed key don't belong together.
    #[error("the sealed key is not the record's: its {0} differs")]
    Differs(&'static str),
    /// An own record comes back, but its key is gone.
    #[error("this spoke made that epoch itself, and holds another key now")]
    Own,
}

impl MemberError {
    pub(super) fn statement(what: impl Into<String>) -> impl FnOnce(EpochError) -> Self {
        let what = what.into();
        move |cause| Self::Statement { what, cause }
    }
}

impl From<EpochError> for MemberError {
    fn from(cause: EpochError) -> Self {
        Self::Statement { what: "the acceptance".to_owned(), cause }
    }
}

impl From<MemberError> for Refusal {
    fn from(error: MemberError) -> Refusal {
        let kind = match &error {
            MemberError::Key(_)
            | MemberError::Signing(_)
            | MemberError::Passphrase(_)
            | MemberError::Audit(_)
            | MemberError::Io { .. }
            | MemberError::History { .. } => {
                tracing::error!(%error, "a project's key");
                return Refusal::new(Kind::Unavailable, "this spoke can't handle keys at the moment; its log says why");
            }
            MemberError::TooMany(_) => Kind::Exhausted,
            _ => Kind::Denied,
        };
        Refusal::new(kind, error.to_string())
    }
}
