//! A logical plan over tables of one spoke as a fragment.

use std::collections::HashSet;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, FetchType, Join, Limit, LogicalPlan, Projection, SkipType, Sort, TableScan,
};

use super::Unsayable;
use super::encode_expr::expr;
use super::measure::encode_measure;
use crate::fragment::build::{self, sort_limit};
use crate::fragment::{self, Limits};
use crate::ids::TableName;
use crate::wire::{self, JoinKey, JoinKind, NamedExpr, NamedMeasure, Rel, SortKey};

/// More nested nodes than this are refused before they could use up the stack.
const MAX_DEPTH: usize = 50;
/// A longer name of a column, or one that can't be shown, travels as another; bytes.
const MAX_NAME: usize = 1024;
/// So begin the names that the engine gives to expressions which it computes once. The spoke's engine counts from one again, and
/// would take ours for its own.
const MADE: &str = "__common_expr_";

/// A plan as a fragment, and the names under which its columns come back.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// what is asked
    pub fragment: wire::Fragment,
    /// one name a column, in the plan's order; differs from the plan's own where two columns have one name
    pub columns: Vec<String>,
}

/// Says a plan over tables of one spoke, or names what cannot be said. The columns come back under the plan's own names.
pub fn encode_plan(p: &LogicalPlan) -> Result<wire::Fragment, Unsayable> {
    let said = say(p)?;
    let same = said.columns.iter().eq(p.schema().fields().iter().map(|field| field.name()));
    // an expression's name holds its constants
    if same { Ok(said.fragment) } else { Err(Unsayable::new("two columns of the same name")) }
}

/// Says a plan over tables of one spoke, under names that are all different.
///
/// # Errors
/// When it, or a part of it, cannot be said; names the part.
pub fn say(p: &LogicalPlan) -> Result<Said, Unsayable> {
    let Part { rel, names } = part(p, 0)?;
    let fragment = build::fragment(rel);
    // what the other side would refuse cannot be said
    fragment::check(&fragment, &Limits::default())?;
    Ok(Said { fragment, columns: names })
}

/// A relation, and the name of each of its columns on the wire, in the order of the plan's schema.
struct Part {
    rel: Rel,
    names: Vec<String>,
}

fn part(p: &LogicalPlan, depth: usize) -> Result<Part, Unsayable> {
    if depth > MAX_DEPTH {
        return Err(Unsayable::new(format!("a plan nested more than {MAX_DEPTH} levels deep")));
    }
    let said = node(p, depth)?;
    if said.names.len() != p.schema().fields().len() {
        return Err(Unsayable::new("a node whose columns are not its input's"));
    }
    Ok(said)
}

