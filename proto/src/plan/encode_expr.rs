//! The engine's expressions as expressions of the wire.

use datafusion::logical_expr::expr::{Case, InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;

use super::Unsayable;
use super::constant::{constant, encode_literal};
use super::types::encode_type;
use crate::fragment::{self, Limits, functions};
use crate::wire::{self, ArithmeticOp, CompareOp, LogicOp, expr::Kind};

/// Deeper expressions are refused before they could use up the stack; the fragment's own limit is lower.
const MAX_DEPTH: usize = 100;

/// Says an expression; columns by their unqualified names.
pub fn encode_expr(e: &Expr) -> Result<wire::Expr, Unsayable> {
    let encoded = expr(e, 0)?;
    fragment::check_expr(&encoded, &Limits::default())?;
    Ok(encoded)
}

fn of(kind: Kind) -> wire::Expr {
    wire::Expr { kind: Some(kind) }
}

/// Says an expression; whether the whole is too big is for the caller to check.
pub(super) fn expr(e: &Expr, depth: usize) -> Result<wire::Expr, Unsayable> {
    if depth > MAX_DEPTH {
        return Err(Unsayable::new(format!("an expression nested more than {MAX_DEPTH} levels deep")));
    }
    if let Some(value) = constant(e) {
        return Ok(of(Kind::Literal(encode_literal(&value)?)));
    }
    unfolded(e, depth)
}

/// An argument of a function. The type of `round(x, 1)` depends on whether its argument *is* a constant, so a
/// cast stays a cast there; only texts, which never decide a type, become constants of the type asked for.
fn argument(e: &Expr, depth: usize) -> Result<wire::Expr, Unsayable> {
    match constant(e) {
        Some(value) if value.data_type().is_string() => Ok(of(Kind::Literal(encode_literal(&value)?))),
        _ => unfolded(e, depth),
    }
}

fn unfolded(e: &Expr, depth: usize) -> Result<wire::Expr, Unsayable> {
    let boxed = |e: &Expr| expr(e, depth + 1).map(Box::new);
    let is_null = |e: &Expr, negated| Ok(of(Kind::IsNull(Box::new(wire::IsNull { expr: Some(boxed(e)?), negated }))));
    // `x IS TRUE` is never NULL, and so is `x IS NOT DISTINCT FROM true`
    let is = |op: CompareOp, e: &Expr, value: bool| {
        let value = encode_literal(&ScalarValue::Boolean(Some(value)))?;
        Ok(compare(op, boxed(e)?, Box::new(of(Kind::Literal(value)))))
    };
    Ok(match e {
        Expr::Alias(alias) => return expr(&alias.expr, depth),
        Expr::Column(column) => of(Kind::Column(column.name.clone())),
        Expr::Literal(value, _) => of(Kind::Literal(encode_literal(value)?)),
        Expr::BinaryExpr(binary) => return self::binary(binary, depth),
        Expr::Not(inner) => of(Kind::Not(boxed(inner)?)),
        Expr::Negative(inner) => of(Kind::Negative(boxed(inner)?)),
        Expr::IsNull(inner) | Expr::IsUnknown(inner) => return is_null(inner, false),
        Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => return is_null(inner, true),
        Expr::IsTrue(inner) => return is(CompareOp::IsNotDistinct, inner, true),
        Expr::IsFalse(inner) => return is(CompareOp::IsNotDistinct, inner, false),
        Expr::IsNotTrue(inner) => return is(CompareOp::IsDistinct, inner, true),
        Expr::IsNotFalse(inner) => return is(CompareOp::IsDistinct, inner, false),
        Expr::Between(between) => of(Kind::Between(Box::new(wire::Between {
            expr: Some(boxed(&between.expr)?),
            low: Some(boxed(&between.low)?),
            high: Some(boxed(&between.high)?),
            negated: between.negated,
        }))),
        Expr::Like(l) => return like(l, depth),
        Expr::InList(list) => return in_list(list, depth),
        Expr::Case(c) => return case(c, depth),
        Expr::Cast(cast) => of(Kind::Cast(Box::new(wire::Cast {
            expr: Some(boxed(&cast.expr)?),
            r#type: Some(encode_type(cast.field.data_type())?),
            lenient: false,
        }))),
        Expr::TryCast(cast) => of(Kind::Cast(Box::new(wire::Cast {
            expr: Some(boxed(&cast.expr)?),
            r#type: Some(encode_type(cast.field.data_type())?),
            lenient: true,
        }))),
        Expr::ScalarFunction(call) => {
            let name = call.func.name();
            if functions::find(name).is_none() {
                return Err(Unsayable::new(format!("function {name}")));
            }
            let args = call.args.iter().map(|arg| argument(arg, depth + 1));
            return self::call(name, args.collect::<Result<_, _>>()?);
        }
        Expr::AggregateFunction(f) => {
            return Err(Unsayable::new(format!("aggregate {} inside an expression", f.func.name())));
        }
        Expr::WindowFunction(f) => {
            return Err(Unsayable::new(format!("window function {}", f.fun.name())));
        }
        Expr::SimilarTo(_) => return Err(Unsayable::new("SIMILAR TO")),
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_) => {
            return Err(Unsayable::new("a subquery inside an expression"));
        }
        Expr::OuterReferenceColumn(..) => {
            return Err(Unsayable::new("a column of an outer query"));
        }
        Expr::Placeholder(_) => return Err(Unsayable::new("a parameter without a value")),
        other => return Err(Unsayable::new(format!("expression {}", other.variant_name()))),
    })
}

