//! Whether a key of the result would be a day, or as fine as one.
//!
//! The day on which something happened to somebody is what people are recognised by. A key is a week, a month, a year, or what else is made
//! of days and has fewer values: parts of dates, how long something took, a comparison. How long something took is one event's day less
//! another's; from a day that is the same for many to an event it is that event's day in other words, also where only some have the former
//! (`least(day, ..)`, `coalesce(day, ..)`). Weeks that begin on different days are one day together, and so are a week and a weekday ([`shifts`]).
//!
//! INVARIANT: what isn't understood is as fine as what it is made of.

mod shifts;

use crate::release::{
    origin::sources,
    refusal::{Instead, ReleaseRefusal},
    roles::Roles,
    scope::bare,
    walk::Analysis,
};
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator,
        expr::{ScalarFunction, WindowFunction},
    },
};
use std::cell::Cell;

/// Deeper columns are taken to be days.
const DEEPEST: usize = 64;
/// More parts of expressions than this aren't looked at: each level of subqueries may name a column twice.
const MOST: usize = 100_000;

/// Coarser than a day.
const SPANS: &[&str] = &["week", "month", "quarter", "year"];

/// Parts of a date that tell no day together.
const PARTS: &[&str] = &["week", "month", "quarter", "qtr", "year", "isoyear"];

/// Spans of `date_trunc` that leave a day what it is.
const WITHIN_DAYS: &[&str] = &["day", "hour", "minute", "second", "millisecond", "microsecond", "nanosecond"];

/// Aggregates and window functions whose value is one of those that they look at.
const PICKS: &[&str] = &["min", "max", "first_value", "last_value", "nth_value", "any_value", "lag", "lead"];

/// Aggregates and window functions that count, whatever they look at.
const COUNTS: &[&str] = &["count", "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile"];

/// What an expression tells of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// NULL
    Nothing,
    /// the same for all rows
    Constant,
    /// fewer values than there are days
    Coarse,
    /// on which day something happened to the row's person, or a fixed time before or after it
    Day,
    /// a day in other words, or something as fine
    Fine,
}

impl Tells {
    /// Of one or the other.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, one) | (one, Self::Nothing) => one,
            (one, other) if one == other => one,
            (Self::Constant, Self::Coarse) | (Self::Coarse, Self::Constant) => Self::Coarse,
            _ => Self::Fine,
        }
    }

    fn is_fine(self) -> bool {
        matches!(self, Self::Day | Self::Fine)
    }

    /// Of something that is computed from it.
    fn within(self) -> Self {
        if self.is_fine() { Self::Fine } else { Self::Coarse }
    }
}

impl Analysis<'_> {
    /// Refuses keys of the result that are as fine as a day, each by itself or together.
    pub(super) fn coarser_than_days(&self, keys: &[&Expr], plan: &LogicalPlan) -> Result<(), ReleaseRefusal> {
        let days = Days { roles: self.roles, looked_at: Cell::new(0) };
        if keys.iter().any(|key| days.tells(key, plan, 0).is_fine()) {
            return Err(self.examples.refuse(
                "A key of the result is as fine as a day, and days are what people are recognised by. Group by \
                 date_trunc('week', ..), date_trunc('month', ..) or extract(year FROM ..).",
                Instead::Month,
            ));
        }
        if shifts::more_than_one(keys, plan, &days) {
            return Err(self.examples.refuse(
                "Keys of the result look at the same days in several ways (weeks that begin at different ones, or a weekday or a comparison \
                 beside a week), and tell the day together. Take weeks, months and years of the column itself, or keep one key and put \
                 the rest into WHERE.",
                Instead::Month,
            ));
        }
        Ok(())
    }
}

struct Days<'r> {
    roles: &'r dyn Roles,
    looked_at: Cell<usize>,
}

