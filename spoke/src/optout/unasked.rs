//! Changes of the lists because of which the hub has to remove what it holds, and of which it was not asked yet.
//!
//! An opt-out is none of them: it counts from the next permit on, and what was answered before stays.
//!
//! INVARIANT: only [`State::asked`] makes a change count as asked, so that one that came while nobody served is found later.

use super::Kind;
use crate::publish::{PublishError, State};
use chrono::{DateTime, Utc};
use policies::receipt::Reason;
use sqlx::Row;

/// The lists whose changes reach what was answered before.
const REACHING_BACK: [(Kind, Reason); 2] = [(Kind::Withdrawn, Reason::Withdrawn), (Kind::Erased, Reason::Erased)];

/// People came onto a list. Several changes that nobody was asked about are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    /// which list
    pub kind: Kind,
    /// what the hub is told
    pub reason: Reason,
    /// the newest version of the lists in it
    pub version: u64,
    /// when the oldest change in it was made
    pub since: DateTime<Utc>,
}

impl State {
    /// Changes since the hub was last asked to remove what it holds, one of each list at most. People who left a list
    /// change nothing about what the hub may hold.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn unasked(&self) -> Result<Vec<Unasked>, PublishError> {
        let mut all = Vec::new();
        for (kind, reason) in REACHING_BACK {
            let row = sqlx::query(
                "SELECT MAX(version), MIN(at) FROM exclusion_version WHERE kind = ?1 AND added > 0 AND version >
                    COALESCE((SELECT version FROM removal_asked WHERE kind = ?1), 0)",
            )
            .bind(kind.name())
            .fetch_one(self.pool())
            .await
            .map_err(|error| self.failed(error))?;
            let Some(version) = row.get::<Option<i64>, _>(0).and_then(|version| u64::try_from(version).ok()) else {
                continue;
            };
            let since = row.get::<Option<&str>, _>(1).and_then(|at| at.parse().ok()).unwrap_or_else(Utc::now);
            all.push(Unasked { kind, reason, version, since });
        }
        Ok(all)
    }

    /// The hub is asked about `change` from now on.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn asked(&self, change: &Unasked) -> Result<(), PublishError> {
        sqlx::query(
            "INSERT INTO removal_asked (kind, version) VALUES (?1, ?2)
                ON CONFLICT (kind) DO UPDATE SET version = MAX(version, excluded.version)",
        )
        .bind(change.kind.name())
        .bind(i64::try_from(change.version).unwrap_or(i64::MAX))
        .execute(self.pool())
        .await
        .map_err(|error| self.failed(error))?;
        Ok(())
    }
}
