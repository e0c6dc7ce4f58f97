//! How many rows and bytes a part of a plan gives, roughly: enough to tell which side of a join is smaller, and where the
//! wire is shorter.
//!
//! From what spokes tell of their tables, coarse where tables are about people. Joins are taken to find each value of the
//! side with fewer of them on the other; what isn't told is guessed.
//!
//! INVARIANT: a wrong estimate costs time, never an answer.

use super::{selectivity::kept, site};
use crate::registry::{ColumnFacts, TableOffer};
use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::{ColumnStatistics, DFSchema, JoinType, Statistics, stats::Precision},
    logical_expr::{Distinct, Expr, FetchType, LogicalPlan},
};
use proto::plan::coarse::coarsened;

/// An aggregate of which nothing is known is taken to give one group for so many rows.
const GROUPED: f64 = 10.0;
/// Bytes that a value of no fixed width is taken to have.
const TEXT: usize = 16;
/// Rows of a table of which nothing is told.
const UNKNOWN: u64 = 1_000;

/// What is expected of a part of a plan.
#[derive(Debug, Clone)]
pub(super) struct Estimate {
    /// rows that it gives
    pub(super) rows: f64,
    /// rows that it would give without conditions
    whole: f64,
    /// bytes of a row
    pub(super) width: f64,
    /// of each column; of as many different values as there are rows at most
    columns: Vec<ColumnFacts>,
}

impl Estimate {
    pub(super) fn bytes(&self) -> f64 {
        self.rows * self.width
    }

    fn share(&self) -> f64 {
        if self.whole > 0.0 { (self.rows / self.whole).min(1.0) } else { 1.0 }
    }

    /// What is known of an expression over `schema`, if it is a column.
    pub(super) fn facts(&self, e: &Expr, schema: &DFSchema) -> ColumnFacts {
        let column = match e {
            Expr::Column(column) => column,
            Expr::Cast(cast) => return self.facts(&cast.expr, schema),
            Expr::Alias(alias) => return self.facts(&alias.expr, schema),
            // Of codes and whole numbers it is the same, of others about as many.
            other => match coarsened(other) {
                Some(value) => return self.facts(value, schema),
                None => return ColumnFacts::default(),
            },
        };
        let place = schema.maybe_index_of_column(column);
        place.and_then(|place| self.columns.get(place)).copied().unwrap_or_default()
    }

    /// How many different values an expression has; a key of which nothing is told is taken to have one for each row
    /// without conditions.
    pub(super) fn distinct(&self, e: &Expr, schema: &DFSchema) -> f64 {
        let told = self.facts(e, schema).distinct;
        let distinct = if told > 0.0 { told } else { self.whole };
        distinct.clamp(1.0, self.rows.max(1.0))
    }

    fn limited(mut self, rows: f64) -> Self {
        self.rows = self.rows.min(rows);
        self.whole = self.whole.min(rows);
        self
    }

    /// For the engine: never exact, since exact numbers would be taken for answers.
    pub(super) fn statistics(&self, schema: &Schema) -> Statistics {
        // from 1 to 10^15
        let count = |n: f64| Precision::Inexact(n.clamp(1.0, 1e15) as usize);
        let mut statistics = Statistics::new_unknown(schema);
        statistics.num_rows = count(self.rows);
        statistics.total_byte_size = count(self.rows * bytes(schema));
        for (column, facts) in statistics.column_statistics.iter_mut().zip(&self.columns) {
            let distinct = match facts.distinct {
                0.0 => Precision::Absent,
                distinct => count(distinct.min(self.rows)),
            };
            *column = ColumnStatistics {
                distinct_count: distinct,
                null_count: Precision::Inexact((facts.nulls * self.rows).clamp(0.0, 1e15) as usize),
                ..column.clone()
            };
        }
        statistics
    }
}

/// What a table's columns of `schema` are expected to give of the rows that pass `filters`.
pub(in crate::plan) fn of_table(
    offer: &TableOffer,
    schema: &Schema,
    filters: &[Expr],
    fetch: Option<usize>,
) -> Statistics {
    scan(offer, schema, filters, fetch).statistics(schema)
}

