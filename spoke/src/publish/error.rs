//! What can go wrong with published tables.

use deltalake_core::DeltaTableError;
use std::{error::Error, io, path::PathBuf};

/// Why a table could not be published or read.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store's URL can't be used.
    #[error("[store] url = \"{url}\": {message}")]
    Address {
        /// as configured
        url: String,
        /// what is wrong with it
        message: String,
    },
    /// There is no room left.
    #[error("no space left while writing {what}: nothing was published. Make room and run the ingest again")]
    DiskFull {
        /// what was being written
        what: String,
    },
    /// The object store failed.
    #[error("the object store failed on {what}: {source}")]
    Store {
        /// what was being done
        what: String,
        /// what the store said
        source: object_store::Error,
    },
    /// The table's log failed.
    #[error("the log of table '{table}' failed: {source}")]
    Log {
        /// which table
        table: String,
        /// what the log said
        source: Box<DeltaTableError>,
    },
    /// Somebody else wrote to the table at the same time.
    #[error(
        "table '{table}' was changed by another process during the ingest: nothing was published. Let only one ingest write to this store"
    )]
    Conflict {
        /// which table
        table: String,
    },
    /// A table was written by something else than a spoke, or is damaged.
    #[error("table '{table}', version {version}: {message}")]
    Foreign {
        /// which table
        table: String,
        /// which version
        version: i64,
        /// what is missing
        message: String,
    },
    /// The local file system failed.
    #[error("{}: {source}", path.display())]
    Disk {
        /// which file
        path: PathBuf,
        /// what the operating system said
        source: io::Error,
    },
    /// The state database failed.
    #[error("state database {}: {source}. Check that the folder can be written by this user", path.display())]
    State {
        /// which file
        path: PathBuf,
        /// what the database said
        source: sqlx::Error,
    },
}

impl PublishError {
    /// An error of the object store, or a full disk if that is what it was.
    pub(crate) fn store(what: impl Into<String>, source: object_store::Error) -> Self {
        let what = what.into();
        if disk_full(&source) { Self::DiskFull { what } } else { Self::Store { what, source } }
    }

    pub(crate) fn log(table: impl ToString, source: DeltaTableError) -> Self {
        let table = table.to_string();
        if disk_full(&source) {
            return Self::DiskFull { what: format!("the log of table '{table}'") };
        }
        match source {
            DeltaTableError::VersionAlreadyExists(_) => Self::Conflict { table },
            DeltaTableError::Transaction {
                source: deltalake_core::kernel::transaction::TransactionError::MaxCommitAttempts(_),
            } => Self::Conflict { table },
            source => Self::Log { table, source: Box::new(source) },
        }
    }

    /// Whether the disk was full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. }) || disk_full(self)
    }
}

/// Whether a full disk or quota is at the bottom of an error.
pub(crate) fn disk_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return true;
            }
            // An io::Error that wraps another one hides it from `source`.
            if let Some(inner) = error.get_ref()
                && disk_full_dyn(inner)
            {
                return true;
            }
        }
        if let Some(sqlx::Error::Database(error)) = error.downcast_ref::<sqlx::Error>()
            && error.code().as_deref() == Some("13")
        {
            return true;
        }
        next = error.source();
    }
    false
}

fn disk_full_dyn(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    disk_full(error)
}
