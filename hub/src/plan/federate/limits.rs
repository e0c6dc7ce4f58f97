//! Limits on coarse values, as limits on the columns that they are made of.
//!
//! In the open zone `indkomst > 250000` is `coarse(indkomst) > 250000`. The same rows pass `indkomst >= 250500`, which a spoke
//! compares without computing anything, and by which it can skip row groups.
//!
//! INVARIANT: the same rows pass; what isn't understood stays as it is.

use super::Result;
use datafusion::{
    common::{
        ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{Between, BinaryExpr, Expr, LogicalPlan, Operator, expr::InList, expr_rewriter::NamePreserver, lit},
};
use proto::plan::coarse::{Edges, coarsened, edges};

/// The same statement, in which coarse values are compared with constants no more than they must be.
///
/// # Errors
/// When a plan can't be built.
pub(in crate::plan) fn on_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_down_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|part| Ok(on_column(part)))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(rewritten.data)
}

fn on_column(expr: Expr) -> Transformed<Expr> {
    let found = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (coarsened(left), coarsened(right)) {
            (Some(value), None) => limited(value, *op, right),
            (None, Some(value)) => op.swap().and_then(|op| limited(value, op, left)),
            _ => None,
        },
        Expr::Between(Between { expr, negated: false, low, high }) => coarsened(expr).and_then(|value| {
            let (low, high) = (limited(value, Operator::GtEq, low)?, limited(value, Operator::LtEq, high)?);
            Some(low.and(high))
        }),
        Expr::InList(InList { expr, list, negated }) => coarsened(expr).and_then(|value| {
            let only = |constant: &Expr| Some(lit(told(constant)?.only()?.clone()));
            Some(value.clone().in_list(list.iter().map(only).collect::<Option<_>>()?, *negated))
        }),
        Expr::IsNull(inner) => coarsened(inner).map(|value| value.clone().is_null()),
        Expr::IsNotNull(inner) => coarsened(inner).map(|value| value.clone().is_not_null()),
        _ => None,
    };
    found.map_or_else(|| Transformed::no(expr), Transformed::yes)
}

fn told(constant: &Expr) -> Option<Edges> {
    match constant {
        Expr::Literal(constant, _) => edges(constant),
        _ => None,
    }
}

/// What `coarse(value) op constant` says of the value.
fn limited(value: &Expr, op: Operator, constant: &Expr) -> Option<Expr> {
    let told = told(constant)?;
    let (from, below) =
        (|edge: ScalarValue| value.clone().gt_eq(lit(edge)), |edge: ScalarValue| value.clone().lt(lit(edge)));
    Some(match op {
        Operator::Lt => below(told.reached?),
        Operator::LtEq => below(told.passed?),
        Operator::Gt => from(told.passed?),
        Operator::GtEq => from(told.reached?),
        Operator::Eq | Operator::NotEq => {
            let equal = op == Operator::Eq;
            if let Some(only) = told.only() {
                let only = lit(only.clone());
                return Some(if equal { value.clone().eq(only) } else { value.clone().not_eq(only) });
            }
            let (reached, passed) = (told.reached?, told.passed?);
            if reached == passed {
                return None; // nobody, or everybody who has a value
            }
            if equal { from(reached).and(below(passed)) } else { below(reached).or(from(passed)) }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::{
        array::{ArrayRef, Float64Array, Int32Array, RecordBatch},
        datatypes::{DataType, Field, Schema},
    };
    use datafusion::{
        common::DFSchema,
        logical_expr::{col, not},
        prelude::SessionContext,
    };
    use proto::plan::coarse::coarse;
    use std::sync::Arc;

    fn shown(expr: Expr) -> String {
        expr.transform_up(|part| Ok(on_column(part))).unwrap().data.to_string()
    }

    #[test]
    fn limits_are_on_the_column() {
        let (n, x) = (|| coarse(col("n")), || coarse(col("x")));
        for (written, asked) in [
            (x().gt(lit(250_000.0)), "x >= Float64(250500)"),
            (lit(250_000.0).gt(x()), "x < Float64(249500)"),
            (x().lt_eq(lit(250_123.0)), "x < Float64(250500)"),
            (n().eq(lit(101)), "n = Int32(101)"),
            (n().not_eq(lit(101)), "n != Int32(101)"),
            (n().eq(lit(250_000)), "n >= Int32(249500) AND n < Int32(250500)"),
            (n().in_list(vec![lit(101), lit(147)], false), "n IN ([Int32(101), Int32(147)])"),
            (n().between(lit(20), lit(30)), "n >= Int32(20) AND n < Int32(31)"),
            (n().is_null(), "n IS NULL"),
            // not to be said of the column
            (n().eq(lit(250_123)), "coarse(n) = Int32(250123)"),
            (n().in_list(vec![lit(250_000)], false), "coarse(n) IN ([Int32(250000)])"),
            (n().gt(col("x")), "coarse(n) > x"),
            ((n() + lit(1)).gt(lit(5)), "coarse(n) + Int32(1) > Int32(5)"),
        ] {
            assert_eq!(shown(written), asked);
        }
    }

    /// Three-valued, and with what is no number.
    #[tokio::test]
    async fn the_same_rows_pass() {
        let numbers = [249_499, 249_500, 250_000, 250_499, 250_500, 101, 102, -101, 10_049, 10_050, i32::MAX, i32::MIN];
        let measured =
            [0.0, -0.0, 5.37, 5.374_9, 5.375, f64::NAN, f64::INFINITY, -1e300, 249_499.9, 250_500.0, 1e-20, -5.37];
        let n: ArrayRef = Arc::new(numbers.into_iter().map(Some).chain([None]).collect::<Int32Array>());
        let x: ArrayRef = Arc::new(measured.into_iter().map(Some).chain([None]).collect::<Float64Array>());
        let schema =
            Schema::new(vec![Field::new("n", DataType::Int32, true), Field::new("x", DataType::Float64, true)]);
        let schema = DFSchema::try_from(schema).unwrap();
        let rows = RecordBatch::try_new(Arc::clone(schema.inner()), vec![n, x]).unwrap();
        let session = SessionContext::new();
        let value = |e: Expr| {
            let physical = session.create_physical_expr(e, &schema).unwrap();
            physical.evaluate(&rows).unwrap().into_array(rows.num_rows()).unwrap()
        };
        let mut conditions = Vec::new();
        for (column, limits) in [
            ("n", [101, 250_000, 250_123, 10_000, i32::MAX, i32::MIN].map(ScalarValue::from)),
            ("x", [0.0, -0.0, 5.37, 250_000.0, f64::INFINITY, f64::NAN].map(ScalarValue::from)),
        ] {
            for limit in limits {
                let (value, limit) = (|| coarse(col(column)), || lit(limit.clone()));
                conditions.extend([
                    value().lt(limit()),
                    value().lt_eq(limit()),
                    value().gt(limit()),
                    value().gt_eq(limit()),
                    value().eq(limit()),
                    value().not_eq(limit()),
                    limit().lt(value()),
                    not(value().gt(limit())),
                    value().in_list(vec![limit()], true),
                    value().between(limit(), limit()),
                ]);
            }
        }
        for condition in conditions {
            let rewritten = condition.clone().transform_up(|part| Ok(on_column(part))).unwrap().data;
            assert_eq!(&value(condition.clone()), &value(rewritten.clone()), "{condition} and {rewritten}");
        }
    }
}
