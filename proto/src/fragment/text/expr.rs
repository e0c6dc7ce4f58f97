//! Expressions as SQL text, with no more parentheses than a reader needs.

use super::{Literals, MAX_DEPTH, Writer, constant};
use crate::wire::{ArithmeticOp, Case, CompareOp, Expr, InList, Literal, LogicOp, expr};

/// How tightly an expression holds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tight {
    Loose,
    Or,
    And,
    Not,
    Compare,
    Add,
    Multiply,
    Negative,
    Atom,
}

/// More constants of one list than this are counted, not shown.
const MAX_SHOWN: usize = 50;

impl Writer {
    /// An expression that stands alone.
    pub(super) fn part(&mut self, expr: Option<&Expr>) -> String {
        self.inner(expr, Tight::Loose, 0)
    }

    /// An expression and how tightly it holds together.
    pub(super) fn whole(&mut self, expr: Option<&Expr>) -> (String, Tight) {
        match expr {
            Some(expr) => self.expr(expr, 1),
            None => ("(missing)".to_owned(), Tight::Atom),
        }
    }

    /// An expression inside another, in parentheses where it is looser than its surroundings.
    fn inner(&mut self, expr: Option<&Expr>, around: Tight, depth: usize) -> String {
        if depth > MAX_DEPTH {
            return "...".to_owned();
        }
        let Some(expr) = expr else {
            return "(missing)".to_owned();
        };
        let (sql, tight) = self.expr(expr, depth + 1);
        if tight < around { format!("({sql})") } else { sql }
    }

    fn expr(&mut self, expr: &Expr, depth: usize) -> (String, Tight) {
        use expr::Kind;
        let negation = |negated: bool| if negated { "NOT " } else { "" };
        match &expr.kind {
            None => ("(unknown)".to_owned(), Tight::Atom),
            Some(Kind::Column(name)) => match self.columns.get(name) {
                Some((sql, tight)) => (sql.clone(), *tight),
                None => (self.names.shown(name), Tight::Atom),
            },
            Some(Kind::Literal(literal)) => (self.literal(literal), Tight::Atom),
            Some(Kind::Compare(compare)) => {
                let left = self.inner(compare.left.as_deref(), Tight::Add, depth);
                let right = self.inner(compare.right.as_deref(), Tight::Add, depth);
                let op = compare_op(compare.op);
                (format!("{left} {op} {right}"), Tight::Compare)
            }
            Some(Kind::InKeys(keys)) => {
                let value = self.inner(keys.expr.as_deref(), Tight::Add, depth);
                (format!("{value} IN (key list {})", keys.list), Tight::Compare)
            }
            Some(Kind::Logic(logic)) => {
                let (op, tight, around) = match LogicOp::try_from(logic.op) {
                    Ok(LogicOp::And) => (" AND ", Tight::And, Tight::Not),
                    Ok(LogicOp::Or) => (" OR ", Tight::Or, Tight::And),
                    Ok(LogicOp::Unspecified) | Err(_) => (" (unknown) ", Tight::Or, Tight::Atom),
                };
                let args = logic.args.iter();
                let args: Vec<_> = args.map(|arg| self.inner(Some(arg), around, depth)).collect();
                (args.join(op), tight)
            }
            Some(Kind::Arithmetic(arithmetic)) => {
                let (op, tight, right) = match ArithmeticOp::try_from(arithmetic.op) {
                    Ok(ArithmeticOp::Add) => ("+", Tight::Add, Tight::Multiply),
                    Ok(ArithmeticOp::Subtract) => ("-", Tight::Add, Tight::Multiply),
                    Ok(ArithmeticOp::TextConcat) => ("||", Tight::Add, Tight::Multiply),
                    Ok(ArithmeticOp::Multiply) => ("*", Tight::Multiply, Tight::Negative),
                    Ok(ArithmeticOp::Divide) => ("/", Tight::Multiply, Tight::Negative),
                    Ok(ArithmeticOp::Modulo) => ("%", Tight::Multiply, Tight::Negative),
                    Ok(ArithmeticOp::Unspecified) | Err(_) => ("(unknown)", Tight::Add, Tight::Atom),
                };
                let left = self.inner(arithmetic.left.as_deref(), tight, depth);
                let right = self.inner(arithmetic.right.as_deref(), right, depth);
                (format!("{left} {op} {right}"), tight)
            }
            Some(Kind::InList(list)) => (self.in_list(list, depth), Tight::Compare),
            Some(Kind::Between(between)) => {
                let expr = self.inner(between.expr.as_deref(), Tight::Add, depth);
                let low = self.inner(between.low.as_deref(), Tight::Add, depth);
                let high = self.inner(between.high.as_deref(), Tight::Add, depth);
                let not = negation(between.negated);
                (format!("{expr} {not}BETWEEN {low} AND {high}"), Tight::Compare)
            }
            Some(Kind::Like(like)) => {
                let expr = self.inner(like.expr.as_deref(), Tight::Add, depth);
                let not = negation(like.negated);
                let op = if like.case_insensitive { "ILIKE" } else { "LIKE" };
                let pattern = match &like.pattern {
                    Some(pattern) => self.literal(pattern),
                    None => "(missing)".to_owned(),
                };
                let mut sql = format!("{expr} {not}{op} {pattern}");
                if !like.escape.is_empty() {
                    let escape = constant::escaped(&like.escape, '\'');
                    sql = format!("{sql} ESCAPE '{escape}'");
                }
                (sql, Tight::Compare)
            }
            Some(Kind::IsNull(is_null)) => {
                let expr = self.inner(is_null.expr.as_deref(), Tight::Add, depth);
                let not = negation(is_null.negated);
                (format!("{expr} IS {not}NULL"), Tight::Compare)
            }
            Some(Kind::Case(case)) => (self.case(case, depth), Tight::Atom),
            Some(Kind::Cast(cast)) => {
                let name = if cast.lenient { "TRY_CAST" } else { "CAST" };
                let expr = self.inner(cast.expr.as_deref(), Tight::Loose, depth);
                let t = cast.r#type.as_ref().map_or("(missing)".to_owned(), constant::type_name);
                (format!("{name}({expr} AS {t})"), Tight::Atom)
            }
            Some(Kind::Call(call)) => {
                let name = self.names.shown(&call.function);
                let args = call.args.iter();
                let args: Vec<_> = args.map(|arg| self.inner(Some(arg), Tight::Loose, depth)).collect();
                (format!("{name}({})", args.join(", ")), Tight::Atom)
            }
            Some(Kind::Negative(inner)) => {
                let inner = self.inner(Some(inner), Tight::Atom, depth);
                (format!("-({inner})"), Tight::Negative)
            }
            Some(Kind::Not(inner)) => {
                let inner = self.inner(Some(inner), Tight::Compare, depth);
                (format!("NOT {inner}"), Tight::Not)
            }
        }
    }

