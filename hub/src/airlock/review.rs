//! What checkers decide.
//!
//! INVARIANT: one review of an organisation, one of a person. Nothing of a review is told before the checkers are done.

use super::{
    Airlock, AirlockError, SubmissionRecord, Who,
    read::{record, reviews},
    submit::step,
    told,
};
use crate::apply::{Actor, ApplyError, stamp};
use chrono::{DateTime, Utc};
use policies::airlock::{Event, Outcome, Review, settle};
use proto::ids::{OrganisationId, SubmissionId};
use serde_json::json;
use std::collections::BTreeMap;

impl Airlock {
    /// Takes an organisation's review, and moves the submission when enough have decided.
    ///
    /// # Errors
    /// When the review is not whole, the organisation or the person has decided before, or the state doesn't allow it.
    pub async fn review(
        &self,
        id: &SubmissionId,
        organisation: &OrganisationId,
        review: &Review,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<SubmissionRecord, AirlockError> {
        let mut tx = self.begin_write().await?;
        let before = record(&mut tx, id).await?;
        review.check(before.submission.leaving())?;
        // Whatever it comes to, it can be reviewed now.
        if before.state.next(Event::Approve).is_err() {
            before.state.next(Event::Review)?;
        }
        let content = serde_json::to_string(review)
            .map_err(|_| ApplyError::Corrupt { table: "submission_review", field: "content" })?;
        let done = sqlx::query(
            "INSERT INTO submission_review (submission, organisation, reviewer, issuer, content, at) \
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(id.to_string())
        .bind(organisation.to_string())
        .bind(who.user.to_string())
        .bind(&who.issuer)
        .bind(content)
        .bind(stamp(now))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Err(AirlockError::Conflict("you or your organisation have decided on it already".to_owned()));
        }
        let all: BTreeMap<String, Review> =
            reviews(&mut tx, id).await?.into_iter().map(|one| (one.organisation.to_string(), one.review)).collect();
        let (event, kind) = match settle(before.submission.leaving(), &all) {
            Outcome::Waiting => (Event::Review, "airlock_reviewed"),
            Outcome::Conflict => (Event::Disagree, "airlock_conflict"),
            Outcome::Approved => (Event::Approve, "airlock_approved"),
            Outcome::ChangesRequested => (Event::RequestChanges, "airlock_changes_requested"),
        };
        let next = step(&mut tx, id, event, now).await?;
        // The project's log would tell a member that the first checker is done, and to whom that was.
        if event != Event::Review {
            told(&mut tx, before.project(), id, &Actor::Hub, kind, json!({ "to": next.name() }), now).await?;
        }
        let verdicts: BTreeMap<&str, &str> =
            review.files.iter().map(|file| (file.file.as_str(), file.verdict.name())).collect();
        let detail = json!({ "organisation": organisation, "verdicts": verdicts, "to": next.name() });
        self.log(&before, who, "reviewed", detail).await?;
        let record = record(&mut tx, id).await?;
        tx.commit().await?;
        Ok(record)
    }
}
