//! Whether the branches of a union are members of one national table in which nobody is in two members' rows.

use super::site;
use crate::plan::table::Share;
use datafusion::{
    common::Column,
    logical_expr::{Expr, LogicalPlan},
};
use proto::ids::ControllerId;
use std::collections::HashSet;

/// Whether no two branches share a value of `e`: it is the column of people, and each branch another member's.
pub(super) fn disjoint(e: &Expr, branches: &[LogicalPlan]) -> bool {
    let mut tables = HashSet::new();
    let mut controllers = HashSet::new();
    branches.iter().all(|branch| match member(e, branch) {
        Some((share, controller)) => {
            tables.insert(share.of);
            tables.len() == 1 && controllers.insert(controller)
        }
        None => false,
    })
}

/// The member whose people `e` is.
fn member(e: &Expr, plan: &LogicalPlan) -> Option<(Share, ControllerId)> {
    let column = match e {
        Expr::Column(column) => column,
        Expr::Alias(alias) => return member(&alias.expr, plan),
        _ => return None,
    };
    match plan {
        LogicalPlan::Projection(node) => {
            let place = node.schema.maybe_index_of_column(column)?;
            member(node.expr.get(place)?, &node.input)
        }
        LogicalPlan::SubqueryAlias(node) => {
            let place = node.schema.maybe_index_of_column(column)?;
            let (table, field) = node.input.schema().qualified_field(place);
            member(&Expr::Column(Column::new(table.cloned(), field.name())), &node.input)
        }
        LogicalPlan::Filter(node) => member(e, &node.input),
        LogicalPlan::TableScan(scan) => {
            let table = site::table(scan)?;
            let table = table.get()?;
            let share = table.share().filter(|share| share.person == column.name)?;
            Some((share.clone(), table.offer().controller.clone()))
        }
        _ => None,
    }
}
