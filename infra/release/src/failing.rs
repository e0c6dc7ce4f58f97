//! Computations that fail on single rows give NULL instead.
//!
//! An error is an answer: whoever divides by zero where somebody has a diagnosis learns from it that somebody has. So in the
//! open zone nothing that is computed row by row may fail because of what the row holds. Casts become TRY_CAST; operators and
//! functions that can fail are wrapped ([`OrNull`]), unless their arguments are of a kind on which they can't. What fails by the
//! statement alone (a text that is no number, a pattern that is none) is refused before anything is read.
//!
//! Fragments can't say what is wrapped, so the hub computes it; what is not wrapped runs at the spokes as ever.
//!
//! INVARIANT: a function is left as it is because it is listed here; any other one is wrapped.
//! INVARIANT: values that a statement makes up are never taken for values that a table holds ([`stored`]): those are what lets an
//! attacker choose where a computation fails.

mod casts;
mod or_null;
mod stored;

use super::refusal::{Examples, Instead, ReleaseRefusal};
use arrow::{
    compute::{ilike, like as like_text},
    datatypes::DataType,
};
use casts::always_fits;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    functions_aggregate::average,
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, Like, LogicalPlan, Operator, TryCast, Volatility,
        expr::{AggregateFunction, Cast, ScalarFunction},
        expr_rewriter::NamePreserver,
        simplify::{ExprSimplifyResult, SimplifyContext},
        utils::merge_schema,
    },
};
use or_null::OrNull;
use std::sync::Arc;
use stored::stored;

/// Never fail, whatever they are given.
const TOTAL: &[&str] = &[
    "acos",
    "ascii",
    "asin",
    "atan",
    "atan2",
    "bit_length",
    "btrim",
    "cbrt",
    "character_length",
    "coalesce",
    "coarse",
    "concat",
    "contains",
    "cos",
    "current_date",
    "degrees",
    "ends_with",
    "exp",
    "greatest",
    "initcap",
    "interval_low",
    "isnan",
    "iszero",
    "least",
    "ln",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "nanvl",
    "now",
    "nullif",
    "nvl",
    "octet_length",
    "pi",
    "radians",
    "replace",
    "reverse",
    "rtrim",
    "signum",
    "sin",
    "sqrt",
    "starts_with",
    "strpos",
    "tan",
    "upper",
];

/// Never fail when the first argument is a floating-point number and the others are constants.
const FLOATING: &[&str] = &["abs", "ceil", "floor", "log", "power", "round", "trunc"];

/// Whether they fail is up to the arguments after the first, when these are constants: that is tried out once.
const CONSTANT: &[&str] = &["left", "regexp_like", "right", "split_part", "substr"];

/// Fail on points in time only that no table holds.
const TEMPORAL: &[&str] = &["date_part", "date_trunc"];

/// Digits of decimals whose mean can't get too large for its type.
const DIGITS_OF_MEANS: u8 = 24;

/// The statement, in which nothing fails because of what a row holds.
///
/// # Errors
/// What fails by the statement alone, or can't be kept from failing.
pub(super) fn without_failures(plan: LogicalPlan, examples: &Examples) -> Result<LogicalPlan, ReleaseRefusal> {
    let mut rewrite = Rewrite::default();
    let rewritten = plan.transform_up_with_subqueries(|node| rewrite.node(node));
    let reason = match (rewrite.refused, rewritten) {
        (None, Ok(rewritten)) => return Ok(rewritten.data),
        (Some(reason), _) => reason,
        (None, Err(_)) => "The release rules can't be applied to this form of statement.".to_owned(),
    };
    Err(examples.refuse(reason, Instead::Count))
}

#[derive(Default)]
struct Rewrite {
    /// something below has another schema: what may be NULL now
    changed: bool,
    refused: Option<String>,
}

/// Where an expression stands: what it may name, and from where that comes.
struct Place<'p> {
    schema: &'p DFSchema,
    inputs: Vec<&'p LogicalPlan>,
}

