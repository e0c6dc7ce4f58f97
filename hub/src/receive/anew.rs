//! A statement that was planned by what is no longer so, planned once more.
//!
//! Offers are used again for some seconds. When a controller's permit, key or columns change meanwhile, its spoke refuses what
//! was planned by the old ones, before it gives a row; the caller need not hear of that.
//!
//! INVARIANT: once for each statement, and only while no row has left the hub.
//! INVARIANT: what runs instead has the announced schema and the announced digests, asks the same controllers, and was
//! planned as any statement is: bound, analysed and released.

use super::{Body, Core, digest, sign};
use crate::{
    plan::{Answer, Parameters, Terms},
    request::RequestContext,
};
use datafusion::execution::runtime_env::RuntimeEnv;
use proto::{
    ids::ControllerId,
    refusal::{Kind, Refusal},
};
use std::{collections::BTreeSet, sync::Arc};

/// See the module.
pub(super) struct Anew {
    pub(super) core: Arc<Core>,
    pub(super) context: Arc<RequestContext>,
    pub(super) body: Body,
    pub(super) environment: Arc<RuntimeEnv>,
    pub(super) controllers: BTreeSet<ControllerId>,
    /// by what it was planned
    pub(super) terms: BTreeSet<Terms>,
}

/// Whether a refusal can come from an old offer. A spoke says the same of a permit that was replaced and of one that never was.
pub(super) fn may_be_old(refusal: &Refusal) -> bool {
    matches!(refusal.kind, Kind::Stale | Kind::Denied)
}

impl Anew {
    /// Asks the controllers what they offer now, plans and starts. When nothing has changed, `refusal` stands.
    pub(super) async fn answer(self, refusal: Refusal) -> Result<Answer, Refusal> {
        let Self { core, context, body, environment, controllers, terms } = self;
        for controller in &controllers {
            core.planner.registry().forget(controller, &context.project.project);
        }
        let parameters = Parameters::from_bytes(&body.parameters)?;
        let planned = core.planner.plan(&context, &body.sql, &parameters, Some(environment)).await;
        // The first word stands: it is what a spoke said of this very question.
        let Ok(planned) = planned else { return Err(refusal) };
        if *planned.controllers() != controllers {
            return Err(refusal);
        }
        if !body.schema.is_empty() && body.schema != digest(planned.schema()) {
            return Err(super::other_tables());
        }
        let runnable = planned.physical().await?;
        if runnable.terms() == terms {
            return Err(refusal);
        }
        sign::check(&context, &body.digests, &runnable.to_sign())?;
        tracing::info!(query_id = %context.query, "planned anew: what was offered before is old");
        runnable.run()
    }
}
