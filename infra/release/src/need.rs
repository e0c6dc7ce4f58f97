//! What has to be known of a cell so that a statistic of it may be shown: which people it is made of, and what they contribute.

use crate::release::{
    origin,
    people::{Carries, People, PersonId},
    scope::bare,
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, ScalarValue},
    functions_aggregate::{count, stddev, variance},
    logical_expr::{Cast, Expr, ExprSchemable, Operator, binary_expr, expr::AggregateFunction, lit},
};
use proto::plan::contributions::Tells;

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

/// Whom a statistic is made of, by their place in [`Asked`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// of the people who meet a condition; `part`: it is the statement's own, which could be met by all of a group. `rows`: what they
    /// contribute to, where not only people are counted
    Counted { adding: usize, part: bool, rows: Option<usize> },
    /// a mean or spread of zeros and ones, which people contribute to: of the people with a one, over those with a value
    Share { adding: usize, all: usize, giving: usize },
    /// of what people contribute
    Contributed(usize),
}

/// A statistic, and whom it is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) made: Made,
    pub(super) kind: Kind,
    /// a variance, not its root
    pub(super) squared: bool,
    /// of a sample, not of all
    pub(super) sample: bool,
}

impl Need {
    /// Whether it is a count, in whatever words.
    pub(super) fn counts(&self) -> bool {
        matches!(self.made, Made::Counted { .. })
    }
}

/// What somebody contributes to: the value as Float64, and the statistic's FILTER.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Giving {
    pub(super) value: Expr,
    pub(super) filter: Option<Expr>,
    /// the statistics of it, by which they are known again
    pub(super) tells: Tells,
}

/// Where it is said who the people are that meet a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// by itself
    Alone,
    /// all who have a value that is contributed
    Having(usize),
    /// those of them whose value isn't zero
    Adding(usize),
}

/// What is asked of each cell beside the statistics.
#[derive(Debug)]
pub(super) struct Asked {
    /// conditions under which people are counted; the first is the group itself
    pub(super) conditions: Vec<Option<Expr>>,
    /// where each is said
    pub(super) said: Vec<Said>,
    /// what people contribute to
    pub(super) givings: Vec<Giving>,
    pub(super) needs: Vec<Need>,
}

impl Asked {
    pub(super) fn new() -> Self {
        Self { conditions: vec![None], said: vec![Said::Alone], givings: Vec::new(), needs: Vec::new() }
    }

    /// Takes a statistic in, over rows of `people`.
    pub(super) fn add(&mut self, function: &AggregateFunction, kind: Kind, people: &People, who: PersonId) {
        let schema = people.plan.schema();
        let argument = function.params.args.first().map(bare);
        let ones = argument.is_some_and(|argument| origin::zero_or_one(argument, &people.plan));
        let is_person = |argument: &Expr| carries_always(argument, people, who);
        let filter = function.params.filter.as_deref().cloned();
        let value = || argument.map_or_else(|| lit(ScalarValue::Float64(None)), |a| number(a, schema));
        let tells = match kind {
            Kind::Mean => Tells::Mean,
            Kind::Spread => Tells::Spread,
            Kind::Count | Kind::Sum => Tells::Sum,
        };
        let condition = |kind| contributes(function, kind, schema, is_person);
        let made = match kind {
            Kind::Count => {
                let stored = argument.is_none_or(|a| is_person(a) || origin::of_table(a, &people.plan));
                let condition = condition(kind);
                let people_only = function.params.distinct && argument.is_some_and(is_person);
                let rows = (!people_only).then(|| {
                    let value = lit(ScalarValue::Float64(Some(1.0)));
                    self.giving(Giving { value, filter: condition.clone(), tells })
                });
                let adding = self.condition(condition, rows.map_or(Said::Alone, Said::Having));
                Made::Counted { adding, part: function.params.filter.is_some() || !stored, rows }
            }
            Kind::Sum if ones => {
                let constant = matches!(argument, Some(Expr::Literal(..)));
                let rows = self.giving(Giving { value: value(), filter: filter.clone(), tells });
                let adding = self.condition(condition(kind), Said::Adding(rows));
                Made::Counted { adding, part: filter.is_some() || !constant, rows: Some(rows) }
            }
            Kind::Mean | Kind::Spread if ones => {
                let giving = self.giving(Giving { value: value(), filter, tells });
                let adding = self.condition(condition(kind), Said::Adding(giving));
                let all = self.condition(condition(Kind::Count), Said::Having(giving));
                Made::Share { adding, all, giving }
            }
            Kind::Sum | Kind::Mean | Kind::Spread => {
                Made::Contributed(self.giving(Giving { value: value(), filter, tells }))
            }
        };
        let squared = function.func == variance::var_samp_udaf() || function.func == variance::var_pop_udaf();
        let sample = function.func == variance::var_samp_udaf() || function.func == stddev::stddev_udaf();
        self.needs.push(Need { made, kind, squared, sample });
    }

    /// Where a condition is among those that are known, of which it is `said` who meets it.
    fn condition(&mut self, wanted: Option<Expr>, said: Said) -> usize {
        let at = place(&mut self.conditions, wanted);
        match self.said.get_mut(at) {
            Some(known) if *known == Said::Alone => *known = said,
            Some(_) => {}
            None => self.said.push(said),
        }
        at
    }

    /// Where a contribution is among those that are known: one for all statistics of the same values.
    fn giving(&mut self, wanted: Giving) -> usize {
        let same = |known: &Giving| known.value == wanted.value && known.filter == wanted.filter;
        let at = self.givings.iter().position(same).unwrap_or(self.givings.len());
        match self.givings.get_mut(at) {
            Some(known) => known.tells = known.tells.max(wanted.tells),
            None => self.givings.push(wanted),
        }
        at
    }
}

/// Where it is among those that are known.
fn place<T: PartialEq>(known: &mut Vec<T>, wanted: T) -> usize {
    known.iter().position(|known| *known == wanted).unwrap_or_else(|| {
        known.push(wanted);
        known.len() - 1
    })
}

/// The value as a number with digits.
pub(super) fn number(argument: &Expr, schema: &DFSchema) -> Expr {
    match argument.get_type(schema) {
        Ok(DataType::Float64) => argument.clone(),
        _ => Expr::Cast(Cast::new(Box::new(argument.clone()), DataType::Float64)),
    }
}

/// `count(DISTINCT person)`, under whatever filter.
pub(super) fn counts_people(statistic: &Expr, people: &People) -> bool {
    let Expr::AggregateFunction(function) = bare(statistic) else { return false };
    let [argument] = function.params.args.as_slice() else { return false };
    let Expr::Column(column) = bare(argument) else { return false };
    let carries = people.plan.schema().maybe_index_of_column(column).and_then(|i| people.columns.get(i));
    function.params.distinct
        && function.func == count::count_udaf()
        && carries.is_some_and(|column| matches!(column.carries, Carries::Person { .. }))
}

/// The standard deviation of what a mean is made of.
pub(super) fn deviation(mean: &Expr) -> Option<Expr> {
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
fn carries_always(argument: &Expr, people: &People, who: PersonId) -> bool {
    let Expr::Column(column) = argument else { return false };
    let found = people.plan.schema().maybe_index_of_column(column).and_then(|i| people.columns.get(i));
    found.is_some_and(|column| column.carries == Carries::Person { who, always: true })
}

/// The rows that a statistic is made of, when they can be fewer than the group's.
fn contributes(
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
