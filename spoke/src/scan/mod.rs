//! The third step of a query at the spoke: run what was admitted, over pinned files, and let rows out under
//! project pseudonyms in an order that only the project's key explains (code lists and other tables without people: as
//! they lie).
//!
//! INVARIANT: [`run`] takes nothing but an [`Admitted`] value, which only `admit` can make.
//! INVARIANT: a stored pseudonym S never leaves `permuted`; what reads S is not visible to the optimizer.

mod bounds;
pub(crate) mod failure;
mod looked_up;
mod merge;
pub(crate) mod permuted;
pub(crate) mod pieces;
mod shares;
pub(crate) mod source;
pub(crate) mod window;

pub(crate) use shares::ShareOf;

use crate::{
    admit::{Admitted, Context},
    results,
};
use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    error::DataFusionError,
    execution::SessionState,
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, metrics::MetricValue},
};
use futures::{StreamExt, stream::BoxStream};
use proto::{
    plan::stop::{Stop, stoppable},
    refusal::Refusal,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;

/// A running query: its rows, and what must live as long as they flow.
pub struct Running {
    /// the question's frame: id, deadline, limits
    pub(crate) context: Context,
    /// what the rows look like
    pub(crate) schema: SchemaRef,
    /// the rows
    pub(crate) rows: BoxStream<'static, Result<RecordBatch, DataFusionError>>,
    /// the place among the running queries; free again when this is dropped
    pub(crate) slot: OwnedSemaphorePermit,
    /// what was done so far
    pub(crate) work: Work,
}

/// Starts an admitted query.
///
/// # Errors
/// When it can't be planned; the refusal says so without any value.
pub async fn run(admitted: Admitted) -> Result<Running, Refusal> {
    let Admitted { plan, state, context, slot, mut begun, place, share, .. } = admitted;
    let running = planned(plan, &state, context, slot, (place, share)).await.inspect_err(|_| begun.over("failed"))?;
    begun.running();
    Ok(running)
}

async fn planned(
    plan: LogicalPlan,
    state: &SessionState,
    context: Context,
    slot: OwnedSemaphorePermit,
    (place, share): (Option<results::Place>, Option<ShareOf>),
) -> Result<Running, Refusal> {
    if share.is_none()
        && let Some(answer) = place.as_ref().and_then(results::Place::find)
    {
        let rows = results::again(&answer);
        return Ok(Running { schema: answer.schema, rows, slot, work: Work { plan: None }, context });
    }
    let failed = |error: DataFusionError| failure::refusal(&error, &context.query);
    // Planning reads footers, which a slow object store may hold up.
    let planned = tokio::time::timeout_at(context.deadline, state.create_physical_plan(&plan));
    let plan = planned.await.map_err(|_| crate::admit::too_late())?.map_err(failed)?;
    let stop = Stop::default();
    let plan = stoppable(plan, &stop).map_err(failed)?;
    let (schema, rows) = (plan.schema(), started(&plan, state).map_err(failed)?);
    // Whoever drops the rows ends what makes them.
    let guard = stop.guard();
    let rows = rows.inspect(move |_| _ = &guard).boxed();
    if let Some(share) = share {
        let (schema, rows) = shares::instead(rows, &schema, share)?;
        return Ok(Running { schema, rows, slot, work: Work { plan: Some(plan) }, context });
    }
    let rows = match place.and_then(|place| results::Filling::new(place, &schema)) {
        Some(filling) => results::collected(rows, filling),
        None => rows,
    };
    Ok(Running { schema, rows, slot, work: Work { plan: Some(plan) }, context })
}

/// The rows of all partitions, made by the computing threads.
fn started(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<BoxStream<'static, Result<RecordBatch, DataFusionError>>, DataFusionError> {
    let _there = runtime::computing::enter();
    let task = state.task_ctx();
    let partitions = 0..plan.properties().output_partitioning().partition_count();
    let streams =
        partitions.map(|partition| plan.execute(partition, Arc::clone(&task))).collect::<Result<Vec<_>, _>>()?;
    Ok(merge::in_turn(streams))
}

/// What a query has done, read from its operators.
#[derive(Clone)]
pub struct Work {
    /// `None`: nothing is scanned, the answer was kept
    plan: Option<Arc<dyn ExecutionPlan>>,
}

/// Sums over all scans of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// row groups whose statistics or bloom filter ruled them out, counted once for each piece
    pub row_groups_pruned: usize,
    /// of these, those that were ruled out before anything was opened
    pub row_groups_unopened: usize,
    /// row groups that were looked into, counted once for each piece
    pub row_groups_matched: usize,
    /// bytes read from the object store
    pub bytes_scanned: usize,
    /// rows that left the scans
    pub rows: usize,
    /// time spent turning S into project pseudonyms
    pub pseudonym: Duration,
    /// time spent shuffling rows
    pub shuffle: Duration,
    /// time spent waiting for the readers: fetching, decoding, filtering
    pub scan: Duration,
}

impl Work {
    /// Sums up what was done until now.
    #[must_use]
    pub fn effort(&self) -> Effort {
        let mut effort = Effort::default();
        if let Some(plan) = &self.plan {
            sum(plan.as_ref(), &mut effort);
        }
        effort
    }

    /// Whether nothing was scanned because the answer was kept.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.plan.is_none()
    }
}

fn sum(plan: &dyn ExecutionPlan, effort: &mut Effort) {
    if let Some(metrics) = plan.metrics().filter(|_| plan.name() == permuted::NAME) {
        let nanos = |name: &str| {
            Duration::from_nanos(
                metrics.sum_by_name(name).map_or(0, |v| u64::try_from(v.as_usize()).unwrap_or(u64::MAX)),
            )
        };
        let count = |name: &str| metrics.sum_by_name(name).map_or(0, |v| v.as_usize());
        effort.pseudonym += nanos(permuted::PSEUDONYM_TIME);
        effort.shuffle += nanos(permuted::SHUFFLE_TIME);
        effort.scan += nanos(permuted::SCAN_TIME);
        effort.rows += count(permuted::ROWS);
        effort.bytes_scanned += count("bytes_scanned");
        effort.row_groups_unopened += count(permuted::RULED_OUT);
        effort.row_groups_pruned += count(permuted::RULED_OUT);
        for metric in metrics.iter() {
            if let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value() {
                match name.as_ref() {
                    "row_groups_pruned_statistics" => {
                        effort.row_groups_pruned += pruning_metrics.pruned();
                        effort.row_groups_matched += pruning_metrics.matched();
                    }
                    "row_groups_pruned_bloom_filter" => effort.row_groups_pruned += pruning_metrics.pruned(),
                    _ => {}
                }
            }
        }
    }
    for child in plan.children() {
        sum(child.as_ref(), effort);
    }
}