fn compare(op: CompareOp, left: Box<wire::Expr>, right: Box<wire::Expr>) -> wire::Expr {
    of(Kind::Compare(Box::new(wire::Compare { op: op.into(), left: Some(left), right: Some(right) })))
}

fn call(name: &str, args: Vec<wire::Expr>) -> Result<wire::Expr, Unsayable> {
    functions::check(name, &args)?;
    Ok(of(Kind::Call(wire::Call { function: name.to_owned(), args })))
}

enum Binary {
    Compare(CompareOp),
    Arithmetic(ArithmeticOp),
    Logic(LogicOp),
    Regex { negated: bool, insensitive: bool },
}

fn binary(e: &BinaryExpr, depth: usize) -> Result<wire::Expr, Unsayable> {
    let kind = match e.op {
        Operator::Eq => Binary::Compare(CompareOp::Eq),
        Operator::NotEq => Binary::Compare(CompareOp::NotEq),
        Operator::Lt => Binary::Compare(CompareOp::Lt),
        Operator::LtEq => Binary::Compare(CompareOp::LtEq),
        Operator::Gt => Binary::Compare(CompareOp::Gt),
        Operator::GtEq => Binary::Compare(CompareOp::GtEq),
        Operator::IsDistinctFrom => Binary::Compare(CompareOp::IsDistinct),
        Operator::IsNotDistinctFrom => Binary::Compare(CompareOp::IsNotDistinct),
        Operator::Plus => Binary::Arithmetic(ArithmeticOp::Add),
        Operator::Minus => Binary::Arithmetic(ArithmeticOp::Subtract),
        Operator::Multiply => Binary::Arithmetic(ArithmeticOp::Multiply),
        Operator::Divide => Binary::Arithmetic(ArithmeticOp::Divide),
        Operator::Modulo => Binary::Arithmetic(ArithmeticOp::Modulo),
        Operator::StringConcat => Binary::Arithmetic(ArithmeticOp::TextConcat),
        Operator::And => Binary::Logic(LogicOp::And),
        Operator::Or => Binary::Logic(LogicOp::Or),
        Operator::RegexMatch => regex(false, false),
        Operator::RegexIMatch => regex(false, true),
        Operator::RegexNotMatch => regex(true, false),
        Operator::RegexNotIMatch => regex(true, true),
        other => return Err(Unsayable::new(format!("operator {other}"))),
    };
    match kind {
        Binary::Compare(op) => {
            let left = Box::new(expr(&e.left, depth + 1)?);
            let right = Box::new(expr(&e.right, depth + 1)?);
            Ok(compare(op, left, right))
        }
        Binary::Arithmetic(op) => Ok(of(Kind::Arithmetic(Box::new(wire::Arithmetic {
            op: op.into(),
            left: Some(Box::new(expr(&e.left, depth + 1)?)),
            right: Some(Box::new(expr(&e.right, depth + 1)?)),
        })))),
        Binary::Logic(op) => {
            let args = chain(e).into_iter().map(|arg| expr(arg, depth + 1));
            Ok(logic(op, args.collect::<Result<_, _>>()?))
        }
        Binary::Regex { negated, insensitive } => {
            let Some(pattern) = constant(&e.right) else {
                return Err(Unsayable::new(format!("operator {} with a pattern that is not a constant", e.op)));
            };
            let mut args = vec![expr(&e.left, depth + 1)?];
            args.push(of(Kind::Literal(encode_literal(&pattern)?)));
            if insensitive {
                let flags = ScalarValue::Utf8(Some("i".to_owned()));
                let flags = flags.cast_to(&pattern.data_type());
                let flags = flags.map_err(|_| Unsayable::new(format!("operator {}", e.op)))?;
                args.push(of(Kind::Literal(encode_literal(&flags)?)));
            }
            let matches = call("regexp_like", args)?;
            Ok(match negated {
                true => of(Kind::Not(Box::new(matches))),
                false => matches,
            })
        }
    }
}