fn node(p: &LogicalPlan, depth: usize) -> Result<Part, Unsayable> {
    let input = |p: &LogicalPlan| part(p, depth + 1);
    match p {
        LogicalPlan::TableScan(scan) => table_scan(scan),
        LogicalPlan::SubqueryAlias(alias) => input(&alias.input), // renames the table only
        LogicalPlan::Filter(filter) => {
            let below = input(&filter.input)?;
            let predicate = below.expr(filter.input.schema(), &filter.predicate)?;
            Ok(Part { rel: build::filter(below.rel, predicate), names: below.names })
        }
        LogicalPlan::Projection(projection) => {
            let below = input(&projection.input)?;
            let exprs = projected(projection, &below)?;
            // says nothing: the decoder makes such steps to free columns of their table's name
            if exprs
                .iter()
                .map(|e| (&e.name, e.expr.as_ref()))
                .eq(columns(&below.names).iter().map(|e| (&e.name, e.expr.as_ref())))
            {
                return Ok(below);
            }
            let names = exprs.iter().map(|e| e.name.clone()).collect();
            Ok(Part { rel: build::project(below.rel, exprs), names })
        }
        LogicalPlan::Aggregate(a) => {
            let below = input(&a.input)?;
            let (groups, measures) = aggregate(a, &below)?;
            let names = groups.iter().map(|g| &g.name).chain(measures.iter().map(|m| &m.name)).cloned().collect();
            Ok(Part { rel: build::aggregate(below.rel, groups, measures), names })
        }
        LogicalPlan::Distinct(Distinct::All(inner)) => {
            let Part { rel, names } = input(inner)?;
            Ok(Part { rel: build::aggregate(rel, columns(&names), Vec::new()), names })
        }
        LogicalPlan::Distinct(Distinct::On(_)) => Err(Unsayable::new("DISTINCT ON")),
        LogicalPlan::Sort(sort) => {
            let below = input(&sort.input)?;
            let keys = sort_keys(sort, &below)?;
            Ok(Part { rel: sort_limit(below.rel, keys, sort.fetch.map(rows), 0), names: below.names })
        }
        LogicalPlan::Limit(limit) => {
            let (skip, fetch) = bounds(limit)?;
            if let LogicalPlan::Sort(sort) = &*limit.input
                && covers(sort.fetch, skip, fetch)
            {
                let below = input(&sort.input)?;
                let keys = sort_keys(sort, &below)?;
                return Ok(Part { rel: sort_limit(below.rel, keys, fetch, skip), names: below.names });
            }
            let Part { rel, names } = input(&limit.input)?;
            // The engine says a limit twice: above, and inside the scan.
            if skip == 0 && fetch.is_some_and(|fetch| limited(&rel).is_some_and(|kept| kept <= fetch)) {
                return Ok(Part { rel, names });
            }
            Ok(Part { rel: sort_limit(rel, Vec::new(), fetch, skip), names })
        }
        LogicalPlan::Join(j) => join(j, depth),
        LogicalPlan::Extension(extension) => Err(Unsayable::new(format!("node {}", extension.node.name()))),
        other => Err(Unsayable::new(format!("node {}", node_name(other)))),
    }
}

impl Part {
    /// Says an expression over this part's columns; `schema` is the plan's.
    fn expr(&self, schema: &DFSchema, e: &Expr) -> Result<wire::Expr, Unsayable> {
        expr(&self.renamed(schema, e)?, 0)
    }

    /// The expression with the columns' names on the wire in it.
    fn renamed(&self, schema: &DFSchema, e: &Expr) -> Result<Expr, Unsayable> {
        renamed(e, |column| self.name(schema, column))
    }

    fn name(&self, schema: &DFSchema, column: &Column) -> Option<String> {
        self.names.get(schema.maybe_index_of_column(column)?).cloned()
    }
}

fn renamed(e: &Expr, name: impl Fn(&Column) -> Option<String>) -> Result<Expr, Unsayable> {
    let mut unknown = false;
    let renamed = e.clone().transform(|e| {
        Ok(match e {
            Expr::Column(column) => match name(&column) {
                Some(name) if column.relation.is_none() && name == column.name => Transformed::no(Expr::Column(column)),
                Some(name) => Transformed::yes(Expr::Column(Column::new_unqualified(name))),
                None => {
                    unknown = true;
                    Transformed::no(Expr::Column(column))
                }
            },
            other => Transformed::no(other),
        })
    });
    match renamed {
        Ok(renamed) if !unknown => Ok(renamed.data),
        _ => Err(Unsayable::new("a column that is not its input's")),
    }
}

/// Gives each column a name of its own that may travel: its own where it can be.
#[derive(Default)]
struct Free(HashSet<String>);

impl Free {
    fn name(&mut self, wanted: &str) -> String {
        let fits = !wanted.is_empty()
            && wanted.len() <= MAX_NAME
            && !wanted.starts_with(MADE)
            && !wanted.chars().any(char::is_control);
        let stem = if fits { wanted } else { "expr" };
        let mut name = stem.to_owned();
        let mut number = 1;
        while !self.0.insert(name.clone()) {
            number += 1;
            name = format!("{stem}_{number}");
        }
        name
    }
}

