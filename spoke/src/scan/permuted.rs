//! The one operator through which rows leave a published table.
//!
//! It reads a part of the pinned files, turns S into project pseudonyms and shuffles rows. Rows of a table that has no
//! people pass as they are. Towards the optimizer it is a leaf.
//!
//! INVARIANT: the reader inside is not a child. A rule that pushes a filter, a sort or a dynamic filter down the plan
//! stops here; it would compare project pseudonyms with S. Filters that hold for S come in through
//! `admit::filters`, and from nowhere else.

use super::{source::Reader, window::Window};
use crate::pseudonym::{OrderKey, Recoder};
use arrow::{
    array::{Array, AsArray, RecordBatchOptions},
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use datafusion::{
    common::{Result, Statistics, internal_err, tree_node::TreeNodeRecursion},
    error::DataFusionError,
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, Time},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};
use std::{collections::VecDeque, fmt, sync::Arc};

/// The operator's name in plans.
pub(crate) const NAME: &str = "PermutedScan";
/// Metric: time spent turning S into project pseudonyms.
pub(crate) const PSEUDONYM_TIME: &str = "pseudonym_time";
/// Metric: time spent joining, permuting and cutting rows.
pub(crate) const SHUFFLE_TIME: &str = "shuffle_time";
/// Metric: time spent waiting for the reader: fetching, decoding, filtering.
pub(crate) const SCAN_TIME: &str = "scan_time";
/// Metric: rows that left.
pub(crate) const ROWS: &str = "permuted_rows";

/// Metric: pieces of row groups that bounds ruled out before anything was opened.
pub(crate) const RULED_OUT: &str = "pieces_ruled_out";

/// What makes a scan the project's own.
#[derive(Clone)]
pub(crate) struct Project {
    /// order of pieces and rows; none for a table that has no people, where there is nobody to be told by it
    pub(crate) order: Option<Arc<OrderKey>>,
    /// for each output column that holds S, what turns it into the project's pseudonym
    pub(crate) recoders: Vec<Option<Arc<Recoder>>>,
    /// names table and snapshot, so that each has an order of its own
    pub(crate) label: String,
}

/// See the module.
pub(crate) struct PermutedScan {
    reader: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    project: Project,
    limit: Option<usize>,
    statistics: Arc<Statistics>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PermutedScan {
    /// `reader` gives raw rows whose columns stand in the order of `schema`.
    pub(crate) fn new(
        Reader { reader, ruled_out }: Reader,
        schema: SchemaRef,
        project: Project,
        limit: Option<usize>,
        statistics: Statistics,
    ) -> Self {
        let partitions = reader.properties().output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        MetricBuilder::new(&metrics).global_counter(RULED_OUT).add(ruled_out);
        Self {
            reader,
            schema,
            project,
            limit,
            statistics: Arc::new(statistics),
            properties: Arc::new(properties),
            metrics,
        }
    }
}

impl fmt::Debug for PermutedScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The reader's own text would show literals, stored pseudonyms among them.
        f.debug_struct(NAME).field("label", &self.project.label).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl DisplayAs for PermutedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}: {}", self.project.label)?;
        match self.limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for PermutedScan {
    fn name(&self) -> &'static str {
        NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("{NAME} has no children") }
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        Ok(match partition {
            None => Arc::clone(&self.statistics),
            Some(_) => Arc::new(Statistics::new_unknown(&self.schema)),
        })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut all = self.metrics.clone_inner();
        let mut readers = vec![&self.reader];
        while let Some(reader) = readers.pop() {
            for metric in reader.metrics().iter().flat_map(MetricsSet::iter) {
                all.push(Arc::clone(metric));
            }
            readers.extend(reader.children());
        }
        Some(all)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let time = |name: &'static str| MetricBuilder::new(&self.metrics).subset_time(name, partition);
        let rows = MetricBuilder::new(&self.metrics).counter(ROWS, partition);
        let Some(order) = &self.project.order else {
            if self.project.recoders.iter().any(Option::is_some) {
                return internal_err!("a table without people has a linking column");
            }
            let plain = Plain {
                input: self.reader.execute(partition, context)?,
                schema: Arc::clone(&self.schema),
                left: self.limit,
                scan: time(SCAN_TIME),
                rows,
            };
            let rows =
                stream::try_unfold(
                    plain,
                    |mut plain| async move { Ok(plain.next().await?.map(|batch| (batch, plain))) },
                );
            return Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)));
        };
        let rng = order.rng(format!("rows/{}/{partition}", self.project.label).as_bytes());
        let flow = Flow {
            input: self.reader.execute(partition, Arc::clone(&context))?,
            window: Window::new(self.reader.schema(), rng),
            schema: Arc::clone(&self.schema),
            recoders: self.project.recoders.clone(),
            carried: None,
            ready: VecDeque::new(),
            left: self.limit,
            ended: false,
            memory: MemoryConsumer::new(format!("{NAME}[{partition}]")).register(context.memory_pool()),
            pseudonym: time(PSEUDONYM_TIME),
            shuffle: time(SHUFFLE_TIME),
            scan: time(SCAN_TIME),
            rows,
        };
        let rows =
            stream::try_unfold(flow, |mut flow| async move { Ok(flow.next().await?.map(|batch| (batch, flow))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }
}

/// Rows of a table that has no people.
struct Plain {
    input: SendableRecordBatchStream,
    schema: SchemaRef,
    left: Option<usize>,
    scan: Time,
    rows: Count,
}

impl Plain {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let started = std::time::Instant::now();
        let next = self.input.next().await;
        self.scan.add_elapsed(started);
        let Some(batch) = next.transpose()? else { return Ok(None) };
        let batch = batch.slice(0, batch.num_rows().min(self.left.unwrap_or(usize::MAX)));
        self.left = self.left.map(|left| left - batch.num_rows());
        self.rows.add(batch.num_rows());
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?))
    }
}

