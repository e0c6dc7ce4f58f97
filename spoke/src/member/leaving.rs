//! People took a consent back or must be erased. Answers leave them out at once, and those that run end; what the hub keeps of
//! earlier answers has to go, project by project.
//!
//! The lists are changed by commands in another process, also while nobody serves. So they are looked at, and never told.
//!
//! INVARIANT: a change counts as asked only when the removal of each project is written down. While the permits can't be
//! read no change counts as asked.

use super::{LivePermits, Purges, PurgesError};
use crate::{
    optout::Unasked,
    publish::{PublishError, State},
};
use std::sync::Arc;

/// Why the hub can't be asked about a change of the lists yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeavingError {
    /// The lists.
    #[error(transparent)]
    State(#[from] PublishError),
    /// A removal can't be written down.
    #[error(transparent)]
    Purges(#[from] PurgesError),
}

/// Looks at the lists for those who leave.
pub(super) struct Leaving {
    state: State,
    permits: Arc<dyn LivePermits>,
    purges: Arc<Purges>,
}

impl std::fmt::Debug for Leaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaving")
    }
}

impl Leaving {
    pub(super) fn new(state: State, permits: Arc<dyn LivePermits>, purges: Arc<Purges>) -> Self {
        Self { state, permits, purges }
    }

    /// Writes down what the hub has to remove because of changes that it was not asked about.
    pub(super) async fn look(&self) -> Result<(), LeavingError> {
        for change in self.state.unasked().await? {
            let permits = Arc::clone(&self.permits);
            // Reads files. Its book of permits says itself when it can't.
            let Ok(Some(projects)) = tokio::task::spawn_blocking(move || permits.ongoing()).await else {
                return Ok(());
            };
            self.permits.interrupt();
            for project in &projects {
                self.purges.ask_about(project, &change)?;
            }
            self.state.asked(&change).await?;
            let Unasked { kind, version, .. } = change;
            tracing::info!(%kind, version, projects = projects.len(), "the hub is asked to remove what it holds");
        }
        Ok(())
    }
}
