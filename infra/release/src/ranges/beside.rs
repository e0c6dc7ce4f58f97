//! Groups, and beside each the ranges that are made of counts by the same keys.

use super::{
    asked::Wanted,
    found::{Counts, found},
};
use crate::release::people::column_at;
use datafusion::{
    common::{Column, JoinType, NullEquality, Result, ScalarValue},
    logical_expr::{
        Aggregate, Expr, Filter, Join, JoinConstraint, LogicalPlan, Operator, Projection, SubqueryAlias, Union,
        binary_expr, lit,
    },
};
use proto::plan::interval::Grid;
use std::sync::Arc;

/// Counts to make ranges of.
pub(super) struct Rows<'w> {
    /// the keys, where an interval begins, people
    pub(super) intervals: LogicalPlan,
    /// the keys, people; of shown counts
    pub(super) people: Option<LogicalPlan>,
    pub(super) grid: Grid,
    pub(super) wanted: &'w [Wanted],
}

/// `groups`, whose first columns are `keys` keys, with the ranges of `rows` beside them, and the columns that these are in. `number`: no other has it.
pub(super) fn beside(
    groups: LogicalPlan,
    keys: usize,
    rows: Rows<'_>,
    number: u32,
) -> Result<(LogicalPlan, Vec<Expr>)> {
    let Rows { intervals, people, grid, wanted } = rows;
    let counts = if people.is_some() { Counts::Shown } else { Counts::Exact };
    let mut cells = counted(intervals, keys, true)?;
    if let Some(people) = people {
        let inputs = vec![Arc::new(cells), Arc::new(counted(people, keys, false)?)];
        cells = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
    }
    let schema = Arc::clone(cells.schema());
    let by = (0..keys).map(|at| column_at(&schema, at)).collect();
    let (low, count) = (column_at(&schema, keys), column_at(&schema, keys + 1));
    // Two quantiles are called by the same name.
    let ranges = wanted
        .iter()
        .enumerate()
        .map(|(at, wanted)| found(*wanted, grid, counts, low.clone(), count.clone()).alias(range(at)));
    let ranges = ranges.collect();
    let found = Aggregate::try_new(Arc::new(cells), by, ranges)?;
    let table = format!("ranges {number}");
    let names = (0..keys).map(key).chain((0..wanted.len()).map(range));
    let named = names.enumerate().map(|(at, name)| column_at(&found.schema, at).alias(name)).collect();
    let named = Projection::try_new(named, Arc::new(LogicalPlan::Aggregate(found)))?;
    let named = SubqueryAlias::try_new(Arc::new(LogicalPlan::Projection(named)), table.as_str())?;
    let of = |name: String| Expr::Column(Column::new(Some(table.as_str()), name));
    let on: Vec<(Expr, Expr)> = (0..keys).map(|at| (column_at(groups.schema(), at), of(key(at)))).collect();
    // A group of nobody with a value has no counts; all of everybody is one row, of counts or none.
    let kind = if keys == 0 { JoinType::Inner } else { JoinType::Left };
    let joined = Join::try_new(
        Arc::new(groups),
        Arc::new(LogicalPlan::SubqueryAlias(named)),
        on,
        None,
        kind,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?;
    let columns = (0..wanted.len()).map(|at| of(range(at))).collect();
    Ok((LogicalPlan::Join(joined), columns))
}

fn key(at: usize) -> String {
    format!("key {at}")
}

fn range(at: usize) -> String {
    format!("range {at}")
}

/// The keys, where the interval begins or NULL, and people; without rows that are no count in an interval or of people.
fn counted(plan: LogicalPlan, keys: usize, in_interval: bool) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let people = column_at(&schema, keys + usize::from(in_interval));
    let mut is_count = Expr::IsNotNull(Box::new(people.clone()));
    let low = if in_interval {
        let low = column_at(&schema, keys);
        is_count = binary_expr(is_count, Operator::And, Expr::IsNotNull(Box::new(low.clone())));
        low
    } else {
        lit(ScalarValue::Float64(None))
    };
    let counts = Filter::try_new(is_count, Arc::new(plan))?;
    let columns = (0..keys).map(|at| column_at(&schema, at).alias(key(at)));
    let columns = columns.chain([low.alias("low"), people.alias("people")]).collect();
    Projection::try_new(columns, Arc::new(LogicalPlan::Filter(counts))).map(LogicalPlan::Projection)
}
