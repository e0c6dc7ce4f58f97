//! Which part of an optimised statement runs where: the largest parts that one spoke can answer become fragments.
//!
//! It runs on what [`crate::release`] gave back and the engine optimised, and changes no answer: a part is replaced by a
//! leaf with the same columns. What a fragment can't say stays at the hub, above the leaves.
//!
//! INVARIANT: what one spoke's rows hold goes to another only as a key list that the permits allow (`keys`).

mod collect;
mod estimate;
mod keys;
mod leaf;
mod mean;
mod measure;
mod moments;
mod site;
mod split;

pub use collect::KeySlot;
pub(super) use keys::with_key_lists;

use datafusion::{
    common::{
        DataFusionError,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{LogicalPlan, Sort},
};
use estimate::estimate;
use std::sync::Arc;

type Result<T> = std::result::Result<T, DataFusionError>;

/// Moves work to the spokes.
///
/// # Errors
/// When a plan can't be built; never because something can't be said.
pub(super) fn at_spokes(plan: LogicalPlan) -> Result<LogicalPlan> {
    if ordered(&plan) {
        return match plan {
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => first_rows(sort),
            other => below(other),
        };
    }
    if !plain(&plan)
        && worth(&plan)
        && let Some(leaf) = leaf::of(&plan)?
    {
        return Ok(leaf);
    }
    if let LogicalPlan::Aggregate(node) = &plan
        && let Some(merged) = split::aggregate(node, at_spokes)?
    {
        return Ok(merged);
    }
    below(plan)
}

fn below(plan: LogicalPlan) -> Result<LogicalPlan> {
    let whole = plan.map_children(|child| at_spokes(child).map(Transformed::yes))?;
    // What merges may be NULL where the whole never was.
    if plain(&whole.data) { Ok(whole.data) } else { whole.data.recompute_schema() }
}

/// `ORDER BY .. LIMIT`: the spoke sorts and stops early; the hub sorts its few rows again, since nothing else promises
/// their order.
fn first_rows(sort: Sort) -> Result<LogicalPlan> {
    let here = LogicalPlan::Sort(sort);
    let leaf = leaf::of(&here)?;
    match (here, leaf) {
        (LogicalPlan::Sort(sort), Some(leaf)) => Ok(LogicalPlan::Sort(Sort { input: Arc::new(leaf), ..sort })),
        (LogicalPlan::Sort(sort), None) => match split::first_rows(&sort, at_spokes)? {
            Some(merged) => Ok(merged),
            None => below(LogicalPlan::Sort(sort)),
        },
        (here, None) => below(here),
        (_, Some(leaf)) => Ok(leaf),
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
