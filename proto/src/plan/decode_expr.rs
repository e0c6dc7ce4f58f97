//! Expressions of the wire as the engine's expressions, bound to the columns of their input.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr::{Between, Case, Cast, InList, Like, ScalarFunction, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::coarse;
use super::constant::decode_literal;
use super::interval;
use super::keys::{Keys, in_keys};
use super::types::decode_type;
use crate::fragment::{FragmentError, functions};
use crate::wire::{self, ArithmeticOp, CompareOp, LogicOp, expr::Kind};

/// Binds expressions to one input.
pub(super) struct Binder<'a> {
    pub(super) schema: &'a DFSchema,
    pub(super) functions: &'a dyn FunctionRegistry,
    pub(super) keys: &'a [Arc<Keys>],
}

/// Longest chain of AND or OR that becomes a tree as deep as it is long.
const MAX_CHAIN: usize = 32;

type Decoded<T> = Result<T, FragmentError>;

impl Binder<'_> {
    /// Binds an expression. It was checked, so the recursion is bounded.
    pub(super) fn expr(&self, e: Option<&wire::Expr>) -> Decoded<Expr> {
        let e = e.ok_or(FragmentError::Missing("Expr"))?;
        Ok(match e.kind.as_ref().ok_or(FragmentError::Missing("Expr.kind"))? {
            Kind::Column(name) => self.column(name)?,
            Kind::Literal(literal) => constant(literal)?,
            Kind::Compare(e) => {
                let op = compare_op(e.op)?;
                binary(self.expr(e.left.as_deref())?, op, self.expr(e.right.as_deref())?)
            }
            Kind::Logic(logic) => {
                let op = logic_op(logic.op)?;
                let args = logic.args.iter().map(|arg| self.expr(Some(arg)));
                chained(args.collect::<Decoded<_>>()?, op)?
            }
            Kind::Arithmetic(e) => {
                let op = arithmetic_op(e.op)?;
                binary(self.expr(e.left.as_deref())?, op, self.expr(e.right.as_deref())?)
            }
            Kind::InList(e) => {
                let values = e.values.iter().map(constant);
                Expr::InList(InList::new(self.boxed(e.expr.as_deref())?, values.collect::<Decoded<_>>()?, e.negated))
            }
            Kind::Between(e) => Expr::Between(Between::new(
                self.boxed(e.expr.as_deref())?,
                e.negated,
                self.boxed(e.low.as_deref())?,
                self.boxed(e.high.as_deref())?,
            )),
            Kind::Like(e) => {
                let pattern = e.pattern.as_ref().ok_or(FragmentError::Missing("Like.pattern"))?;
                Expr::Like(Like::new(
                    e.negated,
                    self.boxed(e.expr.as_deref())?,
                    Box::new(constant(pattern)?),
                    e.escape.chars().next(),
                    e.case_insensitive,
                ))
            }
            Kind::IsNull(e) if e.negated => Expr::IsNotNull(self.boxed(e.expr.as_deref())?),
            Kind::IsNull(e) => Expr::IsNull(self.boxed(e.expr.as_deref())?),
            Kind::Case(e) => self.case(e)?,
            Kind::Cast(e) => {
                let t = e.r#type.as_ref().ok_or(FragmentError::Missing("Cast.type"))?;
                let (inner, t) = (self.boxed(e.expr.as_deref())?, decode_type(t)?);
                match e.lenient {
                    true => Expr::TryCast(TryCast::new(inner, t)),
                    false => Expr::Cast(Cast::new(inner, t)),
                }
            }
            Kind::Call(call) => {
                functions::check(&call.function, &call.args)?;
                let unknown = |_| FragmentError::Function(call.function.clone());
                let function = match call.function.as_str() {
                    // Ours, which no session has.
                    coarse::NAME => coarse::udf(),
                    interval::NAME => interval::udf(),
                    name => self.functions.udf(name).map_err(unknown)?,
                };
                let args = call.args.iter().map(|arg| self.expr(Some(arg)));
                let args = args.collect::<Decoded<_>>()?;
                Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
            }
            Kind::InKeys(e) => {
                let keys = self.keys.get(usize::try_from(e.list).unwrap_or(usize::MAX));
                let keys = keys.ok_or(FragmentError::KeyList(e.list))?;
                let value = self.expr(e.expr.as_deref())?;
                let kind = value.get_type(self.schema).map_err(|_| FragmentError::Mismatch("InKeys"))?;
                if !keys.fits(&kind) {
                    return Err(FragmentError::Mismatch("InKeys"));
                }
                in_keys(value, Arc::clone(keys))
            }
            Kind::Negative(inner) => Expr::Negative(self.boxed(Some(inner))?),
            Kind::Not(inner) => Expr::Not(self.boxed(Some(inner))?),
        })
    }

    fn boxed(&self, e: Option<&wire::Expr>) -> Decoded<Box<Expr>> {
        self.expr(e).map(Box::new)
    }

    fn column(&self, name: &str) -> Decoded<Expr> {
        let mut found = self.schema.columns_with_unqualified_name(name);
        match (found.pop(), found.is_empty()) {
            (Some(column), true) => Ok(Expr::Column(column)),
            _ => Err(FragmentError::Column(shown(name))),
        }
    }

    fn case(&self, e: &wire::Case) -> Decoded<Expr> {
        let optional = |e: Option<&wire::Expr>| e.map(|e| self.boxed(Some(e))).transpose();
        let mut whens = Vec::with_capacity(e.whens.len());
        for when in &e.whens {
            whens.push((self.boxed(when.when.as_ref())?, self.boxed(when.then.as_ref())?));
        }
        Ok(Expr::Case(Case::new(optional(e.operand.as_deref())?, whens, optional(e.otherwise.as_deref())?)))
    }
}

