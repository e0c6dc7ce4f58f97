//! The rewriting of an aggregate over people: hidden counts, NULL for what may not be shown, one row for all small groups.
//!
//! INVARIANT: a statistic is shown only when at least [`THRESHOLD`] different people stand behind its group, and nobody or
//! as many behind the rows that it is made of (its FILTER, its values that are not NULL, not zero for a sum).

use crate::release::{
    cells::{Cells, Flag},
    explain::Note,
    people::{Carries, People, PersonId, column_at},
    perturb,
    refusal::ReleaseRefusal,
    scope::bare,
    walk::{Analysis, Part},
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, DFSchema, ScalarValue},
    functions_aggregate::{count, stddev},
    logical_expr::{
        Aggregate, Case, Cast, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, Projection, binary_expr,
        expr::AggregateFunction, lit,
    },
};
use policies::disclosure::{PERTURBED, SUPPRESSED, THRESHOLD};
use proto::plan::persons::persons;
use std::{collections::BTreeSet, sync::Arc};

/// How a statistic depends on its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// on which values are there
    Count,
    /// on the values; zeros add nothing
    Sum,
    /// on the values, of which zeros add nothing, over all that are there
    Mean,
    /// on the distances of the values
    Spread,
}

/// Whom a statistic is made of, by the number of their condition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// who add to it
    pub(super) adding: usize,
    /// of a mean or a spread: those whom it is about
    pub(super) among: Option<usize>,
    pub(super) kind: Kind,
}

