//! The spoke's own state: a small SQLite database that `ingest` and `serve` share.
//!
//! INVARIANT: no data values and no person numbers; file names, digests, counts and versions only.

use super::error::PublishError;
use sqlx::{
    Connection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The state database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State {
    pool: SqlitePool,
    path: PathBuf,
}

impl State {
    /// Opens the database, makes it when it is missing and brings it up to date.
    ///
    /// # Errors
    /// When it can't be opened or written.
    pub async fn open(path: &Path) -> Result<Self, PublishError> {
        let failed = |source: sqlx::Error| {
            if super::error::disk_full(&source) {
                return PublishError::DiskFull { what: path.display().to_string() };
            }
            PublishError::State { path: path.to_owned(), source }
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).after_release(|connection, _| {
            Box::pin(async move {
                // Waits for a rollback that is under way.
                connection.ping().await?;
                // On a full disk SQLite ends a transaction by itself, and the library takes the connection for one that is
                // still inside, for ever. Another one is opened in its place.
                Ok(!connection.is_in_transaction())
            })
        });
        let pool = pool.connect_with(options).await.map_err(failed)?;
        sqlx::migrate!("./migrations").run(&pool).await.map_err(|error| failed(error.into()))?;
        Ok(Self { pool, path: path.to_owned() })
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    pub(crate) fn failed(&self, source: sqlx::Error) -> PublishError {
        if super::error::disk_full(&source) {
            return PublishError::DiskFull { what: self.path.display().to_string() };
        }
        PublishError::State { path: self.path.clone(), source }
    }
}
