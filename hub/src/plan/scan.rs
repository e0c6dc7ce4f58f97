//! The leaf of a physical plan that is answered by a spoke.
//!
//! INVARIANT: `execute` asks nobody; the request goes out when the stream is first polled.

use super::KeySlot;
use crate::{
    gather,
    permit::{MayLearn, Permitted},
    registry::Links,
};
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{DataFusionError, Statistics, tree_node::TreeNodeRecursion},
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        metrics::{ExecutionPlanMetricsSet, MetricsSet},
        statistics::StatisticsArgs,
    },
};
use proto::{
    fragment::{self, Literals},
    wire,
};
use std::{fmt, sync::Arc};

/// One fragment at one spoke.
#[derive(Debug, Clone)]
pub struct SpokeScanExec {
    question: Permitted<wire::Fragment>,
    lists: Vec<Arc<KeySlot>>,
    links: Arc<Links>,
    schema: SchemaRef,
    statistics: Arc<Statistics>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SpokeScanExec {
    pub(super) fn new(
        question: Permitted<wire::Fragment>,
        links: Arc<Links>,
        schema: SchemaRef,
        statistics: Statistics,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            question,
            lists: Vec::new(),
            links,
            schema,
            statistics: Arc::new(statistics),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same question about rows whose column at `place` is in a list that another part of the statement makes.
    pub(super) fn looking_up(&self, place: usize, list: &Arc<KeySlot>, route: &MayLearn) -> Option<Self> {
        if self.question.terms().checked.is_some() {
            return None; // such a spoke takes none
        }
        let number = u32::try_from(self.lists.len()).ok()?;
        let column = self.schema.fields().get(place)?.name();
        let mut scan = self.clone();
        scan.question = self.question.clone().looking_up(column, number, route);
        scan.lists.push(Arc::clone(list));
        Some(scan)
    }

    /// How many lists it waits for.
    pub(super) fn lists(&self) -> usize {
        self.lists.len()
    }

    /// The controller asked.
    #[must_use]
    pub fn controller(&self) -> &proto::ids::ControllerId {
        self.question.controller()
    }

    /// What is asked, and of whom.
    #[must_use]
    pub fn question(&self) -> &Permitted<wire::Fragment> {
        &self.question
    }

    /// What it is asked, as SQL.
    #[must_use]
    pub fn text(&self) -> String {
        fragment::text(self.question.get(), Literals::Shown)
    }

    /// Bytes of key lists sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        let metrics = self.metrics.clone_inner();
        metrics.sum_by_name(gather::KEY_BYTES).map_or(0, |sent| sent.as_usize() as u64)
    }

    /// How long it took, and what the spoke says it read.
    #[must_use]
    pub fn took(&self) -> gather::Took {
        gather::took(&self.metrics.clone_inner())
    }

    /// Rows and bytes received so far.
    #[must_use]
    pub fn received(&self) -> (u64, u64) {
        let metrics = self.metrics.clone_inner();
        let sum = |name: &str| {
            metrics
                .iter()
                .filter(|metric| metric.value().name() == name)
                .map(|metric| metric.value().as_usize() as u64)
                .sum()
        };
        (sum(gather::WIRE_ROWS), sum(gather::WIRE_BYTES))
    }
}

impl DisplayAs for SpokeScanExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controller = self.question.controller();
        let tables: Vec<&str> = self.question.tables().map(|table| table.name.as_ref()).collect();
        let table = tables.join("+");
        match kind {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "SpokeScanExec: spoke={controller}, table={table}, fragment={}", self.text())
            }
            DisplayFormatType::TreeRender => write!(f, "spoke={controller}\ntable={table}"),
        }
    }
}

impl ExecutionPlan for SpokeScanExec {
    fn name(&self) -> &str {
        "SpokeScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        // None of the engine's dynamic filters: key lists go only where the sources' permits say (`federate::keys`).
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        if partition != 0 {
            return Err(DataFusionError::Internal(format!("a spoke's answer has one partition, not {partition}")));
        }
        Ok(gather::rows(
            self.question.clone(),
            self.lists.clone(),
            Arc::clone(&self.links),
            Arc::clone(&self.schema),
            &self.metrics,
            partition,
        ))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>, DataFusionError> {
        Ok(Arc::clone(&self.statistics))
    }
}
