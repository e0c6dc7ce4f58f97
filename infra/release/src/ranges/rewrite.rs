//! The statement without functions that give ranges.

use super::{
    asked::{Counted, Wanted, asked},
    beside::{Rows, beside},
    called,
    node::{Place, Ranges, Spread},
};
use crate::release::{
    origin::sources,
    people::{People, PersonId, column_at},
    refusal::{Examples, Instead, ReleaseRefusal},
    roles::{ColumnRole, Roles},
    scope::bare,
    walk::{Analysis, At, Part},
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{
        Column, Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    functions_aggregate::count,
    logical_expr::{
        Aggregate, Cast, Expr, ExprSchemable, Extension, Filter, LogicalPlan, Operator, Projection, binary_expr, lit,
    },
};
use policies::zone::Zone;
use proto::plan::interval::interval;
use std::sync::Arc;

/// Deeper columns are not followed.
const DEEPEST: usize = 64;

/// The statement in which `quantile_range()` and its kin are counts of people in intervals; others stay as they are.
///
/// `plan` is analysed (types coerced), not optimised. In the open zone it has to go through [`crate::release::analyse`] afterwards.
///
/// # Errors
/// A function that can't be answered as it is written, with what to write instead.
pub fn ranged(plan: LogicalPlan, zone: Zone, roles: &dyn Roles) -> Result<LogicalPlan, ReleaseRefusal> {
    let mut asks = false;
    let walked = plan.apply_with_subqueries(|node| {
        asks |= node.expressions().iter().any(|expr| calls(expr).is_some());
        Ok(if asks { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    if walked.is_ok() && !asks {
        return Ok(plan);
    }
    let examples = Examples::of(&plan, roles).unwrap_or_default();
    let mut rewrite = Rewrite { zone, roles, examples, refused: None, number: 0 };
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let before = node.clone();
        match rewrite.node(node) {
            Ok(node) => Ok(node),
            Err(Stop::Refused(reason)) => {
                rewrite.refused.get_or_insert(reason);
                Ok(Transformed::new(before, false, TreeNodeRecursion::Stop))
            }
            Err(Stop::Failed(error)) => Err(error),
        }
    });
    let Rewrite { refused, examples, .. } = rewrite;
    match (refused, rewritten) {
        (None, Ok(rewritten)) => Ok(rewritten.data),
        (Some(reason), _) => Err(examples.refuse(reason, Instead::Range)),
        (None, Err(_)) => Err(examples.refuse("A range can't be told in this form of statement.", Instead::Range)),
    }
}

/// The function that is called anywhere in an expression.
fn calls(expr: &Expr) -> Option<(super::Gives, bool)> {
    let mut found = None;
    // The closure never fails.
    let _ = expr.apply(|part| {
        found = found.or(called(part));
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

struct Rewrite<'r> {
    zone: Zone,
    roles: &'r dyn Roles,
    examples: Examples,
    refused: Option<String>,
    number: u32,
}

enum Stop {
    Refused(String),
    Failed(datafusion::common::DataFusionError),
}

impl From<datafusion::common::DataFusionError> for Stop {
    fn from(error: datafusion::common::DataFusionError) -> Self {
        Self::Failed(error)
    }
}

/// What is counted.
enum Whom {
    /// people, by this column
    People(Expr),
    /// rows, of tables without people
    Rows,
    /// it isn't known: the rules of release will say why
    Unknown,
}

impl Whom {
    fn count(&self) -> Expr {
        match self {
            Self::People(person) => count::count_distinct(person.clone()),
            Self::Rows | Self::Unknown => count::count(lit(1_i64)),
        }
    }
}

impl Rewrite<'_> {
    fn node(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>, Stop> {
        let LogicalPlan::Aggregate(aggregate) = &node else {
            return match node.expressions().iter().find_map(calls) {
                None => Ok(Transformed::no(node)),
                Some((gives, _)) => Err(out_of_place(gives.name())),
            };
        };
        let own = |expr: &Expr| called(bare(expr)).is_some();
        for expr in aggregate.group_expr.iter().chain(aggregate.aggr_expr.iter().filter(|expr| !own(expr))) {
            if let Some((gives, _)) = calls(expr) {
                return Err(out_of_place(gives.name()));
            }
        }
        if !aggregate.aggr_expr.iter().any(own) {
            return Ok(Transformed::no(node));
        }
        match self.aggregate(aggregate)? {
            Some(rewritten) => Ok(Transformed::yes(rewritten)),
            None => Ok(Transformed::no(node)),
        }
    }

    /// The aggregate in parts; `None` when the rules of release have to say why there are none.
    fn aggregate(&mut self, node: &Aggregate) -> Result<Option<LogicalPlan>, Stop> {
        let schema = node.input.schema();
        let mut spreads: Vec<(Counted, Vec<Wanted>)> = Vec::new();
        let mut named: Vec<(String, usize, usize)> = Vec::new();
        let mut others = Vec::new();
        for expr in &node.aggr_expr {
            let (Some((gives, _)), Expr::AggregateFunction(call)) = (called(bare(expr)), bare(expr)) else {
                others.push(expr.clone());
                continue;
            };
            if matches!(node.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
                return Err(Stop::Refused(format!(
                    "{}() doesn't go with ROLLUP, CUBE and GROUPING SETS. Ask one level of groups at a time.",
                    gives.name()
                )));
            }
            let (counted, wanted) = asked(call, gives, schema).map_err(Stop::Refused)?;
            let place = spreads.iter().position(|(known, _)| *known == counted).unwrap_or_else(|| {
                spreads.push((counted, Vec::new()));
                spreads.len() - 1
            });
            if let Some((_, own)) = spreads.get_mut(place) {
                named.push((expr.schema_name().to_string(), place, own.len()));
                own.push(wanted);
            }
        }
        let whom = self.whom(&node.input)?;
        if let Whom::Unknown = whom {
            return Ok(None);
        }
        let mut keys: Vec<Expr> = Vec::with_capacity(node.group_expr.len());
        for key in &node.group_expr {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        if keys.is_empty() && others.is_empty() {
            others.push(whom.count());
        }
        let groups = LogicalPlan::Aggregate(Aggregate::try_new(Arc::clone(&node.input), keys.clone(), others)?);
        let mut places = Vec::with_capacity(node.schema.fields().len());
        for (table, field) in node.schema.iter() {
            let range = named.iter().find(|(name, ..)| table.is_none() && name == field.name());
            places.push(match range {
                Some((name, spread, at)) => Place::Range(*spread, *at, name.clone()),
                None => {
                    let column = Column::new(table.cloned(), field.name());
                    let at = groups.schema().maybe_index_of_column(&column);
                    Place::Group(at.ok_or_else(|| Stop::Refused("A key of the groups has no name.".to_owned()))?)
                }
            });
        }
        let mut counts = Vec::with_capacity(spreads.len());
        for (Counted { value, filter, grid }, wanted) in spreads {
            let has = Expr::IsNotNull(Box::new(value.clone()));
            let has = filter.into_iter().fold(has, |has, filter| binary_expr(has, Operator::And, filter));
            let input = Arc::new(LogicalPlan::Filter(Filter::try_new(has, Arc::clone(&node.input))?));
            let number = match value.get_type(schema)? {
                DataType::Float64 => value,
                _ => Expr::Cast(Cast::new(Box::new(value), DataType::Float64)),
            };
            let mut finer = keys.clone();
            finer.push(interval(number, grid));
            let of =
                |keys| Aggregate::try_new(Arc::clone(&input), keys, vec![whom.count()]).map(LogicalPlan::Aggregate);
            let intervals = of(finer)?;
            let people = of(keys.clone())?;
            counts.push(Spread { intervals, people, grid, wanted });
        }
        let shown = matches!(whom, Whom::People(_)) && self.zone == Zone::Open;
        Ok(Some(if shown {
            let ranges = Ranges::try_new(groups, keys.len(), counts, places)?;
            LogicalPlan::Extension(Extension { node: Arc::new(ranges) })
        } else {
            self.exactly(groups, keys.len(), counts, places)?
        }))
    }

    /// The same where everything may be seen.
    fn exactly(
        &mut self,
        groups: LogicalPlan,
        keys: usize,
        counts: Vec<Spread>,
        places: Vec<Place>,
    ) -> Result<LogicalPlan> {
        let columns: Vec<Expr> = (0..groups.schema().fields().len()).map(|at| column_at(groups.schema(), at)).collect();
        let mut plan = groups;
        let mut ranges = Vec::with_capacity(counts.len());
        for Spread { intervals, grid, wanted, .. } in counts {
            self.number += 1;
            let rows = Rows { intervals, people: None, grid, wanted: &wanted };
            let (joined, own) = beside(plan, keys, rows, self.number)?;
            plan = joined;
            ranges.push(own);
        }
        let column = |place: Place| match place {
            Place::Group(at) => columns.get(at).cloned(),
            Place::Range(spread, at, name) => ranges.get(spread)?.get(at).map(|range| range.clone().alias(name)),
        };
        let columns = places.into_iter().filter_map(column).collect();
        Projection::try_new(columns, Arc::new(plan)).map(LogicalPlan::Projection)
    }

    fn whom(&self, input: &LogicalPlan) -> Result<Whom, Stop> {
        let mut analysis = Analysis::new(self.roles, self.examples.clone(), None);
        let part = analysis.visit(input, At { counted: true, ..At::default() });
        Ok(match (part, self.zone) {
            (Ok(Part::Reference(_)), _) => Whom::Rows,
            (Ok(Part::People(people)), zone) => match (analysis.one_person(&people), zone) {
                (Ok(who), _) => match person(&people, who, input) {
                    Some(person) => Whom::People(person),
                    None if zone == Zone::Enclave => self.traced(input),
                    None => {
                        return Err(Stop::Refused(
                            "Ranges of quantiles count people. Select the person column in the subquery or WITH that they \
                             are taken from."
                                .to_owned(),
                        ));
                    }
                },
                (Err(_), Zone::Enclave) => self.traced(input),
                (Err(_), Zone::Open) => Whom::Unknown,
            },
            (Ok(Part::Cells(_)) | Err(_), Zone::Enclave) => self.traced(input),
            (Ok(Part::Cells(_)) | Err(_), Zone::Open) => Whom::Unknown,
        })
    }

    /// People by the first column that a table's person column is, else rows. For the enclave, where more is answered than the rules
    /// of release can follow.
    fn traced(&self, input: &LogicalPlan) -> Whom {
        let mut columns = (0..input.schema().fields().len()).map(|at| column_at(input.schema(), at));
        columns.find(|column| self.is_person(column, input, 0)).map_or(Whom::Rows, Whom::People)
    }

    fn is_person(&self, expr: &Expr, plan: &LogicalPlan, depth: usize) -> bool {
        let Expr::Column(column) = bare(expr) else { return false };
        if let LogicalPlan::TableScan(scan) = plan {
            return self.roles.role(scan.source.as_ref(), &column.name) == ColumnRole::Person;
        }
        depth < DEEPEST
            && sources(column, plan)
                .is_some_and(|sources| sources.iter().all(|from| self.is_person(&from.expr, from.plan, depth + 1)))
    }
}

/// A column of the statement's own that always carries this person.
fn person(people: &People, who: PersonId, input: &LogicalPlan) -> Option<Expr> {
    let at = people.carrier(who).filter(|at| people.columns.get(*at).is_some_and(|column| !column.hidden))?;
    let Expr::Column(column) = column_at(people.plan.schema(), at) else { return None };
    input.schema().maybe_index_of_column(&column).map(|_| Expr::Column(column))
}

fn out_of_place(name: &str) -> Stop {
    Stop::Refused(format!(
        "{name}() is an aggregate beside others, in a SELECT with or without GROUP BY. With OVER, inside another aggregate or below one \
         it isn't answered: give the groups a name (WITH g AS (SELECT kom, {name}(x, 0.5) AS q FROM .. GROUP BY kom)) and \
         work on its rows."
    ))
}
