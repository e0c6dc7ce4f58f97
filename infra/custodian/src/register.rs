//! The register: which controllers' spokes may ask, with whose word, and how much. A small SQLite database that `serve`
//! and the operator's commands share.
//!
//! INVARIANT: counts and public keys only; nothing of an element but a digest of a batch that was counted, for two days.

pub mod hubs;
pub mod quota;
pub mod totals;

pub use quota::{Alarm, AlarmKind, Charge, Quota};

use chrono::{DateTime, Utc};
use runtime::sign::VerifyingKey;
use sqlx::{
    Connection, Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Why the register says no.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The database can't be read or written.
    #[error("register {}: {cause}. Check the disk and who may write there", path.display())]
    Database {
        /// which file
        path: PathBuf,
        /// what the database said
        cause: sqlx::Error,
    },
    /// The controller stands there already.
    #[error(
        "controller '{0}' is registered already. To change its approver or population: custodian controller add {0} --replace .."
    )]
    Exists(String),
    /// No such controller.
    #[error("controller '{0}' is not registered here. Run: custodian controller add {0} --approver HEX --population N")]
    Unknown(String),
    /// An endorsement that was used before, or one older than the last.
    #[error(
        "this endorsement was used before, or a later one was: nothing is enrolled twice with it. Make the request \
         again: spoke custodian request"
    )]
    Used,
}

/// A registered controller.
#[derive(Debug, Clone)]
pub struct Controller {
    /// its id
    pub name: String,
    /// the key that its approver endorses with
    pub approver: VerifyingKey,
    /// how many people its tables may be about
    pub population: u64,
    /// when its present key was enrolled
    pub enrolled: Option<DateTime<Utc>>,
    /// SHA-256 of the public key that may ask, hex
    pub key: Option<String>,
    /// what its spoke signs checkpoints with
    pub signing: Option<VerifyingKey>,
    /// when it was removed
    pub removed: Option<DateTime<Utc>>,
    /// elements evaluated, ever
    pub used: u64,
}

/// The open register. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Register {
    pool: SqlitePool,
    path: PathBuf,
}

impl Register {
    /// Opens the register, makes it when it is missing and brings it up to date.
    ///
    /// # Errors
    /// When it can't be opened or written.
    pub async fn open(path: &Path) -> Result<Self, RegisterError> {
        let failed = |cause| RegisterError::Database { path: path.to_owned(), cause };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // a count that a power cut takes back would be an evaluation for nothing
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(20));
        // One connection: counting is one after the other anyway, and never waits for itself that way.
        let pool = SqlitePoolOptions::new().max_connections(1).after_release(|connection, _| {
            Box::pin(async move {
                // Waits for a rollback that is under way.
                connection.ping().await?;
                // On a full disk SQLite ends a transaction by itself, and the library takes the connection for one that is
                // still inside, for ever. Another one is opened in its place.
                Ok(!connection.is_in_transaction())
            })
        });
        let pool = pool.connect_with(options).await.map_err(failed)?;
        sqlx::migrate!("./migrations").run(&pool).await.map_err(|e| failed(e.into()))?;
        Ok(Self { pool, path: path.to_owned() })
    }

    fn failed(&self, cause: sqlx::Error) -> RegisterError {
        RegisterError::Database { path: self.path.clone(), cause }
    }

    /// Registers a controller. Whoever was removed comes back with its old counts, and must be enrolled again.
    ///
    /// # Errors
    /// When it is registered already (unless `replace`), or the database fails.
    pub async fn add(
        &self,
        name: &str,
        approver: &VerifyingKey,
        population: u64,
        replace: bool,
    ) -> Result<(), RegisterError> {
        let there = self.find(name).await?.is_some_and(|c| c.removed.is_none());
        if there && !replace {
            return Err(RegisterError::Exists(name.to_owned()));
        }
        sqlx::query(
            "INSERT INTO controllers (name, approver, population, added) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO \
             UPDATE SET approver = ?2, population = ?3, added = ?4, removed = NULL",
        )
        .bind(name)
        .bind(approver.to_string())
        .bind(to_db(population))
        .bind(Utc::now().to_rfc3339())
        .execute(&self.pool)
        .await
        .map_err(|e| self.failed(e))?;
        Ok(())
    }

    /// Removes a controller: nothing is evaluated for it from now on. Its counts stay.
    ///
    /// # Errors
    /// When it isn't registered, or the database fails.
    pub async fn remove(&self, name: &str) -> Result<(), RegisterError> {
        let done = sqlx::query(
            "UPDATE controllers SET removed = ?2, key = NULL, enrolled = NULL WHERE name = ?1 AND removed IS NULL",
        )
        .bind(name)
        .bind(Utc::now().to_rfc3339())
        .execute(&self.pool)
        .await
        .map_err(|e| self.failed(e))?;
        if done.rows_affected() == 0 { Err(RegisterError::Unknown(name.to_owned())) } else { Ok(()) }
    }

    /// A controller by name, removed ones too.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, name: &str) -> Result<Option<Controller>, RegisterError> {
        let row = sqlx::query("SELECT * FROM controllers WHERE name = ?1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.failed(e))?;
        row.map(|row| read(&row).map_err(|e| self.failed(e))).transpose()
    }

    /// All controllers, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<Controller>, RegisterError> {
        let rows = sqlx::query("SELECT * FROM controllers ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed(e))?;
        rows.iter().map(|row| read(row).map_err(|e| self.failed(e))).collect()
    }

    /// Notes the key that may ask from now on; an earlier one may no longer.
    ///
    /// # Errors
    /// When the controller isn't registered, the endorsement is not newer than the last, or the database fails.
    pub async fn enrol(
        &self,
        name: &str,
        key: &str,
        signing: &VerifyingKey,
        endorsed_at: DateTime<Utc>,
    ) -> Result<(), RegisterError> {
        let done = sqlx::query(
            "UPDATE controllers SET key = ?2, signing = ?3, endorsed_at = ?4, enrolled = ?5 \
             WHERE name = ?1 AND removed IS NULL AND (endorsed_at IS NULL OR endorsed_at < ?4)",
        )
        .bind(name)
        .bind(key)
        .bind(signing.to_string())
        .bind(endorsed_at.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true))
        .bind(Utc::now().to_rfc3339())
        .execute(&self.pool)
        .await
        .map_err(|e| self.failed(e))?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        match self.find(name).await? {
            Some(controller) if controller.removed.is_none() => Err(RegisterError::Used),
            _ => Err(RegisterError::Unknown(name.to_owned())),
        }
    }
}

fn read(row: &SqliteRow) -> Result<Controller, sqlx::Error> {
    let bad = |column: &str| sqlx::Error::Decode(format!("column {column} holds another thing than it should").into());
    let time = |column: &str| -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| text.parse().map_err(|_| bad(column))).transpose()
    };
    let key = |text: String, column: &str| text.parse::<VerifyingKey>().map_err(|_| bad(column));
    let signing: Option<String> = row.try_get("signing")?;
    Ok(Controller {
        name: row.try_get("name")?,
        approver: key(row.try_get("approver")?, "approver")?,
        population: from_db(row.try_get("population")?),
        enrolled: time("enrolled")?,
        key: row.try_get("key")?,
        signing: signing.map(|text| key(text, "signing")).transpose()?,
        removed: time("removed")?,
        used: from_db(row.try_get("used")?),
    })
}

fn to_db(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn from_db(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests;
