//! Whether a fragment is complete, known and within its limits.
//!
//! INVARIANT: walks with a stack of its own, never by recursion: the depth of a foreign message must not
//! decide how much of the thread's stack is used.

use std::collections::HashSet;

use super::literal::{check_literal, check_type, size};
use super::{FragmentError, Limits, VERSION, functions};
use crate::ids::TableName;
use crate::wire::{
    ArithmeticOp, CompareOp, Expr, Fragment, JoinKind, Literal, LogicOp, MeasureKind, NamedExpr, Rel, expr, rel,
};

/// The decoder reads no more nested messages than this.
pub(super) const MAX_DEPTH: usize = 100;

/// Refuses a fragment that is not known in every part, or too big.
pub fn check(f: &Fragment, limits: &Limits) -> Result<(), FragmentError> {
    if f.version != VERSION {
        return Err(FragmentError::Version(f.version));
    }
    let root = f.root.as_ref().ok_or(FragmentError::Missing("Fragment.root"))?;
    let mut walk = Walk::new(limits);
    walk.rel(root, 2)?; // the request holds the fragment, which holds the root
    walk.run()
}

/// The same for one expression that will stand somewhere in a fragment.
#[cfg(feature = "plan")]
pub(crate) fn check_expr(e: &Expr, limits: &Limits) -> Result<(), FragmentError> {
    let mut walk = Walk::new(limits);
    walk.expr(e, 4)?; // as high as an expression can stand
    walk.run()
}

