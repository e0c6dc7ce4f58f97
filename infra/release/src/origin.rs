//! Where a column's values come from: followed down the plan to the expression or the table that makes them.
//!
//! Three things are asked of it: from which tables they come as they are, whether values can be nothing but 0 and 1, or one other constant (a sum of them is a count, a mean a
//! share), and whether a value is missing only where the table itself has none.
//!
//! INVARIANT: decided from the statement and never from the data. What can't be followed is the stricter of the two: a number that
//! anybody could contribute much to, and a condition.

use crate::release::scope::bare;
use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, DFSchema, JoinType, ScalarValue},
    functions_aggregate::min_max,
    logical_expr::{BinaryExpr, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, TableScan},
};
use proto::plan::coarse::coarsened;

/// Deeper columns are not followed.
const DEEPEST: usize = 64;

/// Whether the values of `expr` over the rows of `plan` are 0, 1 or missing, or a constant times that.
pub(super) fn zero_or_one(expr: &Expr, plan: &LogicalPlan) -> bool {
    times_zero_or_one(expr, plan, LARGEST)
}

/// The largest constant, in itself: a sum of so many of anything that a country has still fits into any type.
const LARGEST: f64 = 1e9;

/// The same times constants that are no larger together than `most`.
fn times_zero_or_one(expr: &Expr, plan: &LogicalPlan, most: f64) -> bool {
    match bare(expr) {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Multiply, right }) => {
            let times = |constant: &Expr, rest: &Expr| {
                let size = factor(constant).filter(|size| *size <= most);
                size.is_some_and(|size| times_zero_or_one(rest, plan, most / size.max(1.0)))
            };
            times(left, right) || times(right, left)
        }
        Expr::Cast(cast) => truth(&cast.expr, plan.schema()) || times_zero_or_one(&cast.expr, plan, most),
        other => ones(other, plan, 0),
    }
}

/// The size of a constant that nobody contributes.
fn factor(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::Literal(value, _) => match value.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(Some(size))) => Some(size.abs()),
            _ => None,
        },
        Expr::Cast(cast) => factor(&cast.expr),
        Expr::Negative(inner) => factor(inner),
        _ => None,
    }
}

/// Whether `expr` is missing only where a table has no value: a column of it, or the least, largest or sum of some.
pub(super) fn of_table(expr: &Expr, plan: &LogicalPlan) -> bool {
    stored(expr, plan, 0)
}

fn ones(expr: &Expr, plan: &LogicalPlan, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    let below = |e: &Expr| ones(e, plan, depth + 1);
    match bare(expr) {
        Expr::Literal(value, _) => constant(value),
        Expr::Cast(cast) => truth(&cast.expr, plan.schema()) || below(&cast.expr),
        Expr::TryCast(cast) => truth(&cast.expr, plan.schema()) || below(&cast.expr),
        Expr::Case(case) => {
            case.when_then_expr.iter().all(|(_, then)| below(then)) && case.else_expr.as_deref().is_none_or(below)
        }
        Expr::ScalarFunction(call) => call.func.name() == "coalesce" && call.args.iter().all(below),
        Expr::AggregateFunction(call) => {
            let kept = *call.func == *min_max::min_udaf() || *call.func == *min_max::max_udaf();
            kept && call.params.args.iter().all(below)
        }
        Expr::Column(column) => sources(column, plan)
            .is_some_and(|sources| sources.iter().all(|source| ones(&source.expr, source.plan, depth + 1))),
        _ => false,
    }
}

fn constant(value: &ScalarValue) -> bool {
    let is = |number: i64| ScalarValue::from(number).cast_to(&value.data_type()).is_ok_and(|one| one == *value);
    value.is_null() || (value.data_type().is_numeric() && (is(0) || is(1)))
}

fn truth(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| kind == DataType::Boolean)
}

