//! Values as a table holds them, through whatever passes them on unchanged.

use super::literal;
use datafusion::{
    common::{Column, ScalarValue},
    logical_expr::{Distinct, Expr, ExprSchemable, JoinType, LogicalPlan, utils::merge_schema},
};
use proto::plan::coarse::coarsened;

/// Months of a constant interval, either way: what a table holds can be moved by so much and stays a day and a time.
const MONTHS: i32 = 1_200;
/// Its days.
const DAYS: i32 = 36_525;
/// Its smaller part.
const NANOS: i64 = 86_400_000_000_000;
/// Days of constants, from 1900 to 2100: the time between one and any moment of 1808 to 2192 fits into nanoseconds.
const NEAR: std::ops::Range<i64> = -25_567..47_482;

/// Whether an expression is a constant that is near, a table's own value, or a point in time that is one, as another kind of it. (A number made
/// a day can be any day.)
pub(super) fn stored(expr: &Expr, inputs: &[&LogicalPlan]) -> bool {
    if let Some(constant) = literal(expr) {
        return near(&constant);
    }
    match expr {
        Expr::Column(column) => column_is(column, inputs),
        Expr::Alias(alias) => stored(&alias.expr, inputs),
        Expr::Cast(cast) => is_temporal(&cast.expr, inputs) && stored(&cast.expr, inputs),
        Expr::TryCast(cast) => is_temporal(&cast.expr, inputs) && stored(&cast.expr, inputs),
        // Its day, or three of its digits.
        Expr::ScalarFunction(_) => coarsened(expr).is_some_and(|value| stored(value, inputs)),
        // The first and the last of a table's values are such.
        Expr::AggregateFunction(function) if ["min", "max"].contains(&function.func.name()) => {
            function.params.args.iter().all(|argument| stored(argument, inputs))
        }
        _ => false,
    }
}

/// Whether a constant is so near that nothing which a table holds overflows with it. Whoever chooses another chooses whose does.
fn near(constant: &ScalarValue) -> bool {
    use ScalarValue as S;
    if constant.is_null() {
        return true;
    }
    let within = |moment: i64, a_day: i64| NEAR.contains(&moment.div_euclid(a_day));
    match constant {
        S::IntervalYearMonth(Some(months)) => months.unsigned_abs() <= MONTHS.unsigned_abs(),
        S::IntervalDayTime(Some(by)) => {
            by.days.unsigned_abs() <= DAYS.unsigned_abs() && i64::from(by.milliseconds).unsigned_abs() <= 86_400_000
        }
        S::IntervalMonthDayNano(Some(by)) => {
            by.months.unsigned_abs() <= MONTHS.unsigned_abs()
                && by.days.unsigned_abs() <= DAYS.unsigned_abs()
                && by.nanoseconds.unsigned_abs() <= NANOS.unsigned_abs()
        }
        S::Date32(Some(day)) => NEAR.contains(&i64::from(*day)),
        S::Date64(Some(at)) | S::TimestampMillisecond(Some(at), _) => within(*at, 86_400_000),
        S::TimestampSecond(Some(at), _) => within(*at, 86_400),
        S::TimestampMicrosecond(Some(at), _) => within(*at, 86_400_000_000),
        S::TimestampNanosecond(Some(at), _) => within(*at, NANOS),
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
