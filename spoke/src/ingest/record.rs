//! What `state.db` remembers of ingests: which files went into which version of a table.
//!
//! The Delta log decides what is published; these rows only follow. A row that says `prepared` is one whose commit may
//! or may not have happened when the program ended: the table itself tells, and the next ingest asks it.

use crate::{
    declare::{Mode, TableDecl},
    publish::{PublishError, Snapshot, State},
};
use chrono::Utc;
use proto::ids::TableName;
use sqlx::Row;
use std::collections::{HashMap, HashSet};

/// A file that went into a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) location: String,
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
}

/// The ingest that made a table's current version.
#[derive(Debug, Clone)]
pub(crate) struct Last {
    pub(crate) declaration: Vec<u8>,
    pub(crate) parent_version: Option<i64>,
    pub(crate) sources: Vec<Source>,
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Replace => "replace",
        Mode::Append => "append",
    }
}

impl State {
    /// Notes that an ingest runs.
    pub(crate) async fn begin(
        &self,
        id: &str,
        decl: &TableDecl,
        parent_version: Option<i64>,
    ) -> Result<(), PublishError> {
        sqlx::query(
            "INSERT INTO ingest (id, table_name, started_at, status, mode, declaration, parent_version)
             VALUES (?1, ?2, ?3, 'running', ?4, ?5, ?6)",
        )
        .bind(id)
        .bind(decl.name.as_str())
        .bind(Utc::now().to_rfc3339())
        .bind(mode_name(decl.mode))
        .bind(decl.digest().to_vec())
        .bind(parent_version)
        .execute(self.pool())
        .await
        .map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Notes which files went in, just before the commit is tried.
    pub(crate) async fn prepare(&self, id: &str, sources: &[Source]) -> Result<(), PublishError> {
        let failed = |error| self.failed(error);
        let mut transaction = self.pool().begin().await.map_err(failed)?;
        for source in sources {
            sqlx::query("INSERT INTO ingest_source (ingest, location, size, sha256) VALUES (?1, ?2, ?3, ?4)")
                .bind(id)
                .bind(&source.location)
                .bind(i64::try_from(source.size).unwrap_or(i64::MAX))
                .bind(source.sha256.to_vec())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        sqlx::query("UPDATE ingest SET status = 'prepared' WHERE id = ?1")
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Notes that the commit happened.
    pub(crate) async fn published(&self, id: &str, version: i64, summary: Option<&str>) -> Result<(), PublishError> {
        sqlx::query(
            "UPDATE ingest SET status = 'published', version = ?2, summary = ?3, finished_at = ?4 WHERE id = ?1",
        )
        .bind(id)
        .bind(version)
        .bind(summary)
        .bind(Utc::now().to_rfc3339())
        .execute(self.pool())
        .await
        .map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Notes that nothing came of it.
    pub(crate) async fn gave_up(&self, id: &str) -> Result<(), PublishError> {
        sqlx::query("UPDATE ingest SET status = 'failed', finished_at = ?2 WHERE id = ?1")
            .bind(id)
            .bind(Utc::now().to_rfc3339())
            .execute(self.pool())
            .await
            .map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Finds out what became of ingests that were cut off.
    pub(crate) async fn settle(&self, table: &TableName, current: Option<&Snapshot>) -> Result<(), PublishError> {
        let open = sqlx::query("SELECT id FROM ingest WHERE table_name = ?1 AND status IN ('running', 'prepared')")
            .bind(table.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(|error| self.failed(error))?;
        for row in open {
            let id: String = row.get(0);
            match current.filter(|current| current.ingest == id) {
                Some(current) => self.published(&id, current.version, None).await?,
                None => self.gave_up(&id).await?,
            }
        }
        Ok(())
    }

    /// The ingest that made the current version, if it is known here.
    pub(crate) async fn last(&self, current: &Snapshot) -> Result<Option<Last>, PublishError> {
        let failed = |error| self.failed(error);
        let row = sqlx::query("SELECT declaration, parent_version FROM ingest WHERE id = ?1 AND status = 'published'")
            .bind(&current.ingest)
            .fetch_optional(self.pool())
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let sources = sqlx::query("SELECT location, size, sha256 FROM ingest_source WHERE ingest = ?1")
            .bind(&current.ingest)
            .fetch_all(self.pool())
            .await
            .map_err(failed)?;
        let sources = sources
            .iter()
            .map(|row| Source {
                location: row.get(0),
                size: u64::try_from(row.get::<i64, _>(1)).unwrap_or_default(),
                sha256: row.get::<Vec<u8>, _>(2).try_into().unwrap_or_default(),
            })
            .collect();
        Ok(Some(Last { declaration: row.get(0), parent_version: row.get(1), sources }))
    }

    /// Digests by size of every file that is in the current version: those of the last replacing ingest and of all
    /// appending ones after it.
    pub(crate) async fn in_table(&self, table: &TableName) -> Result<HashMap<u64, HashSet<[u8; 32]>>, PublishError> {
        let rows = sqlx::query(
            "SELECT s.size, s.sha256 FROM ingest_source s JOIN ingest i ON i.id = s.ingest
             WHERE i.table_name = ?1 AND i.status = 'published' AND i.version >= COALESCE(
                (SELECT MAX(version) FROM ingest WHERE table_name = ?1 AND status = 'published' AND mode = 'replace'), 0)",
        )
        .bind(table.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(|error| self.failed(error))?;
        let mut seen: HashMap<u64, HashSet<[u8; 32]>> = HashMap::new();
        for row in rows {
            let size = u64::try_from(row.get::<i64, _>(0)).unwrap_or_default();
            if let Ok(digest) = row.get::<Vec<u8>, _>(1).try_into() {
                seen.entry(size).or_default().insert(digest);
            }
        }
        Ok(seen)
    }
}
