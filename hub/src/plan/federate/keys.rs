//! Key lists: what the build side of a join finds tells the spokes on the other side which rows can match.
//!
//! After the physical plan is made, each hash join is looked at. Where rows of its probe side are wanted only when they
//! match, and their key comes unchanged from a spoke, that spoke's fragment gets a condition `key IN (list)`. The list
//! is collected while the build side runs ([`super::collect`]); the spoke is asked when it is complete.
//!
//! INVARIANT: a list goes only to a controller that [`permit::may_learn`] allows: every controller whose values it holds
//! names the receiver in its permit. Without that the join works all the same.
//! INVARIANT: the same holds for whoever is told indirectly: a list that makes the rows fewer of which another list is made
//! tells its sources' people to the receivers of that one.
//! INVARIANT: a condition is added only above rows that the join would drop anyway.

use super::{
    Result,
    collect::{CollectKeysExec, KeySlot},
};
use crate::{
    permit::{self, Permitted},
    plan::SpokeScanExec,
};
use datafusion::{
    common::{
        JoinType, NullEquality,
        tree_node::{Transformed, TreeNode},
    },
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan, aggregates::AggregateExec, coalesce_partitions::CoalescePartitionsExec,
        execution_plan::replace_children_if_necessary, filter::FilterExec, joins::HashJoinExec,
        projection::ProjectionExec, repartition::RepartitionExec, union::UnionExec,
    },
};
use proto::{plan::keys::can_list, wire};
use std::sync::Arc;

type Plan = Arc<dyn ExecutionPlan>;

/// Lists that one fragment may have.
const MAX_LISTS: usize = 8;

/// Has join keys sent where that is allowed and makes sense; lists of more than `exact` keys as filters.
///
/// # Errors
/// When a plan can't be built.
pub(in crate::plan) fn with_key_lists(plan: Plan, exact: usize) -> Result<Plan> {
    let looked = plan.transform_up(|node| {
        let changed = match node.downcast_ref::<HashJoinExec>() {
            Some(join) => looked_at(&node, join, exact)?,
            None => None,
        };
        Ok(changed.map_or_else(|| Transformed::no(node), Transformed::yes))
    })?;
    Ok(looked.data)
}

fn looked_at(node: &Plan, join: &HashJoinExec, exact: usize) -> Result<Option<Plan>> {
    let drops = matches!(
        join.join_type(),
        JoinType::Inner
            | JoinType::Left
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
            | JoinType::RightSemi
    );
    // NOT IN has to see a NULL on the other side; and where NULL matches NULL, a list without NULL would drop rows.
    if !drops || join.null_aware || join.null_equality() == NullEquality::NullEqualsNull {
        return Ok(None);
    }
    let mut sources = Vec::new();
    scans(join.left(), &mut sources);
    let (mut left, mut right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    let mut changed = false;
    for (build, probe) in join.on() {
        let kind = build.data_type(&left.schema())?;
        let Some(column) = probe.downcast_ref::<Column>() else { continue };
        // A list of other values than the column's would find nothing.
        if !can_list(&kind) || probe.data_type(&right.schema())? != kind {
            continue;
        }
        let Some(slot) = KeySlot::new(&kind, exact) else { continue };
        let list = List { slot: Arc::new(slot), sources: &sources };
        if let Some(narrower) = list.narrow(&right, column.index())? {
            right = narrower;
            left = collecting(&left, build, &list.slot)?;
            changed = true;
        }
    }
    if !changed {
        return Ok(None);
    }
    replace_children_if_necessary(Arc::clone(node), vec![left, right]).map(Some)
}

/// The build side, with its keys collected below what spreads rows over partitions: there each row passes once, and all
/// have passed before any part of the probe side is asked.
fn collecting(build: &Plan, key: &Arc<dyn PhysicalExpr>, slot: &Arc<KeySlot>) -> Result<Plan> {
    if build.is::<RepartitionExec>()
        && let [input] = build.children().as_slice()
    {
        let collected: Plan = Arc::new(CollectKeysExec::new(Arc::clone(input), Arc::clone(key), Arc::clone(slot)));
        return replace_children_if_necessary(Arc::clone(build), vec![collected]);
    }
    Ok(Arc::new(CollectKeysExec::new(Arc::clone(build), Arc::clone(key), Arc::clone(slot))))
}

fn scans<'a>(plan: &'a Plan, found: &mut Vec<&'a Permitted<wire::Fragment>>) {
    if let Some(scan) = plan.downcast_ref::<SpokeScanExec>() {
        found.push(scan.question());
    }
    for child in plan.children() {
        scans(child, found);
    }
}