impl Analysis<'_> {
    /// Aggregate with hidden counts, then a projection that shows only what may be shown, then one row for all the rest.
    pub(super) fn suppressed(&mut self, people: &People, person: Expr, groups: Groups) -> Result<Part, ReleaseRefusal> {
        let Groups { keys, statistics, conditions, needs } = groups;
        let input = Arc::new(people.plan.clone());
        let counts: Vec<String> = conditions.iter().map(|_| self.hidden("people")).collect();
        let mut measures = Vec::with_capacity(statistics.len() + counts.len());
        // count(DISTINCT person) is what the hidden counts say anyway
        let is_people: Vec<bool> = statistics.iter().map(|statistic| counts_people(statistic, people)).collect();
        measures.extend(statistics.iter().zip(&is_people).filter(|(_, same)| !**same).map(|(s, _)| s.clone()));
        for (condition, name) in conditions.iter().zip(&counts) {
            measures.push(persons(person.clone(), condition.clone()).alias(name));
        }
        // how far a mean is moved depends on how far its values are apart
        let deviations: Vec<Option<String>> = statistics
            .iter()
            .zip(&needs)
            .map(|(statistic, need)| {
                let spread = (need.kind == Kind::Mean && self.noise.is_some()).then(|| deviation(statistic))??;
                let name = self.hidden("deviation");
                measures.push(spread.alias(&name));
                Some(name)
            })
            .collect();
        // names and types of the columns as the rest of the statement knows them
        let shape = if statistics.is_empty() {
            Aggregate::try_new(Arc::clone(&input), keys.clone(), vec![persons(person, None)])
        } else {
            Aggregate::try_new(Arc::clone(&input), keys.clone(), statistics.clone())
        };
        let shape = self.built(shape)?.schema;
        let grouped = !keys.is_empty();
        let key_count = keys.len();
        let aggregated = Aggregate::try_new(input, keys, measures);
        let aggregated = self.built(aggregated)?;

        // NULL for a group without rows, which isn't small
        let few = |name: &String| binary_expr(perturb::people(hidden_column(name)), Operator::Lt, lit(THRESHOLD));
        let Some(few_in_group) = counts.first().map(few) else {
            return Err(self.unsupported("an aggregate without a group"));
        };
        let row = Flag(self.fresh());
        let mut flags = vec![(row, few_in_group.clone())];
        let mut own: Vec<Option<Flag>> = vec![None; conditions.len()];
        for (place, name) in counts.iter().enumerate().skip(1) {
            let flag = Flag(self.fresh());
            // inside the folded row all flags are alike, or it would not fold
            let shown_group = Expr::IsNotTrue(Box::new(few_in_group.clone()));
            flags.push((flag, binary_expr(shown_group, Operator::And, few(name))));
            if let Some(slot) = own.get_mut(place) {
                *slot = Some(flag);
            }
        }
        let flag_expr = |flag: &Flag| flags.iter().find(|(known, _)| known == flag).map(|(_, expr)| expr.clone());

        let mut exprs = Vec::new();
        let mut columns: Vec<BTreeSet<Flag>> = Vec::new();
        for i in 0..key_count + statistics.len() {
            let (qualifier, field) = shape.qualified_field(i);
            let mut when = BTreeSet::from([row]);
            let shown = match i.checked_sub(key_count) {
                None => column_at(&aggregated.schema, i),
                Some(place) => {
                    let Some(need) = needs.get(place) else {
                        return Err(self.unsupported("an aggregate without people"));
                    };
                    when.extend(own.get(need.adding).copied().flatten());
                    let summary =
                        |of: usize| counts.get(of).map_or_else(|| lit(ScalarValue::Binary(None)), hidden_column);
                    if is_people.get(place).copied().unwrap_or_default() {
                        let people = summary(need.adding);
                        or_zero(match &self.noise {
                            Some(noise) => noise.people(people),
                            None => perturb::people(people),
                        })
                    } else {
                        let exact = column_at(&shape, i);
                        let deviation = deviations.get(place).and_then(Option::as_ref).map(hidden_column);
                        match (&self.noise, need.kind, need.among, deviation) {
                            (None, ..) => exact,
                            (Some(noise), Kind::Mean, Some(all), Some(deviation)) => {
                                noise.mean(exact, summary(need.adding), summary(all), deviation)
                            }
                            (Some(noise), Kind::Spread, Some(all), _) => noise.spread(exact, summary(all)),
                            (Some(noise), ..) => noise.sum(exact, summary(need.adding)),
                        }
                    }
                }
            };
            let hide = when.iter().filter_map(flag_expr).reduce(|a, b| binary_expr(a, Operator::Or, b));
            exprs.push(unless(hide, shown).alias_qualified(qualifier.cloned(), field.name()));
            columns.push(when);
        }
        for (flag, expr) in flags {
            exprs.push(expr.alias(flag.name()));
            columns.push(BTreeSet::new());
        }
        let projected = Projection::try_new(exprs, Arc::new(LogicalPlan::Aggregate(aggregated)));
        let mut plan = LogicalPlan::Projection(self.built(projected)?);
        if grouped {
            plan = LogicalPlan::Distinct(Distinct::All(Arc::new(plan)));
        }
        if grouped {
            let keys: Vec<&str> = shape.fields().iter().take(key_count).map(|field| field.name().as_str()).collect();
            self.notes.push(Note::new(keys.join(", "), SUPPRESSED, FOLDED));
        }
        for (place, (need, is_people)) in needs.iter().zip(&is_people).enumerate() {
            let name = shape.fields().get(key_count + place).map_or("", |field| field.name());
            self.notes.push(Note::new(name, PERTURBED, told(need, *is_people)));
        }
        let all: Vec<Flag> = std::iter::once(row).chain(own.into_iter().flatten()).collect();
        let cells = Cells::new(plan, key_count + statistics.len(), &columns, &all, row);
        Ok(Part::Cells(if self.noise.is_some() && !statistics.is_empty() { cells.with_noise() } else { cells }))
    }
}

const FOLDED: &str = "Groups of one to four people come as one row together, without keys and numbers.";

/// What a statistic will look like.
fn told(need: &Need, is_people: bool) -> String {
    let shown = match need.kind {
        _ if is_people => {
            "People, off by up to 5, by 1.4 on average. Who differ by fewer than 10 people from those of an earlier answer are shown as it was."
        }
        Kind::Count => "Times shown people over people; one row a person: the number of people.",
        Kind::Sum => {
            "Times shown people over people, of those who add something, and rounded to a tenth of what one adds."
        }
        Kind::Mean => {
            "Off by up to 5 standard deviations over the number of people, and rounded. Of zeros and ones: one shown count over the other."
        }
        Kind::Spread => "Off by up to 5 parts in the number of people, and rounded.",
    };
    let few = match need.adding {
        0 => "Hidden where 1 to 4 people are behind it.",
        _ => {
            "Hidden where 1 to 4 people add something to it: who pass its FILTER and have a value, not zero for a sum or mean."
        }
    };
    format!("{shown} {few}")
}

