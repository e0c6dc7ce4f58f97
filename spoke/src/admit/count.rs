//! Questions of a day, counted where a restart doesn't forget them.

use crate::publish::{PublishError, State};
use chrono::NaiveDate;
use proto::{
    ids::PermitId,
    refusal::{Kind, Refusal},
};

impl State {
    /// Counts one more question under a permit on a day (UTC), unless `most` were counted already. Whether there was
    /// room.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn count_question(&self, permit: PermitId, day: NaiveDate, most: u32) -> Result<bool, PublishError> {
        let counted: Option<i64> = sqlx::query_scalar(
            "INSERT INTO question_count (permit, day, questions) VALUES (?1, ?2, 1)
             ON CONFLICT (permit, day) DO UPDATE SET questions = questions + 1 WHERE questions < ?3
             RETURNING questions",
        )
        .bind(permit.to_string())
        .bind(day.to_string())
        .bind(i64::from(most))
        .fetch_optional(self.pool())
        .await
        .map_err(|error| self.failed(error))?;
        Ok(counted.is_some())
    }
}

/// The refusal when a day's questions are used up.
pub(crate) fn used_up(most: u32) -> Refusal {
    Refusal::new(
        Kind::Exhausted,
        format!("the project's permit here allows {most} questions a day (UTC), and today's are used up"),
    )
}

/// The refusal when the spoke's own state can't be used.
pub(crate) fn no_state(error: &PublishError) -> Refusal {
    tracing::error!(%error, "state.db can't be used; nothing is answered");
    Refusal::new(Kind::Unavailable, "this controller's spoke can't use its own state at the moment; its log says why")
}
