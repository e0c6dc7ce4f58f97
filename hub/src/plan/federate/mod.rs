//! Which part of an optimised statement runs where: the largest parts that one spoke can answer become fragments.
//!
//! It runs on what [`crate::release`] gave back and the engine optimised, and changes no answer: a part is replaced by a
//! leaf with the same columns. What a fragment can't say stays at the hub, above the leaves.
//!
//! INVARIANT: what one spoke's rows hold goes to another only as a key list that the permits allow (`keys`).

pub(super) mod blind;
mod cluster;
mod collect;
mod contributed;
mod crowd;
mod equal;
mod estimate;
mod keys;
mod leaf;
mod limits;
mod mean;
mod measure;
mod moments;
mod order;
mod selectivity;
mod share;
mod site;
mod split;

pub use collect::KeySlot;
pub(super) use estimate::of_table;
pub(super) use keys::with_key_lists;
pub(super) use limits::on_columns;

use datafusion::{
    common::{
        DataFusionError,
        tree_node::{Transformed, TreeNode},
    },
    execution::session_state::SessionState,
    logical_expr::{LogicalPlan, Sort},
    optimizer::{
        Optimizer, OptimizerRule, optimize_projections::OptimizeProjections, push_down_filter::PushDownFilter,
    },
};
use estimate::estimate;
use std::sync::Arc;

type Result<T> = std::result::Result<T, DataFusionError>;

/// Joins in an order in which tables of one spoke meet first; `None`: they are already. The result is to be tidied.
///
/// # Errors
/// When a plan can't be built.
pub(super) fn clustered(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    cluster::ordered(plan)
}

/// What was put into another order after it had been optimised: conditions back at their tables, columns left out again where
/// nobody needs them any more. Nothing else can have changed, and all the engine's rules once more would take as long as they did.
///
/// # Errors
/// When a plan can't be built.
pub(super) fn tidied(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> =
        vec![Arc::new(PushDownFilter::new()), Arc::new(OptimizeProjections::new())];
    Optimizer::with_rules(rules).optimize(plan, state, |_, _| {})
}

/// A statement whose work has been moved, and what stays at the hub though one spoke has all its tables, or could do its
/// part, with the reason.
pub(super) struct Federated {
    pub(super) plan: LogicalPlan,
    pub(super) kept: Vec<String>,
}

/// Moves work to the spokes.
///
/// # Errors
/// When a plan can't be built; never because something can't be said.
pub(super) fn at_spokes(plan: LogicalPlan) -> Result<Federated> {
    let mut mover = Mover::default();
    let plan = mover.place(plan)?;
    Ok(Federated { plan, kept: mover.kept })
}

#[derive(Default)]
struct Mover {
    kept: Vec<String>,
}

impl Mover {
    /// Decides where `plan` runs.
    fn place(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if ordered(&plan) {
            return match plan {
                LogicalPlan::Sort(sort) if sort.fetch.is_some() => self.first_rows(sort),
                other => self.below(other),
            };
        }
        if !plain(&plan)
            && worth(&plan)
            && let Some(leaf) = self.leaf(&plan)?
        {
            return Ok(leaf);
        }
        if let LogicalPlan::Aggregate(node) = &plan {
            match split::aggregate(node, &mut |part| self.place(part))? {
                split::Taken::Apart(merged) => return Ok(merged),
                split::Taken::Whole(reason) => self.keep(&reason),
                split::Taken::Single => {}
            }
        }
        self.below(plan)
    }

    fn leaf(&mut self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        match leaf::of(plan)? {
            leaf::Said::Leaf(leaf) => Ok(Some(leaf)),
            leaf::Said::Unsayable(what) => {
                self.keep(&format!("a fragment can't say {what}"));
                Ok(None)
            }
            leaf::Said::Elsewhere => Ok(None),
        }
    }

    /// What holds for a part holds for all that is above it, and is said once.
    fn keep(&mut self, reason: &str) {
        if !self.kept.iter().any(|known| known == reason) {
            self.kept.push(reason.to_owned());
        }
    }

    fn below(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let plan = plan.map_subqueries(|part| self.subquery(part).map(Transformed::yes))?.data;
        let whole = plan.map_children(|child| self.place(child).map(Transformed::yes))?;
        // What merges may be NULL where the whole never was.
        if plain(&whole.data) { Ok(whole.data) } else { whole.data.recompute_schema() }
    }

    /// A query in place of a value, which runs once: its work moves as any other's.
    fn subquery(&mut self, part: LogicalPlan) -> Result<LogicalPlan> {
        match part {
            LogicalPlan::Subquery(part) if part.outer_ref_columns.is_empty() => {
                let placed = self.place(Arc::unwrap_or_clone(Arc::clone(&part.subquery)))?;
                Ok(LogicalPlan::Subquery(part.with_plan(Arc::new(placed))))
            }
            other => Ok(other),
        }
    }

    /// `ORDER BY .. LIMIT`: the spoke sorts and stops early; the hub sorts its few rows again, since nothing else promises
    /// their order.
    fn first_rows(&mut self, sort: Sort) -> Result<LogicalPlan> {
        let whole = LogicalPlan::Sort(sort.clone());
        if let Some(leaf) = self.leaf(&whole)? {
            return Ok(LogicalPlan::Sort(Sort { input: Arc::new(leaf), ..sort }));
        }
        match split::first_rows(&sort, &mut |part| self.place(part))? {
            Some(merged) => Ok(merged),
            None => self.below(whole),
        }
    }
}

/// Whether the order of the rows has a meaning; a leaf's has none.
fn ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Limit(node) => ordered(&node.input),
        LogicalPlan::Projection(node) => ordered(&node.input),
        LogicalPlan::SubqueryAlias(node) => ordered(&node.input),
        LogicalPlan::Filter(node) => ordered(&node.input),
        _ => false,
    }
}

/// A table, with what the engine pushed into it already: it is a fragment by itself.
fn plain(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::SubqueryAlias(node) => plain(&node.input),
        _ => false,
    }
}

/// Whether a part moves fewer bytes when it runs at the spoke than its inputs would.
fn worth(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Join(_) => {
            let inputs: f64 = plan.inputs().into_iter().map(|input| estimate(input).bytes()).sum();
            estimate(plan).bytes() <= inputs * 1.05
        }
        LogicalPlan::SubqueryAlias(node) => worth(&node.input),
        _ => true,
    }
}
