//! The airlock: files that researchers made inside the secure environment, frozen, checked by machine and by people, and let
//! out. The states are those of [`policies::airlock`]; who may do what is decided by the caller ([`crate::api`]).
//!
//! INVARIANT: a file that was taken is never changed: what is checked, reviewed and released is the same bytes.
//! INVARIANT: what happens here stands in the hub's audit log before it happens; who reviewed stands there alone.
//! INVARIANT: time comes as an argument, or from a clock that is given; nothing here asks the machine's.

mod applied;
mod at_once;
mod bag;
mod check;
mod difference;
mod error;
mod expire;
mod found;
mod kind;
mod metadata;
mod out;
mod purge;
mod read;
mod record;
mod review;
mod submit;
mod vault;
mod verify;

pub use applied::{Applied, AppliedRule, NoiseUsed};
pub use at_once::{Differs, MOST_ANSWERS};
pub use check::{Finding, Rule, Weight, examine};
pub use difference::{CellChange, FileChange, FileDifference};
pub use error::AirlockError;
pub use expire::DRAFT_DAYS;
pub use kind::{Kind, NoKind};
pub use out::ProjectFacts;
pub use read::Listed;
pub use record::{FileRecord, ReviewRecord, SubmissionRecord};
pub use submit::{MOST_BYTES, MOST_FILE};
pub use verify::{Verified, VerifyError, verify};

use crate::{
    apply::{Actor, Applications, ApplyError, event},
    audit::{Event, HubAudit},
    identify::TokenStore,
};
use chrono::{DateTime, NaiveTime, Utc};
use proto::ids::{ProjectId, SubmissionId, UserId};
use runtime::sign::{SigningKey, VerifyingKey};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use std::{path::Path, sync::Arc};
use tokio::sync::{Semaphore, SemaphorePermit};
use vault::Vault;

/// Submissions, their files and reviews. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Airlock {
    pool: SqlitePool,
    /// what the project's controllers ask for
    applications: Applications,
    vault: Arc<Vault>,
    audit: HubAudit,
    key: Arc<SigningKey>,
    hub: String,
    /// checks at once: each holds a submission's tables
    places: Arc<Semaphore>,
    /// how long a draft that nobody changes is kept, days
    draft_days: u32,
}

/// Submissions that are checked or packed at once.
const PLACES: usize = 2;

/// Somebody of a project or a checker, as the log names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// the user
    pub user: UserId,
    /// who vouches
    pub issuer: String,
}

impl Airlock {
    /// In the database that holds the tokens, with its files below the hub's `folder`.
    ///
    /// # Errors
    /// When the folder or its key can't be used.
    pub fn open(
        folder: &Path,
        hub: &str,
        tokens: &TokenStore,
        audit: HubAudit,
        key: Arc<SigningKey>,
    ) -> Result<Self, AirlockError> {
        let vault = Arc::new(Vault::open(folder)?);
        Ok(Self {
            pool: tokens.pool(),
            applications: Applications::new(tokens),
            vault,
            audit,
            key,
            hub: hub.to_owned(),
            places: Arc::new(Semaphore::new(PLACES)),
            draft_days: DRAFT_DAYS,
        })
    }

    /// The same, whose drafts are kept for `days` after their last change.
    #[must_use]
    pub fn keeping_drafts(self, days: u32) -> Self {
        Self { draft_days: days, ..self }
    }

    /// What releases are verified with.
    #[must_use]
    pub fn public_key(&self) -> VerifyingKey {
        self.key.public()
    }

    /// The hub's name, as it stands in releases.
    #[must_use]
    pub fn hub(&self) -> &str {
        &self.hub
    }

    /// A transaction that holds the writer's place from its start, so that what is read in it stays true.
    async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>, AirlockError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A place to work in; waits for one.
    async fn place(&self) -> Result<SemaphorePermit<'_>, AirlockError> {
        self.places.acquire().await.map_err(|_| AirlockError::Crate("the hub is stopping".to_owned()))
    }

    /// Writes into the hub's audit log that something is about to happen, or be read.
    ///
    /// # Errors
    /// When it can't be written: then it must not happen.
    pub async fn log(
        &self,
        of: &SubmissionRecord,
        who: &Who,
        what: &'static str,
        detail: serde_json::Value,
    ) -> Result<(), AirlockError> {
        self.logged(of, Some(who), what, detail).await
    }

    /// The same of what the hub does by itself.
    async fn log_own(
        &self,
        of: &SubmissionRecord,
        what: &'static str,
        detail: serde_json::Value,
    ) -> Result<(), AirlockError> {
        self.logged(of, None, what, detail).await
    }

    async fn logged(
        &self,
        of: &SubmissionRecord,
        who: Option<&Who>,
        what: &'static str,
        detail: serde_json::Value,
    ) -> Result<(), AirlockError> {
        let event = Event::Airlock {
            project: of.project().clone(),
            submission: of.id,
            user: who.map(|who| who.user.clone()),
            issuer: who.map(|who| who.issuer.clone()),
            what,
            detail,
        };
        Ok(self.audit.record(event).await?)
    }
}

/// The day of a moment: its start. Members read outside what was done inside, and whoever does it chooses the moment.
#[must_use]
pub fn day(at: DateTime<Utc>) -> DateTime<Utc> {
    at.date_naive().and_time(NaiveTime::MIN).and_utc()
}

/// Writes down for the project that something happened, and on which day: who did it only of members, and nothing that stands in a
/// file. The hub's own log has the moment.
async fn told(
    connection: &mut SqliteConnection,
    project: &ProjectId,
    id: &SubmissionId,
    actor: &Actor,
    kind: &'static str,
    mut detail: serde_json::Value,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    if let Some(map) = detail.as_object_mut() {
        map.insert("submission".to_owned(), id.to_string().into());
    }
    let event = event::NewEvent { project: project.as_ref(), application: None, controller: None, actor, kind, detail };
    event::write(connection, day(now), event).await
}

impl Who {
    /// As the project's log names a member.
    fn member(&self) -> Actor {
        Actor::Person { user: self.user.clone(), issuer: Some(self.issuer.clone()) }
    }
}

#[cfg(test)]
mod tests;
