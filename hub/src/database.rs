//! How the hub opens its database, `hub.db`.
//!
//! INVARIANT: what was committed is on disk, also after a power cut.

use sqlx::{
    Connection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::Path, time::Duration};

/// Opens it with at most so many connections; makes it when it is missing.
///
/// # Errors
/// When that fails.
pub(crate) async fn open(path: &Path, most: u32) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10));
    let pool = SqlitePoolOptions::new().max_connections(most).after_release(|connection, _| {
        Box::pin(async move {
            // Waits for a rollback that is under way.
            connection.ping().await?;
            // On a full disk SQLite ends a transaction by itself, and the library takes the connection for one that is still
            // inside, for ever. Another one is opened in its place.
            Ok(!connection.is_in_transaction())
        })
    });
    pool.connect_with(options).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn after_a_full_disk_the_next_transaction_is_as_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let pool = open(&dir.path().join("hub.db"), 1).await.unwrap();
        sqlx::query("CREATE TABLE kept (what BLOB)").execute(&pool).await.unwrap();
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&pool).await.unwrap();
        let insert = "INSERT INTO kept VALUES (zeroblob(100000))";
        for _ in 0..3 {
            // No page more: the same error as on a full disk.
            let full = sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}")));
            full.execute(&pool).await.unwrap();
            let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
            let error = sqlx::query(insert).execute(&mut *tx).await.unwrap_err().to_string();
            assert!(error.contains("disk is full"), "{error}");
            drop(tx);
        }
        let room = sqlx::query("PRAGMA max_page_count = 100000");
        room.execute(&pool).await.unwrap();
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query(insert).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}