struct List<'a> {
    slot: Arc<KeySlot>,
    /// whose values are in it
    sources: &'a [&'a Permitted<wire::Fragment>],
}

impl List<'_> {
    /// `plan` with fewer rows: at its spokes, those whose column at `place` is not in the list are left out. `None`: it
    /// can't be, or may not.
    fn narrow(&self, plan: &Plan, place: usize) -> Result<Option<Plan>> {
        if let Some(scan) = plan.downcast_ref::<SpokeScanExec>() {
            if scan.lists() >= MAX_LISTS {
                return Ok(None);
            }
            let Some(route) = permit::may_learn(self.sources, scan.question()) else { return Ok(None) };
            let Some(narrower) = scan.looking_up(place, &self.slot, &route) else { return Ok(None) };
            self.slot.tells([scan.question().clone()]);
            return Ok(Some(Arc::new(narrower)));
        }
        if let Some(collecting) = plan.downcast_ref::<CollectKeysExec>() {
            // Rows that this list leaves out there are missing in that list, which tells of this one's sources to all who
            // learn by that one.
            let learners = collecting.slot().learners();
            if learners.iter().any(|learner| permit::may_learn(self.sources, learner).is_none()) {
                return Ok(None);
            }
            let [input] = plan.children()[..] else { return Ok(None) };
            let Some(narrower) = self.narrow(input, place)? else { return Ok(None) };
            self.slot.tells(learners);
            return replace_children_if_necessary(Arc::clone(plan), vec![narrower]).map(Some);
        }
        if let Some(union) = plan.downcast_ref::<UnionExec>() {
            let (mut any, mut inputs) = (false, Vec::with_capacity(union.inputs().len()));
            for input in union.inputs() {
                let narrower = self.narrow(input, place)?;
                any |= narrower.is_some();
                inputs.push(narrower.unwrap_or_else(|| Arc::clone(input)));
            }
            return if any { replace_children_if_necessary(Arc::clone(plan), inputs).map(Some) } else { Ok(None) };
        }
        let Some((child, place)) = below(plan, place) else { return Ok(None) };
        let children: Vec<Plan> = plan.children().into_iter().cloned().collect();
        let Some(input) = children.get(child) else { return Ok(None) };
        let Some(narrower) = self.narrow(input, place)? else { return Ok(None) };
        let children =
            children.iter().enumerate().map(|(i, c)| if i == child { Arc::clone(&narrower) } else { Arc::clone(c) });
        replace_children_if_necessary(Arc::clone(plan), children.collect()).map(Some)
    }
}

/// From which input a column comes unchanged, and its place there, when rows of that input may be left out by it.
fn below(plan: &Plan, place: usize) -> Option<(usize, usize)> {
    let column = |e: &Arc<dyn PhysicalExpr>| e.downcast_ref::<Column>().map(Column::index);
    if plan.is::<RepartitionExec>() || plan.is::<CoalescePartitionsExec>() {
        return Some((0, place));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return Some((0, column(&projection.expr().get(place)?.expr)?));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return match filter.projection() {
            None => Some((0, place)),
            Some(kept) => Some((0, *kept.get(place)?)),
        };
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        // A group is left out with all its rows, or not at all.
        let groups = aggregate.group_expr();
        return if groups.is_single() { Some((0, column(&groups.expr().get(place)?.0)?)) } else { None };
    }
    let join = plan.downcast_ref::<HashJoinExec>()?;
    if join.null_aware {
        return None;
    }
    let place = match &join.projection {
        None => place,
        Some(kept) => *kept.get(place)?,
    };
    let left = join.left().schema().fields().len();
    match join.join_type() {
        JoinType::Inner => Some(if place < left { (0, place) } else { (1, place - left) }),
        JoinType::Left => (place < left).then_some((0, place)),
        JoinType::Right => place.checked_sub(left).map(|place| (1, place)),
        JoinType::LeftSemi | JoinType::LeftAnti => Some((0, place)),
        JoinType::RightSemi | JoinType::RightAnti => Some((1, place)),
        JoinType::Full | JoinType::LeftMark | JoinType::RightMark => None,
    }
}
