//! Aggregates, and `ORDER BY .. LIMIT`, over several spokes: each spoke does its part, the hub merges.
//!
//! `agg(a UNION ALL b)` becomes `merge(agg(a) UNION ALL agg(b))`. Different people, and other DISTINCT counts, don't add up
//! where spokes share them: then each spoke sends its different (group, person) pairs, with the other measures per pair. Where
//! it was found that no two members of a national table share a person (`plan::disjoint`), they do.
//!
//! INVARIANT: an aggregate is taken apart only when all its measures merge exactly; else its rows travel as before.

use super::{
    Result, blind,
    measure::{Merged, Parts},
    share,
};
use datafusion::{
    common::{Column, DFSchema},
    logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, Projection, Sort, Union},
};
use std::sync::Arc;

/// Decides where a branch's part runs.
type Place<'a> = &'a mut dyn FnMut(LogicalPlan) -> Result<LogicalPlan>;

/// What became of an aggregate.
pub(super) enum Taken {
    /// each branch does its part
    Apart(LogicalPlan),
    /// it is over several branches, and doesn't merge, for this reason
    Whole(String),
    /// it is over no union
    Single,
}

/// The inputs of a UNION ALL below `plan`, each with the nodes between them and `plan` on it, under `plan`'s own columns.
pub(super) fn branches(plan: &LogicalPlan) -> Result<Option<Vec<LogicalPlan>>> {
    let mut between = Vec::new();
    let mut next = plan;
    let union = loop {
        match next {
            LogicalPlan::Union(union) => break union,
            LogicalPlan::Projection(node) => {
                between.push(next);
                next = &node.input;
            }
            LogicalPlan::SubqueryAlias(node) => {
                between.push(next);
                next = &node.input;
            }
            LogicalPlan::Filter(node) => {
                between.push(next);
                next = &node.input;
            }
            _ => return Ok(None),
        }
    };
    let mut branches = Vec::with_capacity(union.inputs.len());
    for input in &union.inputs {
        let mut branch = named_as(input, &union.schema)?;
        for node in between.iter().rev() {
            branch = node.with_new_exprs(node.expressions(), vec![branch])?;
        }
        branches.push(branch);
    }
    Ok(Some(branches))
}

/// An input of a union under the union's names.
fn named_as(input: &Arc<LogicalPlan>, schema: &DFSchema) -> Result<LogicalPlan> {
    let same = input.schema().iter().map(|(q, f)| (q, f.name())).eq(schema.iter().map(|(q, f)| (q, f.name())));
    if same {
        return Ok(LogicalPlan::clone(input));
    }
    let columns = input.schema().columns().into_iter().zip(schema.iter());
    let columns = columns.map(|(c, (table, field))| Expr::Column(c).alias_qualified(table.cloned(), field.name()));
    Projection::try_new(columns.collect(), Arc::clone(input)).map(LogicalPlan::Projection)
}

