//! The lists in `state.db`: who came in and went with which version.

use super::excluded::{Excluded, Span};
use crate::publish::{PublishError, State};
use chrono::Utc;
use sqlx::Row;
use std::fmt;

/// Why somebody is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// said no to secondary use (EHDS Article 71): counts for permits signed afterwards
    OptOut,
    /// took a consent back: counts at once
    Withdrawn,
    /// must be erased: counts at once, and stays
    Erased,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OptOut, Self::Withdrawn, Self::Erased];

    /// The name in the database and the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OptOut => "opt_out",
            Self::Withdrawn => "withdrawn",
            Self::Erased => "erased",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// version of the lists after it
    pub version: u64,
    /// people that came in
    pub added: u64,
    /// people that went
    pub removed: u64,
}

/// How many people stand on the lists.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Overview {
    /// version of the lists
    pub version: u64,
    /// people of each kind
    pub people: Vec<(Kind, u64)>,
    /// when each version came: version, time, kind, added, removed
    pub history: Vec<(u64, String, String, u64, u64)>,
}

impl State {
    /// The version that the lists are at; 0 before the first change.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn exclusion_version(&self) -> Result<u64, PublishError> {
        let version: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM exclusion_version")
            .fetch_one(self.pool())
            .await
            .map_err(|error| self.failed(error))?;
        Ok(unsigned(version))
    }

    /// Puts people on a list. Those who stand on it already stay as they are; nothing new is no new version.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn exclude(&self, people: &[[u8; 16]], kind: Kind, store_kid: &str) -> Result<Change, PublishError> {
        self.change(people, kind, store_kid, true).await
    }

    /// Takes people off a list.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn include(&self, people: &[[u8; 16]], kind: Kind, store_kid: &str) -> Result<Change, PublishError> {
        self.change(people, kind, store_kid, false).await
    }

    async fn change(
        &self,
        people: &[[u8; 16]],
        kind: Kind,
        store_kid: &str,
        add: bool,
    ) -> Result<Change, PublishError> {
        let failed = |error| self.failed(error);
        // The write lock from the start: two changes must not take the same version.
        let mut transaction = self.pool().begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let before: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM exclusion_version")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let version = before + 1;
        sqlx::query(
            "INSERT INTO exclusion_version (version, at, kind, added, removed, store_kid) VALUES (?1, ?2, ?3, 0, 0, ?4)",
        )
        .bind(version)
        .bind(Utc::now().to_rfc3339())
        .bind(kind.name())
        .bind(store_kid)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        let statement = if add {
            "INSERT INTO exclusion (person, kind, added) SELECT ?1, ?2, ?3 WHERE NOT EXISTS
                (SELECT 1 FROM exclusion WHERE person = ?1 AND kind = ?2 AND removed IS NULL)"
        } else {
            "UPDATE exclusion SET removed = ?3 WHERE person = ?1 AND kind = ?2 AND removed IS NULL"
        };
        let mut changed = 0;
        for person in people {
            changed += sqlx::query(statement)
                .bind(person.as_slice())
                .bind(kind.name())
                .bind(version)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?
                .rows_affected();
        }
        if changed == 0 {
            transaction.rollback().await.map_err(failed)?;
            return Ok(Change { version: unsigned(before), added: 0, removed: 0 });
        }
        let (added, removed) = if add { (changed, 0) } else { (0, changed) };
        sqlx::query("UPDATE exclusion_version SET added = ?2, removed = ?3 WHERE version = ?1")
            .bind(version)
            .bind(i64::try_from(added).unwrap_or(i64::MAX))
            .bind(i64::try_from(removed).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Change { version: unsigned(version), added, removed })
    }

    /// How many people stand on the lists, and how that came about.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn exclusions(&self) -> Result<Overview, PublishError> {
        let failed = |error| self.failed(error);
        let mut people = Vec::new();
        for kind in Kind::ALL {
            let count: i64 =
                sqlx::query_scalar("SELECT COUNT(DISTINCT person) FROM exclusion WHERE kind = ?1 AND removed IS NULL")
                    .bind(kind.name())
                    .fetch_one(self.pool())
                    .await
                    .map_err(failed)?;
            people.push((kind, unsigned(count)));
        }
        let rows = sqlx::query("SELECT version, at, kind, added, removed FROM exclusion_version ORDER BY version")
            .fetch_all(self.pool())
            .await
            .map_err(failed)?;
        let history = rows
            .iter()
            .map(|row| (unsigned(row.get(0)), row.get(1), row.get(2), unsigned(row.get(3)), unsigned(row.get(4))))
            .collect();
        Ok(Overview { version: self.exclusion_version().await?, people, history })
    }

    /// Everybody who is or was left out, for the views. `None` when somebody's pseudonym was stored under another key
    /// than `store_kid`: they can't be found in the tables, and nothing may be answered.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn excluded(&self, store_kid: &str) -> Result<Option<Excluded>, PublishError> {
        let failed = |error| self.failed(error);
        let mut transaction = self.pool().begin().await.map_err(failed)?;
        let version: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM exclusion_version")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let foreign: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM exclusion e JOIN exclusion_version v ON v.version = e.added WHERE v.store_kid <> ?1",
        )
        .bind(store_kid)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        if foreign > 0 {
            return Ok(None);
        }
        let rows = sqlx::query("SELECT person, kind, added, removed FROM exclusion")
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        let mut excluded = Excluded::new(unsigned(version), rows.len());
        for row in rows {
            let Ok(person) = <[u8; 16]>::try_from(row.get::<&[u8], _>(0)) else { continue };
            let removed: Option<i64> = row.get(3);
            let span = match row.get::<&str, _>(1) {
                "opt_out" => Some(Span::From { added: unsigned(row.get(2)), removed: removed.map(unsigned) }),
                // Taken back: nothing is left out any more, whatever the permit.
                _ if removed.is_some() => None,
                _ => Some(Span::Always),
            };
            if let Some(span) = span {
                excluded.insert(person, span);
            }
        }
        Ok(Some(excluded))
    }
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}