fn scan(offer: &TableOffer, schema: &Schema, filters: &[Expr], fetch: Option<usize>) -> Estimate {
    let told = &offer.statistics;
    let all = told.rows.max(1) as f64;
    let facts = |schema: &Schema| -> Vec<ColumnFacts> {
        let of = |name: &String| told.columns.get(name).copied().unwrap_or_default();
        schema.fields().iter().map(|field| of(field.name())).collect()
    };
    let share = match DFSchema::try_from(offer.schema.as_ref().clone()) {
        Ok(names) if !filters.is_empty() => {
            let whole = Estimate { rows: all, whole: all, width: 1.0, columns: facts(&offer.schema) };
            // Conditions name the table as the statement does.
            let plain: Vec<Expr> =
                filters.iter().cloned().map(datafusion::logical_expr::expr_rewriter::unnormalize_col).collect();
            kept(&plain, &whole, &names)
        }
        _ => 1.0,
    };
    let found = Estimate { rows: all * share, whole: all, width: bytes(schema), columns: facts(schema) };
    match fetch {
        Some(fetch) => found.limited(fetch as f64),
        None => found,
    }
}

/// What a part of a plan is expected to give.
pub(super) fn estimate(plan: &LogicalPlan) -> Estimate {
    let width = bytes(plan.schema().as_arrow());
    let inputs: Vec<Estimate> = plan.inputs().into_iter().map(estimate).collect();
    let only = || match inputs.first() {
        Some(input) => Estimate { width, ..input.clone() },
        None => Estimate { rows: 1.0, whole: 1.0, width, columns: Vec::new() },
    };
    let input_schema = || plan.inputs().first().map(|input| std::sync::Arc::clone(input.schema()));
    match plan {
        LogicalPlan::TableScan(node) => match site::table(node) {
            Some(table) if table.get().is_some() => {
                let offer = table.get().map(|table| std::sync::Arc::clone(table.offer()));
                offer.map_or_else(only, |offer| {
                    scan(&offer, node.projected_schema.as_arrow(), &node.filters, node.fetch)
                })
            }
            // A leaf that was made already, or no spoke's table.
            _ => Estimate { rows: UNKNOWN as f64, whole: UNKNOWN as f64, width, columns: Vec::new() },
        },
        LogicalPlan::Filter(node) => {
            let mut found = only();
            found.rows *= kept(std::slice::from_ref(&node.predicate), &found, node.input.schema());
            found
        }
        LogicalPlan::Projection(node) => {
            let input = only();
            let schema = node.input.schema();
            let columns = node.expr.iter().map(|e| input.facts(e, schema)).collect();
            Estimate { columns, ..input }
        }
        LogicalPlan::Aggregate(node) if node.group_expr.is_empty() => {
            Estimate { rows: 1.0, whole: 1.0, width, columns: Vec::new() }
        }
        LogicalPlan::Aggregate(node) => grouped(only(), &node.group_expr, input_schema().as_deref()),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
            grouped(only(), &columns, input_schema().as_deref())
        }
        LogicalPlan::Limit(limit) => match limit.get_fetch_type() {
            Ok(FetchType::Literal(Some(n))) => only().limited(n as f64),
            _ => only(),
        },
        LogicalPlan::Sort(sort) => match sort.fetch {
            Some(n) => only().limited(n as f64),
            None => only(),
        },
        LogicalPlan::Join(join) => match inputs.as_slice() {
            [left, right] => joined(join, left, right, width),
            _ => only(),
        },
        LogicalPlan::Union(_) => {
            let mut whole = only();
            for input in inputs.iter().skip(1) {
                whole.rows += input.rows;
                whole.whole += input.whole;
                for (own, other) in whole.columns.iter_mut().zip(&input.columns) {
                    // People of several controllers may be the same or not; their codes are the same.
                    own.distinct =
                        if own.distinct > 0.0 && other.distinct > 0.0 { own.distinct.max(other.distinct) } else { 0.0 };
                    own.years = own.years.zip(other.years).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)));
                }
            }
            whole
        }
        _ => only(),
    }
}

