//! Aggregate functions <-> measures of the wire.

use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::COUNT_STAR_EXPANSION;

use super::Unsayable;
use super::constant::constant;
use super::contributions::{Tells, contributions_udaf};
use super::encode_expr::expr;
use super::persons::{counted_udaf, persons_udaf};
use crate::fragment::FragmentError;
use crate::wire::{Measure, MeasureKind};

/// Says an aggregate, or names the option that cannot be said.
pub(super) fn encode_measure(e: &Expr) -> Result<Measure, Unsayable> {
    let f = match e {
        Expr::Alias(alias) => return encode_measure(&alias.expr),
        Expr::AggregateFunction(f) => f,
        other => return Err(Unsayable::new(format!("aggregate {}", other.variant_name()))),
    };
    let AggregateFunction { func, params } = f;
    let name = func.name();
    let cannot = |what: &str| Err(Unsayable::new(format!("aggregate {name} {what}")));
    if !params.order_by.is_empty() {
        return cannot("with ORDER BY");
    }
    if params.null_treatment.is_some() {
        return cannot("with IGNORE NULLS or RESPECT NULLS");
    }
    let kind = match (name, params.distinct) {
        ("count", false) => MeasureKind::Count,
        ("count", true) => MeasureKind::CountDistinct,
        // a value twice changes neither the smallest nor the largest
        ("min", _) => MeasureKind::Min,
        ("max", _) => MeasureKind::Max,
        ("sum" | "avg" | "var" | "var_pop" | "stddev" | "stddev_pop", true) => {
            return cannot("with DISTINCT");
        }
        ("sum", false) => MeasureKind::Sum,
        ("avg", false) => MeasureKind::Avg,
        ("var", false) => MeasureKind::VarSamp,
        ("var_pop", false) => MeasureKind::VarPop,
        ("stddev", false) => MeasureKind::StddevSamp,
        ("stddev_pop", false) => MeasureKind::StddevPop,
        // by identity: another function of that name may count otherwise
        ("persons", false) if *func == persons_udaf() => MeasureKind::Persons,
        (_, false) if *func == contributions_udaf(Tells::Sum) => MeasureKind::Contributions,
        (_, false) if *func == contributions_udaf(Tells::Mean) => MeasureKind::ContributionsMean,
        (_, false) if *func == contributions_udaf(Tells::Spread) => MeasureKind::ContributionsSpread,
        ("counted_persons", false) if *func == counted_udaf() => MeasureKind::CountDistinct,
        (other, _) => return Err(Unsayable::new(format!("aggregate {other}"))),
    };
    let mut value = None;
    let argument = match params.args.as_slice() {
        [person, added] if contributed(kind).is_some() => {
            value = Some(expr(added, 0)?);
            Some(expr(person, 0)?)
        }
        // counting a constant that is not NULL is counting rows
        [argument] if kind == MeasureKind::Count && is_value(argument) => None,
        [argument] => Some(expr(argument, 0)?),
        args => return cannot(&format!("with {} arguments", args.len())),
    };
    let filter = params.filter.as_ref().map(|f| expr(f, 0)).transpose()?;
    Ok(Measure { kind: kind.into(), argument, filter, value })
}

fn is_value(e: &Expr) -> bool {
    constant(e).is_some_and(|value| !value.is_null())
}

/// Of which statistic's contributions something is said.
fn contributed(kind: MeasureKind) -> Option<Tells> {
    match kind {
        MeasureKind::Contributions => Some(Tells::Sum),
        MeasureKind::ContributionsMean => Some(Tells::Mean),
        MeasureKind::ContributionsSpread => Some(Tells::Spread),
        _ => None,
    }
}

/// The aggregate of a measure that was checked, over decoded argument, value and filter. `of_pseudonyms`: different values of the argument
/// are counted as people are, which takes a fraction of the engine's own time and memory.
pub(super) fn decode_measure(
    measure: &Measure,
    argument: Option<Expr>,
    value: Option<Expr>,
    filter: Option<Expr>,
    functions: &dyn FunctionRegistry,
    of_pseudonyms: bool,
) -> Result<Expr, FragmentError> {
    let unknown = || FragmentError::Unknown { what: "MeasureKind", value: measure.kind };
    let kind = MeasureKind::try_from(measure.kind).map_err(|_| unknown())?;
    let name = match kind {
        MeasureKind::Unspecified => return Err(unknown()),
        MeasureKind::Count | MeasureKind::CountDistinct => "count",
        MeasureKind::Sum => "sum",
        MeasureKind::Min => "min",
        MeasureKind::Max => "max",
        MeasureKind::Avg => "avg",
        MeasureKind::VarSamp => "var",
        MeasureKind::VarPop => "var_pop",
        MeasureKind::StddevSamp => "stddev",
        MeasureKind::StddevPop => "stddev_pop",
        MeasureKind::Persons => "persons",
        MeasureKind::Contributions | MeasureKind::ContributionsMean | MeasureKind::ContributionsSpread => {
            "contributions"
        }
    };
    let function = match (kind, contributed(kind)) {
        (_, Some(tells)) => contributions_udaf(tells),
        (MeasureKind::Persons, _) => persons_udaf(),
        (MeasureKind::CountDistinct, _) if of_pseudonyms => counted_udaf(),
        _ => functions.udaf(name).map_err(|_| FragmentError::Function(name.to_owned()))?,
    };
    let argument = argument.unwrap_or(Expr::Literal(COUNT_STAR_EXPANSION, None));
    Ok(Expr::AggregateFunction(AggregateFunction::new_udf(
        function,
        std::iter::once(argument).chain(value).collect(),
        kind == MeasureKind::CountDistinct && !of_pseudonyms,
        filter.map(Box::new),
        Vec::new(),
        None,
    )))
}
