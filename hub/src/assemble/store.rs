//! What the hub keeps of projects' keys: the newest record, and each member's sealed key until there is a newer one.
//!
//! INVARIANT: nothing in here can be opened with anything that the hub has.

use policies::epoch::EpochRecord;
use proto::ids::{ControllerId, ProjectId};
use sqlx::{Row, SqlitePool};
use std::path::Path;

/// Why the keys can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("hub.db can't be used: {0}. Check its folder, its free space and who owns it")]
    Database(#[from] sqlx::Error),
    /// Its tables can't be brought up to date.
    #[error("hub.db can't be brought up to date: {0}. Was it made by a newer hub?")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EpochStore(SqlitePool);

impl EpochStore {
    /// Opens it in the hub's database.
    ///
    /// # Errors
    /// When that can't be opened or brought up to date.
    pub async fn open(database: &Path) -> Result<Self, StoreError> {
        let pool = crate::database::open(database, 2).await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self(pool))
    }

    /// The newest record of a project, and its signed text.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn record(&self, project: &ProjectId) -> Result<Option<(EpochRecord, String)>, StoreError> {
        let row = sqlx::query("SELECT record FROM epoch WHERE project = ?")
            .bind(project.as_ref())
            .fetch_optional(&self.0)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let text: String = row.try_get("record")?;
        Ok(EpochRecord::claimed(&text).map(|record| (record, text)))
    }

    /// Takes a newer record with its sealed keys in place of all before.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn replace(
        &self,
        record: &EpochRecord,
        text: &str,
        keys: &[(ControllerId, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let mut change = self.0.begin().await?;
        sqlx::query("INSERT OR REPLACE INTO epoch (project, epoch, key_id, record) VALUES (?, ?, ?, ?)")
            .bind(record.project.as_ref())
            .bind(i64::from(record.epoch))
            .bind(&record.key_id)
            .bind(text)
            .execute(&mut *change)
            .await?;
        sqlx::query("DELETE FROM sealed_key WHERE project = ?")
            .bind(record.project.as_ref())
            .execute(&mut *change)
            .await?;
        for (controller, sealed) in keys {
            sqlx::query("INSERT INTO sealed_key (project, controller, sealed) VALUES (?, ?, ?)")
                .bind(record.project.as_ref())
                .bind(controller.as_ref())
                .bind(sealed)
                .execute(&mut *change)
                .await?;
        }
        Ok(change.commit().await?)
    }

    /// The key of a project that is sealed to `controller`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn sealed(&self, project: &ProjectId, controller: &ControllerId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT sealed FROM sealed_key WHERE project = ? AND controller = ?")
            .bind(project.as_ref())
            .bind(controller.as_ref())
            .fetch_optional(&self.0)
            .await?;
        Ok(row.map(|row| row.try_get("sealed")).transpose()?)
    }

    /// Removes what is sealed to `controller` in a project.
    ///
    /// # Errors
    /// When that can't be written.
    pub async fn remove(&self, project: &ProjectId, controller: &ControllerId) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM sealed_key WHERE project = ? AND controller = ?")
            .bind(project.as_ref())
            .bind(controller.as_ref())
            .execute(&self.0)
            .await?;
        Ok(done.rows_affected())
    }

    /// How many members of a project have a sealed key here.
    ///
    /// # Errors
    /// When that can't be read.
    pub async fn members(&self, project: &ProjectId) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT count(*) AS members FROM sealed_key WHERE project = ?")
            .bind(project.as_ref())
            .fetch_one(&self.0)
            .await?;
        Ok(row.try_get::<i64, _>("members")?.unsigned_abs())
    }
}
