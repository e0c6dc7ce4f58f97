//! The engine's session of one request: the project's catalog, the functions, the limits, and nothing else.
//!
//! INVARIANT: no files, no object stores, no URL tables, no catalog but the project's.

use super::catalog::OneProject;
use crate::{
    registry::{Catalogue, Links},
    release,
    request::RequestContext,
};
use datafusion::{
    catalog::TableFunction,
    execution::{
        SessionStateBuilder, SessionStateDefaults, config::SessionConfig, runtime_env::RuntimeEnv,
        session_state::SessionState,
    },
    logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF, planner::ExprPlanner},
};
use runtime::profile::Profile;
use std::sync::Arc;

/// The functions that statements may use; collected once.
pub(super) struct Functions {
    scalar: Vec<Arc<ScalarUDF>>,
    higher_order: Vec<Arc<HigherOrderUDF>>,
    aggregate: Vec<Arc<AggregateUDF>>,
    window: Vec<Arc<WindowUDF>>,
    table: Vec<Arc<TableFunction>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Functions {
    pub(super) fn standard() -> Self {
        Self {
            scalar: SessionStateDefaults::default_scalar_functions(),
            higher_order: SessionStateDefaults::default_higher_order_functions(),
            aggregate: SessionStateDefaults::default_aggregate_functions()
                .into_iter()
                .chain(release::range_functions())
                .collect(),
            window: SessionStateDefaults::default_window_functions(),
            table: SessionStateDefaults::default_table_functions(),
            planners: SessionStateDefaults::default_expr_planners(),
        }
    }
}

/// The session of one request.
pub(super) fn session(
    functions: &Functions,
    profile: &Profile,
    catalogue: &Catalogue,
    links: &Arc<Links>,
    context: &Arc<RequestContext>,
    environment: Arc<RuntimeEnv>,
) -> SessionState {
    // An unqualified table means the project's only controller, if it has but one.
    let mut controllers = context.project.controllers.keys();
    let schema = match (controllers.next(), controllers.next()) {
        (Some(only), None) => only.to_string(),
        _ => "public".to_owned(),
    };
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(catalogue.project.to_string(), schema)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(profile.target_partitions())
        .with_batch_size(profile.batch_size());
    let options = config.options_mut();
    // Clients without view types (JDBC) read plain strings.
    options.sql_parser.map_string_types_to_utf8view = false;
    // What one spoke's rows hold goes to another only where permits say so; the engine doesn't know them.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    options.execution.hash_join_buffering_capacity = 0;
    // What is told about columns (codes, units) differs between the two sides of a UNION, and the engine's two ways of joining it
    // differ too. Types are checked by what is announced.
    options.execution.skip_physical_aggregate_schema_check = true;
    // What a sort keeps back for merging must leave room for sorting, also when a statement gets little.
    let memory = usize::try_from(profile.query_pool_bytes()).unwrap_or(usize::MAX);
    options.execution.sort_spill_reservation_bytes = (memory / 16 / profile.target_partitions()).min(10 << 20);
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_catalog_list(Arc::new(OneProject::new(catalogue, links, context)))
        .with_scalar_functions(functions.scalar.clone())
        .with_higher_order_functions(functions.higher_order.clone())
        .with_aggregate_functions(functions.aggregate.clone())
        .with_window_functions(functions.window.clone())
        .with_table_function_list(functions.table.clone())
        .with_expr_planners(functions.planners.clone())
        .with_session_id(context.query.to_string())
        .build();
    // Planned twice, a statement that says now() must ask the same both times.
    state.execution_props_mut().query_execution_start_time = Some(context.now);
    state
}
