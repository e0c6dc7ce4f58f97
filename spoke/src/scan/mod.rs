//! The third step of a query at the spoke: run what was admitted, over pinned files, and let rows out under
//! project pseudonyms in an order that only the project's key explains.
//!
//! INVARIANT: [`run`] takes nothing but an [`Admitted`] value, which only `admit` can make.
//! INVARIANT: a stored pseudonym S never leaves `permuted`; what reads S is not visible to the optimizer.

pub(crate) mod failure;
mod looked_up;
mod merge;
pub(crate) mod permuted;
pub(crate) mod pieces;
pub(crate) mod source;
pub(crate) mod window;

use crate::admit::{Admitted, Context};
use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    error::DataFusionError,
    physical_plan::{ExecutionPlan, metrics::MetricValue},
};
use futures::stream::BoxStream;
use proto::refusal::Refusal;
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
    let Admitted { plan, state, context, slot, .. } = admitted;
    let failed = |error: DataFusionError| failure::refusal(&error, &context.query);
    // Planning reads footers, which a slow object store may hold up.
    let planned = tokio::time::timeout_at(context.deadline, state.create_physical_plan(&plan));
    let plan = planned.await.map_err(|_| crate::admit::too_late())?.map_err(failed)?;
    let task = state.task_ctx();
    let streams = (0..plan.properties().output_partitioning().partition_count())
        .map(|partition| plan.execute(partition, Arc::clone(&task)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    Ok(Running { schema: plan.schema(), rows: merge::in_turn(streams), slot, work: Work { plan }, context })
}

/// What a query has done, read from its operators.
#[derive(Clone)]
pub struct Work {
    plan: Arc<dyn ExecutionPlan>,
}

/// Sums over all scans of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// row groups whose statistics or bloom filter ruled them out, counted once for each piece
    pub row_groups_pruned: usize,
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
        sum(self.plan.as_ref(), &mut effort);
        effort
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
