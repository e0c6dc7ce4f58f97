//! Pins: which version of a table a project reads until it is refreshed. Vacuum keeps pinned versions.

use super::{error::PublishError, state::State};
use proto::ids::{ProjectId, TableName};
use sqlx::Row;

/// One pinned version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// whose pin it is
    pub project: ProjectId,
    /// of which table
    pub table: TableName,
    /// which version
    pub version: i64,
}

impl State {
    /// Pins `version` of a table for a project, in place of the version that it had pinned.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn pin(&self, pin: &Pin) -> Result<(), PublishError> {
        sqlx::query(
            "INSERT INTO pin (project, table_name, version) VALUES (?1, ?2, ?3)
             ON CONFLICT (project, table_name) DO UPDATE SET version = excluded.version, pinned_at = CURRENT_TIMESTAMP",
        )
        .bind(pin.project.as_str())
        .bind(pin.table.as_str())
        .bind(pin.version)
        .execute(self.pool())
        .await
        .map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Takes a project's pins away.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn unpin(&self, project: &ProjectId) -> Result<(), PublishError> {
        sqlx::query("DELETE FROM pin WHERE project = ?1")
            .bind(project.as_str())
            .execute(self.pool())
            .await
            .map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// The version that a project has pinned of a table.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn pinned(&self, project: &ProjectId, table: &TableName) -> Result<Option<i64>, PublishError> {
        sqlx::query_scalar("SELECT version FROM pin WHERE project = ?1 AND table_name = ?2")
            .bind(project.as_str())
            .bind(table.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(|error| self.failed(error))
    }

    /// All pinned versions of a table.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn pins_of(&self, table: &TableName) -> Result<Vec<i64>, PublishError> {
        let rows = sqlx::query("SELECT DISTINCT version FROM pin WHERE table_name = ?1 ORDER BY version")
            .bind(table.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(|error| self.failed(error))?;
        Ok(rows.iter().map(|row| row.get::<i64, _>(0)).collect())
    }
}
