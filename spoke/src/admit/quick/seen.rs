//! Legs of quick tests that were seen, kept where a restart doesn't forget them.

use crate::publish::{PublishError, State};
use chrono::{DateTime, Utc};

/// Legs are kept so long, milliseconds: much longer than a request is fresh.
const KEPT: i64 = 3_600_000;

/// One leg of one request.
pub(super) struct Leg<'a> {
    pub(super) nonce: &'a [u8],
    pub(super) digest: &'a [u8; 32],
    pub(super) group: u32,
    pub(super) table: &'a str,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// it was not seen before, and is now
    New,
    /// it was, or its nonce was with another request
    Seen,
    /// the person has had their share
    Full {
        /// when there is room again, milliseconds
        again: i64,
    },
}

/// A moment as people read it.
pub(super) fn clock(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default().format("%H:%M:%S UTC").to_string()
}

impl State {
    /// Takes a leg down at the moment `now` (milliseconds), unless it was seen or `person` has asked `most` requests in the
    /// last hour.
    ///
    /// # Errors
    /// When the database can't be written.
    pub(super) async fn take_leg(
        &self,
        leg: &Leg<'_>,
        person: &str,
        now: i64,
        most: u32,
    ) -> Result<Taken, PublishError> {
        let failed = |error| self.failed(error);
        let mut tx = self.pool().begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        sqlx::query("DELETE FROM quick_seen WHERE at <= ?").bind(now - KEPT).execute(&mut *tx).await.map_err(failed)?;
        let others: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM quick_seen WHERE nonce = ? AND digest <> ?")
            .bind(leg.nonce)
            .bind(leg.digest.as_slice())
            .fetch_one(&mut *tx)
            .await
            .map_err(failed)?;
        if others > 0 {
            return Ok(Taken::Seen);
        }
        let (asked, first): (i64, Option<i64>) =
            sqlx::query_as("SELECT COUNT(DISTINCT nonce), MIN(at) FROM quick_seen WHERE person = ? AND nonce <> ?")
                .bind(person)
                .bind(leg.nonce)
                .fetch_one(&mut *tx)
                .await
                .map_err(failed)?;
        if asked >= i64::from(most) {
            return Ok(Taken::Full { again: first.unwrap_or(now) + KEPT });
        }
        let new = sqlx::query(
            "INSERT INTO quick_seen (nonce, leg, digest, person, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(leg.nonce)
        .bind(format!("{} {}", leg.group, leg.table))
        .bind(leg.digest.as_slice())
        .bind(person)
        .bind(now)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(if new.rows_affected() == 1 { Taken::New } else { Taken::Seen })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn leg<'a>(nonce: &'a [u8; 16], table: &'a str) -> Leg<'a> {
        Leg { nonce, digest: &[1; 32], group: 0, table }
    }

    #[tokio::test]
    async fn a_leg_is_taken_once_and_a_restart_does_not_forget_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let state = State::open(&path).await.unwrap();
        let nonce = [7; 16];
        let take = async |state: &State, leg: &Leg<'_>, now| state.take_leg(leg, "anna", now, 100).await.unwrap();
        assert_eq!(take(&state, &leg(&nonce, "bef"), 1).await, Taken::New);
        assert_eq!(take(&state, &leg(&nonce, "lmdb"), 1).await, Taken::New, "another leg of the same request");
        assert_eq!(take(&state, &leg(&nonce, "bef"), 2).await, Taken::Seen);
        let other = Leg { digest: &[2; 32], ..leg(&nonce, "kontakt") };
        assert_eq!(take(&state, &other, 2).await, Taken::Seen, "another request under the same nonce");
        drop(state);
        let state = State::open(&path).await.unwrap();
        assert_eq!(take(&state, &leg(&nonce, "bef"), 3).await, Taken::Seen);
    }

    #[tokio::test]
    async fn a_person_has_a_share_of_an_hour_however_many_legs() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db")).await.unwrap();
        for n in 0..3_u8 {
            let nonce = [n; 16];
            for table in ["bef", "lmdb"] {
                let taken = state.take_leg(&leg(&nonce, table), "anna", 1_000 + i64::from(n), 3).await.unwrap();
                assert_eq!(taken, Taken::New);
            }
        }
        let next = [9; 16];
        let again = 1_000 + KEPT;
        let full = state.take_leg(&leg(&next, "bef"), "anna", 5_000, 3).await.unwrap();
        assert_eq!(full, Taken::Full { again });
        // Somebody else has a share of their own, and so has Anna when an hour is over.
        assert_eq!(state.take_leg(&leg(&[8; 16], "bef"), "bo", 5_000, 3).await.unwrap(), Taken::New);
        assert_eq!(state.take_leg(&leg(&next, "bef"), "anna", again, 3).await.unwrap(), Taken::New);
    }
}