    fn literal(&self, literal: &Literal) -> String {
        match self.literals {
            Literals::Shown => constant::literal(literal),
            Literals::Hidden => "?".to_owned(),
        }
    }

    fn in_list(&mut self, list: &InList, depth: usize) -> String {
        let expr = self.inner(list.expr.as_deref(), Tight::Add, depth);
        let not = if list.negated { "NOT " } else { "" };
        let count = list.values.len();
        let values = match self.literals {
            Literals::Hidden if count > 1 => format!("{count} values"),
            _ => {
                let shown = list.values.iter().take(MAX_SHOWN).map(|v| self.literal(v));
                let mut values = shown.collect::<Vec<_>>().join(", ");
                if count > MAX_SHOWN {
                    values = format!("{values}, and {} more", count - MAX_SHOWN);
                }
                values
            }
        };
        format!("{expr} {not}IN ({values})")
    }

    fn case(&mut self, case: &Case, depth: usize) -> String {
        let mut sql = "CASE".to_owned();
        if case.operand.is_some() {
            let operand = self.inner(case.operand.as_deref(), Tight::Loose, depth);
            sql = sql + " " + &operand;
        }
        for when in &case.whens {
            let condition = self.inner(when.when.as_ref(), Tight::Loose, depth);
            let then = self.inner(when.then.as_ref(), Tight::Loose, depth);
            sql = sql + " WHEN " + &condition + " THEN " + &then;
        }
        if case.otherwise.is_some() {
            let otherwise = self.inner(case.otherwise.as_deref(), Tight::Loose, depth);
            sql = sql + " ELSE " + &otherwise;
        }
        sql + " END"
    }
}

fn compare_op(op: i32) -> &'static str {
    match CompareOp::try_from(op) {
        Ok(CompareOp::Eq) => "=",
        Ok(CompareOp::NotEq) => "<>",
        Ok(CompareOp::Lt) => "<",
        Ok(CompareOp::LtEq) => "<=",
        Ok(CompareOp::Gt) => ">",
        Ok(CompareOp::GtEq) => ">=",
        Ok(CompareOp::IsDistinct) => "IS DISTINCT FROM",
        Ok(CompareOp::IsNotDistinct) => "IS NOT DISTINCT FROM",
        Ok(CompareOp::Unspecified) | Err(_) => "(unknown)",
    }
}
