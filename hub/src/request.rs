//! One request's facts, passed by argument through the whole path.

use crate::{config::Project, identify::Caller, registry::Terms, watch::Watch};
use chrono::{DateTime, SubsecRound, Utc};
use proto::{envelope::Proof, ids::QueryId, wire};
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
    /// what `now()` says: the same when a statement is announced and when it runs
    pub now: DateTime<Utc>,
    /// the caller's own signature over what is asked; empty unless a permit demands it
    pub signature: Proof,
    /// a national table may do without members that can't be asked; the answer says so
    pub allow_partial: bool,
    /// all work ends here
    pub deadline: Instant,
    /// how long the whole request may take, for messages
    pub timeout: Duration,
    /// what can be seen of it
    pub watch: Arc<Watch>,
}

impl RequestContext {
    /// A request that starts now.
    #[must_use]
    pub fn new(caller: Caller, project: Arc<Project>, query: QueryId, timeout: Duration, watch: Arc<Watch>) -> Self {
        // Tickets keep it to the microsecond.
        let (now, deadline) = (Utc::now().trunc_subsecs(6), Instant::now() + timeout);
        let signature = Proof::default();
        Self { caller, project, query, now, signature, allow_partial: false, deadline, timeout, watch }
    }

    /// The envelope of a question about what a spoke offers.
    #[must_use]
    pub fn envelope(&self) -> wire::Envelope {
        wire::Envelope::from(&self.facts())
    }

    /// The envelope of a question to a controller under the terms of its offer: the permit, and the key's epoch.
    #[must_use]
    pub fn envelope_for(&self, terms: &Terms) -> wire::Envelope {
        let signature = if terms.client_signature { self.signature.clone() } else { Proof::default() };
        wire::Envelope::from(&proto::envelope::Envelope {
            permit: terms.permit,
            epoch: terms.epoch,
            signature,
            ..self.facts()
        })
    }

    fn facts(&self) -> proto::envelope::Envelope {
        let left = self.deadline.saturating_duration_since(Instant::now());
        proto::envelope::Envelope {
            query_id: self.query,
            project: self.project.project.clone(),
            user: self.caller.user.clone(),
            zone: self.caller.zone.to_wire(),
            deadline: SystemTime::now().checked_add(left),
            max_rows: None,
            max_bytes: None,
            traceparent: self.watch.parent().to_string(),
            permit: None,
            token: self.caller.token.clone(),
            signature: Proof::default(),
            epoch: None,
        }
    }
}
