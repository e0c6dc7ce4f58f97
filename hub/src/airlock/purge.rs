//! What has not left goes with the data that it was made from.

use super::{
    Airlock, AirlockError, SubmissionRecord,
    read::{self, blocking},
    submit::step,
    told,
};
use crate::apply::Actor;
use chrono::{DateTime, Utc};
use policies::airlock::{Event, State};
use proto::ids::ProjectId;
use serde_json::json;
use std::sync::Arc;

impl Airlock {
    /// Takes back every submission of a project that has not left, and removes its files; of what has left, the files that were
    /// to stay inside. Says how many files that were, and their bytes.
    ///
    /// # Errors
    /// When something could not be removed. Asking again goes on from there.
    pub async fn purge(&self, project: &ProjectId, now: DateTime<Utc>) -> Result<(u64, u64), AirlockError> {
        let mut tx = self.begin_write().await?;
        let rows = sqlx::query("SELECT * FROM submission WHERE project = ? ORDER BY id")
            .bind(project.to_string())
            .fetch_all(&mut *tx)
            .await?;
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        for row in &rows {
            let record = SubmissionRecord::read(row)?;
            for file in read::files(&mut tx, &record.id).await? {
                let inside = record.submission.file(&file.name).is_some_and(|said| said.inside);
                if record.state != State::Released || inside {
                    kept.push((record.id, file.name, file.bytes));
                }
            }
            if !record.state.is_final() {
                step(&mut tx, &record.id, Event::Withdraw, now).await?;
                told(&mut tx, project, &record.id, &Actor::Hub, "airlock_withdrawn", json!({}), now).await?;
                self.log_own(&record, "withdrawn_with_its_data", json!({})).await?;
            }
            if record.state != State::Released {
                gone.push(record.id);
            }
        }
        tx.commit().await?;
        let vault = Arc::clone(&self.vault);
        let removed = blocking(move || {
            let (mut files, mut bytes) = (0, 0);
            for (id, name, length) in kept {
                if vault.remove(&id, &name)? {
                    files += 1;
                    bytes += length;
                }
            }
            gone.iter().try_for_each(|id| vault.clear(id))?;
            Ok::<_, AirlockError>((files, bytes))
        });
        removed.await?
    }
}
