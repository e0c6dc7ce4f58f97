//! Applications: handed in, changed, taken back, and everything that happened to them.
//!
//! INVARIANT: what happened is only ever added to: the database refuses to change or remove an event.
//! INVARIANT: time comes as an argument; nothing here asks the clock.

mod error;
pub(crate) mod event;
mod moves;
mod read;
mod record;
mod statements;
mod submit;

pub use error::ApplyError;
pub use event::{Actor, EventRecord};
pub use moves::Screening;
pub use read::{Filter, PermitRecord, Published, PublishedRefusal, WorkspaceRecord};
pub use record::{PartRecord, Question, Record};
pub(crate) use record::{Row, stamp};
pub use statements::Approver;

use crate::identify::{TokenError, TokenStore};
use sqlx::{Sqlite, SqlitePool, Transaction};
use std::path::Path;

/// Applications, parts, statements and events in `hub.db`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Applications {
    pool: SqlitePool,
}

impl Applications {
    /// Opens the database and brings its tables up to date.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(path: &Path) -> Result<Self, TokenError> {
        Ok(Self::new(&TokenStore::open(path).await?))
    }

    /// In the database that holds the tokens.
    #[must_use]
    pub fn new(tokens: &TokenStore) -> Self {
        Self { pool: tokens.pool() }
    }

    /// A transaction that holds the writer's place from its start, so that what is read in it stays true.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, ApplyError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}