fn stored(expr: &Expr, plan: &LogicalPlan, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    match bare(expr) {
        Expr::Cast(cast) => stored(&cast.expr, plan, depth + 1),
        Expr::ScalarFunction(_) => coarsened(bare(expr)).is_some_and(|value| stored(value, plan, depth + 1)),
        Expr::AggregateFunction(call) => {
            call.params.filter.is_none() && call.params.args.iter().all(|e| stored(e, plan, depth + 1))
        }
        Expr::Literal(value, _) => !value.is_null(),
        Expr::Column(column) => {
            let column = bare_column(column, plan);
            match (column, plan) {
                (Some(column), LogicalPlan::TableScan(_)) => plan.schema().maybe_index_of_column(column).is_some(),
                (Some(column), _) => sources(column, plan).is_some_and(|sources| {
                    sources.iter().all(|source| !source.missing && stored(&source.expr, source.plan, depth + 1))
                }),
                (None, _) => false,
            }
        }
        _ => false,
    }
}

/// The tables whose columns, unchanged, are in `column` of `plan`, with the columns' names there; `None` when something else is in it.
pub(super) fn tables<'p>(column: &Column, plan: &'p LogicalPlan) -> Option<Vec<(&'p TableScan, String)>> {
    let mut open = vec![(column.clone(), plan, 0)];
    let mut found = Vec::new();
    while let Some((column, plan, depth)) = open.pop() {
        if let LogicalPlan::TableScan(scan) = plan {
            let place = plan.schema().maybe_index_of_column(&column)?;
            found.push((scan, plan.schema().field(place).name().clone()));
            continue;
        }
        for source in sources(&column, plan).filter(|_| depth < DEEPEST)? {
            let Expr::Column(below) = bare(&source.expr) else { return None };
            open.push((below.clone(), source.plan, depth + 1));
        }
    }
    Some(found)
}

fn bare_column<'c>(column: &'c Column, plan: &LogicalPlan) -> Option<&'c Column> {
    plan.schema().maybe_index_of_column(column).map(|_| column)
}

/// What a column is one step below.
pub(super) struct Source<'p> {
    pub(super) expr: Expr,
    pub(super) plan: &'p LogicalPlan,
    /// an outer join makes it missing where nothing matched
    missing: bool,
}

