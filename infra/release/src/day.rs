//! Whether a key of the result would be a day, or as fine as one.
//!
//! The day on which something happened to somebody is what people are recognised by. A key is a week, a month, a year, or what else is made
//! of days and has fewer values: parts of dates, how long something took, a comparison.
//!
//! INVARIANT: what isn't understood is as fine as what it is made of.

use crate::release::{
    origin::sources,
    refusal::{Instead, ReleaseRefusal},
    scope::bare,
    walk::Analysis,
};
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, expr::ScalarFunction},
};

/// Deeper columns are taken to be days.
const DEEPEST: usize = 64;

/// Coarser than a day.
const SPANS: &[&str] = &["week", "month", "quarter", "year"];

/// Parts of a date that tell no day together.
const PARTS: &[&str] = &["week", "month", "quarter", "qtr", "year", "isoyear"];

impl Analysis<'_> {
    /// Refuses a key of the result that is as fine as a day.
    pub(super) fn coarser_than_days(&self, key: &Expr, plan: &LogicalPlan) -> Result<(), ReleaseRefusal> {
        if !finer(key, plan, 0) {
            return Ok(());
        }
        Err(self.examples.refuse(
            "A key of the result is as fine as a day, and days are what people are recognised by. Group by \
             date_trunc('week', ..), date_trunc('month', ..) or extract(year FROM ..).",
            Instead::Month,
        ))
    }
}

fn finer(key: &Expr, plan: &LogicalPlan, depth: usize) -> bool {
    if depth > DEEPEST {
        return true;
    }
    let below = |e: &Expr| finer(e, plan, depth + 1);
    match bare(key) {
        Expr::Column(column) => match plan {
            LogicalPlan::TableScan(_) => temporal(key, plan),
            _ => match sources(column, plan) {
                Some(sources) => sources.iter().any(|source| finer(&source.expr, source.plan, depth + 1)),
                // made here, by a window or by grouping sets
                None => temporal(key, plan),
            },
        },
        Expr::Literal(..) => false,
        Expr::ScalarFunction(call) if tells_no_day(call) => false,
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And
            | Operator::Or
            | Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom => false,
            // From one day to another: how long it took.
            Operator::Minus => below(left) != below(right),
            _ => below(left) || below(right),
        },
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Not(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_) => false,
        Expr::Case(case) => {
            case.when_then_expr.iter().any(|(_, then)| below(then)) || case.else_expr.as_deref().is_some_and(below)
        }
        Expr::AggregateFunction(call) => match call.func.name() {
            "count" => false,
            _ => call.params.args.iter().any(below),
        },
        other => {
            let mut any = false;
            // The closure never fails.
            let _ = other.apply_children(|part| {
                any |= below(part);
                Ok(TreeNodeRecursion::Continue)
            });
            any
        }
    }
}

fn temporal(key: &Expr, plan: &LogicalPlan) -> bool {
    key.get_type(plan.schema()).map_or(true, |kind| kind.is_temporal())
}

/// `date_trunc` to a span, or `date_part` of a part, that are constants.
fn tells_no_day(call: &ScalarFunction) -> bool {
    let allowed = match call.func.name() {
        "date_trunc" => SPANS,
        "date_part" => PARTS,
        _ => return false,
    };
    let Some(Expr::Literal(unit, _)) = call.args.first().map(bare) else { return false };
    unit.try_as_str().flatten().is_some_and(|unit| allowed.contains(&unit.to_ascii_lowercase().as_str()))
}
