//! Drafts that nobody goes on with are withdrawn after some days, so that what was made of people's data doesn't lie in the
//! airlock for ever, and takes no place of the project's. So are answers of the platform that nobody takes out.
//!
//! INVARIANT: what was sent to checkers never goes by itself.

use super::{
    Airlock, AirlockError, SubmissionRecord,
    read::{blocking, record},
    submit::step,
    told,
};
use crate::{
    apply::{Actor, stamp},
    assemble::Clock,
};
use chrono::{DateTime, Days, Utc};
use policies::airlock::{Event, State};
use proto::ids::SubmissionId;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// A draft is kept for so many days after its last change, and an answer before it is taken out, unless hub.toml says otherwise.
pub const DRAFT_DAYS: u32 = 30;
/// How often a hub looks by itself.
const ROUND: Duration = Duration::from_secs(3600);

impl Airlock {
    /// When a draft is withdrawn, unless it is changed or sent before, or an answer, unless it is taken out; nothing for what
    /// is neither.
    #[must_use]
    pub fn expires_at(&self, of: &SubmissionRecord) -> Option<DateTime<Utc>> {
        // What people have approved waits to be taken out.
        let ends = if of.computed { of.state == State::Approved } else { of.state.next(Event::Expire).is_ok() };
        of.changed_at.checked_add_days(Days::new(self.draft_days.into())).filter(|_| ends)
    }

    /// Withdraws the drafts whose time is over at the moment `now`, and removes their files; says how many that were.
    ///
    /// # Errors
    /// When something can't be written or removed. Asking again goes on from there.
    pub async fn expire(&self, now: DateTime<Utc>) -> Result<u64, AirlockError> {
        let Some(since) = now.checked_sub_days(Days::new(self.draft_days.into())) else { return Ok(0) };
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM submission WHERE (state IN ('DRAFT', 'CHECKED') OR state = 'APPROVED' AND computed = 1) \
             AND changed_at <= ? ORDER BY id",
        )
        .bind(stamp(since))
        .fetch_all(&self.pool)
        .await?;
        let mut gone = 0;
        for id in ids.iter().filter_map(|id| id.parse::<SubmissionId>().ok()) {
            let mut tx = self.begin_write().await?;
            let before = record(&mut tx, &id).await?;
            // Somebody may have gone on with it since.
            if self.expires_at(&before).is_none_or(|at| at > now) {
                continue;
            }
            let event = if before.computed { Event::Withdraw } else { Event::Expire };
            step(&mut tx, &id, event, now).await?;
            told(&mut tx, before.project(), &id, &Actor::Hub, "airlock_expired", json!({}), now).await?;
            let detail = json!({ "unchanged_since": stamp(before.changed_at), "days": self.draft_days });
            self.log_own(&before, "expired", detail).await?;
            tx.commit().await?;
            gone += 1;
        }
        self.clear_withdrawn().await?;
        Ok(gone)
    }

    /// Removes files of submissions that were withdrawn when something hindered it, such as the hub's end.
    async fn clear_withdrawn(&self) -> Result<(), AirlockError> {
        let vault = Arc::clone(&self.vault);
        let kept = blocking(move || vault.kept()).await??;
        for id in kept {
            let state: Option<String> = sqlx::query_scalar("SELECT state FROM submission WHERE id = ?")
                .bind(id.to_string())
                .fetch_optional(&self.pool)
                .await?;
            // One without a row may be about to get it.
            if state.as_deref() == Some(State::Withdrawn.name()) {
                let vault = Arc::clone(&self.vault);
                blocking(move || vault.clear(&id)).await??;
            }
        }
        Ok(())
    }

    /// Looks every hour, and at once, until `stop`.
    pub async fn keep_expiring(self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = round.tick() => {}
            }
            match self.expire(clock.now()).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, days = self.draft_days, "drafts in the airlock expired"),
                Err(error) => {
                    tracing::error!(%error, "drafts in the airlock can't be withdrawn; tried again in an hour")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
