//! Numbers and points in time of people's tables at the resolution that the open zone computes with.
//!
//! A limit that is moved in small steps finds somebody's value to the last digit, and no rule on what stands in a statement keeps anybody
//! from moving it. So the values themselves are made coarser where they come from the table, before anything is computed with them: in conditions,
//! keys, CASE and sums alike.
//!
//! INVARIANT: directly above the scan, so that nothing of the statement sees a finer value; persons, keys and declared codes
//! stay as they are, since they are compared for being equal and nothing else can be made of them.

use crate::release::{
    explain::Note,
    refusal::{Examples, Instead, ReleaseRefusal, table_name},
    roles::{ColumnRole, Roles},
};
use arrow::datatypes::Field;
use datafusion::{
    common::{
        Column,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, Projection, TableScan},
};
use proto::{
    plan::coarse::{Resolution, WHOLE, coarse, resolution},
    schema::CODES,
};
use std::{collections::BTreeSet, sync::Arc};

/// The statement over coarse values.
///
/// # Errors
/// A table with a column for whose type there is no rule.
pub(super) fn coarsened(
    plan: LogicalPlan,
    roles: &dyn Roles,
    examples: &Examples,
) -> Result<LogicalPlan, ReleaseRefusal> {
    let mut unknown = None;
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        if !people(scan, roles) {
            return Ok(Transformed::no(node));
        }
        let mut any = false;
        let mut columns = Vec::with_capacity(scan.projected_schema.fields().len());
        for (table, field) in scan.projected_schema.iter() {
            let column = Expr::Column(Column::new(table.cloned(), field.name()));
            columns.push(match of(scan, field, roles) {
                Resolution::AsIs => column,
                Resolution::Coarse => {
                    any = true;
                    coarse(column).alias_qualified(table.cloned(), field.name())
                }
                Resolution::Unknown => {
                    unknown.get_or_insert_with(|| format!("{}.{}", table_name(&scan.table_name), field.name()));
                    column
                }
            });
        }
        if !any {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(node))?)))
    });
    match (unknown, rewritten) {
        (None, Ok(rewritten)) => Ok(rewritten.data),
        (Some(column), _) => Err(examples.refuse(
            format!("Column {column} has a type for which the release rules know no resolution."),
            Instead::Count,
        )),
        (None, Err(_)) => {
            Err(examples.refuse("The release rules can't be applied to this form of statement.", Instead::Count))
        }
    }
}

/// Which columns that a statement names are computed with at a coarser resolution.
pub(super) fn notes(plan: &LogicalPlan, roles: &dyn Roles) -> Vec<Note> {
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut coarser: BTreeSet<(bool, String)> = BTreeSet::new();
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            named.extend(expr.column_refs().into_iter().map(|column| column.name.clone()));
        }
        if let LogicalPlan::TableScan(scan) = node
            && people(scan, roles)
        {
            let fields = scan.projected_schema.fields().iter();
            let fields = fields.filter(|field| of(scan, field, roles) == Resolution::Coarse);
            coarser.extend(fields.map(|field| (field.data_type().is_temporal(), field.name().clone())));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let met = |moments: bool| {
        let met = coarser.iter().filter(|(moment, name)| *moment == moments && named.contains(name));
        met.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut notes = Vec::new();
    for (about, what) in [
        (
            met(false),
            format!(
                "Computed with at three significant digits, in conditions too; whole numbers up to {WHOLE} exactly."
            ),
        ),
        (met(true), "Computed with as days, in conditions too; the time of day isn't.".to_owned()),
    ] {
        if !about.is_empty() {
            notes.push(Note::new(about, "resolution", what));
        }
    }
    notes
}

/// Cells that a spoke has released are numbers as they are shown.
fn people(scan: &TableScan, roles: &dyn Roles) -> bool {
    let source = scan.source.as_ref();
    if roles.cells(source).is_some() {
        return false;
    }
    roles.has_people(source)
        || source.schema().fields().iter().any(|field| roles.role(source, field.name()) != ColumnRole::Value)
}

fn of(scan: &TableScan, field: &Field, roles: &dyn Roles) -> Resolution {
    let identifies = roles.role(scan.source.as_ref(), field.name()) != ColumnRole::Value;
    let code = field.data_type().is_integer() && field.metadata().contains_key(CODES);
    if identifies || code { Resolution::AsIs } else { resolution(field.data_type()) }
}
