//! Which share of rows conditions keep, roughly.

use super::estimate::Estimate;
use datafusion::{
    common::{Column, DFSchema, ScalarValue},
    logical_expr::{Between, BinaryExpr, Expr, Operator, expr::InList, utils::split_conjunction},
};
use std::collections::HashMap;

/// What a condition is taken to keep of which nothing is known.
const UNKNOWN: f64 = 0.2;
/// What a comparison with a bound keeps when nothing is known of the column.
const BOUND: f64 = 1.0 / 3.0;
/// What one value of a column keeps of which nothing is known.
const VALUE: f64 = 0.1;
/// What a pattern keeps.
const PATTERN: f64 = 0.1;
/// No condition is taken to keep less.
const LEAST: f64 = 1e-9;
/// Days of a year.
const YEAR: f64 = 365.25;

/// The share of rows that pass all conditions.
pub(super) fn kept(conditions: &[Expr], rows: &Estimate, schema: &DFSchema) -> f64 {
    let mut share = 1.0;
    // Two bounds of one column's days are one span.
    let mut spans: HashMap<&Column, (f64, f64)> = HashMap::new();
    for condition in conditions.iter().flat_map(split_conjunction) {
        match span(condition, rows, schema) {
            Some((column, low, high)) => {
                let known = spans.entry(column).or_insert((0.0, 1.0));
                *known = (known.0.max(low), known.1.min(high));
            }
            None => share *= one(condition, rows, schema),
        }
    }
    for (low, high) in spans.into_values() {
        share *= (high - low).clamp(0.001, 1.0);
    }
    share.clamp(LEAST, 1.0)
}

fn one(condition: &Expr, rows: &Estimate, schema: &DFSchema) -> f64 {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            one(left, rows, schema) * one(right, rows, schema)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (a, b) = (one(left, rows, schema), one(right, rows, schema));
            a + b - a * b
        }
        Expr::Not(inner) => 1.0 - one(inner, rows, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => compared(left, *op, right, rows, schema),
        Expr::InList(InList { expr, list, negated }) => {
            let share =
                (value(expr, rows, schema) * list.len() as f64).min(if known(expr, rows, schema) { 1.0 } else { 0.5 });
            if *negated { 1.0 - share } else { share }
        }
        Expr::Between(Between { negated, .. }) => {
            if *negated {
                1.0 - BOUND / 2.0
            } else {
                BOUND / 2.0
            }
        }
        Expr::Like(like) => {
            if like.negated {
                1.0 - PATTERN
            } else {
                PATTERN
            }
        }
        Expr::IsNull(inner) => nulls(inner, rows, schema),
        Expr::IsNotNull(inner) => 1.0 - nulls(inner, rows, schema),
        Expr::Literal(ScalarValue::Boolean(Some(flag)), _) => {
            if *flag {
                1.0
            } else {
                LEAST
            }
        }
        other if other.column_refs().is_empty() => 1.0,
        _ => UNKNOWN,
    }
}

fn compared(left: &Expr, op: Operator, right: &Expr, rows: &Estimate, schema: &DFSchema) -> f64 {
    let constant = |e: &Expr| e.column_refs().is_empty();
    let equal = || {
        if constant(right) {
            value(left, rows, schema)
        } else if constant(left) {
            value(right, rows, schema)
        } else {
            value(left, rows, schema).min(value(right, rows, schema))
        }
    };
    match op {
        Operator::Eq | Operator::IsNotDistinctFrom => equal(),
        Operator::NotEq | Operator::IsDistinctFrom => 1.0 - equal(),
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => BOUND,
        _ => UNKNOWN,
    }
}

fn known(e: &Expr, rows: &Estimate, schema: &DFSchema) -> bool {
    rows.facts(e, schema).distinct > 0.0
}

/// What one value of a column keeps.
fn value(e: &Expr, rows: &Estimate, schema: &DFSchema) -> f64 {
    let facts = rows.facts(e, schema);
    if facts.distinct > 0.0 { (1.0 - facts.nulls) / facts.distinct.max(1.0) } else { VALUE }
}

fn nulls(e: &Expr, rows: &Estimate, schema: &DFSchema) -> f64 {
    let facts = rows.facts(e, schema);
    if facts.distinct > 0.0 { facts.nulls.max(0.001) } else { UNKNOWN / 2.0 }
}

/// A bound of a column of days whose years are told: the share of its span that begins and ends there.
fn span<'a>(condition: &'a Expr, rows: &Estimate, schema: &DFSchema) -> Option<(&'a Column, f64, f64)> {
    let place = |column: &Expr, day: &Expr| -> Option<f64> {
        let (first, last) = rows.facts(column, schema).years?;
        let (begins, ends) = (f64::from(first), f64::from(last) + 1.0);
        Some(((year(day)? - begins) / (ends - begins)).clamp(0.0, 1.0))
    };
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (column, day, op) = match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), day) => (column, day, *op),
                (day, Expr::Column(column)) => (column, day, op.swap()?),
                _ => return None,
            };
            let at = place(&Expr::Column(column.clone()), day)?;
            match op {
                Operator::Lt | Operator::LtEq => Some((column, 0.0, at)),
                Operator::Gt | Operator::GtEq => Some((column, at, 1.0)),
                _ => None,
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) => match expr.as_ref() {
            Expr::Column(column) => Some((column, place(expr, low)?, place(expr, high)?)),
            _ => None,
        },
        _ => None,
    }
}

/// A day as years since year 0.
fn year(e: &Expr) -> Option<f64> {
    let since_1970 = |days: f64| Some(1970.0 + days / YEAR);
    match e {
        Expr::Literal(ScalarValue::Date32(Some(days)), _) => since_1970(f64::from(*days)),
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(at), _), _) => since_1970(*at as f64 / 86_400e6),
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(at), _), _) => since_1970(*at as f64 / 86_400e9),
        _ => None,
    }
}
