//! Why people can't be linked; every message says what to do and none holds a number.

use crate::pseudonym::{cache::CacheError, keys::KeyError};
use std::path::PathBuf;

/// Why people can't be linked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection.
    #[error(
        "custodian {custodian} can't be reached ({attempts} attempts): {reason}. What was evaluated so far is kept; \
             check [custodian] in spoke.toml, the network, and that the custodian runs, then run again"
    )]
    Unreachable {
        /// name and address
        custodian: String,
        /// how often it was tried
        attempts: u32,
        /// what happened the last time
        reason: String,
    },
    /// The custodian said no.
    #[error("custodian {custodian} refused: {reason}")]
    Refused {
        /// name and address
        custodian: String,
        /// what it said
        reason: String,
    },
    /// The custodian has another key than the pinned one.
    #[error(
        "custodian {custodian} has another linkage key ({found}) than the one pinned here ({pinned}). \
             Nothing was taken from it. Ask the custodian's organisation which key is right"
    )]
    OtherKey {
        /// name and address
        custodian: String,
        /// key id that it shows
        found: String,
        /// key id that is pinned
        pinned: String,
    },
    /// A proof does not hold.
    #[error(
        "custodian {custodian} sent an answer whose proof does not hold under the pinned key. \
             That answer was thrown away. Tell the custodian's organisation: its key or its program is not what it should be"
    )]
    Proof {
        /// name and address
        custodian: String,
    },
    /// The conversation went wrong.
    #[error("custodian {custodian}: {reason}. Are both programs of the same version?")]
    Protocol {
        /// name and address
        custodian: String,
        /// what happened
        reason: String,
    },
    /// A number that is no person number.
    #[error("value {index} of the batch has more than ten digits and is no person number")]
    Number {
        /// position in the slice given
        index: usize,
    },
    /// The name of a key domain is none.
    #[error("key domain names have 1 to 200 characters")]
    Domain,
    /// A thread ended early.
    #[error("a worker thread of this program stopped; run again")]
    Worker,
    /// The cache can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A setting is missing or wrong.
    #[error("{}: {reason}", path.display())]
    Setting {
        /// which file
        path: PathBuf,
        /// what is wrong and what to do
        reason: String,
    },
}

impl LinkError {
    /// Whether it is about the local disk (such as full), not about the custodian.
    #[must_use]
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::Cache(error) if error.is_storage())
    }

    /// Whether the custodian was unreachable or refused.
    #[must_use]
    pub fn is_custodian(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Refused { .. }
                | Self::OtherKey { .. }
                | Self::Proof { .. }
                | Self::Protocol { .. }
        )
    }
}
