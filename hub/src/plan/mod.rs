//! From a statement's text to a plan whose leaves are fragments at spokes.
//!
//! The order is fixed: parse (reading statements only), bind to the project's catalog, analyse, let
//! [`crate::release`] decide and rewrite, optimise, and only then make the plan that runs.
//!
//! INVARIANT: only what [`release::analyse`] gave back is optimised and run.

mod blind;
mod catalog;
mod checked;
mod disjoint;
mod explain;
mod federate;
mod national;
mod parameters;
mod partial;
mod roles;
mod run;
mod scan;
mod session;
mod size;
mod statement;
mod step;
mod table;
pub(crate) mod trouble;

pub use federate::KeySlot;
pub use parameters::{Parameters, Prepared};
pub use partial::{LEFT_OUT, PARTIAL};
pub(crate) use run::started;
pub use run::{Answer, Question, Runnable, Terms};
pub use scan::SpokeScanExec;
pub use statement::{Manner, Reading, number_placeholders, parse};
pub use table::SpokeTable;

use crate::{
    compute::Compute,
    permit::rules,
    registry::{Catalogue, Offer, Registry, TableOffer, national::declare::SCHEMA},
    release::{self, Ledgers, Note, Released},
    request::RequestContext,
};
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::TableReference,
    execution::{runtime_env::RuntimeEnv, session_state::SessionState},
    logical_expr::LogicalPlan,
};
use policies::zone::Zone;
use proto::{
    ids::{ControllerId, TableName},
    refusal::{Kind, Refusal},
};
use std::{collections::BTreeSet, sync::Arc};

/// Plans statements.
pub struct Planner {
    registry: Registry,
    compute: Arc<Compute>,
    functions: session::Functions,
    key_list: usize,
    ledgers: Ledgers,
    verdicts: Arc<disjoint::Verdicts>,
}

/// A statement that may be run, for one request.
pub struct Planned {
    context: Arc<RequestContext>,
    state: SessionState,
    plan: Released<LogicalPlan>,
    manner: Manner,
    schema: SchemaRef,
    controllers: BTreeSet<ControllerId>,
    left_out: partial::LeftOut,
    notes: Vec<Note>,
    demands: bool,
    key_list: usize,
    verdicts: Arc<disjoint::Verdicts>,
}

impl Planned {
    /// Whether a controller of the project demands the user's own signature, perhaps not over this statement.
    #[must_use]
    pub fn may_demand_signature(&self) -> bool {
        self.demands
    }

    /// Names and types of the answer: the same in FlightInfo and in the stream.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The controllers whose tables it names.
    #[must_use]
    pub fn controllers(&self) -> &BTreeSet<ControllerId> {
        &self.controllers
    }
}

impl Planner {
    /// Plans over what `registry` finds, to be run by `compute`. Of a join's keys up to `key_list` are sent one by one, of
    /// more a filter. What is released outside the secure environment gets into `ledgers`.
    #[must_use]
    pub fn new(registry: Registry, compute: Arc<Compute>, key_list: usize, ledgers: Ledgers) -> Self {
        let functions = session::Functions::standard();
        Self { registry, compute, functions, key_list, ledgers, verdicts: Arc::default() }
    }

    /// Where what the spokes offer is asked.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where statements run.
    #[must_use]
    pub fn compute(&self) -> &Arc<Compute> {
        &self.compute
    }

    /// Plans `sql` with its parameters. `environment`: what it will run in; none when it is planned only.
    ///
    /// # Errors
    /// When it can't be read, does more than read, names what doesn't exist for the project, can't be planned, or may
    /// not be answered in this zone.
    pub async fn plan(
        &self,
        context: &Arc<RequestContext>,
        sql: &str,
        parameters: &Parameters,
        environment: Option<Arc<RuntimeEnv>>,
    ) -> Result<Planned, Refusal> {
        let reading = parse(sql)?;
        let (state, logical, demands) = self.bind(context, &reading, environment).await?;
        let logical = parameters.bind(logical)?;
        Ok(Planned { demands, ..self.release(context, state, reading.manner, logical)? })
    }