fn regex(negated: bool, insensitive: bool) -> Binary {
    Binary::Regex { negated, insensitive }
}

/// AND or OR of these; one of the same kind among them is taken apart, so that a meaning has one form.
fn logic(op: LogicOp, args: Vec<wire::Expr>) -> wire::Expr {
    let mut flat = Vec::with_capacity(args.len());
    for arg in args {
        match arg.kind {
            Some(Kind::Logic(inner)) if inner.op == i32::from(op) => flat.extend(inner.args),
            kind => flat.push(wire::Expr { kind }),
        }
    }
    of(Kind::Logic(wire::Logic { op: op.into(), args: flat }))
}

/// The operands of `a AND b AND c ..` from left to right, however they are grouped. Not by recursion: such a
/// chain may have thousands of links.
fn chain(e: &BinaryExpr) -> Vec<&Expr> {
    let mut operands = Vec::new();
    let mut stack: Vec<&Expr> = vec![&e.right, &e.left];
    while let Some(next) = stack.pop() {
        match next {
            Expr::BinaryExpr(inner) if inner.op == e.op => stack.extend([&*inner.right, &*inner.left]),
            Expr::Alias(alias) => stack.push(&alias.expr),
            operand => operands.push(operand),
        }
    }
    operands
}

fn like(e: &Like, depth: usize) -> Result<wire::Expr, Unsayable> {
    let Some(pattern) = constant(&e.pattern) else {
        return Err(Unsayable::new("LIKE with a pattern that is not a constant"));
    };
    Ok(of(Kind::Like(Box::new(wire::Like {
        expr: Some(Box::new(expr(&e.expr, depth + 1)?)),
        pattern: Some(encode_literal(&pattern)?),
        negated: e.negated,
        case_insensitive: e.case_insensitive,
        escape: e.escape_char.map(String::from).unwrap_or_default(),
    }))))
}

fn in_list(list: &InList, depth: usize) -> Result<wire::Expr, Unsayable> {
    let values: Option<Vec<_>> = list.list.iter().map(constant).collect();
    if let Some(values) = values {
        let values = values.iter().map(encode_literal);
        return Ok(of(Kind::InList(Box::new(wire::InList {
            expr: Some(Box::new(expr(&list.expr, depth + 1)?)),
            values: values.collect::<Result<_, _>>()?,
            negated: list.negated,
        }))));
    }
    // `x IN (a, b)` is `x = a OR x = b`, also where something is NULL
    let depth = depth + usize::from(list.negated);
    let mut equals = Vec::with_capacity(list.list.len());
    for value in &list.list {
        let left = Box::new(expr(&list.expr, depth + 2)?);
        equals.push(compare(CompareOp::Eq, left, Box::new(expr(value, depth + 2)?)));
    }
    let any = match equals.len() {
        1 => equals.remove(0),
        _ => logic(LogicOp::Or, equals),
    };
    Ok(match list.negated {
        true => of(Kind::Not(Box::new(any))),
        false => any,
    })
}

fn case(e: &Case, depth: usize) -> Result<wire::Expr, Unsayable> {
    let optional = |e: &Option<Box<Expr>>| {
        let encoded = e.as_ref().map(|e| expr(e, depth + 1)).transpose();
        encoded.map(|e| e.map(Box::new))
    };
    let mut whens = Vec::with_capacity(e.when_then_expr.len());
    for (when, then) in &e.when_then_expr {
        whens.push(wire::When { when: Some(expr(when, depth + 1)?), then: Some(expr(then, depth + 1)?) });
    }
    Ok(of(Kind::Case(Box::new(wire::Case { operand: optional(&e.expr)?, whens, otherwise: optional(&e.else_expr)? }))))
}