fn join(j: &Join, depth: usize) -> Result<Part, Unsayable> {
    if j.null_aware {
        return Err(Unsayable::new("NOT IN over a subquery that may give NULL"));
    }
    // what the wire calls left is what all rows are kept of
    let (kind, turned, both) = match j.join_type {
        JoinType::Inner => (JoinKind::Inner, false, true),
        JoinType::Left => (JoinKind::Left, false, true),
        JoinType::Right => (JoinKind::Left, true, true),
        JoinType::LeftSemi => (JoinKind::Semi, false, false),
        JoinType::RightSemi => (JoinKind::Semi, true, false),
        JoinType::LeftAnti => (JoinKind::Anti, false, false),
        JoinType::RightAnti => (JoinKind::Anti, true, false),
        other => return Err(Unsayable::new(format!("{other} join"))),
    };
    if j.on.is_empty() {
        return Err(Unsayable::new(format!("{} join without a column that is equal on both sides", j.join_type)));
    }
    let left = part(&j.left, depth + 1)?;
    let mut right = part(&j.right, depth + 1)?;
    let mut free = Free::default();
    for name in &left.names {
        free.name(name);
    }
    let names: Vec<String> = right.names.iter().map(|name| free.name(name)).collect();
    if names != right.names {
        let again = names.iter().zip(&right.names).map(|(new, old)| build::named(new, of_column(old))).collect();
        right = Part { rel: build::project(right.rel, again), names };
    }
    let (from, to) = (j.left.schema(), j.right.schema());
    let mut on = Vec::with_capacity(j.on.len());
    for (a, b) in &j.on {
        let (a, b) = (Some(left.expr(from, a)?), Some(right.expr(to, b)?));
        on.push(if turned { JoinKey { left: b, right: a } } else { JoinKey { left: a, right: b } });
    }
    let condition = match &j.filter {
        None => None,
        Some(filter) => {
            let name = |column: &Column| match (left.name(from, column), right.name(to, column)) {
                (Some(name), None) | (None, Some(name)) => Some(name),
                _ => None,
            };
            Some(expr(&renamed(filter, name)?, 0)?)
        }
    };
    let all: Vec<String> = left.names.iter().chain(&right.names).cloned().collect();
    let names = match (both, turned) {
        (true, _) => all,
        (false, false) => left.names.clone(),
        (false, true) => right.names.clone(),
    };
    let (left, right) = if turned { (right, left) } else { (left, right) };
    let joined = wire::Join {
        condition,
        nulls_match: j.null_equality == NullEquality::NullEqualsNull,
        ..build::join(kind, left.rel, right.rel, on)
    };
    let mut rel = build::joined(joined);
    if turned && both {
        rel = build::project(rel, columns(&names));
    }
    Ok(Part { rel, names })
}

fn table_scan(scan: &TableScan) -> Result<Part, Unsayable> {
    let table = scan.table_name.table();
    let table = TableName::try_from(table).map_err(|error| Unsayable::new(format!("a scan of this table: {error}")))?;
    let names = |schema: &DFSchema| -> Vec<String> { schema.fields().iter().map(|f| f.name().clone()).collect() };
    let wanted = names(&scan.projected_schema);
    let mut read = wanted.clone();
    for filter in &scan.filters {
        // a filter may be on a column that is not in the output
        for column in filter.column_refs() {
            if !read.contains(&column.name) {
                read.push(column.name.clone());
            }
        }
    }
    // the order of a set of references is not the same each time
    read.get_mut(wanted.len()..).unwrap_or_default().sort();
    let mut rel = build::read(&table, &read);
    let filter = scan.filters.iter().cloned().reduce(Expr::and);
    if let Some(filter) = filter {
        rel = build::filter(rel, expr(&filter, 0)?);
    }
    if read.len() > wanted.len() {
        rel = build::project(rel, columns(&wanted));
    }
    if let Some(fetch) = scan.fetch {
        rel = build::limit(rel, rows(fetch));
    }
    Ok(Part { rel, names: wanted })
}

fn of_column(name: &str) -> wire::Expr {
    wire::Expr { kind: Some(wire::expr::Kind::Column(name.to_owned())) }
}

fn columns(names: &[String]) -> Vec<NamedExpr> {
    names.iter().map(|name| build::named(name, of_column(name))).collect()
}

fn projected(projection: &Projection, below: &Part) -> Result<Vec<NamedExpr>, Unsayable> {
    let fields = projection.schema.fields();
    if fields.len() != projection.expr.len() {
        return Err(Unsayable::new("a projection whose columns are not its expressions"));
    }
    let mut free = Free::default();
    let named = fields.iter().zip(&projection.expr);
    named
        .map(|(field, e)| Ok(build::named(free.name(field.name()), below.expr(projection.input.schema(), e)?)))
        .collect()
}

