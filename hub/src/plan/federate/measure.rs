//! How measures are taken apart and merged again: `AVG` into sum and count, a variance into count, mean and variance.
//!
//! INVARIANT: a measure that is not listed here doesn't merge; a merged one has the type that the statement announced.

use super::{Result, contributed::merged_contributions, crowd::merged_persons, mean::mean, moments::moments};
use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, DFSchema, ScalarValue},
    functions_aggregate::{average, count, min_max, sum, variance},
    logical_expr::{
        AggregateUDF, Case, Cast, Expr, ExprSchemable, Operator, binary_expr, expr::AggregateFunction, lit,
        utils::COUNT_STAR_EXPANSION,
    },
};
use proto::plan::{
    contributions::{Tells, contributions_of_sums, tells},
    persons::{persons, persons_udaf},
};
use std::sync::Arc;

/// The column of the values that are counted once each.
pub(super) const DISTINCT: &str = "__eger_distinct";

/// The measures of one aggregate, taken apart.
pub(super) struct Parts {
    /// what is counted DISTINCT; the partial aggregates group by it too
    pub(super) distinct: Option<Expr>,
    partial: Vec<Expr>,
    merged: Vec<Merge>,
    /// the results over the merged columns, in the order of the measures
    results: Vec<Expr>,
    /// no two spokes share what is counted DISTINCT
    adds_up: bool,
}

/// What merges partial results, and what comes of it.
pub(super) struct Merged {
    pub(super) measures: Vec<Expr>,
    pub(super) results: Vec<Expr>,
}

struct Merge(Expr);

impl Parts {
    /// Takes measures apart, or says which one doesn't merge. `disjoint`: whether no two spokes share a value of this.
    pub(super) fn of(
        measures: &[Expr],
        input: &DFSchema,
        disjoint: &dyn Fn(&Expr) -> bool,
    ) -> Result<std::result::Result<Self, String>> {
        // Where the partial aggregates have to group by other values too, counts of people no longer add up.
        let adds_up = measures.iter().filter_map(different).all(disjoint);
        let mut parts = Self { distinct: None, partial: Vec::new(), merged: Vec::new(), results: Vec::new(), adds_up };
        for measure in measures {
            match parts.add(measure, input)? {
                Some(result) => parts.results.push(result),
                None => return Ok(Err(unmerged(measure))),
            }
        }
        Ok(Ok(parts))
    }

    /// The partial measures.
    pub(super) fn exprs(&self) -> Vec<Expr> {
        // The engine's own names hide casts, so that two measures may have one.
        self.partial.iter().enumerate().map(|(i, measure)| measure.clone().alias(part(i))).collect()
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        (0..self.partial.len()).map(part)
    }

    pub(super) fn merge(self) -> Merged {
        let measures = self.merged.into_iter().enumerate().map(|(i, Merge(e))| e.alias(whole(i))).collect();
        Merged { measures, results: self.results }
    }

    /// A partial measure's column.
    fn partial(&mut self, measure: Expr) -> Expr {
        let place = self.partial.iter().position(|known| *known == measure).unwrap_or_else(|| {
            self.partial.push(measure);
            self.partial.len() - 1
        });
        column(&part(place))
    }

    /// A merged measure's column.
    fn merged(&mut self, measure: Expr) -> Expr {
        let place = self.merged.iter().position(|Merge(known)| *known == measure).unwrap_or_else(|| {
            self.merged.push(Merge(measure));
            self.merged.len() - 1
        });
        column(&whole(place))
    }

