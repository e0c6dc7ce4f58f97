//! A grant's row filter: SQL text of the controller, turned into a condition on the table's raw columns.

use super::view::GrantProblem;
use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    execution::SessionState,
    logical_expr::Expr,
    physical_expr::PhysicalExpr,
};
use proto::{ids::TableName, schema};
use std::sync::Arc;

/// The condition that `text` states.
///
/// Only value columns may stand in it: a number written there would have to be a stored pseudonym, which nobody has.
pub(crate) fn compile(
    text: &str,
    table: &TableName,
    raw: &Schema,
    state: &SessionState,
) -> Result<Arc<dyn PhysicalExpr>, GrantProblem> {
    let problem = |message: String| GrantProblem { table: table.clone(), field: "row_filter", message };
    let columns = DFSchema::try_from(raw.clone()).map_err(|e| problem(e.strip_backtrace()))?;
    let expr = state.create_logical_expr(text, &columns).map_err(|e| problem(e.strip_backtrace()))?;
    let mut wrong = None;
    let _ = expr.apply(|part| {
        wrong = match part {
            Expr::Column(column) => match raw.field_with_name(&column.name) {
                Err(_) => Some(format!("the table has no column '{}'", column.name)),
                Ok(field) if field.metadata().contains_key(schema::ROLE) => Some(format!(
                    "column '{}' holds pseudonyms; only value columns may stand in a row filter",
                    column.name
                )),
                Ok(_) => None,
            },
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => {
                Some("aggregates can't stand in a row filter".to_owned())
            }
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_) => {
                Some("subqueries can't stand in a row filter".to_owned())
            }
            Expr::Placeholder(_) | Expr::ScalarVariable(..) => Some("variables can't stand in a row filter".to_owned()),
            Expr::ScalarFunction(call)
                if call.func.signature().volatility != datafusion::logical_expr::Volatility::Immutable =>
            {
                Some(format!(
                    "function {} gives another value at another time; write a constant, such as DATE '2026-01-31'",
                    call.name()
                ))
            }
            _ => None,
        };
        Ok(if wrong.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    if let Some(message) = wrong {
        return Err(problem(message));
    }
    let physical = state.create_physical_expr(expr, &columns).map_err(|e| problem(e.strip_backtrace()))?;
    match physical.data_type(raw) {
        Ok(DataType::Boolean) => Ok(physical),
        Ok(other) => Err(problem(format!("is no condition: it gives {other}"))),
        Err(error) => Err(problem(error.strip_backtrace())),
    }
}
