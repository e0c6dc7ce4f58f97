//! How often one person may ask: a hundred requests in any hour, over restarts.

use super::{CountError, lot::Lots};
use crate::{
    apply::ApplyError,
    identify::{Caller, TokenStore},
};
use chrono::{DateTime, Utc};
use proto::refusal::{Kind, Refusal};
use sha2::{Digest, Sha256};
use sqlx::SqlitePool;

/// Requests of one person in an hour.
pub const MOST: u32 = 100;
/// The hour, milliseconds.
const HOUR: i64 = 3_600_000;

/// When there is room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// the moment from which another request is taken
    pub again: DateTime<Utc>,
    /// seconds until then, rounded up
    pub seconds: u64,
}

/// Everybody's share, in the hub's database.
#[derive(Debug, Clone)]
pub struct Share {
    pool: SqlitePool,
}

impl Share {
    /// In the database that holds the tokens.
    #[must_use]
    pub fn new(tokens: &TokenStore) -> Self {
        Self { pool: tokens.pool() }
    }

    /// What decides how counts are rounded.
    pub(super) async fn lots(&self) -> Result<Lots, Refusal> {
        Lots::of(&self.pool).await.map_err(unusable)
    }

    /// Takes one request of `caller`'s share at the moment `now`. Says how many are left.
    ///
    /// # Errors
    /// When none is left, or the database can't be used.
    pub async fn take(&self, caller: &Caller, now: DateTime<Utc>) -> Result<u32, CountError> {
        self.taken(&person(caller), now.timestamp_millis()).await.map_err(unusable)?
    }

    /// How many are left of `caller`'s share at the moment `now`.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn left(&self, caller: &Caller, now: DateTime<Utc>) -> Result<u32, CountError> {
        let asked: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM count_request WHERE person = ? AND at > ?")
            .bind(person(caller))
            .bind(now.timestamp_millis() - HOUR)
            .fetch_one(&self.pool)
            .await
            .map_err(unusable)?;
        Ok(u32::try_from(i64::from(MOST) - asked).unwrap_or_default())
    }

    async fn taken(&self, person: &str, now: i64) -> Result<Result<u32, CountError>, sqlx::Error> {
        // The writer's place from the start: two requests at once can't both be the last.
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM count_request WHERE at <= ?").bind(now - HOUR).execute(&mut *tx).await?;
        let (asked, first): (i64, Option<i64>) =
            sqlx::query_as("SELECT COUNT(*), MIN(at) FROM count_request WHERE person = ?")
                .bind(person)
                .fetch_one(&mut *tx)
                .await?;
        if asked >= i64::from(MOST) {
            let again = first.unwrap_or(now) + HOUR;
            let seconds = u64::try_from((again - now).max(0)).unwrap_or_default().div_ceil(1000);
            let again = DateTime::from_timestamp_millis(again).unwrap_or_default();
            return Ok(Err(CountError::Full(Used { again, seconds })));
        }
        sqlx::query("INSERT INTO count_request (person, at) VALUES (?, ?)")
            .bind(person)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Ok(u32::try_from(i64::from(MOST) - asked - 1).unwrap_or_default()))
    }
}

fn person(caller: &Caller) -> String {
    hex::encode(Sha256::digest(format!("{}\n{}", caller.issuer, caller.user)))
}

fn unusable(error: sqlx::Error) -> Refusal {
    tracing::error!(error = %ApplyError::from(error), "nobody's share of quick tests can be looked up");
    Refusal::new(Kind::Unavailable, "the hub can't use its own database at the moment. Try again shortly")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use policies::zone::Zone;

    #[tokio::test]
    async fn the_101st_request_in_an_hour_is_refused_until_the_first_is_an_hour_old_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.db");
        let share = Share::new(&TokenStore::open(&path).await.unwrap());
        let (anna, bo) = (Caller::for_tests("anna", Zone::Open), Caller::for_tests("bo", Zone::Open));
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        for n in 0..100_i64 {
            let left = share.take(&anna, at(n)).await.unwrap_or_else(|error| panic!("{n}: {error:?}"));
            assert_eq!(i64::from(left), 99 - n);
        }
        drop(share);
        let share = Share::new(&TokenStore::open(&path).await.unwrap());
        let Err(CountError::Full(used)) = share.take(&anna, at(200)).await else { panic!("the 101st is taken") };
        assert_eq!(used, Used { again: at(3600), seconds: 3400 });
        // A refused one takes nothing: the first of them is free again when it is an hour old, and then the second.
        assert!(matches!(share.take(&anna, at(3599)).await, Err(CountError::Full(_))));
        assert!(matches!(share.take(&anna, at(3600)).await, Ok(0)));
        assert!(matches!(share.take(&anna, at(3600)).await, Err(CountError::Full(_))));
        // Somebody else has a share of their own, and so has a namesake for whom another issuer vouches.
        assert!(matches!(share.take(&bo, at(200)).await, Ok(99)));
        let namesake = Caller { issuer: "https://elsewhere.example".to_owned(), ..anna };
        assert!(matches!(share.take(&namesake, at(200)).await, Ok(99)));
    }
}
