//! `IN (SELECT ..)` over persons and keys, so that it tells of the row's own person and of nobody else.
//!
//! In SQL one missing value among those that are looked through makes `x NOT IN (..)` true of no row, and whether there are any values
//! decides about the rows whose own `x` is missing. Both are up to other people: an outer join has a missing person number where, and only where,
//! somebody has nothing. So missing values are left out of what is looked through, and of a row whose own value is missing the answer
//! is unknown, whatever is looked through. That is what is meant by such a statement, too.
//!
//! INVARIANT: whether a row passes depends on its own number, and on whether this very number is among those that are looked through.

use crate::release::{
    people::column_at,
    refusal::{Examples, Instead, ReleaseRefusal},
    scope::bare,
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Distinct, Expr, ExprSchemable, Filter, LogicalPlan, Projection,
        expr::InSubquery,
        expr_rewriter::NamePreserver,
        lit,
        utils::{conjunction, merge_schema, split_conjunction_owned},
    },
};
use proto::plan::persons::WIDTH;
use std::sync::Arc;

/// The statement, in which no lookup of a person or key sees that a value is missing.
///
/// # Errors
/// A form of statement in which that can't be seen to.
pub(super) fn without_missing(plan: LogicalPlan, examples: &Examples) -> Result<LogicalPlan, ReleaseRefusal> {
    let rewritten = plan.transform_up_with_subqueries(node);
    rewritten
        .map(|rewritten| rewritten.data)
        .map_err(|_| examples.refuse("The release rules can't be applied to this form of statement.", Instead::Count))
}

fn node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Filter(Filter { predicate, input, .. }) = &node {
        let schema = input.schema();
        if !looks_up(predicate, schema) {
            return Ok(Transformed::no(node));
        }
        let conditions = split_conjunction_owned(predicate.clone()).into_iter().map(|part| condition(part, schema));
        let conditions = conditions.collect::<Result<Vec<_>>>()?;
        let predicate = conjunction(conditions).unwrap_or_else(|| lit(true));
        return Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, Arc::clone(input))?)));
    }
    let schema = merge_schema(&node.inputs());
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        if !looks_up(&expr, &schema) {
            return Ok(Transformed::no(expr));
        }
        let name = names.save(&expr);
        Ok(Transformed::yes(name.restore(anywhere(expr, &schema)?)))
    })
}

/// Persons and keys are of this type, and what may be one counts as one.
fn identifies(lookup: &InSubquery, schema: &DFSchema) -> bool {
    lookup.expr.get_type(schema).is_ok_and(|kind| kind == DataType::FixedSizeBinary(WIDTH))
}

fn looks_up(expr: &Expr, schema: &DFSchema) -> bool {
    let found = expr.exists(|part| Ok(matches!(part, Expr::InSubquery(lookup) if identifies(lookup, schema))));
    found.unwrap_or(true)
}

/// A condition that rows must fulfil: where it is unknown they go, as where it is false.
fn condition(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let lookup = match expr {
        Expr::InSubquery(lookup) => lookup,
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(lookup) => InSubquery { negated: !lookup.negated, ..lookup },
            other => return anywhere(Expr::Not(Box::new(other)), schema),
        },
        other => return anywhere(other, schema),
    };
    if !lookup.negated || !identifies(&lookup, schema) {
        return Ok(Expr::InSubquery(lookup));
    }
    if !lookup.subquery.outer_ref_columns.is_empty() {
        // As a condition by itself the engine can't compute it beside others that name the statement around.
        return anywhere(Expr::InSubquery(lookup), schema);
    }
    let there = Expr::IsNotNull(lookup.expr.clone());
    Ok(there.and(Expr::InSubquery(among_present(lookup)?)))
}

/// The same answer, but unknown where, and only where, the row's own value is missing.
fn anywhere(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let rewritten = expr.transform_up(|part| match part {
        Expr::InSubquery(lookup) if identifies(&lookup, schema) => {
            let (there, missing) = (Expr::IsNotNull(lookup.expr.clone()), Expr::IsNull(lookup.expr.clone()));
            let found = Expr::InSubquery(among_present(lookup)?);
            Ok(Transformed::yes(there.and(found).or(missing.and(lit(ScalarValue::Boolean(None))))))
        }
        other => Ok(Transformed::no(other)),
    });
    Ok(rewritten?.data)
}

fn among_present(lookup: InSubquery) -> Result<InSubquery> {
    let present = present(&lookup.subquery.subquery)?;
    Ok(InSubquery { subquery: lookup.subquery.with_plan(Arc::new(present)), ..lookup })
}

/// The rows of a subquery whose first column isn't missing.
fn present(plan: &LogicalPlan) -> Result<LogicalPlan> {
    if let LogicalPlan::Distinct(Distinct::All(input)) = plan {
        return Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(present(input)?))));
    }
    // Below the projection, where the engine expects conditions that name the statement around.
    if let LogicalPlan::Projection(Projection { expr, input, .. }) = plan
        && let Some(first) = expr.first()
    {
        let there = Expr::IsNotNull(Box::new(bare(first).clone()));
        let filtered = LogicalPlan::Filter(Filter::try_new(there, Arc::clone(input))?);
        return Ok(LogicalPlan::Projection(Projection::try_new(expr.clone(), Arc::new(filtered))?));
    }
    let there = Expr::IsNotNull(Box::new(column_at(plan.schema(), 0)));
    Ok(LogicalPlan::Filter(Filter::try_new(there, Arc::new(plan.clone()))?))
}
