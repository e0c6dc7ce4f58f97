//! Joins in an order in which tables of one spoke meet first.
//!
//! The engine joins in the order in which a statement names its tables. A table of another controller in between would
//! keep two tables of one spoke apart, and both would travel. So the inner joins of a statement are taken apart into
//! relations, keys and conditions, and put together again: first those of one spoke that a key connects, then the rest, in
//! the order that moves and gives least ([`super::order`]).
//!
//! INVARIANT: only inner joins are touched; every condition is used exactly once, and of the keys none is left out that doesn't
//! follow from those used.

use super::{
    Result,
    equal::Equal,
    estimate::{Estimate, estimate},
    order::{Edge, cheapest},
    site,
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, DFSchema, JoinConstraint, JoinType, NullEquality, tree_node::Transformed},
    logical_expr::{
        Expr, ExprSchemable, Filter, Join, LogicalPlan, Projection,
        utils::{conjunction, split_conjunction_owned},
    },
};
use proto::ids::ControllerId;
use std::{collections::HashSet, sync::Arc};

/// Puts the joins of a plan in that order. `None`: nothing would change.
///
/// # Errors
/// When a plan can't be built.
pub(super) fn ordered(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut changed = false;
    let ordered = plan.clone().transform_down_with_subqueries(|node| {
        if !is_join(&node) {
            return Ok(Transformed::no(node));
        }
        let mut parts = Parts::default();
        parts.take(&node);
        match parts.clustered(node.schema())? {
            // What is below was taken apart as well.
            Some(joined) => {
                changed = true;
                Ok(Transformed::new(joined, true, datafusion::common::tree_node::TreeNodeRecursion::Jump))
            }
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(changed.then_some(ordered.data))
}

fn is_join(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Join(join)
        if join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNothing && !join.null_aware)
}

/// Inner joins taken apart.
#[derive(Default)]
struct Parts {
    relations: Vec<LogicalPlan>,
    /// pairs that must be equal, each side of one relation; those that follow come after those written
    keys: Vec<(Expr, Expr)>,
    conditions: Vec<Expr>,
    /// what the parts that were joined hold
    joined: Equal,
}

impl Parts {
    fn take(&mut self, plan: &LogicalPlan) {
        match plan {
            LogicalPlan::Join(join) if is_join(plan) => {
                self.take(&join.left);
                self.take(&join.right);
                self.keys.extend(join.on.iter().cloned());
                self.conditions.extend(join.filter.iter().cloned().flat_map(split_conjunction_owned));
            }
            // leaves columns out, and nothing else
            LogicalPlan::Projection(node) if plain(node) && is_join(&node.input) => self.take(&node.input),
            other => self.relations.push(other.clone()),
        }
    }

    /// Which relation has all columns of an expression.
    fn relation(&self, e: &Expr) -> Option<usize> {
        let columns = e.column_refs();
        let all = |plan: &LogicalPlan| columns.iter().all(|column| has(plan.schema(), column));
        let mut found = self.relations.iter().enumerate().filter(|(_, plan)| !columns.is_empty() && all(plan));
        match (found.next(), found.next()) {
            (Some((place, _)), None) => Some(place),
            _ => None,
        }
    }

    fn kind(&self, place: usize, e: &Expr) -> Option<DataType> {
        self.relations.get(place).and_then(|plan| e.get_type(plan.schema()).ok())
    }

    fn clustered(mut self, schema: &DFSchema) -> Result<Option<LogicalPlan>> {
        if self.relations.len() < 3 || !told_apart(&self.relations) {
            return Ok(None);
        }
        let sites: Vec<Option<ControllerId>> = self.relations.iter().map(site_of).collect();
        let mut edges = Vec::with_capacity(self.keys.len());
        for (a, b) in &self.keys {
            match (self.relation(a), self.relation(b)) {
                (Some(x), Some(y)) => edges.push((x, y)),
                _ => return Ok(None),
            }
        }
        let mut clusters = clusters(&sites, &edges);
        let equal = Equal::of(&self.keys);
        for (a, b) in equal.implied(&self.keys) {
            // Two columns of one table: the keys that were written see to it.
            if let (Some(x), Some(y)) = (self.relation(&a), self.relation(&b))
                && x != y
                && self.kind(x, &a) == self.kind(y, &b)
            {
                edges.push((x, y));
                self.keys.push((a, b));
            }
        }
        let estimates: Vec<Estimate> = self.relations.iter().map(estimate).collect();
        let values = |(a, b): &(Expr, Expr), (x, y): (usize, usize)| {
            let of = |place: usize, e: &Expr| match (estimates.get(place), self.relations.get(place)) {
                (Some(rows), Some(plan)) => rows.distinct(e, plan.schema()),
                _ => 1.0,
            };
            (of(x, a), of(y, b))
        };
        let keys: Vec<Edge> = self
            .keys
            .iter()
            .zip(&edges)
            .map(|(key, parts)| Edge { parts: *parts, values: values(key, *parts), class: equal.class(&key.0) })
            .collect();
        for members in clusters.iter_mut().filter(|members| members.len() > 1) {
            let Some(order) = cheapest_of(members, &estimates, &keys) else { return Ok(None) };
            *members = order;
        }
        let mut parts = Vec::with_capacity(clusters.len());
        for members in &clusters {
            let Some(part) = self.one(members, &mut edges)? else { return Ok(None) };
            parts.push(part);
        }
        let of = |relation: usize| clusters.iter().position(|members| members.contains(&relation)).unwrap_or_default();
        let between = keys.iter().map(|key| Edge { parts: (of(key.parts.0), of(key.parts.1)), ..*key });
        let between: Vec<Edge> = between.filter(|key| key.parts.0 != key.parts.1).collect();
        let estimates: Vec<Estimate> = parts.iter().map(estimate).collect();
        let Some(order) = cheapest(&estimates, &between) else { return Ok(None) };
        let members = order.iter().filter_map(|part| clusters.get(*part)).flatten().copied();
        if members.eq(0..self.relations.len())
            && order.iter().skip(1).all(|part| clusters.get(*part).is_some_and(|c| c.len() == 1))
        {
            // left-deep, in this order already
            return Ok(None);
        }
        let mut whole: Option<(LogicalPlan, HashSet<usize>)> = None;
        for place in order {
            let (Some(part), Some(members)) = (parts.get(place), clusters.get(place)) else { return Ok(None) };
            let (part, members) = (part.clone(), members.iter().copied().collect());
            whole = Some(match whole.take() {
                None => (part, members),
                Some((left, mut inside)) => {
                    let Some(joined) = self.join(left, &inside, part, &members, &mut edges)? else {
                        return Ok(None);
                    };
                    inside.extend(members);
                    (joined, inside)
                }
            });
        }
        let Some((mut plan, _)) = whole else { return Ok(None) };
        if !self.keys.is_empty() {
            return Ok(None);
        }
        if let Some(rest) = conjunction(std::mem::take(&mut self.conditions)) {
            plan = LogicalPlan::Filter(Filter::try_new(rest, Arc::new(plan))?);
        }
        // The columns of before, in their order.
        let columns = schema.columns().into_iter().map(Expr::Column).collect();
        Projection::try_new(columns, Arc::new(plan)).map(|plan| Some(LogicalPlan::Projection(plan)))
    }

    /// The relations of one spoke joined with one another.
    fn one(&mut self, members: &[usize], edges: &mut Vec<(usize, usize)>) -> Result<Option<LogicalPlan>> {
        let mut waiting = members.to_vec();
        let first = waiting.remove(0);
        let mut inside = HashSet::from([first]);
        let Some(mut plan) = self.relations.get(first).cloned() else { return Ok(None) };
        while !waiting.is_empty() {
            let next = waiting.iter().position(|place| connected(&[*place], &inside, edges));
            let Some(next) = next else { return Ok(None) };
            let place = waiting.remove(next);
            let Some(right) = self.relations.get(place).cloned() else { return Ok(None) };
            match self.join(plan, &inside, right, &HashSet::from([place]), edges)? {
                Some(joined) => plan = joined,
                None => return Ok(None),
            }
            inside.insert(place);
        }
        Ok(Some(plan))
    }

    /// Joins two parts by the keys between them, and by the conditions that can now be looked at.
    fn join(
        &mut self,
        left: LogicalPlan,
        inside: &HashSet<usize>,
        right: LogicalPlan,
        coming: &HashSet<usize>,
        edges: &mut Vec<(usize, usize)>,
    ) -> Result<Option<LogicalPlan>> {
        let mut on = Vec::new();
        let (keys, places) = (std::mem::take(&mut self.keys), std::mem::take(edges));
        for ((a, b), (x, y)) in keys.into_iter().zip(places) {
            let (a, b) = if inside.contains(&y) && coming.contains(&x) { (b, a) } else { (a, b) };
            if (inside.contains(&x) && coming.contains(&y)) || (inside.contains(&y) && coming.contains(&x)) {
                if self.joined.say(&a, &b) || a.is_volatile() || b.is_volatile() {
                    on.push((a, b));
                }
            } else {
                self.keys.push((a, b));
                edges.push((x, y));
            }
        }
        if on.is_empty() {
            return Ok(None);
        }
        let schema = left.schema().join(right.schema())?;
        let (now, later): (Vec<Expr>, Vec<Expr>) = std::mem::take(&mut self.conditions)
            .into_iter()
            .partition(|condition| condition.column_refs().iter().all(|column| has(&schema, column)));
        self.conditions = later;
        let (kind, equal) = (JoinType::Inner, NullEquality::NullEqualsNothing);
        let constraint = JoinConstraint::On;
        Join::try_new(Arc::new(left), Arc::new(right), on, conjunction(now), kind, constraint, equal, false)
            .map(|join| Some(LogicalPlan::Join(join)))
    }
}

/// The cheapest order of some relations that keys connect.
fn cheapest_of(members: &[usize], estimates: &[Estimate], keys: &[Edge]) -> Option<Vec<usize>> {
    let place = |relation: usize| members.iter().position(|member| *member == relation);
    let within = keys.iter().filter_map(|key| Some(Edge { parts: (place(key.parts.0)?, place(key.parts.1)?), ..*key }));
    let within: Vec<Edge> = within.collect();
    let parts = members.iter().map(|member| estimates.get(*member).cloned()).collect::<Option<Vec<_>>>()?;
    let order = cheapest(&parts, &within)?;
    order.into_iter().map(|place| members.get(place).copied()).collect()
}

/// Whether each column of all relations can be told from all others.
fn told_apart(relations: &[LogicalPlan]) -> bool {
    let mut seen = HashSet::new();
    relations
        .iter()
        .flat_map(|plan| plan.schema().columns())
        .all(|column| column.relation.is_some() && seen.insert(column))
}

fn has(schema: &DFSchema, column: &Column) -> bool {
    schema.maybe_index_of_column(column).is_some()
}

fn plain(node: &Projection) -> bool {
    node.expr.iter().all(|e| matches!(e, Expr::Column(_)))
}

fn site_of(plan: &LogicalPlan) -> Option<ControllerId> {
    site::one(plan)?.first()?.get().map(|table| table.offer().controller.clone())
}

fn connected(cluster: &[usize], inside: &HashSet<usize>, edges: &[(usize, usize)]) -> bool {
    edges
        .iter()
        .any(|(x, y)| (cluster.contains(x) && inside.contains(y)) || (cluster.contains(y) && inside.contains(x)))
}

/// Relations that lie at one spoke and that keys connect, in the order of their first.
fn clusters(sites: &[Option<ControllerId>], edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut of: Vec<usize> = (0..sites.len()).collect();
    for (x, y) in edges {
        let same = matches!((sites.get(*x), sites.get(*y)), (Some(Some(a)), Some(Some(b))) if a == b);
        if let (true, Some(&a), Some(&b)) = (same, of.get(*x), of.get(*y)) {
            let (low, high) = (a.min(b), a.max(b));
            of.iter_mut().filter(|cluster| **cluster == high).for_each(|cluster| *cluster = low);
        }
    }
    let mut clusters: Vec<Vec<usize>> = Vec::new();
    let mut first: Vec<usize> = Vec::new();
    for (place, cluster) in of.into_iter().enumerate() {
        match first.iter().position(|known| *known == cluster) {
            Some(at) => {
                if let Some(members) = clusters.get_mut(at) {
                    members.push(place);
                }
            }
            None => {
                first.push(cluster);
                clusters.push(vec![place]);
            }
        }
    }
    clusters
}
