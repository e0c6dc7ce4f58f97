//! How many rows and bytes a part of a plan gives, roughly: enough to tell on which side of a join the wire is shorter.
//!
//! From the sizes that spokes offer, rounded where rows may not be seen; conditions are taken to keep a fifth, a join to
//! follow a key.

use super::site;
use arrow::datatypes::DataType;
use datafusion::{
    common::JoinType,
    logical_expr::{Distinct, FetchType, LogicalPlan},
};

/// A condition is taken to keep one row in so many.
const KEPT: f64 = 0.2;
/// An aggregate is taken to give one group for so many rows.
const GROUPED: f64 = 10.0;
/// Bytes that a value of no fixed width is taken to have.
const TEXT: usize = 16;

/// What is expected of a part of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    /// rows that it gives
    pub(super) rows: f64,
    /// rows that it would give without conditions
    whole: f64,
    /// bytes of a row
    width: f64,
}

impl Estimate {
    pub(super) fn bytes(&self) -> f64 {
        self.rows * self.width
    }

    fn kept(&self) -> f64 {
        if self.whole > 0.0 { (self.rows / self.whole).min(1.0) } else { 1.0 }
    }
}

/// What a part of a plan is expected to give.
pub(super) fn estimate(plan: &LogicalPlan) -> Estimate {
    let (rows, whole) = rows(plan);
    Estimate { rows, whole, width: width(plan) }
}

fn rows(plan: &LogicalPlan) -> (f64, f64) {
    let inputs: Vec<Estimate> = plan.inputs().into_iter().map(estimate).collect();
    let only = inputs.first().map_or((1.0, 1.0), |e| (e.rows, e.whole));
    match plan {
        LogicalPlan::TableScan(scan) => {
            let all = site::table(scan).and_then(|t| t.get().map(|t| t.offer().rows)).unwrap_or(1_000) as f64;
            let conditions: usize = scan.filters.iter().map(|f| f.column_refs().len().min(1)).sum();
            let kept = all * KEPT.powi(i32::try_from(conditions.min(6)).unwrap_or(6));
            (scan.fetch.map_or(kept, |n| kept.min(n as f64)), all)
        }
        LogicalPlan::Filter(_) => (only.0 * KEPT, only.1),
        LogicalPlan::Aggregate(node) if node.group_expr.is_empty() => (1.0, 1.0),
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(Distinct::All(_)) => {
            ((only.0 / GROUPED).max(1.0), (only.1 / GROUPED).max(1.0))
        }
        LogicalPlan::Limit(limit) => match limit.get_fetch_type() {
            Ok(FetchType::Literal(Some(n))) => (only.0.min(n as f64), only.1.min(n as f64)),
            _ => only,
        },
        LogicalPlan::Sort(sort) => sort.fetch.map_or(only, |n| (only.0.min(n as f64), only.1.min(n as f64))),
        LogicalPlan::Join(join) => {
            let [left, right] = inputs.as_slice() else { return only };
            let whole = if join.on.is_empty() { left.whole * right.whole } else { left.whole.max(right.whole) };
            let both = whole * left.kept() * right.kept();
            match join.join_type {
                JoinType::LeftSemi => (left.rows * right.kept(), left.whole),
                JoinType::RightSemi => (right.rows * left.kept(), right.whole),
                JoinType::LeftAnti | JoinType::LeftMark => (left.rows, left.whole),
                JoinType::RightAnti | JoinType::RightMark => (right.rows, right.whole),
                JoinType::Inner => (both, whole),
                JoinType::Left => (both.max(left.rows), whole),
                JoinType::Right => (both.max(right.rows), whole),
                JoinType::Full => (both.max(left.rows + right.rows), whole),
            }
        }
        LogicalPlan::Union(_) => inputs.iter().fold((0.0, 0.0), |(r, w), e| (r + e.rows, w + e.whole)),
        _ => only,
    }
}

fn width(plan: &LogicalPlan) -> f64 {
    let bytes = |kind: &DataType| match kind {
        DataType::FixedSizeBinary(n) => usize::try_from(*n).unwrap_or(TEXT),
        other => other.primitive_width().unwrap_or(TEXT),
    };
    let all: usize = plan.schema().fields().iter().map(|field| bytes(field.data_type())).sum();
    // Even a row without columns counts for something.
    all.max(1) as f64
}
