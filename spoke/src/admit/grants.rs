//! The controller's grants, read again whenever a file of the folder changed.
//!
//! INVARIANT: when the folder can't be read, nobody is granted anything.

use crate::receive::Envelope;
use policies::{
    grant::{Denied, Grant, Grants},
    zone::Zone,
};
use proto::{
    ids::ProjectId,
    refusal::{Kind, Refusal},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// Name, time and size of each file: another state means that something changed.
type State = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// What was read last, and how the folder stood then.
type Known = Option<(State, Arc<Grants>)>;

pub(crate) struct GrantBook {
    folder: PathBuf,
    read: Arc<Mutex<Known>>,
}

impl GrantBook {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, read: Arc::default() }
    }

    /// The file that a project's grant is expected in.
    pub(crate) fn file_of(&self, project: &ProjectId) -> PathBuf {
        self.folder.join(format!("{project}.toml"))
    }

    /// The grant that covers the request, as the folder stands now.
    pub(crate) async fn find(&self, envelope: &Envelope) -> Result<Grant, Refusal> {
        let (folder, read) = (self.folder.clone(), Arc::clone(&self.read));
        let grants =
            tokio::task::spawn_blocking(move || current(&folder, &read)).await.ok().flatten().unwrap_or_default();
        let today = chrono::Utc::now().date_naive();
        Zone::from_wire(envelope.zone.into())
            .ok_or(Denied)
            .and_then(|zone| grants.find(&envelope.project, &envelope.user, zone, today))
            .cloned()
            .map_err(|denied| {
                tracing::info!(
                    query = %envelope.query_id, project = %envelope.project, user = %envelope.user, "no grant"
                );
                Refusal::new(Kind::Denied, denied.to_string())
            })
    }
}

fn current(folder: &Path, read: &Mutex<Known>) -> Option<Arc<Grants>> {
    let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
    let state = match state(folder) {
        Ok(state) => state,
        Err(error) => {
            tracing::error!(folder = %folder.display(), %error, "the folder of grants can't be read; nothing is granted");
            *read = None;
            return None;
        }
    };
    if let Some((known, grants)) = read.as_ref()
        && *known == state
    {
        return Some(Arc::clone(grants));
    }
    match Grants::load(folder) {
        Ok(grants) => {
            for error in grants.broken() {
                tracing::error!(%error, "a grant can't be used; its project is refused until the file is mended");
            }
            tracing::info!(grants = grants.iter().count(), "grants read");
            let grants = Arc::new(grants);
            *read = Some((state, Arc::clone(&grants)));
            Some(grants)
        }
        Err(error) => {
            tracing::error!(%error, "the folder of grants can't be read; nothing is granted");
            *read = None;
            None
        }
    }
}

fn state(folder: &Path) -> std::io::Result<State> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::new()),
        other => other?,
    };
    let mut state = State::new();
    for entry in entries {
        let entry = entry?;
        // A file that goes away in between will be seen as gone next time, and can't be loaded now.
        if let Ok(meta) = entry.metadata() {
            state.insert(entry.path(), (meta.modified().ok(), meta.len()));
        }
    }
    Ok(state)
}
