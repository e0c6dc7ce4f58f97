//! Why an application could not be taken or changed.

use crate::decide::Illegal;
use policies::application::Problems;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There is no such thing, or it is not the caller's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// The state doesn't allow it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// Somebody else changed it meanwhile.
    #[error("the application was changed meanwhile: read it again, then repeat what you want to do")]
    Stale,
    /// Fields are wrong.
    #[error("{0}")]
    Problems(#[from] Problems),
    /// The database can't be used.
    #[error("the hub's database can't be used: {0}. Check hub.db's folder, its free space and who owns it")]
    Database(#[from] sqlx::Error),
    /// A row holds something that can't be there.
    #[error("a row of table {table} in hub.db has a wrong {field}: restore hub.db from its backup")]
    Corrupt {
        /// which table
        table: &'static str,
        /// which column
        field: &'static str,
    },
}