impl Days<'_> {
    fn tells(&self, key: &Expr, plan: &LogicalPlan, depth: usize) -> Tells {
        self.looked_at.set(self.looked_at.get() + 1);
        if depth > DEEPEST || self.looked_at.get() > MOST {
            return Tells::Fine;
        }
        let below = |e: &Expr| self.tells(e, plan, depth + 1);
        let any = |exprs: &[Expr]| if exprs.iter().any(|e| below(e).is_fine()) { Tells::Fine } else { Tells::Coarse };
        match bare(key) {
            Expr::Column(_) => self.column(bare(key), plan, depth),
            Expr::Literal(value, _) if value.is_null() => Tells::Nothing,
            expr if constant(expr) => Tells::Constant,
            Expr::Cast(cast) => below(&cast.expr),
            Expr::TryCast(cast) => below(&cast.expr),
            Expr::ScalarFunction(call) if tells_no_day(call) => Tells::Coarse,
            Expr::ScalarFunction(call) if keeps_days(call) => call.args.last().map_or(Tells::Fine, below),
            Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
                ("coalesce" | "nvl" | "ifnull" | "least" | "greatest", args) => {
                    args.iter().map(below).fold(Tells::Nothing, Tells::or)
                }
                ("nullif", [value, _]) => below(value),
                (_, args) => any(args),
            },
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
                | Operator::IsNotDistinctFrom => Tells::Coarse,
                _ => match (op, below(left), below(right)) {
                    // From one event to another: how long it took.
                    (Operator::Minus, Tells::Day, Tells::Day) => Tells::Coarse,
                    (Operator::Plus | Operator::Minus, Tells::Day, Tells::Constant)
                    | (Operator::Plus, Tells::Constant, Tells::Day) => Tells::Day,
                    (_, left, right) if left.is_fine() || right.is_fine() => Tells::Fine,
                    _ => Tells::Coarse,
                },
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
            | Expr::InSubquery(_) => Tells::Coarse,
            Expr::Case(case) => {
                let values = case.when_then_expr.iter().map(|(_, then)| below(then));
                values.chain(case.else_expr.as_deref().map(below)).fold(Tells::Nothing, Tells::or)
            }
            Expr::AggregateFunction(call) => self.function(call.func.name(), &call.params.args, plan, depth),
            Expr::WindowFunction(call) => self.function(call.fun.name(), &call.params.args, plan, depth),
            Expr::ScalarSubquery(_) | Expr::OuterReferenceColumn(..) if temporal(key, plan) => Tells::Fine,
            other => {
                let mut tells = Tells::Coarse;
                // The closure never fails.
                let _ = other.apply_children(|part| {
                    if below(part).is_fine() {
                        tells = Tells::Fine;
                    }
                    Ok(TreeNodeRecursion::Continue)
                });
                tells
            }
        }
    }

    /// An aggregate or a window function.
    fn function(&self, name: &str, args: &[Expr], plan: &LogicalPlan, depth: usize) -> Tells {
        let each = || args.iter().map(|e| self.tells(e, plan, depth + 1));
        match name {
            _ if COUNTS.contains(&name) => Tells::Coarse,
            // the second argument says which row; a third, what else it is
            _ if PICKS.contains(&name) => {
                each().enumerate().filter(|(at, _)| *at != 1).fold(Tells::Nothing, |all, (_, one)| all.or(one))
            }
            _ => each().fold(Tells::Coarse, |all, one| if one.is_fine() { Tells::Fine } else { all }).within(),
        }
    }

    /// Whether it is a day on which something happened to the row's person.
    fn event(&self, expr: &Expr, plan: &LogicalPlan) -> bool {
        self.tells(expr, plan, 0) == Tells::Day
    }

    fn column(&self, expr: &Expr, plan: &LogicalPlan, depth: usize) -> Tells {
        let Expr::Column(column) = expr else { return Tells::Fine };
        if let LogicalPlan::TableScan(scan) = plan {
            return match temporal(expr, plan) {
                false => Tells::Coarse,
                true if self.roles.has_people(scan.source.as_ref()) => Tells::Day,
                // A calendar's day is the same for all whom it is joined with.
                true => Tells::Fine,
            };
        }
        if let Some((input, made)) = window(expr, plan) {
            return self.function(made.fun.name(), &made.params.args, input, depth + 1);
        }
        match sources(column, plan) {
            Some(sources) => {
                let each = sources.iter().map(|source| self.tells(&source.expr, source.plan, depth + 1));
                each.fold(Tells::Nothing, Tells::or)
            }
            None if !self.has_people(plan) => {
                if temporal(expr, plan) {
                    Tells::Fine
                } else {
                    Tells::Coarse
                }
            }
            // whether a row of a join has a partner
            None if expr.get_type(plan.schema()).is_ok_and(|kind| kind == arrow::datatypes::DataType::Boolean) => {
                Tells::Coarse
            }
            None => Tells::Fine,
        }
    }

    fn has_people(&self, plan: &LogicalPlan) -> bool {
        let mut people = false;
        // The closure never fails.
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                people |= self.roles.has_people(scan.source.as_ref());
            }
            Ok(if people { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        people
    }
}

/// The window function that makes a column of `plan`, over its input.
fn window<'p>(expr: &Expr, plan: &'p LogicalPlan) -> Option<(&'p LogicalPlan, &'p WindowFunction)> {
    let (Expr::Column(column), LogicalPlan::Window(node)) = (expr, plan) else { return None };
    let place = plan.schema().maybe_index_of_column(column)?;
    let made = node.window_expr.get(place.checked_sub(node.input.schema().fields().len())?)?;
    match bare(made) {
        Expr::WindowFunction(function) => Some((&node.input, function)),
        _ => None,
    }
}

/// Whether it is made of nothing in a row.
fn constant(expr: &Expr) -> bool {
    let looks = expr.exists(|part| {
        Ok(matches!(
            part,
            Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
        ))
    });
    looks.is_ok_and(|looks| !looks)
}

fn temporal(key: &Expr, plan: &LogicalPlan) -> bool {
    key.get_type(plan.schema()).map_or(true, |kind| kind.is_temporal())
}

/// `date_trunc` to a span, or `date_part` of a part, that are constants.
fn tells_no_day(call: &ScalarFunction) -> bool {
    match call.func.name() {
        "date_trunc" => unit(call, SPANS),
        "date_part" => unit(call, PARTS),
        _ => false,
    }
}

/// A day, or a point in time, in another form: the last argument.
fn keeps_days(call: &ScalarFunction) -> bool {
    match (call.func.name(), call.args.len()) {
        ("date_trunc", 2) => unit(call, WITHIN_DAYS),
        ("date_part", 2) => unit(call, &["epoch"]),
        ("to_date" | "to_timestamp" | "to_timestamp_seconds" | "to_timestamp_millis", 1) => true,
        _ => false,
    }
}

fn unit(call: &ScalarFunction, allowed: &[&str]) -> bool {
    let Some(Expr::Literal(unit, _)) = call.args.first().map(bare) else { return false };
    unit.try_as_str().flatten().is_some_and(|unit| allowed.contains(&unit.to_ascii_lowercase().as_str()))
}