/// A column's name for an error: an expression's name holds its constants, so only plain names are repeated.
pub(super) fn shown(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    let starts_plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if starts_plain && name.len() <= 64 && name.chars().all(plain) {
        name.to_owned()
    } else {
        "(an expression)".to_owned()
    }
}

fn constant(literal: &wire::Literal) -> Decoded<Expr> {
    Ok(Expr::Literal(decode_literal(literal)?, None))
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// A chain of AND or OR, in its order. A short one as SQL has it, `(a AND b) AND c`, since the engine looks at
/// the right side only where the left one leaves something open; a long one as a tree of little depth, since
/// ten thousand in a row would be ten thousand levels deep.
fn chained(mut args: Vec<Expr>, op: Operator) -> Decoded<Expr> {
    if args.len() <= MAX_CHAIN {
        let chain = args.into_iter().reduce(|left, right| binary(left, op, right));
        return chain.ok_or(FragmentError::Missing("Logic.args"));
    }
    while args.len() > 1 {
        let mut pairs = Vec::with_capacity(args.len().div_ceil(2));
        let mut rest = args.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => binary(left, op, right),
                None => left,
            });
        }
        args = pairs;
    }
    args.pop().ok_or(FragmentError::Missing("Logic.args"))
}

fn compare_op(op: i32) -> Decoded<Operator> {
    match CompareOp::try_from(op) {
        Ok(CompareOp::Eq) => Ok(Operator::Eq),
        Ok(CompareOp::NotEq) => Ok(Operator::NotEq),
        Ok(CompareOp::Lt) => Ok(Operator::Lt),
        Ok(CompareOp::LtEq) => Ok(Operator::LtEq),
        Ok(CompareOp::Gt) => Ok(Operator::Gt),
        Ok(CompareOp::GtEq) => Ok(Operator::GtEq),
        Ok(CompareOp::IsDistinct) => Ok(Operator::IsDistinctFrom),
        Ok(CompareOp::IsNotDistinct) => Ok(Operator::IsNotDistinctFrom),
        Ok(CompareOp::Unspecified) | Err(_) => Err(unknown("CompareOp", op)),
    }
}

fn logic_op(op: i32) -> Decoded<Operator> {
    match LogicOp::try_from(op) {
        Ok(LogicOp::And) => Ok(Operator::And),
        Ok(LogicOp::Or) => Ok(Operator::Or),
        Ok(LogicOp::Unspecified) | Err(_) => Err(unknown("LogicOp", op)),
    }
}

fn arithmetic_op(op: i32) -> Decoded<Operator> {
    match ArithmeticOp::try_from(op) {
        Ok(ArithmeticOp::Add) => Ok(Operator::Plus),
        Ok(ArithmeticOp::Subtract) => Ok(Operator::Minus),
        Ok(ArithmeticOp::Multiply) => Ok(Operator::Multiply),
        Ok(ArithmeticOp::Divide) => Ok(Operator::Divide),
        Ok(ArithmeticOp::Modulo) => Ok(Operator::Modulo),
        Ok(ArithmeticOp::TextConcat) => Ok(Operator::StringConcat),
        Ok(ArithmeticOp::Unspecified) | Err(_) => Err(unknown("ArithmeticOp", op)),
    }
}

fn unknown(what: &'static str, value: i32) -> FragmentError {
    FragmentError::Unknown { what, value }
}
