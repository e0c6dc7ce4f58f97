//! The rewriting of an aggregate over people: hidden counts, NULL for what may not be shown, one row for all small groups.
//!
//! INVARIANT: a statistic is shown only when at least [`THRESHOLD`] different people stand behind its group, and nobody or
//! as many behind the rows that it is made of (its FILTER, its values that are not NULL, not zero for a sum).

use crate::release::{
    cells::{Cells, Flag},
    people::{Carries, People, PersonId, column_at},
    refusal::ReleaseRefusal,
    scope::bare,
    walk::{Analysis, Part},
};
use datafusion::{
    common::{Column, DFSchema, ScalarValue},
    functions_aggregate::count,
    logical_expr::{
        Aggregate, Case, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, Projection, binary_expr,
        expr::AggregateFunction, lit,
    },
};
use policies::disclosure::THRESHOLD;
use proto::plan::persons::persons;
use std::{collections::BTreeSet, sync::Arc};

/// How a statistic depends on its argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// on which values are there
    Count,
    /// on the values; zeros add nothing
    Sum,
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
        let few = |name: &String| binary_expr(hidden_column(name), Operator::Lt, lit(THRESHOLD));
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
                    let need = needs.get(place).copied().unwrap_or_default();
                    when.extend(own.get(need).copied().flatten());
                    if is_people.get(place).copied().unwrap_or_default() {
                        let people =
                            counts.get(need).map(hidden_column).unwrap_or_else(|| lit(ScalarValue::Int64(None)));
                        or_zero(people)
                    } else {
                        column_at(&shape, i)
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
        let all: Vec<Flag> = std::iter::once(row).chain(own.into_iter().flatten()).collect();
        Ok(Part::Cells(Cells::new(plan, key_count + statistics.len(), &columns, &all, row)))
    }
}

/// What becomes cells.
pub(super) struct Groups {
    pub(super) keys: Vec<Expr>,
    pub(super) statistics: Vec<Expr>,
    /// conditions under which people are counted
    pub(super) conditions: Vec<Option<Expr>>,
    /// the condition of each statistic
    pub(super) needs: Vec<usize>,
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
            Kind::Sum => {
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