fn grouped(input: Estimate, groups: &[Expr], schema: Option<&DFSchema>) -> Estimate {
    let Some(schema) = schema else { return input };
    let facts: Vec<ColumnFacts> = groups.iter().map(|e| input.facts(e, schema)).collect();
    let told: f64 = facts.iter().filter(|f| f.distinct > 0.0).map(|f| f.distinct.min(input.rows)).product();
    // What isn't told multiplies, up to a tenth of the rows.
    let groups = if facts.iter().all(|f| f.distinct > 0.0) { told } else { told.max(input.rows / GROUPED) };
    let rows = groups.clamp(1.0, input.rows.max(1.0));
    let whole = rows.max((input.whole / GROUPED).min(groups));
    Estimate { rows, whole, width: input.width, columns: facts }
}

fn joined(join: &datafusion::logical_expr::Join, left: &Estimate, right: &Estimate, width: f64) -> Estimate {
    let (l, r) = (join.left.schema(), join.right.schema());
    let told = |(a, b): &(Expr, Expr)| left.facts(a, l).distinct > 0.0 || right.facts(b, r).distinct > 0.0;
    let pairs = left.rows * right.rows;
    let (rows, whole) = if join.on.is_empty() {
        (pairs, left.whole * right.whole)
    } else if join.on.iter().any(told) {
        let mut values: Vec<f64> = join.on.iter().map(|(a, b)| left.distinct(a, l).max(right.distinct(b, r))).collect();
        (pairs / together(&mut values), left.whole.max(right.whole))
    } else {
        // Nothing is told: it is taken to follow a key.
        let whole = left.whole.max(right.whole);
        (whole * left.share() * right.share(), whole)
    };
    let condition = join.filter.as_ref().map_or(1.0, |_| 0.5);
    let rows = rows * condition;
    // The share of one side's rows that the other side's values find.
    let found = |own: &Estimate, other: &Estimate, side: bool| {
        let shares = join.on.iter().map(|(a, b)| {
            let (mine, theirs) = (left.distinct(a, l), right.distinct(b, r));
            let (own_values, other_values) = if side { (mine, theirs) } else { (theirs, mine) };
            (other_values / own_values).min(1.0)
        });
        let least = shares.fold(1.0, f64::min);
        if join.on.iter().any(told) { own.rows * least * condition } else { own.rows * other.share() * condition }
    };
    let of = |rows: f64, whole: f64, columns: Vec<ColumnFacts>| Estimate { rows, whole, width, columns };
    let both = || {
        let mut columns = left.columns.clone();
        // What an input doesn't know of its last columns it leaves out.
        columns.resize(l.fields().len(), ColumnFacts::default());
        columns.extend_from_slice(&right.columns);
        columns
    };
    match join.join_type {
        JoinType::Inner => of(rows, whole, both()),
        JoinType::Left => of(rows.max(left.rows), whole, both()),
        JoinType::Right => of(rows.max(right.rows), whole, both()),
        JoinType::Full => of(rows.max(left.rows + right.rows), whole, both()),
        JoinType::LeftSemi => of(found(left, right, true), left.whole, left.columns.clone()),
        JoinType::RightSemi => of(found(right, left, false), right.whole, right.columns.clone()),
        JoinType::LeftAnti => of(left.rows - 0.9 * found(left, right, true), left.whole, left.columns.clone()),
        JoinType::RightAnti => of(right.rows - 0.9 * found(right, left, false), right.whole, right.columns.clone()),
        JoinType::LeftMark => of(left.rows, left.whole, left.columns.clone()),
        JoinType::RightMark => of(right.rows, right.whole, right.columns.clone()),
    }
}

/// Different values of several columns together: they are seldom independent, so that each further one counts less.
pub(super) fn together(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut weight = 1.0;
    let mut all = 1.0;
    for value in values {
        all *= value.max(1.0).powf(weight);
        weight /= 2.0;
    }
    all
}

fn bytes(schema: &Schema) -> f64 {
    let bytes = |kind: &DataType| match kind {
        DataType::FixedSizeBinary(n) => usize::try_from(*n).unwrap_or(TEXT),
        other => other.primitive_width().unwrap_or(TEXT),
    };
    let all: usize = schema.fields().iter().map(|field| bytes(field.data_type())).sum();
    // Even a row without columns counts for something.
    all.max(1) as f64
}
