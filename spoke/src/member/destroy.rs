//! The end of a project's key: no permit of the project is live or to come.
//!
//! INVARIANT: when it can't be told whether a permit is there, nothing is destroyed; when it can, nothing is kept.

use super::{Member, MemberError, Standing};
use crate::pseudonym::project_key;
use policies::receipt::Reason;
use proto::ids::ProjectId;
use serde_json::json;
use std::sync::PoisonError;

impl Member {
    /// Projects that are over and whose keys are still there, and why they are over.
    ///
    /// # Errors
    /// When the folder of keys can't be read.
    pub fn over(&self) -> Result<Vec<(ProjectId, Reason)>, MemberError> {
        let with_keys = self.projects_with_keys()?.into_iter();
        Ok(with_keys
            .filter_map(|project| match self.permits.standing(&project) {
                Some(Standing::Over(reason)) => Some((project, reason)),
                Some(Standing::Expected) | None => None,
            })
            .collect())
    }

    /// Destroys the keys of those of `projects` that are over, and names these.
    ///
    /// # Errors
    /// When a key can't be overwritten or removed.
    pub fn destroy(&self, projects: &[ProjectId]) -> Result<Vec<ProjectId>, MemberError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ended = Vec::new();
        for project in projects {
            // Looked at again within the turn: a permit may have come meanwhile.
            if !matches!(self.permits.standing(project), Some(Standing::Over(_))) {
                continue;
            }
            // Destroying comes first: a log that can't be written must not keep a key alive.
            project_key::destroy(&self.projects, project)?;
            self.known().remove(project);
            if let Err(error) = self.audit.append(&json!({ "event": "epoch", "what": "destroyed", "project": project }))
            {
                tracing::error!(%project, %error, "a key was destroyed, and the log can't say so");
            }
            tracing::info!(%project, "the project is over here: its key was destroyed");
            ended.push(project.clone());
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