    fn add(&mut self, measure: &Expr, input: &DFSchema) -> Result<Option<Expr>> {
        let Expr::AggregateFunction(function) = bare(measure) else { return Ok(None) };
        let params = &function.params;
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return Ok(None);
        }
        let argument = match params.args.as_slice() {
            [person, value] => match tells(&function.func) {
                Some(tells) => return Ok(self.contributed(measure, tells, person, value)),
                None => return Ok(None),
            },
            [argument] => argument,
            _ => return Ok(None),
        };
        let announced = bare(measure).get_type(input)?;
        let filter = params.filter.clone();
        let with = |udaf: Arc<AggregateUDF>, argument: &Expr| {
            Expr::AggregateFunction(AggregateFunction::new_udf(
                udaf,
                vec![argument.clone()],
                false,
                filter.clone(),
                Vec::new(),
                None,
            ))
        };
        let is = |udaf: Arc<AggregateUDF>| function.func == udaf;
        if different(measure).is_some() && self.adds_up {
            let counted = self.partial(bare(measure).clone());
            return Ok(Some(if is(persons_udaf()) {
                self.merged(of(merged_persons(), vec![counted]))
            } else {
                or_zero(self.merged(sum_of(counted)))
            }));
        }
        if is(persons_udaf()) || (is(count::count_udaf()) && params.distinct) {
            return Ok(self.different(argument, filter.as_deref(), is(persons_udaf())));
        }
        // A value twice changes neither the smallest nor the largest.
        if params.distinct && !is(min_max::min_udaf()) && !is(min_max::max_udaf()) {
            return Ok(None);
        }
        Ok(if is(count::count_udaf()) {
            let counted = self.partial(with(count::count_udaf(), argument));
            Some(or_zero(self.merged(sum_of(counted))))
        } else if is(min_max::min_udaf()) || is(min_max::max_udaf()) {
            let one = self.partial(with(Arc::clone(&function.func), argument));
            Some(self.merged(of(Arc::clone(&function.func), vec![one])))
        } else if is(sum::sum_udaf()) {
            if !adds_up(&announced) {
                return Ok(None);
            }
            let summed = self.partial(with(sum::sum_udaf(), argument));
            // Adding up decimals widens them once more.
            Some(cast(self.merged(sum_of(summed)), announced))
        } else if is(average::avg_udaf()) {
            let kind = argument.get_type(input)?;
            let summed = with(sum::sum_udaf(), argument);
            let (sum_type, counted) = (summed.get_type(input)?, with(count::count_udaf(), argument));
            if !matches!(kind, DataType::Float64 | DataType::Decimal128(..)) {
                return Ok(None);
            }
            let (summed, counted) = (self.partial(summed), self.partial(counted));
            let (total, n) = (cast(self.merged(sum_of(summed)), sum_type), or_zero(self.merged(sum_of(counted))));
            Some(match announced {
                DataType::Float64 => divided(total, n),
                DataType::Decimal128(precision, scale) => mean(total, n, precision, scale),
                _ => return Ok(None),
            })
        } else if let Some(kind) = super::moments::Kind::of(&function.func) {
            if argument.get_type(input)? != DataType::Float64 {
                return Ok(None);
            }
            let n = self.partial(with(count::count_udaf(), argument));
            let mean = self.partial(with(average::avg_udaf(), argument));
            let spread = self.partial(with(variance::var_pop_udaf(), argument));
            Some(self.merged(of(moments(kind), vec![n, mean, spread])))
        } else {
            None
        })
    }

    /// The spokes group by this too.
    fn grouped_by(&mut self, argument: &Expr) -> Option<()> {
        match &self.distinct {
            None => self.distinct = Some(argument.clone()),
            Some(other) if other == argument => {}
            Some(_) => return None,
        }
        Some(())
    }

    /// Whether a partial result has a row that passes.
    fn passing(&mut self, filter: &Expr) -> Expr {
        let star = Expr::Literal(COUNT_STAR_EXPANSION, None);
        let passing = Expr::AggregateFunction(AggregateFunction::new_udf(
            count::count_udaf(),
            vec![star],
            false,
            Some(Box::new(filter.clone())),
            Vec::new(),
            None,
        ));
        binary_expr(self.partial(passing), Operator::Gt, lit(0_i64))
    }

    /// What everybody contributes: each spoke gives the sum of its people's values, the hub adds up those of one person. Of a mean also
    /// how many they are, and of a spread what their squares add up to.
    fn contributed(&mut self, measure: &Expr, tells: Tells, person: &Expr, value: &Expr) -> Option<Expr> {
        if self.adds_up {
            let part = self.partial(bare(measure).clone());
            return Some(self.merged(of(merged_contributions(), vec![part])));
        }
        self.grouped_by(person)?;
        let Expr::AggregateFunction(function) = bare(measure) else { return None };
        let filter = function.params.filter.as_deref();
        let of_rows = |mut measure: Expr| {
            if let Expr::AggregateFunction(function) = &mut measure {
                function.params.filter = filter.cloned().map(Box::new);
            }
            measure
        };
        let summed = self.partial(of_rows(sum_of(value.clone())));
        let mut sums = Vec::new();
        if tells >= Tells::Mean {
            let number = self.partial(of_rows(of(count::count_udaf(), vec![value.clone()])));
            sums.push(cast(number, DataType::Float64));
        }
        if tells >= Tells::Spread {
            let square = binary_expr(value.clone(), Operator::Multiply, value.clone());
            sums.push(self.partial(of_rows(sum_of(square))));
        }
        let some = binary_expr(value.clone(), Operator::NotEq, lit(0.0_f64));
        let some = filter.cloned().into_iter().chain([some]).reduce(|a, b| binary_expr(a, Operator::And, b))?;
        // Values that add up to nothing are somebody's all the same: the least number stands for them.
        let nothing = binary_expr(summed.clone(), Operator::Eq, lit(0.0_f64));
        let cancelled = binary_expr(self.passing(&some), Operator::And, nothing);
        let sum = Expr::Case(Case {
            expr: None,
            when_then_expr: vec![(Box::new(cancelled), Box::new(lit(f64::MIN_POSITIVE)))],
            else_expr: Some(Box::new(summed)),
        });
        Some(self.merged(contributions_of_sums(tells, column(DISTINCT), std::iter::once(sum).chain(sums))))
    }

    /// Different values: grouped by at the spokes, counted at the hub.
    fn different(&mut self, argument: &Expr, filter: Option<&Expr>, people: bool) -> Option<Expr> {
        self.grouped_by(argument)?;
        let filter = filter.map(|filter| self.passing(filter));
        let value = column(DISTINCT);
        let counted = if people {
            persons(value, filter)
        } else {
            Expr::AggregateFunction(AggregateFunction::new_udf(
                count::count_udaf(),
                vec![value],
                true,
                filter.map(Box::new),
                Vec::new(),
                None,
            ))
        };
        Some(self.merged(counted))
    }
}