/// The state of one partition's stream.
struct Flow {
    input: SendableRecordBatchStream,
    window: Window,
    schema: SchemaRef,
    recoders: Vec<Option<Arc<Recoder>>>,
    carried: Option<RecordBatch>,
    ready: VecDeque<RecordBatch>,
    left: Option<usize>,
    ended: bool,
    memory: MemoryReservation,
    pseudonym: Time,
    shuffle: Time,
    scan: Time,
    rows: Count,
}

impl Flow {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            if let Some(batch) = self.ready.pop_front() {
                let batch = match self.left {
                    Some(left) if left < batch.num_rows() => batch.slice(0, left),
                    _ => batch,
                };
                self.left = self.left.map(|left| left - batch.num_rows());
                self.rows.add(batch.num_rows());
                return Ok(Some(batch));
            }
            if self.ended && self.window.is_empty() && self.carried.is_none() {
                self.memory.free();
                return Ok(None);
            }
            self.fill().await?;
            self.empty()?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if let Some(batch) = self.carried.take() {
            self.carried = self.window.add(batch);
        }
        while !self.ended && !self.window.is_full() {
            let scan = self.scan.clone();
            let started = std::time::Instant::now();
            let next = self.input.next().await;
            scan.add_elapsed(started);
            match next.transpose()? {
                Some(batch) => {
                    self.carried = self.window.add(batch);
                    let needed = self.window.memory();
                    if needed > self.memory.size() {
                        self.memory.try_resize(needed)?;
                    }
                }
                None => self.ended = true,
            }
        }
        Ok(())
    }

    fn empty(&mut self) -> Result<()> {
        let joined = {
            let _shuffle = self.shuffle.timer();
            self.window.join()?
        };
        let joined = {
            let _pseudonym = self.pseudonym.timer();
            self.recode(&joined)?
        };
        let _shuffle = self.shuffle.timer();
        self.ready = self.window.shuffle(&joined)?;
        Ok(())
    }

    fn recode(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(rows.num_columns());
        for (column, recoder) in rows.columns().iter().zip(&self.recoders) {
            columns.push(match recoder {
                None => Arc::clone(column),
                Some(recoder) => {
                    let stored = column.as_fixed_size_binary_opt().ok_or_else(|| {
                        DataFusionError::Internal("a linking column is not FixedSizeBinary".to_owned())
                    })?;
                    let recoded = recoder
                        .forward(stored)
                        .map_err(|_| DataFusionError::Internal("a linking column can't be recoded".to_owned()))?;
                    Arc::new(recoded) as Arc<dyn Array>
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
