//! A member's part of a blind total, made so that it could be shown by itself.
//!
//! Of a total nobody sees the parts, and the rules at the hub see no single contribution. So whoever writes the statement could let everybody else
//! add next to nothing, here or at all other members, and what is left of the total were one person's value. Therefore a member puts its own
//! part under the rules before it is masked: a blind total is the exact sum of numbers each of which the rules would let out alone.
//!
//! | statistic | part |
//! |---|---|
//! | people | as many as there are: each adds one, and the total has noise |
//! | sum | what the rules would show of it: nothing from fewer than ten contributors, what one person adds within limits, with noise, and as before where all but few add the same as before |
//! | count of rows | as many as people, where within the limits everybody has one row, and so from fewer than ten people; else as a sum |
//!
//! Whoever is in no sum's part isn't among the contributors of the total either, so that the hub counts those who are in it.
//!
//! INVARIANT: what a plan of here gives for a sum or a count of rows follows from no single person's rows further than one released cell does.

use super::{
    RESERVED, Released,
    cells::flagged,
    fits::fitting,
    ledger::Ledger,
    need::number,
    people::column_at,
    perturb::{Noise, people, within},
    rule::{Boundaries, Looks},
    scope::bare,
    suppress::{or_zero, unless},
};
use datafusion::{
    common::{Column, DFSchema, DataFusionError, ExprSchema},
    functions_aggregate::{count, sum},
    logical_expr::{
        Aggregate, Case, Expr, ExprSchemable, LogicalPlan, Operator, Projection, binary_expr, expr::AggregateFunction,
        lit,
    },
};
use proto::{
    plan::{
        contributions::{Tells, contributions, tells},
        persons::persons_udaf,
    },
    schema,
};
use std::sync::Arc;

/// Why there is no part: what stands in the way, and no constant of the question.
#[derive(Debug, thiserror::Error)]
pub enum Unshared {
    /// the question has it
    #[error(
        "a blind total can't have {0}. Ask for COUNT, COUNT(DISTINCT person) or SUM of whole numbers or decimals over the members' table"
    )]
    Has(&'static str),
    /// names or types don't fit together
    #[error("types or names of a blind total don't fit together")]
    Misfit(#[from] DataFusionError),
}

/// The plan of a member's parts: the columns of `plan`, one aggregate without groups, under the rules. What is released gets into
/// `ledger`, the project's own at this member, when it runs. `plan` is analysed (types coerced), not optimised.
///
/// # Errors
/// What can't be shared.
pub fn shared(plan: &LogicalPlan, ledger: &Arc<Ledger>) -> Result<Released<LogicalPlan>, Unshared> {
    parts(plan, &Noise::new(ledger)).map(Released)
}

fn parts(plan: &LogicalPlan, noise: &Noise) -> Result<LogicalPlan, Unshared> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let input = parts(&projection.input, noise)?;
            Ok(plan.with_new_exprs(projection.expr.clone(), vec![input])?)
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => of_aggregate(aggregate, noise),
        _ => Err(Unshared::Has("anything but one aggregate without groups")),
    }
}

/// What becomes of a measure.
enum Measure {
    /// stays: people
    People,
    /// contributions to a count: people, too
    Counted,
    /// contributions to a sum
    Contributions,
    /// with what people contribute to it
    Sum(Expr),
    Rows(Expr),
}

