//! One request's facts, passed by argument through the whole path.

use crate::{config::Project, identify::Caller};
use proto::{ids::QueryId, wire};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Who asks what for which project, and until when.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// who asks, as identified
    pub caller: Caller,
    /// the project; the caller is a member
    pub project: Arc<Project>,
    /// goes through every log line on every side
    pub query: QueryId,
    /// all work ends here
    pub deadline: Instant,
    /// how long the whole request may take, for messages
    pub timeout: Duration,
}

impl RequestContext {
    /// A request that starts now.
    #[must_use]
    pub fn new(caller: Caller, project: Arc<Project>, query: QueryId, timeout: Duration) -> Self {
        Self { caller, project, query, deadline: Instant::now() + timeout, timeout }
    }

    /// The envelope of whatever is asked of a spoke in this request.
    #[must_use]
    pub fn envelope(&self) -> wire::Envelope {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let envelope = proto::envelope::Envelope {
            query_id: self.query,
            project: self.project.project.clone(),
            user: self.caller.user.clone(),
            zone: self.caller.zone.to_wire(),
            deadline: SystemTime::now().checked_add(left),
            max_rows: None,
            max_bytes: None,
            traceparent: String::new(),
        };
        wire::Envelope::from(&envelope)
    }
}