fn aggregate(a: &Aggregate, below: &Part) -> Result<(Vec<NamedExpr>, Vec<NamedMeasure>), Unsayable> {
    if a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
        return Err(Unsayable::new("GROUPING SETS, CUBE or ROLLUP"));
    }
    // GROUP BY x, x is two expressions and one column
    let mut group_exprs: Vec<&Expr> = Vec::with_capacity(a.group_expr.len());
    for e in &a.group_expr {
        if !group_exprs.contains(&e) {
            group_exprs.push(e);
        }
    }
    let fields = a.schema.fields();
    if fields.len() != group_exprs.len() + a.aggr_expr.len() {
        return Err(Unsayable::new("an aggregate whose columns are not its expressions"));
    }
    let mut free = Free::default();
    let schema = a.input.schema();
    let mut groups = Vec::with_capacity(group_exprs.len());
    for (field, e) in fields.iter().zip(&group_exprs) {
        groups.push(build::named(free.name(field.name()), below.expr(schema, e)?));
    }
    let mut measures = Vec::with_capacity(a.aggr_expr.len());
    for (field, e) in fields.iter().skip(group_exprs.len()).zip(&a.aggr_expr) {
        let measure = encode_measure(&below.renamed(schema, e)?)?;
        measures.push(NamedMeasure { name: free.name(field.name()), measure: Some(measure) });
    }
    Ok((groups, measures))
}

fn sort_keys(sort: &Sort, below: &Part) -> Result<Vec<SortKey>, Unsayable> {
    let schema = sort.input.schema();
    let keys = sort.expr.iter().map(|key| {
        let expr = Some(below.expr(schema, &key.expr)?);
        Ok(SortKey { expr, descending: !key.asc, nulls_first: key.nulls_first })
    });
    keys.collect()
}

fn bounds(limit: &Limit) -> Result<(u64, Option<u64>), Unsayable> {
    let cannot = |what: &str| Unsayable::new(format!("{what} that is not a constant"));
    let skip = match limit.get_skip_type() {
        Ok(SkipType::Literal(skip)) => rows(skip),
        _ => return Err(cannot("OFFSET")),
    };
    match limit.get_fetch_type() {
        Ok(FetchType::Literal(fetch)) => Ok((skip, fetch.map(rows))),
        _ => Err(cannot("LIMIT")),
    }
}

/// How many rows a relation gives at most, when it is but a limit.
fn limited(rel: &Rel) -> Option<u64> {
    match &rel.kind {
        Some(wire::rel::Kind::SortLimit(sort)) => sort.limit,
        _ => None,
    }
}

/// Whether a sort that keeps `kept` rows keeps all that skip and limit look at.
fn covers(kept: Option<usize>, skip: u64, fetch: Option<u64>) -> bool {
    match (kept.map(rows), fetch) {
        (None, _) => true,
        (Some(kept), Some(fetch)) => skip.saturating_add(fetch) <= kept,
        (Some(_), None) => false,
    }
}

fn rows(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn node_name(p: &LogicalPlan) -> &'static str {
    match p {
        LogicalPlan::Window(_) => "Window",
        LogicalPlan::Repartition(_) => "Repartition",
        LogicalPlan::Union(_) => "Union",
        LogicalPlan::EmptyRelation(_) => "EmptyRelation",
        LogicalPlan::Subquery(_) => "Subquery",
        LogicalPlan::Statement(_) => "Statement",
        LogicalPlan::Values(_) => "Values",
        LogicalPlan::Explain(_) => "Explain",
        LogicalPlan::Analyze(_) => "Analyze",
        LogicalPlan::Dml(_) => "Dml",
        LogicalPlan::Ddl(_) => "Ddl",
        LogicalPlan::Copy(_) => "Copy",
        LogicalPlan::DescribeTable(_) => "DescribeTable",
        LogicalPlan::Unnest(_) => "Unnest",
        LogicalPlan::RecursiveQuery(_) => "RecursiveQuery",
        _ => "of an unknown kind",
    }
}
