//! A logical plan over one table as a fragment.

use std::collections::HashSet;

use datafusion::common::DFSchema;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, FetchType, Limit, LogicalPlan, Projection, SkipType, Sort, TableScan,
};

use super::Unsayable;
use super::encode_expr::expr;
use super::measure::encode_measure;
use crate::fragment::build::{self, sort_limit};
use crate::fragment::{self, Limits};
use crate::ids::TableName;
use crate::wire::{self, NamedExpr, NamedMeasure, Rel, SortKey};

/// More nested nodes than this are refused before they could use up the stack.
const MAX_DEPTH: usize = 50;

/// Says a plan that reads one table, or names what cannot be said.
pub fn encode_plan(p: &LogicalPlan) -> Result<wire::Fragment, Unsayable> {
    let fragment = build::fragment(rel(p, 0)?);
    // what the other side would refuse cannot be said
    fragment::check(&fragment, &Limits::default())?;
    Ok(fragment)
}

fn rel(p: &LogicalPlan, depth: usize) -> Result<Rel, Unsayable> {
    if depth > MAX_DEPTH {
        return Err(Unsayable::new(format!("a plan nested more than {MAX_DEPTH} levels deep")));
    }
    let said = node(p, depth)?;
    unambiguous(p.schema())?;
    Ok(said)
}

fn node(p: &LogicalPlan, depth: usize) -> Result<Rel, Unsayable> {
    let input = |p: &LogicalPlan| rel(p, depth + 1);
    match p {
        LogicalPlan::TableScan(scan) => table_scan(scan),
        LogicalPlan::SubqueryAlias(alias) => input(&alias.input), // renames the table only
        LogicalPlan::Filter(filter) => Ok(build::filter(input(&filter.input)?, expr(&filter.predicate, 0)?)),
        LogicalPlan::Projection(projection) => {
            let exprs = projected(projection)?;
            Ok(build::project(input(&projection.input)?, exprs))
        }
        LogicalPlan::Aggregate(a) => {
            let (groups, measures) = aggregate(a)?;
            Ok(build::aggregate(input(&a.input)?, groups, measures))
        }
        LogicalPlan::Distinct(Distinct::All(inner)) => {
            let groups = columns(inner.schema());
            Ok(build::aggregate(input(inner)?, groups, Vec::new()))
        }
        LogicalPlan::Distinct(Distinct::On(_)) => Err(Unsayable::new("DISTINCT ON")),
        LogicalPlan::Sort(sort) => {
            let limit = sort.fetch.map(rows);
            Ok(sort_limit(input(&sort.input)?, sort_keys(sort)?, limit, 0))
        }
        LogicalPlan::Limit(limit) => {
            let (skip, fetch) = bounds(limit)?;
            if let LogicalPlan::Sort(sort) = &*limit.input
                && covers(sort.fetch, skip, fetch)
            {
                return Ok(sort_limit(input(&sort.input)?, sort_keys(sort)?, fetch, skip));
            }
            Ok(sort_limit(input(&limit.input)?, Vec::new(), fetch, skip))
        }
        LogicalPlan::Join(join) => Err(Unsayable::new(format!("{} join", join.join_type))),
        LogicalPlan::Extension(extension) => Err(Unsayable::new(format!("node {}", extension.node.name()))),
        other => Err(Unsayable::new(format!("node {}", node_name(other)))),
    }
}

/// Columns travel by their unqualified names.
fn unambiguous(schema: &DFSchema) -> Result<(), Unsayable> {
    let mut seen = HashSet::new();
    match schema.fields().iter().find(|f| !seen.insert(f.name())) {
        // an expression's name holds its constants
        Some(_) => Err(Unsayable::new("two columns of the same name")),
        None => Ok(()),
    }
}

fn table_scan(scan: &TableScan) -> Result<Rel, Unsayable> {
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
        rel = build::project(rel, columns(&scan.projected_schema));
    }
    Ok(match scan.fetch {
        Some(fetch) => build::limit(rel, rows(fetch)),
        None => rel,
    })
}

fn columns(schema: &DFSchema) -> Vec<NamedExpr> {
    let column = |name: &String| wire::Expr { kind: Some(wire::expr::Kind::Column(name.clone())) };
    let fields = schema.fields().iter();
    fields.map(|f| build::named(f.name(), column(f.name()))).collect()
}

fn projected(projection: &Projection) -> Result<Vec<NamedExpr>, Unsayable> {
    let fields = projection.schema.fields();
    if fields.len() != projection.expr.len() {
        return Err(Unsayable::new("a projection whose columns are not its expressions"));
    }
    let named = fields.iter().zip(&projection.expr);
    named.map(|(field, e)| Ok(build::named(field.name(), expr(e, 0)?))).collect()
}

fn aggregate(a: &Aggregate) -> Result<(Vec<NamedExpr>, Vec<NamedMeasure>), Unsayable> {
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
    let groups = fields.iter().zip(&group_exprs);
    let groups = groups.map(|(field, e)| Ok(build::named(field.name(), expr(e, 0)?)));
    let measures = fields.iter().skip(group_exprs.len()).zip(&a.aggr_expr);
    let measures =
        measures.map(|(field, e)| Ok(NamedMeasure { name: field.name().clone(), measure: Some(encode_measure(e)?) }));
    Ok((groups.collect::<Result<_, Unsayable>>()?, measures.collect::<Result<_, Unsayable>>()?))
}

fn sort_keys(sort: &Sort) -> Result<Vec<SortKey>, Unsayable> {
    let keys = sort
        .expr
        .iter()
        .map(|key| Ok(SortKey { expr: Some(expr(&key.expr, 0)?), descending: !key.asc, nulls_first: key.nulls_first }));
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
