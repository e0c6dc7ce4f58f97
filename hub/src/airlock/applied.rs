//! By which rules the numbers of a submission were let out, written down when they were applied: what a permit asks for later, and
//! what a statement would meet later, is another thing.

use super::{Airlock, AirlockError};
use crate::{apply::ApplyError, release};
use policies::disclosure::{Threshold, noise};
use proto::ids::SubmissionId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

/// The rules that were applied to one submission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// the fewest people that the checks of files let a number be about
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// what the open zone did with the numbers of each file that the platform computed, by the file's name
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, Vec<AppliedRule>>,
    /// with which noise those were shown
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseUsed>,
}

/// A rule of the open zone that a part of a statement met, as `EXPLAIN RELEASE` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRule {
    /// a column, or what else it is about
    pub about: String,
    /// the rule, as `release_status` names it
    pub rule: String,
    /// what it does
    pub what: String,
}

impl From<release::Note> for AppliedRule {
    fn from(note: release::Note) -> Self {
        Self { about: note.about, rule: note.rule.into_owned(), what: note.what }
    }
}

/// What the noise of counts is looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoiseUsed {
    /// of the published table (`policies/disclosure/noise.csv`), hex
    pub table_sha256: String,
    /// of the project's key, which makes the people's keys; none where no table has people
    pub key_epoch: Option<u32>,
}

impl Applied {
    pub(super) fn checked(least: Threshold) -> Self {
        Self { threshold: Some(least.least()), ..Self::default() }
    }

    /// Of answers that the platform computed under the project's key of `key_epoch`.
    #[must_use]
    pub fn computed(answers: BTreeMap<String, Vec<AppliedRule>>, key_epoch: Option<u32>) -> Self {
        let table_sha256 = hex::encode(Sha256::digest(noise::TABLE));
        Self { threshold: None, answers, noise: Some(NoiseUsed { table_sha256, key_epoch }) }
    }
}

impl Airlock {
    /// Writes down by which rules a submission's numbers were let out, in place of what stood there.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn applied(&self, id: &SubmissionId, applied: &Applied) -> Result<(), AirlockError> {
        let content = serde_json::to_string(applied)
            .map_err(|_| ApplyError::Corrupt { table: "submission_rules", field: "content" })?;
        sqlx::query("INSERT OR REPLACE INTO submission_rules (submission, content) VALUES (?, ?)")
            .bind(id.to_string())
            .bind(content)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// What was written down; nothing of submissions that were checked before it was.
pub(super) async fn of(connection: &mut SqliteConnection, id: &SubmissionId) -> Result<Applied, AirlockError> {
    let content: Option<String> = sqlx::query_scalar("SELECT content FROM submission_rules WHERE submission = ?")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    let read = content.map_or_else(|| Ok(Applied::default()), |content| serde_json::from_str(&content));
    Ok(read.map_err(|_| ApplyError::Corrupt { table: "submission_rules", field: "content" })?)
}
