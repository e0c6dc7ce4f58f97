//! The operator's commands: making the folder, inviting and expelling controllers, certificates of links, tokens.

pub mod approver;
mod ca;
mod controller;
pub mod custodian;
mod init;
mod invite;
pub mod rules;
mod token;

pub use ca::{issue, new_authority};
pub use controller::{controllers, expel, may_issue, write_down};
pub use init::init;
pub use invite::invite;
pub use token::{create, list, revoke};

use std::path::{Path, PathBuf};

/// Why an operator's command failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// What was asked can't be done as asked.
    #[error("{0}")]
    Usage(String),
    /// The rules.
    #[error("the rules of the platform don't allow this (docs/permissions.md): {0}")]
    Denied(#[from] policies::authorize::Denial),
    /// A file can't be written or read.
    #[error("{}: {message}", path.display())]
    File {
        /// which file
        path: PathBuf,
        /// what is wrong
        message: String,
    },
    /// The authority can't be made or used.
    #[error(transparent)]
    Authority(#[from] runtime::ca::CaError),
    /// Controllers can't be read or written.
    #[error(transparent)]
    Enrolment(#[from] crate::gateway::EnrolmentError),
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] crate::config::HubConfigError),
    /// The tokens can't be read or written.
    #[error(transparent)]
    Tokens(#[from] crate::identify::TokenError),
}

pub(crate) fn at<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> AdminError + '_ {
    move |error| AdminError::File { path: path.to_owned(), message: error.to_string() }
}