/// What becomes cells.
pub(super) struct Groups {
    pub(super) keys: Vec<Expr>,
    pub(super) statistics: Vec<Expr>,
    /// conditions under which people are counted
    pub(super) conditions: Vec<Option<Expr>>,
    /// whom each statistic is made of
    pub(super) needs: Vec<Need>,
}

fn hidden_column(name: &String) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// NULL when `hide` holds.
pub(super) fn unless(hide: Option<Expr>, shown: Expr) -> Expr {
    match hide {
        None => shown,
        Some(hide) => Expr::Case(Case {
            expr: None,
            when_then_expr: vec![(Box::new(Expr::IsNotTrue(Box::new(hide))), Box::new(shown))],
            else_expr: None,
        }),
    }
}

fn or_zero(count: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(Expr::IsNull(Box::new(count.clone()))), Box::new(lit(0_i64)))],
        else_expr: Some(Box::new(count)),
    })
}

/// `count(DISTINCT person)`, under whatever filter.
fn counts_people(statistic: &Expr, people: &People) -> bool {
    let Expr::AggregateFunction(function) = bare(statistic) else { return false };
    let [argument] = function.params.args.as_slice() else { return false };
    let Expr::Column(column) = bare(argument) else { return false };
    let carries = people.plan.schema().maybe_index_of_column(column).and_then(|i| people.columns.get(i));
    function.params.distinct
        && function.func == count::count_udaf()
        && carries.is_some_and(|column| matches!(column.carries, Carries::Person { .. }))
}

/// The standard deviation of what a mean is made of.
fn deviation(mean: &Expr) -> Option<Expr> {
    let Expr::AggregateFunction(function) = bare(mean) else { return None };
    let [argument] = function.params.args.as_slice() else { return None };
    Some(Expr::AggregateFunction(AggregateFunction::new_udf(
        stddev::stddev_pop_udaf(),
        vec![Expr::Cast(Cast::new(Box::new(argument.clone()), DataType::Float64))],
        false,
        function.params.filter.clone(),
        Vec::new(),
        None,
    )))
}

/// A column that holds the row's person in every row.
pub(super) fn carries_always(argument: &Expr, people: &People, who: PersonId) -> bool {
    let Expr::Column(column) = argument else { return false };
    let found = people.plan.schema().maybe_index_of_column(column).and_then(|i| people.columns.get(i));
    found.is_some_and(|column| column.carries == Carries::Person { who, always: true })
}

/// The rows that a statistic is made of, when they can be fewer than the group's.
pub(super) fn contributes(
    function: &AggregateFunction,
    kind: Kind,
    schema: &DFSchema,
    is_person: impl Fn(&Expr) -> bool,
) -> Option<Expr> {
    let params = &function.params;
    let filter = params.filter.as_deref().cloned();
    let arguments = params.args.iter().filter_map(|argument| {
        let argument = bare(argument);
        if is_person(argument) {
            return None; // people without a number are not counted as people anyway
        }
        if let Expr::Literal(value, _) = argument {
            return value.is_null().then(|| lit(false));
        }
        let not_null = || Expr::IsNotNull(Box::new(argument.clone()));
        match kind {
            Kind::Count => argument.nullable(schema).unwrap_or(true).then(not_null),
            Kind::Sum | Kind::Mean | Kind::Spread => {
                let zero = argument.get_type(schema).ok().and_then(|kind| ScalarValue::new_zero(&kind).ok());
                Some(match zero {
                    Some(zero) => binary_expr(argument.clone(), Operator::NotEq, lit(zero)),
                    None => not_null(),
                })
            }
        }
    });
    filter.into_iter().chain(arguments).reduce(|a, b| binary_expr(a, Operator::And, b))
}