/// What a column of `plan` is over its inputs, one for each branch of a union; `None` when it is made here.
pub(super) fn sources<'p>(column: &Column, plan: &'p LogicalPlan) -> Option<Vec<Source<'p>>> {
    let place = plan.schema().maybe_index_of_column(column)?;
    let at = |input: &'p LogicalPlan, place: usize, missing: bool| {
        let (table, field) = input.schema().iter().nth(place)?;
        let expr = Expr::Column(Column::new(table.cloned(), field.name()));
        Some(vec![Source { expr, plan: input, missing }])
    };
    let made =
        |input: &'p LogicalPlan, expr: &Expr| Some(vec![Source { expr: expr.clone(), plan: input, missing: false }]);
    match plan {
        LogicalPlan::Projection(node) => made(&node.input, node.expr.get(place)?),
        LogicalPlan::SubqueryAlias(node) => at(&node.input, place, false),
        LogicalPlan::Filter(node) => at(&node.input, place, false),
        LogicalPlan::Sort(node) => at(&node.input, place, false),
        LogicalPlan::Distinct(Distinct::All(input)) => at(input, place, false),
        LogicalPlan::Window(node) if place < node.input.schema().fields().len() => at(&node.input, place, false),
        LogicalPlan::Aggregate(node) => {
            let groups = node.group_expr.len();
            match node.group_expr.as_slice() {
                [Expr::GroupingSet(_)] => None,
                exprs => made(&node.input, exprs.get(place).or_else(|| node.aggr_expr.get(place - groups))?),
            }
        }
        LogicalPlan::Join(node) => {
            let left = node.left.schema().fields().len();
            let right_only = matches!(node.join_type, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark);
            let padded = |side: JoinType| node.join_type == side || node.join_type == JoinType::Full;
            if right_only {
                at(&node.right, place, false)
            } else if place < left {
                at(&node.left, place, padded(JoinType::Right))
            } else {
                at(&node.right, place - left, padded(JoinType::Left))
            }
        }
        LogicalPlan::Union(node) => {
            let branches = node.inputs.iter().map(|input| at(input, place, false));
            Some(branches.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::release::tests::{planned, registers};

    /// The first argument of the first aggregate at the top.
    async fn argument(sql: &str) -> (Expr, LogicalPlan) {
        let mut plan = planned(&registers(), sql).await;
        loop {
            match plan {
                LogicalPlan::Aggregate(node) => {
                    let Expr::AggregateFunction(call) = bare(&node.aggr_expr[0]) else { panic!("{sql}") };
                    return (call.params.args[0].clone(), node.input.as_ref().clone());
                }
                other => plan = other.inputs()[0].clone(),
            }
        }
    }

    #[tokio::test]
    async fn what_is_zero_or_one_is_found_through_subqueries_and_joins() {
        for (from, wanted) in [
            ("avg(CASE WHEN kom = 1 THEN 1 ELSE 0 END) FROM bef", true),
            ("avg(CASE WHEN kom = 1 THEN 1.0 WHEN koen = 2 THEN NULL ELSE 0.0 END) FROM bef", true),
            ("avg(CAST(kom = 1 AS int)) FROM bef", true),
            ("avg(x) FROM (SELECT pnr, CAST(kom = 1 AS int) AS x FROM bef) a", true),
            (
                "avg(x) FROM (SELECT pnr, max(CASE WHEN kode = 'A' THEN 1 ELSE 0 END) AS x FROM lab GROUP BY pnr) a",
                true,
            ),
            (
                "avg(coalesce(x, 0)) FROM bef b LEFT JOIN (SELECT pnr, 1 AS x FROM lab GROUP BY pnr) l ON l.pnr = b.pnr",
                true,
            ),
            ("avg(x) FROM (SELECT pnr, 1 AS x FROM bef UNION ALL SELECT pnr, 0 AS x FROM lab) a", true),
            ("avg(x) FROM (SELECT pnr, 1 AS x FROM bef UNION ALL SELECT pnr, koen AS x FROM bef) a", false),
            ("avg(100 * x) FROM (SELECT pnr, CAST(kom = 1 AS int) AS x FROM bef) a", true),
            ("avg(CAST(kom = 1 AS int) * -100.0) FROM bef", true),
            ("sum(1000000000 * x) FROM (SELECT pnr, CAST(kom = 1 AS bigint) AS x FROM bef) a", true),
            ("sum(9223372036854775807 * x) FROM (SELECT pnr, CAST(kom = 1 AS bigint) AS x FROM bef) a", false),
            ("sum(1000000 * (1000000 * x)) FROM (SELECT pnr, CAST(kom = 1 AS bigint) AS x FROM bef) a", false),
            ("avg(x * x) FROM (SELECT pnr, CAST(kom = 1 AS int) AS x FROM bef) a", false),
            ("avg(CASE WHEN kom = 1 THEN 2 ELSE 0 END) FROM bef", false),
            ("avg(CASE WHEN kom = 1 THEN indkomst ELSE 0 END) FROM bef", false),
            (
                "avg(x) FROM (SELECT pnr, sum(CASE WHEN kode = 'A' THEN 1 ELSE 0 END) AS x FROM lab GROUP BY pnr) a",
                false,
            ),
            ("avg(koen) FROM bef", false),
            ("avg(-CAST(kom = 1 AS int)) FROM bef", false),
        ] {
            let (expr, plan) = argument(&format!("SELECT {from}")).await;
            assert_eq!(zero_or_one(&expr, &plan), wanted, "{from}");
        }
    }

    #[tokio::test]
    async fn what_a_table_lacks_is_told_from_what_a_statement_leaves_out() {
        for (from, wanted) in [
            ("count(vaerdi) FROM lab", true),
            ("count(x) FROM (SELECT pnr, min(vaerdi) AS x FROM lab GROUP BY pnr) a", true),
            ("count(l.vaerdi) FROM bef b JOIN lab l ON l.pnr = b.pnr", true),
            ("count(l.vaerdi) FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr", false),
            ("count(CASE WHEN vaerdi > 1 THEN 1 END) FROM lab", false),
            ("count(nullif(vaerdi, 1)) FROM lab", false),
            ("count(x) FROM (SELECT pnr, min(vaerdi) FILTER (WHERE kode = 'A') AS x FROM lab GROUP BY pnr) a", false),
        ] {
            let (expr, plan) = argument(&format!("SELECT {from}")).await;
            assert_eq!(of_table(&expr, &plan), wanted, "{from}");
        }
    }
}
