//! The hubs that may ask for sums of masks.

use super::{Register, RegisterError};
use chrono::{DateTime, Utc};
use sqlx::Row;

/// A hub that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    /// its name
    pub name: String,
    /// SHA-256 of the public key that may ask, hex
    pub key: String,
    /// when that key was enrolled
    pub enrolled: DateTime<Utc>,
}

impl Register {
    /// Notes the key of a hub that may ask from now on; an earlier one may no longer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enrol_hub(&self, name: &str, key: &str) -> Result<(), RegisterError> {
        sqlx::query(
            "INSERT INTO hubs (name, key, enrolled) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET key = ?2, enrolled = ?3",
        )
        .bind(name)
        .bind(key)
        .bind(Utc::now().to_rfc3339())
        .execute(&self.pool)
        .await
        .map_err(|e| self.failed(e))?;
        Ok(())
    }

    /// Removes a hub: it gets nothing from now on. `false`: there was none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_hub(&self, name: &str) -> Result<bool, RegisterError> {
        let done = sqlx::query("DELETE FROM hubs WHERE name = ?1")
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(|e| self.failed(e))?;
        Ok(done.rows_affected() > 0)
    }

    /// All hubs, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hubs(&self) -> Result<Vec<Hub>, RegisterError> {
        let failed = |e| self.failed(e);
        let rows = sqlx::query("SELECT name, key, enrolled FROM hubs ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let enrolled: String = row.try_get("enrolled")?;
            let enrolled = enrolled
                .parse()
                .map_err(|_| sqlx::Error::Decode("column enrolled holds another thing than it should".into()))?;
            Ok(Hub { name: row.try_get("name")?, key: row.try_get("key")?, enrolled })
        };
        rows.iter().map(|row| read(row).map_err(failed)).collect()
    }
}