impl Rewrite {
    fn node(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let below: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
        let inputs: Vec<&LogicalPlan> = below.iter().collect();
        let schema = merge_schema(&inputs);
        let place = Place { schema: &schema, inputs };
        let names = NamePreserver::new(&node);
        let mapped = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|part| self.part(part, &place))?.update_data(|expr| name.restore(expr)))
        })?;
        self.changed |= mapped.transformed;
        if self.changed { mapped.map_data(LogicalPlan::recompute_schema) } else { Ok(mapped) }
    }

    /// One operator or function, whose arguments are done.
    fn part(&mut self, expr: Expr, place: &Place<'_>) -> Result<Transformed<Expr>> {
        match expr {
            Expr::Cast(cast) => self.cast(cast, place),
            Expr::BinaryExpr(binary) => self.binary(binary, place),
            // Of a constant it fails where it gets too large; a difference goes round.
            Expr::Negative(inner) if inner.get_type(place.schema)?.is_signed_integer() => {
                let zero = ScalarValue::new_zero(&inner.get_type(place.schema)?)?;
                let difference = BinaryExpr::new(Box::new(Expr::Literal(zero, None)), Operator::Minus, inner);
                Ok(Transformed::yes(Expr::BinaryExpr(difference)))
            }
            Expr::Like(like) => self.like(like),
            Expr::SimilarTo(like) => {
                let operator = match (like.negated, like.case_insensitive) {
                    (false, false) => Operator::RegexMatch,
                    (false, true) => Operator::RegexIMatch,
                    (true, false) => Operator::RegexNotMatch,
                    (true, true) => Operator::RegexNotIMatch,
                };
                self.pattern(BinaryExpr::new(like.expr, operator, like.pattern))
            }
            Expr::ScalarFunction(call) => self.call(call, place),
            Expr::AggregateFunction(function) => self.aggregate(function, place),
            other => Ok(Transformed::no(other)),
        }
    }

    fn cast(&mut self, cast: Cast, place: &Place<'_>) -> Result<Transformed<Expr>> {
        let to = cast.field.data_type().clone();
        if let Expr::Literal(value, _) = cast.expr.as_ref() {
            if value.cast_to(&to).is_err() {
                self.refuse(format!("A constant of the statement can't be converted to {to}. Write one that can."));
            }
            return Ok(Transformed::no(Expr::Cast(cast)));
        }
        if always_fits(&cast.expr.get_type(place.schema)?, &to) {
            return Ok(Transformed::no(Expr::Cast(cast)));
        }
        Ok(Transformed::yes(Expr::TryCast(TryCast::new(cast.expr, to))))
    }

    fn binary(&mut self, binary: BinaryExpr, place: &Place<'_>) -> Result<Transformed<Expr>> {
        use Operator as Op;
        match binary.op {
            Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo => {
                if arithmetic_is_total(&binary, place)? {
                    Ok(Transformed::no(Expr::BinaryExpr(binary)))
                } else {
                    Ok(Transformed::yes(operator(binary)))
                }
            }
            Op::RegexMatch
            | Op::RegexIMatch
            | Op::RegexNotMatch
            | Op::RegexNotIMatch
            | Op::LikeMatch
            | Op::ILikeMatch
            | Op::NotLikeMatch
            | Op::NotILikeMatch => self.pattern(binary),
            Op::Eq
            | Op::NotEq
            | Op::Lt
            | Op::LtEq
            | Op::Gt
            | Op::GtEq
            | Op::IsDistinctFrom
            | Op::IsNotDistinctFrom
            | Op::And
            | Op::Or
            | Op::StringConcat
            | Op::BitwiseAnd
            | Op::BitwiseOr
            | Op::BitwiseXor => Ok(Transformed::no(Expr::BinaryExpr(binary))),
            _ => Ok(Transformed::yes(operator(binary))),
        }
    }

    fn like(&mut self, like: Like) -> Result<Transformed<Expr>> {
        if let Some(pattern) = literal(&like.pattern) {
            // Most become regular expressions, which can be too large.
            let looked_for = if like.case_insensitive { ilike } else { like_text };
            let text = ScalarValue::new_default(&pattern.data_type())?;
            if looked_for(&text.to_scalar()?, &pattern.to_scalar()?).is_err() {
                self.refuse(
                    "A pattern of the statement is too long to be looked for. Shorten this constant.".to_owned(),
                );
            }
            return Ok(Transformed::no(Expr::Like(like)));
        }
        if like.escape_char.is_some() {
            self.refuse("LIKE with ESCAPE needs a pattern that is a constant.".to_owned());
        }
        let op = match (like.negated, like.case_insensitive) {
            (false, false) => Operator::LikeMatch,
            (false, true) => Operator::ILikeMatch,
            (true, false) => Operator::NotLikeMatch,
            (true, true) => Operator::NotILikeMatch,
        };
        Ok(Transformed::yes(operator(BinaryExpr::new(like.expr, op, like.pattern))))
    }

    /// A match against a regular expression: a constant one is tried out now, others may be none.
    fn pattern(&mut self, binary: BinaryExpr) -> Result<Transformed<Expr>> {
        let Expr::Literal(pattern, _) = binary.right.as_ref() else {
            return Ok(Transformed::yes(operator(binary)));
        };
        let text = ScalarValue::new_default(&pattern.data_type())?;
        if OrNull::operator(binary.op).tried(&[text, pattern.clone()]).is_err() {
            self.refuse("A pattern of the statement isn't a regular expression. Correct it.".to_owned());
        }
        Ok(Transformed::no(Expr::BinaryExpr(binary)))
    }

    fn call(&mut self, call: ScalarFunction, place: &Place<'_>) -> Result<Transformed<Expr>> {
        let name = call.func.name();
        let volatile = call.func.signature().volatility == Volatility::Volatile; // refused elsewhere
        if volatile || call.args.is_empty() || TOTAL.contains(&name) {
            return Ok(Transformed::no(Expr::ScalarFunction(call)));
        }
        let constants: Option<Vec<ScalarValue>> = call.args.iter().skip(1).map(literal).collect();
        let first = call.args.first().map(|first| first.get_type(place.schema)).transpose()?;
        if let (Some(constants), Some(first)) = (constants, first) {
            if FLOATING.contains(&name) && first.is_floating() {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
            if CONSTANT.contains(&name) && first.is_string() {
                let probe: Vec<ScalarValue> =
                    std::iter::once(ScalarValue::new_default(&first)?).chain(constants).collect();
                if OrNull::function(&call.func).tried(&probe).is_err() {
                    self.refuse(format!("{name}() can't be computed with these constants. Correct them."));
                }
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
        }
        if TEMPORAL.contains(&name)
            && let [unit, moment] = call.args.as_slice()
            && literal(unit).is_some()
            && stored(moment, &place.inputs)
        {
            return Ok(Transformed::no(Expr::ScalarFunction(call)));
        }
        // Some functions are nothing but other expressions, which they turn into.
        let context = SimplifyContext::builder().with_schema(Arc::new(place.schema.clone())).build();
        match call.func.simplify(call.args, &context)? {
            ExprSimplifyResult::Simplified(expr) => {
                Ok(Transformed::yes(expr.transform_up(|part| self.part(part, place))?.data))
            }
            ExprSimplifyResult::Original(args) => Ok(Transformed::yes(OrNull::function(&call.func).call(args))),
        }
    }

    fn aggregate(&mut self, function: AggregateFunction, place: &Place<'_>) -> Result<Transformed<Expr>> {
        if function.func == average::avg_udaf()
            && let Some(argument) = function.params.args.first()
            && let DataType::Decimal128(digits, _) | DataType::Decimal256(digits, _) =
                argument.get_type(place.schema)?
            && digits > DIGITS_OF_MEANS
        {
            self.refuse(format!(
                "avg() of decimals with more than {DIGITS_OF_MEANS} digits can fail. CAST them to DOUBLE first."
            ));
        }
        Ok(Transformed::no(Expr::AggregateFunction(function)))
    }

    fn refuse(&mut self, reason: String) {
        self.refused.get_or_insert(reason);
    }
}

/// Whether it gives a number for all numbers: floating-point numbers and integers go round, decimals that have room.
fn arithmetic_is_total(binary: &BinaryExpr, place: &Place<'_>) -> Result<bool> {
    let divides = matches!(binary.op, Operator::Divide | Operator::Modulo);
    let of = [binary.left.get_type(place.schema)?, binary.right.get_type(place.schema)?];
    if of.iter().any(DataType::is_temporal) {
        return Ok([&binary.left, &binary.right].into_iter().all(|side| stored(side, &place.inputs)));
    }
    Ok(match Expr::BinaryExpr(binary.clone()).get_type(place.schema)? {
        DataType::Null => true,
        kind if kind.is_floating() => true,
        kind if kind.is_integer() => !divides || divides_all(&binary.right),
        // The most digits of its type: cut down to them, so that a number may have more.
        DataType::Decimal128(digits, _) => digits < 38 && (!divides || divides_all(&binary.right)),
        _ => false,
    })
}

/// A constant by which every number can be divided. The smallest integer can't by minus one.
fn divides_all(divisor: &Expr) -> bool {
    let Some(divisor) = literal(divisor) else { return false };
    let kind = divisor.data_type();
    let is = |other: Result<ScalarValue>| other.is_ok_and(|other| other == divisor);
    divisor.is_null() || !(is(ScalarValue::new_zero(&kind)) || is(ScalarValue::new_negative_one(&kind)))
}

fn literal(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(Cast { expr, field }) => literal(expr)?.cast_to(field.data_type()).ok(),
        _ => None,
    }
}

fn operator(binary: BinaryExpr) -> Expr {
    OrNull::operator(binary.op).call(vec![*binary.left, *binary.right])
}
