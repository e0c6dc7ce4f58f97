//! Weeks, months and years of the same days that begin at different ones: seven weeks, each moved by one day more, are the day.
//!
//! Of the keys of one statement, those made of the same column of a table must move it alike. First and last of a person's days, and the same
//! column of two rows, move nothing.
//!
//! INVARIANT: what isn't understood moves days in a way of its own.

use super::{DEEPEST, MOST, PICKS, constant, keeps_days, tells_no_day, temporal, window};
use crate::release::{origin::sources, scope::bare};
use arrow::datatypes::DataType;
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, expr::ScalarFunction},
};
use std::collections::{BTreeMap, BTreeSet};

/// Whether keys are made of one column's days, moved in more than one way.
pub(super) fn more_than_one(keys: &[&Expr], plan: &LogicalPlan) -> bool {
    let mut moves = Moves::default();
    keys.iter().for_each(|key| moves.key(key, plan, 0));
    moves.of.values().any(|ways| ways.len() > 1)
}

/// In which ways days are moved, by the column of the table that they stand in.
#[derive(Default)]
struct Moves {
    of: BTreeMap<String, BTreeSet<String>>,
    own: usize,
    looked_at: usize,
}

impl Moves {
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

    /// What is made coarser in a key.
    fn key(&mut self, expr: &Expr, plan: &LogicalPlan, depth: usize) {
        if self.too_many(depth) {
            return;
        }
        match bare(expr) {
            Expr::ScalarFunction(call) if tells_no_day(call) => {
                call.args.iter().skip(1).for_each(|day| self.days(day, plan, "", depth + 1));
            }
            Expr::Column(_) => each_source(bare(expr), plan, |expr, plan| self.key(expr, plan, depth + 1)),
            other => each_part(other, |part| self.key(part, plan, depth + 1)),
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
