//! What a quick test is answered with: the standing group of controllers in place of a project.

use super::Core;
use crate::{audit::HubAudit, identify::Caller, plan::Planner, request::RequestContext};
use policies::zone::Zone;
use proto::{
    ids::{ProjectId, QueryId},
    refusal::{Kind, Refusal},
};
use std::{sync::Arc, time::Duration};

/// A quick test is over after this, also when statements may take longer.
const PATIENCE: Duration = Duration::from_secs(25);

/// The hub's parts that counting needs, for one request.
pub(crate) struct Counting<'a> {
    pub(crate) context: Arc<RequestContext>,
    pub(crate) planner: &'a Planner,
    pub(crate) audit: &'a HubAudit,
}

impl Core {
    /// Begins a quick test.
    ///
    /// # Errors
    /// When no controller's standing permit counts, or it isn't asked outside the secure environment.
    pub(crate) fn counting(&self, caller: Caller) -> Result<Counting<'_>, Refusal> {
        if caller.zone != Zone::Open {
            return Err(Refusal::new(Kind::Denied, "people are counted outside the secure processing environment"));
        }
        let projects = self.projects();
        let quick = ProjectId::quick_test();
        let group = projects.all().find(|project| project.project == quick).cloned().ok_or_else(|| {
            Refusal::new(
                Kind::Unavailable,
                "no controller lets people be counted at this hub: each signs a standing permit for it (spoke quick-test)",
            )
        })?;
        let timeout = self.config.query.timeout().min(PATIENCE);
        let context = RequestContext::new(caller, Arc::new(group), QueryId::new(), timeout, self.unwatched());
        Ok(Counting { context: Arc::new(context), planner: &self.planner, audit: &self.audit })
    }
}
