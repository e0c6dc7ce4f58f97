//! Reading submissions back.

use super::{Airlock, AirlockError, FileRecord, ReviewRecord, SubmissionRecord};
use crate::apply::ApplyError;
use policies::airlock::State;
use proto::ids::{ProjectId, SubmissionId};
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Which submissions to list.
#[derive(Debug, Clone)]
pub enum Listed {
    /// those of a project
    Project(ProjectId),
    /// those that wait for checkers
    Waiting,
}

pub(super) async fn record(
    connection: &mut SqliteConnection,
    id: &SubmissionId,
) -> Result<SubmissionRecord, ApplyError> {
    let row =
        sqlx::query("SELECT * FROM submission WHERE id = ?").bind(id.to_string()).fetch_optional(connection).await?;
    SubmissionRecord::read(&row.ok_or(ApplyError::NotFound("submission"))?)
}

pub(super) async fn files(connection: &mut SqliteConnection, id: &SubmissionId) -> Result<Vec<FileRecord>, ApplyError> {
    let rows = sqlx::query("SELECT * FROM submission_file WHERE submission = ? ORDER BY name")
        .bind(id.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(FileRecord::read).collect()
}

pub(super) async fn reviews(
    connection: &mut SqliteConnection,
    id: &SubmissionId,
) -> Result<Vec<ReviewRecord>, ApplyError> {
    let rows = sqlx::query("SELECT * FROM submission_review WHERE submission = ? ORDER BY organisation")
        .bind(id.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(ReviewRecord::read).collect()
}

impl Airlock {
    /// One submission.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub async fn get(&self, id: &SubmissionId) -> Result<SubmissionRecord, AirlockError> {
        let mut connection = self.pool.acquire().await?;
        Ok(record(&mut connection, id).await?)
    }

    /// Its files, as far as they were added, by name.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn files(&self, id: &SubmissionId) -> Result<Vec<FileRecord>, AirlockError> {
        let mut connection = self.pool.acquire().await?;
        Ok(files(&mut connection, id).await?)
    }

    /// Its reviews. Not for the submitter before the checkers are done, and never for a checker.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn reviews(&self, id: &SubmissionId) -> Result<Vec<ReviewRecord>, AirlockError> {
        let mut connection = self.pool.acquire().await?;
        Ok(reviews(&mut connection, id).await?)
    }

    /// Submissions in the order of their ids, after the one named.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn list(
        &self,
        listed: &Listed,
        after: Option<&SubmissionId>,
        limit: u32,
    ) -> Result<Vec<SubmissionRecord>, AirlockError> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        let query = match listed {
            Listed::Project(project) => {
                sqlx::query("SELECT * FROM submission WHERE project = ? AND id > ? ORDER BY id LIMIT ?")
                    .bind(project.to_string())
            }
            Listed::Waiting => sqlx::query(
                "SELECT * FROM submission WHERE state IN ('UNDER_REVIEW', 'CONFLICT') AND id > ? ORDER BY id LIMIT ?",
            ),
        };
        let rows = query.bind(after).bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(SubmissionRecord::read).collect::<Result<_, _>>()?)
    }

    /// A file's bytes, which are those that were taken.
    ///
    /// # Errors
    /// When there is no such file, or it was changed on disk.
    pub async fn content(&self, id: &SubmissionId, name: &str) -> Result<Zeroizing<Vec<u8>>, AirlockError> {
        let known = self.files(id).await?.into_iter().find(|file| file.name == name);
        let known = known.ok_or(ApplyError::NotFound("file"))?;
        let of = self.get(id).await?;
        Ok(self.remaining(&of, &known).await?.ok_or(ApplyError::NotFound("file"))?)
    }

    /// The bytes of a file whose row was read; nothing when it was removed with the data that it was made from.
    pub(super) async fn remaining(
        &self,
        of: &SubmissionRecord,
        known: &FileRecord,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, AirlockError> {
        // Of what has left, only what was to stay inside is ever removed.
        let inside = || of.submission.file(&known.name).is_some_and(|said| said.inside);
        let may_lack = of.state == State::Withdrawn || (of.state == State::Released && inside());
        match self.frozen(&of.id, known).await {
            Err(AirlockError::Vault(error)) if may_lack && error.is_missing() => Ok(None),
            bytes => bytes.map(Some),
        }
    }

    /// The same, of a file whose row was read.
    pub(super) async fn frozen(
        &self,
        id: &SubmissionId,
        known: &FileRecord,
    ) -> Result<Zeroizing<Vec<u8>>, AirlockError> {
        let (vault, id, name) = (Arc::clone(&self.vault), *id, known.name.clone());
        let bytes = blocking(move || vault.get(&id, &name)).await??;
        if hex::encode(Sha256::digest(&*bytes)) != known.sha256 {
            return Err(ApplyError::Corrupt { table: "submission_file", field: "sha256" }.into());
        }
        Ok(bytes)
    }
}

/// Work that takes a while, off the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AirlockError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AirlockError::Crate("the work on it broke off".to_owned()))
}
