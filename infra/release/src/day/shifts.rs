//! Several keys of the same days: seven weeks, each moved by one day more, are the day, and so are a week and a weekday.
//!
//! Of the keys of one statement, those made of the same column of a table must look at it in the same way: as weeks, months and years of days
//! that are moved alike. First and last of a person's days, and the same column of two rows, move nothing. A key that looks at days otherwise (a weekday, a
//! comparison, the condition of a CASE) has a way of its own, so that it stands alone; but how long it is from one event to another, and which
//! came first, may stand beside weeks of either.
//!
//! What chooses rows (WHERE, ON, the parts of a UNION) isn't looked at: a day can be named there in any statement.
//!
//! INVARIANT: what isn't understood moves days in a way of its own.

use super::{COUNTS, DEEPEST, Days, MOST, PICKS, constant, keeps_days, tells_no_day, temporal, window};
use crate::release::{origin::sources, scope::bare};
use arrow::datatypes::DataType;
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, expr::ScalarFunction},
};
use std::collections::{BTreeMap, BTreeSet};

/// Whether keys are made of one column's days in more than one way.
pub(super) fn more_than_one(keys: &[&Expr], plan: &LogicalPlan, days: &Days<'_>) -> bool {
    let mut moves = Moves { of: BTreeMap::new(), days, own: 0, looked_at: 0 };
    for key in keys {
        match bare(key) {
            Expr::GroupingSet(sets) => {
                for each in sets.distinct_expr() {
                    moves.key(each, plan, &otherwise(each), 0);
                }
            }
            one => moves.key(one, plan, &otherwise(one), 0),
        }
    }
    moves.of.values().any(|ways| ways.len() > 1)
}

/// The way of a key that looks at days otherwise than as weeks and the like; the same key twice has one.
fn otherwise(key: &Expr) -> String {
    format!("as in {}", bare(key))
}

/// In which ways days are looked at, by the column of the table that they stand in.
struct Moves<'d> {
    of: BTreeMap<String, BTreeSet<String>>,
    days: &'d Days<'d>,
    own: usize,
    looked_at: usize,
}

impl Moves<'_> {
    /// A way that no other expression has.
    fn unlike(&mut self, way: &str) -> String {
        self.own += 1;
        format!("{way} #{}", self.own)
    }

    /// Of such a key it isn't said that its days are moved alike.
    fn too_many(&mut self, depth: usize) -> bool {
        self.looked_at += 1;
        let too_many = depth > DEEPEST || self.looked_at > MOST;
        if too_many {
            let own = self.unlike("");
            self.of.entry(String::new()).or_default().extend([own, String::new()]);
        }
        too_many
    }

    /// What is made coarser in a key, and in which `way` the key looks at days else.
    fn key(&mut self, expr: &Expr, plan: &LogicalPlan, way: &str, depth: usize) {
        if self.too_many(depth) {
            return;
        }
        let days = self.days;
        let event = |expr: &Expr| days.event(expr, plan);
        match bare(expr) {
            Expr::ScalarFunction(call) if tells_no_day(call) => {
                call.args.iter().skip(1).for_each(|day| self.days(day, plan, "", depth + 1));
            }
            Expr::Column(_) if matches!(plan, LogicalPlan::TableScan(_)) => self.days(expr, plan, way, depth + 1),
            Expr::Column(_) => each_source(bare(expr), plan, |expr, plan| self.key(expr, plan, way, depth + 1)),
            // how long from one event to another, or which came first
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) if event(left) && event(right) => {}
            Expr::IsNull(inner) | Expr::IsNotNull(inner) if event(inner) => {}
            // Which events are counted, or which comes first, is told by conditions and not by the order.
            Expr::AggregateFunction(call) => {
                let counts = COUNTS.contains(&call.func.name());
                let parts = call.params.args.iter().filter(|arg| !(counts && event(arg)));
                parts.chain(call.params.filter.as_deref()).for_each(|part| self.key(part, plan, way, depth + 1));
            }
            Expr::WindowFunction(call) => {
                let counts = COUNTS.contains(&call.fun.name());
                let parts = call.params.args.iter().filter(|arg| !(counts && event(arg)));
                parts.chain(call.params.filter.as_deref()).for_each(|part| self.key(part, plan, way, depth + 1));
            }
            other => each_part(other, |part| self.key(part, plan, way, depth + 1)),
        }
    }

    /// The columns of days that `expr` is made of, moved in this `way` above it.
    fn days(&mut self, expr: &Expr, plan: &LogicalPlan, way: &str, depth: usize) {
        if self.too_many(depth) {
            return;
        }
        let below = |moves: &mut Self, part: &Expr, way: &str| moves.days(part, plan, way, depth + 1);
        match bare(expr) {
            Expr::Column(column) => match plan {
                LogicalPlan::TableScan(scan) => {
                    if temporal(expr, plan) {
                        let day = format!("{}.{}", scan.table_name, column.name);
                        self.of.entry(day).or_default().insert(way.to_owned());
                    }
                }
                _ => each_source(bare(expr), plan, |expr, plan| self.days(expr, plan, way, depth + 1)),
            },
            expr if constant(expr) => {}
            Expr::Cast(cast) => match cast.field.data_type() {
                DataType::Timestamp(_, Some(zone)) => below(self, &cast.expr, &format!("{way} at {zone}")),
                _ => below(self, &cast.expr, way),
            },
            Expr::TryCast(cast) => match cast.field.data_type() {
                DataType::Timestamp(_, Some(zone)) => below(self, &cast.expr, &format!("{way} at {zone}")),
                _ => below(self, &cast.expr, way),
            },
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) => {
                if constant(right) {
                    below(self, left, &format!("{way} {op} {right}"));
                } else if constant(left) {
                    below(self, right, &format!("{way} {left} {op}"));
                } else {
                    let own = self.unlike(way);
                    below(self, left, &own);
                    below(self, right, &own);
                }
            }
            Expr::ScalarFunction(call) if keeps_days(call) || chooses(call) => {
                call.args.iter().for_each(|part| below(self, part, way));
            }
            Expr::Case(case) => {
                let values = case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref());
                values.for_each(|part| below(self, part, way));
            }
            Expr::AggregateFunction(call) if PICKS.contains(&call.func.name()) => {
                call.params.args.iter().for_each(|part| below(self, part, way));
            }
            Expr::WindowFunction(call) if PICKS.contains(&call.fun.name()) => {
                call.params.args.iter().for_each(|part| below(self, part, way));
            }
            other => {
                let own = self.unlike(way);
                each_part(other, |part| below(self, part, &own));
            }
        }
    }
}

fn chooses(call: &ScalarFunction) -> bool {
    matches!(call.func.name(), "coalesce" | "nvl" | "ifnull" | "nullif" | "least" | "greatest")
}

/// What a column is one step below.
fn each_source(column: &Expr, plan: &LogicalPlan, mut look: impl FnMut(&Expr, &LogicalPlan)) {
    if let Some((input, made)) = window(column, plan) {
        look(&Expr::WindowFunction(Box::new(made.clone())), input);
    } else if let Expr::Column(name) = column {
        for source in sources(name, plan).unwrap_or_default() {
            look(&source.expr, source.plan);
        }
    }
}

fn each_part(expr: &Expr, mut look: impl FnMut(&Expr)) {
    // The closure never fails.
    let _ = expr.apply_children(|part| {
        look(part);
        Ok(TreeNodeRecursion::Continue)
    });
}
