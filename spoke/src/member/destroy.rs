//! The end of a project's key: no permit of the project is live or to come.
//!
//! INVARIANT: when it can't be told whether a permit is there, nothing is destroyed; when it can, nothing is kept.

use super::{Member, MemberError};
use crate::pseudonym::project_key;
use proto::ids::ProjectId;
use serde_json::json;
use std::sync::PoisonError;

impl Member {
    /// Destroys the keys of projects that are over, and names these projects.
    ///
    /// # Errors
    /// When a key can't be overwritten or removed.
    pub fn destroy_ended(&self) -> Result<Vec<ProjectId>, MemberError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ended = Vec::new();
        for project in self.projects_with_keys()? {
            if self.permits.expected(&project) != Some(false) {
                continue;
            }
            // Destroying comes first: a log that can't be written must not keep a key alive.
            project_key::destroy(&self.projects, &project)?;
            self.known().remove(&project);
            if let Err(error) = self.audit.append(&json!({ "event": "epoch", "what": "destroyed", "project": project }))
            {
                tracing::error!(%project, %error, "a key was destroyed, and the log can't say so");
            }
            tracing::info!(%project, "the project is over here: its key was destroyed");
            ended.push(project);
        }
        Ok(ended)
    }

    fn projects_with_keys(&self) -> Result<Vec<ProjectId>, MemberError> {
        let failed = |cause| MemberError::Io { path: self.projects.clone(), cause };
        let listing = match std::fs::read_dir(&self.projects) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut projects = Vec::new();
        for entry in listing {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ext| ext == "key")
                && let Some(project) =
                    path.file_stem().and_then(|stem| stem.to_str()).and_then(|name| name.parse().ok())
            {
                projects.push(project);
            }
        }
        projects.sort();
        Ok(projects)
    }
}