/// What a measure counts different values of.
fn different(measure: &Expr) -> Option<&Expr> {
    let Expr::AggregateFunction(function) = bare(measure) else { return None };
    let counts = function.func == count::count_udaf() && function.params.distinct;
    let people = function.func == persons_udaf() || tells(&function.func).is_some();
    function.params.args.first().filter(|_| counts || people)
}

/// Names the function and what is special about it; never its argument, which holds constants.
fn unmerged(measure: &Expr) -> String {
    match bare(measure) {
        Expr::AggregateFunction(function) => {
            let distinct = if function.params.distinct { "DISTINCT .." } else { ".." };
            format!("{}({distinct}) of several spokes' rows can't be put together from parts", function.func.name())
        }
        _ => "an aggregate of several spokes' rows can't be put together from parts".to_owned(),
    }
}

fn part(i: usize) -> String {
    format!("__eger_part_{i}")
}

fn whole(i: usize) -> String {
    format!("__eger_whole_{i}")
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn bare(e: &Expr) -> &Expr {
    match e {
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}

fn of(udaf: Arc<AggregateUDF>, arguments: Vec<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(udaf, arguments, false, None, Vec::new(), None))
}

fn sum_of(e: Expr) -> Expr {
    of(sum::sum_udaf(), vec![e])
}

fn adds_up(kind: &DataType) -> bool {
    matches!(kind, DataType::Int64 | DataType::UInt64 | DataType::Float64 | DataType::Decimal128(..))
}

fn cast(e: Expr, kind: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(e), kind))
}

/// A count over no spoke's rows at all.
fn or_zero(count: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(Expr::IsNull(Box::new(count.clone()))), Box::new(lit(0_i64)))],
        else_expr: Some(Box::new(count)),
    })
}

/// NULL over nothing.
fn divided(total: Expr, n: Expr) -> Expr {
    let none = binary_expr(n.clone(), Operator::Eq, lit(0_i64));
    let quotient = binary_expr(total, Operator::Divide, cast(n, DataType::Float64));
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(none), Box::new(lit(ScalarValue::Float64(None))))],
        else_expr: Some(Box::new(quotient)),
    })
}