enum Node<'a> {
    Rel(&'a Rel),
    Expr(&'a Expr),
}

struct Walk<'a> {
    limits: Limits,
    nodes: usize,
    stack: Vec<(Node<'a>, usize)>,
}

impl<'a> Walk<'a> {
    fn new(limits: &Limits) -> Self {
        let max_depth = limits.max_depth.min(MAX_DEPTH);
        Self { limits: Limits { max_depth, ..*limits }, nodes: 0, stack: Vec::new() }
    }

    fn run(mut self) -> Result<(), FragmentError> {
        while let Some((node, depth)) = self.stack.pop() {
            match node {
                Node::Rel(rel) => self.visit_rel(rel, depth)?,
                Node::Expr(expr) => self.visit_expr(expr, depth)?,
            }
        }
        Ok(())
    }

    fn count(&mut self, more: usize, depth: usize) -> Result<(), FragmentError> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > self.limits.max_nodes {
            return Err(FragmentError::TooManyNodes { limit: self.limits.max_nodes });
        }
        if depth > self.limits.max_depth {
            return Err(FragmentError::TooDeep { limit: self.limits.max_depth });
        }
        Ok(())
    }

    fn rel(&mut self, rel: &'a Rel, depth: usize) -> Result<(), FragmentError> {
        self.count(1, depth)?;
        self.stack.push((Node::Rel(rel), depth));
        Ok(())
    }

    fn expr(&mut self, expr: &'a Expr, depth: usize) -> Result<(), FragmentError> {
        self.count(1, depth)?;
        self.stack.push((Node::Expr(expr), depth));
        Ok(())
    }

    fn input(&mut self, rel: Option<&'a Rel>, what: &'static str, depth: usize) -> Result<(), FragmentError> {
        self.rel(rel.ok_or(FragmentError::Missing(what))?, depth)
    }

    fn part(&mut self, expr: Option<&'a Expr>, what: &'static str, depth: usize) -> Result<(), FragmentError> {
        self.expr(expr.ok_or(FragmentError::Missing(what))?, depth)
    }

    fn list(&self, what: &'static str, length: usize, least: usize) -> Result<(), FragmentError> {
        let limit = self.limits.max_list;
        if length > limit {
            return Err(FragmentError::TooLong { what, length, limit });
        }
        if length < least {
            return Err(FragmentError::Missing(what));
        }
        Ok(())
    }

    fn literal(&mut self, literal: &Literal, depth: usize) -> Result<(), FragmentError> {
        self.count(0, depth + 1)?; // its type
        check_literal(literal, &self.limits)
    }

    /// Names of columns: printable, not too long, no two alike.
    fn names<'n>(&self, what: &'static str, names: impl Iterator<Item = &'n String>) -> Result<(), FragmentError> {
        let invalid = |rule| Err(FragmentError::Invalid { what, rule });
        let mut seen = HashSet::new();
        for name in names {
            size(what, name.len(), &self.limits)?;
            if name.is_empty() || name.chars().any(char::is_control) {
                return invalid("a column's name is not empty and has no control characters");
            }
            if !seen.insert(name) {
                return invalid("two columns have the same name");
            }
        }
        Ok(())
    }

    fn visit_rel(&mut self, rel: &'a Rel, depth: usize) -> Result<(), FragmentError> {
        use rel::Kind;
        // Rel -> its body -> what the body holds
        let below = depth + 2;
        match rel.kind.as_ref().ok_or(FragmentError::Missing("Rel.kind"))? {
            Kind::Read(read) => {
                self.count(0, depth + 1)?;
                if TableName::try_from(read.table.as_str()).is_err() {
                    return Err(FragmentError::Invalid { what: "Read.table", rule: "must be the name of a table" });
                }
                self.list("Read.columns", read.columns.len(), 0)?;
                self.names("Read.columns", read.columns.iter())
            }
            Kind::Filter(filter) => {
                self.input(filter.input.as_deref(), "Filter.input", below)?;
                self.part(filter.predicate.as_ref(), "Filter.predicate", below)
            }
            Kind::Project(project) => {
                self.input(project.input.as_deref(), "Project.input", below)?;
                self.list("Project.exprs", project.exprs.len(), 0)?;
                self.names("Project.exprs", project.exprs.iter().map(|e| &e.name))?;
                self.named(&project.exprs, below)
            }
            Kind::Join(join) => {
                match JoinKind::try_from(join.kind) {
                    Ok(JoinKind::Unspecified) => return Err(FragmentError::Missing("Join.kind")),
                    Ok(_) => {}
                    Err(_) => return Err(unknown("JoinKind", join.kind)),
                }
                self.input(join.left.as_deref(), "Join.left", below)?;
                self.input(join.right.as_deref(), "Join.right", below)?;
                // Without a key every row would meet every other one.
                self.list("Join.on", join.on.len(), 1)?;
                for key in &join.on {
                    self.part(key.left.as_ref(), "JoinKey.left", below + 1)?;
                    self.part(key.right.as_ref(), "JoinKey.right", below + 1)?;
                }
                match &join.condition {
                    Some(condition) => self.expr(condition, below),
                    None => Ok(()),
                }
            }
            Kind::Aggregate(aggregate) => {
                let (groups, measures) = (&aggregate.groups, &aggregate.measures);
                self.input(aggregate.input.as_deref(), "Aggregate.input", below)?;
                self.list("Aggregate.groups", groups.len(), 0)?;
                self.list("Aggregate.measures", measures.len(), usize::from(groups.is_empty()))?;
                let measure_names = measures.iter().map(|m| &m.name);
                self.names("Aggregate", groups.iter().map(|g| &g.name).chain(measure_names))?;
                self.named(groups, below)?;
                for measure in measures {
                    let body = measure.measure.as_ref();
                    let measure = body.ok_or(FragmentError::Missing("NamedMeasure.measure"))?;
                    let kind = match MeasureKind::try_from(measure.kind) {
                        Ok(MeasureKind::Unspecified) => {
                            return Err(FragmentError::Missing("Measure.kind"));
                        }
                        Ok(kind) => kind,
                        Err(_) => return Err(unknown("MeasureKind", measure.kind)),
                    };
                    self.count(1, below + 1)?;
                    if let Some(argument) = &measure.argument {
                        self.expr(argument, below + 2)?;
                    } else if kind != MeasureKind::Count {
                        return Err(FragmentError::Missing("Measure.argument"));
                    }
                    if let Some(filter) = &measure.filter {
                        self.expr(filter, below + 2)?;
                    }
                    match &measure.value {
                        Some(value) if contributions(kind) => self.expr(value, below + 2)?,
                        None if !contributions(kind) => {}
                        None => return Err(FragmentError::Missing("Measure.value")),
                        Some(_) => {
                            let rule = "belongs to CONTRIBUTIONS alone";
                            return Err(FragmentError::Invalid { what: "Measure.value", rule });
                        }
                    }
                }
                Ok(())
            }
            Kind::SortLimit(sort) => {
                self.input(sort.input.as_deref(), "SortLimit.input", below)?;
                self.list("SortLimit.keys", sort.keys.len(), 0)?;
                for key in &sort.keys {
                    self.part(key.expr.as_ref(), "SortKey.expr", below + 1)?;
                }
                let rows = sort.offset.checked_add(sort.limit.unwrap_or(0));
                if rows.is_none_or(|rows| i64::try_from(rows).is_err()) {
                    return Err(FragmentError::Invalid {
                        what: "SortLimit",
                        rule: "limit and offset together are too big",
                    });
                }
                Ok(())
            }
        }
    }

    fn named(&mut self, exprs: &'a [NamedExpr], depth: usize) -> Result<(), FragmentError> {
        for named in exprs {
            self.part(named.expr.as_ref(), "NamedExpr.expr", depth + 1)?;
        }
        Ok(())
    }

    fn visit_expr(&mut self, expr: &'a Expr, depth: usize) -> Result<(), FragmentError> {
        use expr::Kind;
        // Expr -> its body -> what the body holds
        let below = depth + 2;
        match expr.kind.as_ref().ok_or(FragmentError::Missing("Expr.kind"))? {
            Kind::Column(name) => self.names("Expr.column", [name].into_iter()),
            Kind::Literal(literal) => self.literal(literal, depth + 1),
            Kind::Compare(compare) => {
                known_op::<CompareOp>("CompareOp", compare.op)?;
                self.part(compare.left.as_deref(), "Compare.left", below)?;
                self.part(compare.right.as_deref(), "Compare.right", below)
            }
            Kind::Logic(logic) => {
                known_op::<LogicOp>("LogicOp", logic.op)?;
                self.list("Logic.args", logic.args.len(), 2)?;
                logic.args.iter().try_for_each(|arg| self.expr(arg, below))
            }
            Kind::Arithmetic(arithmetic) => {
                known_op::<ArithmeticOp>("ArithmeticOp", arithmetic.op)?;
                self.part(arithmetic.left.as_deref(), "Arithmetic.left", below)?;
                self.part(arithmetic.right.as_deref(), "Arithmetic.right", below)
            }
            Kind::InList(list) => {
                self.part(list.expr.as_deref(), "InList.expr", below)?;
                self.list("InList.values", list.values.len(), 1)?;
                self.count(list.values.len(), below)?;
                list.values.iter().try_for_each(|value| self.literal(value, below))
            }
            Kind::Between(between) => {
                self.part(between.expr.as_deref(), "Between.expr", below)?;
                self.part(between.low.as_deref(), "Between.low", below)?;
                self.part(between.high.as_deref(), "Between.high", below)
            }
            Kind::Like(like) => {
                self.part(like.expr.as_deref(), "Like.expr", below)?;
                let pattern = like.pattern.as_ref().ok_or(FragmentError::Missing("Like.pattern"))?;
                self.count(1, below)?;
                self.literal(pattern, below)?;
                if like.escape.chars().nth(1).is_some() {
                    return Err(FragmentError::Invalid { what: "Like.escape", rule: "must be empty or one character" });
                }
                Ok(())
            }
            Kind::IsNull(is_null) => self.part(is_null.expr.as_deref(), "IsNull.expr", below),
            Kind::Case(case) => {
                self.list("Case.whens", case.whens.len(), 1)?;
                for when in &case.whens {
                    self.part(when.when.as_ref(), "When.when", below + 1)?;
                    self.part(when.then.as_ref(), "When.then", below + 1)?;
                }
                let ends = [case.operand.as_deref(), case.otherwise.as_deref()];
                ends.into_iter().flatten().try_for_each(|e| self.expr(e, below))
            }
            Kind::Cast(cast) => {
                self.part(cast.expr.as_deref(), "Cast.expr", below)?;
                check_type(cast.r#type.as_ref().ok_or(FragmentError::Missing("Cast.type"))?)?;
                Ok(())
            }
            Kind::Call(call) => {
                self.list("Call.args", call.args.len(), 0)?;
                functions::check(&call.function, &call.args)?;
                self.count(0, depth + 1)?;
                call.args.iter().try_for_each(|arg| self.expr(arg, below))
            }
            Kind::InKeys(keys) => self.part(keys.expr.as_deref(), "InKeys.expr", below),
            Kind::Negative(inner) | Kind::Not(inner) => self.expr(inner, depth + 1),
        }
    }
}

/// Measures of a person and a value.
fn contributions(kind: MeasureKind) -> bool {
    matches!(kind, MeasureKind::Contributions | MeasureKind::ContributionsMean | MeasureKind::ContributionsSpread)
}

fn unknown(what: &'static str, value: i32) -> FragmentError {
    FragmentError::Unknown { what, value }
}

/// In every operator enum 0 is "unspecified".
fn known_op<T: TryFrom<i32>>(what: &'static str, value: i32) -> Result<(), FragmentError> {
    match (value, T::try_from(value)) {
        (0, _) => Err(FragmentError::Missing(what)),
        (_, Ok(_)) => Ok(()),
        (_, Err(_)) => Err(unknown(what, value)),
    }
}
