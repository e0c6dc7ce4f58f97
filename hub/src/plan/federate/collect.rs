//! Collects the keys of a join's build side while its rows pass.
//!
//! INVARIANT: a list is complete or holds everything: rows are never left out because keys were missing.

use crate::permit::Permitted;
use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    common::{DataFusionError, Result, Statistics, internal_err, tree_node::TreeNodeRecursion},
    execution::{
        RecordBatchStream, SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_expr::PhysicalExpr,
    physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, statistics::StatisticsArgs},
};
use futures::{Stream, StreamExt};
use proto::{plan::keys::Keys, wire};
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::sync::watch;

/// Bytes of a filter while it is filled.
const FILTER: usize = proto::plan::bloom::MAX_BLOOM;
/// Memory that a key takes while it is collected, bytes.
const KEY: usize = 48;

/// A list that one part of a statement fills and others wait for.
pub struct KeySlot {
    filling: Mutex<Filling>,
    complete: watch::Sender<Option<Arc<Keys>>>,
    /// who is told something by it: who gets it, and who gets lists of rows that it left fewer of
    learners: Mutex<Vec<Permitted<wire::Fragment>>>,
}

struct Filling {
    /// longer lists become filters
    exact: usize,
    keys: Option<Keys>,
    /// partitions that still run; `None` until the first starts
    running: Option<usize>,
    memory: Option<MemoryReservation>,
}

impl fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySlot").finish_non_exhaustive()
    }
}

impl KeySlot {
    /// An empty list for keys of this type, of which up to `exact` are listed; `None` when such keys can't be listed.
    pub(super) fn new(kind: &DataType, exact: usize) -> Option<Self> {
        let filling = Filling { exact, keys: Some(Keys::empty(kind)?), running: None, memory: None };
        Some(Self { filling: Mutex::new(filling), complete: watch::channel(None).0, learners: Mutex::default() })
    }

    /// Who is told something by it.
    pub(super) fn learners(&self) -> Vec<Permitted<wire::Fragment>> {
        self.learners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These are told something by it as well.
    pub(super) fn tells(&self, learners: impl IntoIterator<Item = Permitted<wire::Fragment>>) {
        self.learners.lock().unwrap_or_else(PoisonError::into_inner).extend(learners);
    }

    /// The list, when it is complete.
    pub async fn complete(&self) -> Arc<Keys> {
        let mut seen = self.complete.subscribe();
        match seen.wait_for(Option::is_some).await {
            Ok(list) => list.clone().unwrap_or_else(|| Arc::new(Keys::everything())),
            Err(_) => Arc::new(Keys::everything()),
        }
    }

    fn start(&self, partitions: usize, context: &TaskContext) {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if filling.running.is_none() {
            filling.running = Some(partitions);
            filling.memory = Some(MemoryConsumer::new("key list").register(context.memory_pool()));
        }
    }

    fn add(&self, values: &dyn arrow::array::Array) -> Result<()> {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let Filling { keys, memory, exact, .. } = &mut *filling;
        let Some(list) = keys else { return Ok(()) };
        list.add(values)?;
        let mut room = |bytes| memory.as_mut().is_none_or(|memory| memory.try_resize(bytes).is_ok());
        let mut fits = list.len().is_none_or(|length| room(length * KEY));
        if list.len().is_some_and(|length| length > *exact) || !fits {
            fits = room(FILTER);
            *keys = keys.take().filter(|_| fits).map(Keys::into_bloom);
        }
        if !fits {
            filling.memory = None;
            self.complete.send_replace(Some(Arc::new(Keys::everything())));
        }
        Ok(())
    }

    /// One partition has seen all its rows.
    fn ended(&self) {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = &mut filling.running else { return };
        *running = running.saturating_sub(1);
        if *running == 0
            && let Some(keys) = filling.keys.take()
        {
            self.complete.send_replace(Some(Arc::new(keys.finish())));
        }
    }

    /// A partition was dropped before its end: whoever waits must not wait for ever, nor leave rows out.
    fn dropped(&self) {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        self.give_up(&mut filling);
    }

    fn give_up(&self, filling: &mut Filling) {
        if filling.keys.take().is_some() {
            filling.memory = None;
            self.complete.send_replace(Some(Arc::new(Keys::everything())));
        }
    }
}

/// Passes rows on and puts the values of one expression into a list.
#[derive(Debug)]
pub(super) struct CollectKeysExec {
    input: Arc<dyn ExecutionPlan>,
    key: Arc<dyn PhysicalExpr>,
    slot: Arc<KeySlot>,
}

impl CollectKeysExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, key: Arc<dyn PhysicalExpr>, slot: Arc<KeySlot>) -> Self {
        Self { input, key, slot }
    }

    pub(super) fn slot(&self) -> &Arc<KeySlot> {
        &self.slot
    }
}

impl DisplayAs for CollectKeysExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectKeysExec: key={}", self.key)
    }
}

impl ExecutionPlan for CollectKeysExec {
    fn name(&self) -> &str {
        "CollectKeysExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.key)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.as_slice() {
            [input] => Ok(Arc::new(Self::new(Arc::clone(input), Arc::clone(&self.key), Arc::clone(&self.slot)))),
            _ => internal_err!("CollectKeysExec has one input"),
        }
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => internal_err!("CollectKeysExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.slot.start(self.input.properties().output_partitioning().partition_count(), &context);
        let rows = self.input.execute(partition, context)?;
        Ok(Box::pin(Collecting { rows, key: Arc::clone(&self.key), slot: Arc::clone(&self.slot), ended: false }))
    }
}

struct Collecting {
    rows: SendableRecordBatchStream,
    key: Arc<dyn PhysicalExpr>,
    slot: Arc<KeySlot>,
    ended: bool,
}

impl Collecting {
    fn collect_from(&self, batch: &RecordBatch) -> Result<()> {
        let keys = self.key.evaluate(batch)?.into_array(batch.num_rows())?;
        self.slot.add(keys.as_ref())
    }
}

impl Stream for Collecting {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = futures::ready!(self.rows.poll_next_unpin(context));
        Poll::Ready(match next {
            Some(Ok(batch)) => Some(self.collect_from(&batch).map(|()| batch)),
            Some(Err(error)) => Some(Err(error)),
            None => {
                if !self.ended {
                    self.ended = true;
                    self.slot.ended();
                }
                None
            }
        })
    }
}

impl RecordBatchStream for Collecting {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        if !self.ended {
            self.slot.dropped();
        }
    }
}