    /// The plan as the statement says it, nothing decided yet, and whether a controller demands signatures.
    async fn bind(
        &self,
        context: &Arc<RequestContext>,
        reading: &Reading,
        environment: Option<Arc<RuntimeEnv>>,
    ) -> Result<(SessionState, LogicalPlan, bool), Refusal> {
        rules::question(&context.caller, reading.manner, &context.project)?;
        let environment = environment.unwrap_or_else(|| self.compute.planning());
        let fail = |error| trouble::planning(&error, &context.query);
        let mut again = true;
        loop {
            let catalogue = self.registry.catalogue(context).await;
            let (functions, profile, links) = (&self.functions, self.compute.profile(), self.registry.links());
            let state = session::session(functions, profile, &catalogue, links, context, Arc::clone(&environment));
            let mut named = Vec::new();
            for reference in state.resolve_table_references(&reading.statement).map_err(fail)? {
                if let Some(table) = known(&reference, &state, &catalogue)? {
                    if table.parts.is_empty() {
                        named.push(table);
                    } else {
                        named.extend(table.parts.iter().map(|part| Arc::clone(&part.offer)));
                    }
                }
            }
            match step::check(&named) {
                Ok(()) => {
                    let logical = state.statement_to_plan(reading.statement.clone()).await.map_err(fail)?;
                    return Ok((state, logical, catalogue.demands_signature()));
                }
                // One's offer may be from before the key changed, and the other's from after.
                Err(_) if std::mem::take(&mut again) => {
                    for offer in &named {
                        self.registry.forget(&offer.controller, &context.project.project);
                    }
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    fn release(
        &self,
        context: &Arc<RequestContext>,
        state: SessionState,
        manner: Manner,
        logical: LogicalPlan,
    ) -> Result<Planned, Refusal> {
        let fail = |error| trouble::planning(&error, &context.query);
        let zone: Zone = context.caller.zone;
        let analysed = state.analyzer().execute_and_check(logical, state.config_options(), |_, _| {}).map_err(fail)?;
        // Rules of release are told whatever zone is asked from.
        let rules_of = if manner == Manner::Release { Zone::Open } else { zone };
        let analysed = release::ranged(analysed, rules_of, &roles::SessionRoles)
            .map_err(|refusal| Refusal::new(Kind::Invalid, refusal.to_string()))?;
        let (plan, notes) = if manner == Manner::Release {
            // What the rules refuse is told below.
            if release::allowed(&analysed, &roles::SessionRoles).is_ok() {
                checked::cut(analysed.clone(), zone, &state).map_err(fail)?;
            }
            release::explain(&analysed, &roles::SessionRoles)
        } else {
            let ledger = self.ledgers.of(&context.project.project, step::epoch(&analysed));
            let analysed = checked::cut(analysed, zone, &state).map_err(fail)?;
            let plan = release::analyse(analysed, zone, &roles::SessionRoles, &ledger);
            (plan.map_err(|refusal| Refusal::new(Kind::Denied, refusal.to_string()))?, Vec::new())
        };
        let left_out = partial::LeftOut::of(plan.get());
        if !left_out.is_empty() {
            tracing::info!(query_id = %context.query, left_out = left_out.names(), "a partial answer");
        }
        let schema = match manner {
            Manner::Answer => left_out.marked(Arc::new(plan.get().schema().as_arrow().clone())),
            Manner::Explain => explain::schema(false),
            Manner::Analyze => explain::schema(true),
            Manner::Release => explain::rules_schema(),
        };
        let controllers = step::controllers(plan.get());
        let (context, key_list, verdicts) = (Arc::clone(context), self.key_list, Arc::clone(&self.verdicts));
        let demands = false;
        Ok(Planned { context, state, plan, manner, schema, controllers, left_out, notes, demands, key_list, verdicts })
    }
}

/// The table that is meant, or a better answer than the engine's when it isn't there. `None`: it is about the catalog.
fn known(
    reference: &TableReference,
    state: &SessionState,
    catalogue: &Catalogue,
) -> Result<Option<Arc<TableOffer>>, Refusal> {
    let defaults = &state.config_options().catalog;
    let resolved = reference.clone().resolve(&defaults.default_catalog, &defaults.default_schema);
    if resolved.schema.as_ref() == "information_schema" && *resolved.catalog == *catalogue.project.as_ref() {
        return Ok(None);
    }
    let missing = || trouble::no_table(&reference.to_quoted_string(), catalogue);
    if *resolved.catalog != *catalogue.project.as_ref() {
        return Err(missing());
    }
    let controller: ControllerId = resolved.schema.parse().map_err(|_| missing())?;
    let table: TableName = resolved.table.parse().map_err(|_| missing())?;
    if controller.as_ref() == SCHEMA
        && let Some(refusal) = catalogue.broken.get(&table)
    {
        return Err(refusal.clone());
    }
    match catalogue.offers.get(&controller) {
        Some(Offer::Tables(tables)) => tables.get(&table).map(|offer| Some(Arc::clone(offer))).ok_or_else(missing),
        Some(Offer::Down(refusal)) => Err(refusal.clone()),
        Some(Offer::Nothing) | None => Err(missing()),
    }
}