/// An aggregate over a union, taken apart.
pub(super) fn aggregate(node: &Aggregate, place: Place<'_>) -> Result<Taken> {
    let Some(branches) = branches(&node.input)? else { return Ok(Taken::Single) };
    let (groups, sets) = match node.group_expr.as_slice() {
        [Expr::GroupingSet(set)] => (set.distinct_expr().into_iter().cloned().collect(), Some(set)),
        exprs => (distinct(exprs), None),
    };
    // Sets are put together from finer groups, over which one person can be in several.
    let disjoint = |e: &Expr| sets.is_none() && share::disjoint(e, &branches);
    let parts = match Parts::of(&node.aggr_expr, node.input.schema(), &disjoint)? {
        Ok(parts) => parts,
        Err(reason) => return Ok(Taken::Whole(reason)),
    };
    let group_names: Vec<String> = (0..groups.len()).map(|i| format!("__eger_group_{i}")).collect();
    let mut keys = groups.clone();
    let mut names = group_names.clone();
    if let Some(distinct) = &parts.distinct {
        keys.push(distinct.clone());
        names.push(super::measure::DISTINCT.to_owned());
    }
    names.extend(parts.names());
    // Keys that are one expression are one column.
    let columns_of_keys = distinct(&keys);

    let partials = branches.into_iter().map(|branch| {
        let partial = Aggregate::try_new(Arc::new(branch), columns_of_keys.clone(), parts.exprs())?;
        let columns = partial.schema.columns();
        let at = |i: usize| columns.get(i).cloned();
        let mut shown = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let place = match keys.get(i) {
                Some(key) => columns_of_keys.iter().position(|k| k == key).unwrap_or(i),
                None => i - keys.len() + columns_of_keys.len(),
            };
            let Some(column) = at(place) else { return Ok(None) };
            shown.push(Expr::Column(column).alias(name));
        }
        let shown = Projection::try_new(shown, Arc::new(LogicalPlan::Aggregate(partial)))?;
        Ok(Some(Arc::new(place(LogicalPlan::Projection(shown))?)))
    });
    let Some(partials) = partials.collect::<Result<Option<Vec<_>>>>()? else { return Ok(Taken::Single) };
    let union = match blind::total(&partials)? {
        Some(total) => total,
        None => LogicalPlan::Union(Union::try_new(partials)?),
    };

    let key = |name: &String| Expr::Column(Column::new_unqualified(name));
    let group_expr = match sets {
        None => group_names.iter().map(key).collect(),
        Some(set) => vec![Expr::GroupingSet(renamed(set, &groups, &group_names))],
    };
    let Merged { measures, results } = parts.merge();
    let merged = Aggregate::try_new(Arc::new(union), group_expr, measures)?;
    let merged_columns = merged.schema.columns();
    let before = node.schema.fields().len() - node.aggr_expr.len();
    let mut shown = Vec::with_capacity(node.schema.fields().len());
    for (i, (table, field)) in node.schema.iter().enumerate() {
        let expr = match i.checked_sub(before) {
            // groups, and the engine's own column that tells grouping sets apart
            None => match merged_columns.get(i) {
                Some(column) => Expr::Column(column.clone()),
                None => return Ok(Taken::Single),
            },
            Some(i) => match results.get(i) {
                Some(result) => result.clone(),
                None => return Ok(Taken::Single),
            },
        };
        shown.push(expr.alias_qualified(table.cloned(), field.name()));
    }
    let shown = Projection::try_new(shown, Arc::new(LogicalPlan::Aggregate(merged)))?;
    let same =
        shown.schema.fields().iter().map(|f| f.data_type()).eq(node.schema.fields().iter().map(|f| f.data_type()));
    Ok(if same { Taken::Apart(LogicalPlan::Projection(shown)) } else { Taken::Single })
}

/// `ORDER BY .. LIMIT` over a union: each branch gives its first rows, of which the hub takes the first.
pub(super) fn first_rows(sort: &Sort, place: Place<'_>) -> Result<Option<LogicalPlan>> {
    if sort.fetch.is_none() {
        return Ok(None);
    }
    let Some(branches) = branches(&sort.input)? else { return Ok(None) };
    let firsts = branches
        .into_iter()
        .map(|branch| place(LogicalPlan::Sort(Sort { input: Arc::new(branch), ..sort.clone() })).map(Arc::new))
        .collect::<Result<Vec<_>>>()?;
    let union = Union { inputs: firsts, schema: Arc::clone(sort.input.schema()) };
    Ok(Some(LogicalPlan::Sort(Sort { input: Arc::new(LogicalPlan::Union(union)), ..sort.clone() })))
}

fn distinct(exprs: &[Expr]) -> Vec<Expr> {
    let mut seen: Vec<Expr> = Vec::with_capacity(exprs.len());
    for expr in exprs {
        if !seen.contains(expr) {
            seen.push(expr.clone());
        }
    }
    seen
}

/// The same sets over columns of the partial results.
fn renamed(set: &GroupingSet, groups: &[Expr], names: &[String]) -> GroupingSet {
    let one = |e: &Expr| {
        let found = groups.iter().position(|g| g == e).and_then(|i| names.get(i));
        found.map_or_else(|| e.clone(), |name| Expr::Column(Column::new_unqualified(name)))
    };
    let all = |list: &Vec<Expr>| list.iter().map(one).collect::<Vec<_>>();
    match set {
        GroupingSet::Rollup(list) => GroupingSet::Rollup(all(list)),
        GroupingSet::Cube(list) => GroupingSet::Cube(all(list)),
        GroupingSet::GroupingSets(lists) => GroupingSet::GroupingSets(lists.iter().map(all).collect()),
    }
}
