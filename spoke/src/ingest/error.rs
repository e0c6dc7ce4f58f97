//! Why an ingest ended without publishing, and which exit code a script sees.

use super::source::SourceError;
use crate::{declare::DeclareError, publish::PublishError};
use std::path::PathBuf;

/// Why an ingest published nothing.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A declaration is wrong.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// A table was asked for that is not declared.
    #[error("there is no table '{table}': {declared}. Declare it in tables/{table}.toml")]
    UnknownTable {
        /// the table
        table: String,
        /// the tables that are declared, as a sentence
        declared: String,
    },
    /// A column holds person numbers although it was declared as something else.
    #[error(
        "table '{table}', column '{column}': {share}% of its values have the form of person numbers, but it is declared as {declared}. \
         Declare it with role = \"person\", or leave the column out; nothing was published"
    )]
    PersonNumbers {
        /// the table
        table: String,
        /// the column
        column: String,
        /// share in percent
        share: u64,
        /// what it was declared as
        declared: &'static str,
    },
    /// The columns of an appended table changed.
    #[error(
        "table '{table}' is in mode \"append\", but its columns are declared otherwise than they were published ({what}). Set mode = \"replace\" for one ingest of the whole source"
    )]
    ColumnsChanged {
        /// the table
        table: String,
        /// the first difference
        what: String,
    },
    /// Nothing is known about what an appended table was made of.
    #[error(
        "table '{table}' is in mode \"append\", but state.db does not know which files are published already (was it removed or restored?). Set mode = \"replace\" for one ingest of the whole source"
    )]
    HistoryLost {
        /// the table
        table: String,
    },
    /// A table gets its people from one that is not there yet.
    #[error("table '{table}' finds its people through '{parent}', which is not published yet. Ingest '{parent}' first")]
    ParentMissing {
        /// the table
        table: String,
        /// its parent
        parent: String,
    },
    /// A table and the one that it gets its people from are stored under different keys.
    #[error(
        "table '{table}' and '{parent}' are stored under different keys of this spoke. Ingest '{parent}' again first"
    )]
    KeyChanged {
        /// the table
        table: String,
        /// its parent, or itself when files are appended
        parent: String,
    },
    /// The keys or the configuration are not complete.
    #[error("{0}")]
    Setup(String),
    /// Too many rows did not fit.
    #[error("table '{table}': {rejected} of {rows} rows were rejected, more than the {allowed}% that [ingest] max_reject_share allows. {most} See {}; nothing was published", report.display())]
    TooManyRejects {
        /// the table
        table: String,
        /// rejected rows
        rejected: u64,
        /// rows read
        rows: u64,
        /// limit in percent
        allowed: f64,
        /// the most frequent reason, as a sentence
        most: String,
        /// the report
        report: PathBuf,
    },
    /// The source can't be read, or is not what was declared.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No pseudonyms could be had.
    #[error("table '{table}': {message}. Nothing was published; what the custodian answered so far is kept")]
    Link {
        /// the table
        table: String,
        /// what the linker said
        message: String,
    },
    /// The tables could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A local file could not be written.
    #[error("{}: {source}. Nothing was published", path.display())]
    Disk {
        /// which file
        path: PathBuf,
        /// what the operating system said
        source: std::io::Error,
    },
    /// There is no room left.
    #[error("no space left while writing {}: nothing was published and temporary files were removed. Make room and run the ingest again", path.display())]
    DiskFull {
        /// which file or folder
        path: PathBuf,
    },
    /// Another ingest runs.
    #[error("another ingest is running on this spoke ({} is locked). Wait for it to end", path.display())]
    Locked {
        /// the lock file
        path: PathBuf,
    },
    /// The user stopped it.
    #[error("the ingest was stopped: nothing was published for table '{table}'")]
    Cancelled {
        /// the table that was being ingested
        table: String,
    },
    /// A fault of this program.
    #[error("the ingest of table '{table}' failed inside: {message}. Nothing was published; please report this")]
    Internal {
        /// the table
        table: String,
        /// what failed; holds no data values
        message: String,
    },
}

impl IngestError {
    /// Exit code: 2 usage or configuration, 3 too many rejects, 4 source unreadable or malformed, 5 custodian,
    /// 6 storage, 7 another ingest runs, 130 stopped by the user, 1 anything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Declare(_)
            | Self::UnknownTable { .. }
            | Self::PersonNumbers { .. }
            | Self::ColumnsChanged { .. }
            | Self::HistoryLost { .. }
            | Self::ParentMissing { .. }
            | Self::KeyChanged { .. }
            | Self::Setup(_) => 2,
            Self::TooManyRejects { .. } => 3,
            Self::Source(_) => 4,
            Self::Link { .. } => 5,
            Self::Publish(PublishError::Address { .. }) => 2,
            Self::Publish(_) | Self::Disk { .. } | Self::DiskFull { .. } => 6,
            Self::Locked { .. } => 7,
            Self::Cancelled { .. } => 130,
            Self::Internal { .. } => 1,
        }
    }

    /// An error of a local file, or a full disk if that is what it was.
    pub(crate) fn disk(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        if crate::publish::disk_full(&source) { Self::DiskFull { path } } else { Self::Disk { path, source } }
    }
}
