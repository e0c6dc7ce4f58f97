//! Values as a table holds them, through whatever passes them on unchanged.

use datafusion::{
    common::Column,
    logical_expr::{Distinct, Expr, ExprSchemable, JoinType, LogicalPlan, utils::merge_schema},
};

/// Whether an expression is a constant, a table's own value, or a point in time that is one, as another kind of it. (A number made a day can be
/// any day.)
pub(super) fn stored(expr: &Expr, inputs: &[&LogicalPlan]) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Column(column) => column_is(column, inputs),
        Expr::Alias(alias) => stored(&alias.expr, inputs),
        Expr::Cast(cast) => is_temporal(&cast.expr, inputs) && stored(&cast.expr, inputs),
        Expr::TryCast(cast) => is_temporal(&cast.expr, inputs) && stored(&cast.expr, inputs),
        // The first and the last of a table's values are such.
        Expr::AggregateFunction(function) if ["min", "max"].contains(&function.func.name()) => {
            function.params.args.iter().all(|argument| stored(argument, inputs))
        }
        _ => false,
    }
}

fn is_temporal(expr: &Expr, inputs: &[&LogicalPlan]) -> bool {
    matches!(expr, Expr::Literal(..)) || expr.get_type(&merge_schema(inputs)).is_ok_and(|kind| kind.is_temporal())
}

fn column_is(column: &Column, inputs: &[&LogicalPlan]) -> bool {
    let mut from = inputs.iter().filter_map(|input| Some((input, input.schema().maybe_index_of_column(column)?)));
    match (from.next(), from.next()) {
        (Some((input, at)), None) => at_is(input, at),
        _ => false,
    }
}

/// Whether column `at` of a plan is a table's own.
fn at_is(plan: &LogicalPlan, at: usize) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Filter(node) => at_is(&node.input, at),
        LogicalPlan::Sort(node) => at_is(&node.input, at),
        LogicalPlan::Limit(node) => at_is(&node.input, at),
        LogicalPlan::SubqueryAlias(node) => at_is(&node.input, at),
        LogicalPlan::Distinct(Distinct::All(input)) => at_is(input, at),
        LogicalPlan::Union(node) => node.inputs.iter().all(|input| at_is(input, at)),
        LogicalPlan::Window(node) => at < node.input.schema().fields().len() && at_is(&node.input, at),
        LogicalPlan::Projection(node) => node.expr.get(at).is_some_and(|expr| stored(expr, &[&node.input])),
        LogicalPlan::Aggregate(node) => {
            let mut exprs = node.group_expr.iter().chain(&node.aggr_expr);
            !node.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)))
                && exprs.nth(at).is_some_and(|expr| stored(expr, &[&node.input]))
        }
        LogicalPlan::Join(node) => {
            let left = node.left.schema().fields().len();
            match node.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full if at < left => {
                    at_is(&node.left, at)
                }
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => at_is(&node.right, at - left),
                JoinType::LeftSemi | JoinType::LeftAnti => at_is(&node.left, at),
                JoinType::RightSemi | JoinType::RightAnti => at_is(&node.right, at),
                _ => false,
            }
        }
        _ => false,
    }
}