fn of_aggregate(aggregate: &Aggregate, noise: &Noise) -> Result<LogicalPlan, Unshared> {
    let (schema, own) = (aggregate.input.schema(), aggregate.aggr_expr.len());
    let person = person(aggregate)?;
    let mut asked = aggregate.aggr_expr.clone();
    let mut measures = Vec::with_capacity(own);
    for (at, measure) in aggregate.aggr_expr.iter().enumerate() {
        let function = function(measure)?;
        let mut giving = |value: Expr, filter: Option<Expr>| -> Result<Expr, Unshared> {
            let person = person.clone().ok_or(Unshared::Has("no people, whose contributions are looked at"))?;
            let said = contributions(Tells::Sum, person, value, filter);
            // A hub that releases the total asks for the very same.
            if let Some(known) = aggregate.aggr_expr.iter().position(|known| *bare(known) == said) {
                return Ok(column_at(&aggregate.schema, known));
            }
            let name = format!("{RESERVED}contributions_{at}");
            asked.push(said.alias(&name));
            Ok(Expr::Column(Column::new_unqualified(name)))
        };
        let (argument, filter) = (function.params.args.first(), function.params.filter.as_deref().cloned());
        measures.push(match argument {
            _ if is_of_people(function) => match (tells(&function.func), function.params.args.get(1)) {
                (Some(_), Some(Expr::Literal(..))) => Measure::Counted,
                (Some(_), _) => Measure::Contributions,
                (None, _) => Measure::People,
            },
            Some(argument) if function.func == sum::sum_udaf() && !function.params.distinct => {
                Measure::Sum(giving(number(argument, schema), filter)?)
            }
            Some(argument) if function.func == count::count_udaf() && !function.params.distinct => {
                let there = argument.nullable(schema).unwrap_or(true).then(|| argument.clone().is_not_null());
                let rows = filter.into_iter().chain(there).reduce(|a, b| binary_expr(a, Operator::And, b));
                Measure::Rows(giving(lit(1.0_f64), rows)?)
            }
            _ => return Err(Unshared::Has("a measure that doesn't add up")),
        });
    }
    let whole = Aggregate::try_new(Arc::clone(&aggregate.input), Vec::new(), asked)?;
    let shown = measures.into_iter().enumerate().map(|(at, measure)| {
        let (exact, (table, field)) = (column_at(&whole.schema, at), whole.schema.qualified_field(at));
        match measure {
            Measure::People | Measure::Counted => exact,
            Measure::Contributions => unless(Some(few(exact.clone())), exact),
            Measure::Sum(said) => of_sum(exact, said, noise),
            Measure::Rows(said) => of_rows(exact, said, noise),
        }
        .alias_qualified(table.cloned(), field.name())
    });
    let shown = shown.collect();
    Ok(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(LogicalPlan::Aggregate(whole)))?))
}

/// Nothing from few, else what would be shown.
fn of_sum(exact: Expr, said: Expr, noise: &Noise) -> Expr {
    let adding = Looks::Adding.at(vec![said.clone()], Boundaries::ByLot);
    let shown = fitting(noise.sum(exact, adding, said.clone()), said.clone());
    unless(Some(few(said)), shown)
}

/// As many rows as people, where they are few or within limits equally many.
fn of_rows(exact: Expr, said: Expr, noise: &Noise) -> Expr {
    let all = or_zero(people(Looks::All.at(vec![said.clone()], Boundaries::ByLot)));
    let limited = within(exact.clone(), said.clone());
    let plainly = binary_expr(few(said.clone()), Operator::Or, binary_expr(limited, Operator::Eq, all.clone()));
    let adding = Looks::Adding.at(vec![said.clone()], Boundaries::ByLot);
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(plainly), Box::new(all))],
        else_expr: Some(Box::new(noise.sum(exact, adding, said))),
    })
}

/// Whether a rule on contributions hides them.
fn few(said: Expr) -> Expr {
    flagged(Looks::Sum.at(vec![said], Boundaries::ByLot))
}

fn function(measure: &Expr) -> Result<&AggregateFunction, Unshared> {
    match bare(measure) {
        Expr::AggregateFunction(function) => Ok(function),
        _ => Err(Unshared::Has("computing with a total before it is one")),
    }
}

/// Whether its first argument is whom it counts.
fn is_of_people(function: &AggregateFunction) -> bool {
    let distinct = function.func == count::count_udaf() && function.params.distinct;
    distinct || function.func == persons_udaf() || tells(&function.func).is_some()
}

/// Who is counted: in all measures the same column, and one of people.
fn person(aggregate: &Aggregate) -> Result<Option<Expr>, Unshared> {
    let mut known: Option<&Expr> = None;
    for measure in &aggregate.aggr_expr {
        let function = function(measure)?;
        let Some(argument) = function.params.args.first().map(bare).filter(|_| is_of_people(function)) else {
            continue;
        };
        let same = known.is_none_or(|known| known == argument);
        if !same || !is_person(argument, aggregate.input.schema()) {
            return Err(Unshared::Has("a count of anything but people"));
        }
        known = Some(argument);
    }
    Ok(known.cloned())
}

fn is_person(argument: &Expr, schema: &DFSchema) -> bool {
    let Expr::Column(column) = argument else { return false };
    let role = schema.field_from_column(column).ok().and_then(|field| field.metadata().get(schema::ROLE));
    role.is_some_and(|role| role == schema::PERSON)
}
