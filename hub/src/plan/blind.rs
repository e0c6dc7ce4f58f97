//! A blind total: the members' shares added up, with the sum of masks that the custodian gives. What comes out is one row of
//! totals, as if one spoke had all the rows.
//!
//! INVARIANT: of a member there is its share here, which is a random number, and its sealed seed; its own numbers are nowhere in
//! this process.
//! INVARIANT: a total is of all members or an error.

use super::SpokeScanExec;
use crate::registry::Links;
use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{DataFusionError, tree_node::TreeNodeRecursion},
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt, future, stream};
use prost::Message;
use proto::{
    blind::{self, WORDS, columns},
    ids::{ControllerId, ProjectId, QueryId},
    refusal::{Kind, Refusal},
    wire::SealedSeed,
};
use std::{fmt, sync::Arc};
use tokio::time::Instant;

type Result<T> = std::result::Result<T, DataFusionError>;

/// See the module.
#[derive(Debug)]
pub(super) struct BlindTotalExec {
    /// which total it is
    total: QueryId,
    project: ProjectId,
    deadline: Instant,
    /// one of each member, asked for its share
    members: Vec<Arc<dyn ExecutionPlan>>,
    names: Vec<ControllerId>,
    links: Arc<Links>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl BlindTotalExec {
    /// The total over `members`, which are asked for shares of total `total`, as `schema`.
    pub(super) fn new(
        total: QueryId,
        members: Vec<SpokeScanExec>,
        links: Arc<Links>,
        schema: SchemaRef,
    ) -> Option<Self> {
        let context = Arc::clone(members.first()?.question().context());
        let names = members.iter().map(|member| member.controller().clone()).collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Some(Self {
            total,
            project: context.project.project.clone(),
            deadline: context.deadline,
            members: members.into_iter().map(|member| Arc::new(member) as _).collect(),
            names,
            links,
            schema,
            properties: Arc::new(properties),
        })
    }
}

/// What one total is made of, while it is made.
struct Sum {
    total: QueryId,
    project: ProjectId,
    deadline: Instant,
    names: Vec<ControllerId>,
    links: Arc<Links>,
    schema: SchemaRef,
}

impl Sum {
    /// The row of totals.
    async fn of(self, members: Vec<SendableRecordBatchStream>) -> Result<RecordBatch> {
        // Asked before the spokes are: without it their work would be for nothing.
        let custodian = self.links.custodian().ok_or_else(|| {
            refused(Kind::Unavailable, "this hub knows no custodian, who adds up the masks of blind totals. Its operator can: hub admin custodian".to_owned())
        })?;
        // A second batch is one too many already; more are not taken.
        let answers = members.into_iter().map(|rows| rows.take(2).try_collect::<Vec<RecordBatch>>());
        let answers = future::try_join_all(answers).await?;
        let mut sum = vec![0; self.schema.fields().len() * WORDS];
        let mut seeds = Vec::with_capacity(answers.len());
        for (answer, name) in answers.iter().zip(&self.names) {
            let (words, seed) = share(answer)
                .filter(|(words, seed)| words.len() == sum.len() && seed.controller == name.as_ref())
                .ok_or_else(|| {
                    refused(
                        Kind::Internal,
                        format!("'{name}' answered with something else than a share of the total. Tell its operator"),
                    )
                })?;
            let _ = blind::add(&mut sum, &words);
            seeds.push(seed);
        }
        let masks = custodian.sum(&self.project, &self.total, seeds, self.deadline).await;
        let masks = masks.map_err(|refusal| DataFusionError::External(Box::new(refusal)))?;
        if !blind::add(&mut sum, &masks) {
            let text =
                format!("custodian '{}' answered with another number of masks. Tell its operator", custodian.name());
            return Err(refused(Kind::Internal, text));
        }
        Ok(columns::row(&self.schema, &blind::totals(&sum))?)
    }
}

/// The words and the sealed seed of one member's answer.
fn share(answer: &[RecordBatch]) -> Option<(Vec<u64>, SealedSeed)> {
    let mut rows = answer.iter().filter(|batch| batch.num_rows() > 0);
    let row = rows.next().filter(|row| row.num_rows() == 1 && rows.next().is_none())?;
    let bytes = |name: &str| Some(row.column_by_name(name)?.as_binary_opt::<i32>()?.value(0));
    let (words, rest) = bytes(columns::SHARES)?.as_chunks::<8>();
    let seed = SealedSeed::decode(bytes(columns::SEALED)?).ok()?;
    rest.is_empty().then(|| (words.iter().map(|word| u64::from_le_bytes(*word)).collect(), seed))
}

fn refused(kind: Kind, message: String) -> DataFusionError {
    DataFusionError::External(Box::new(Refusal::new(kind, message)))
}

impl DisplayAs for BlindTotalExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by =
            self.links.custodian().map_or("nobody: [custodian] is missing in hub.toml", |custodian| custodian.name());
        write!(f, "BlindTotalExec: shares of {} members added up, masks by custodian {by}", self.names.len())
    }
}

impl ExecutionPlan for BlindTotalExec {
    fn name(&self) -> &str {
        "BlindTotalExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.members.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.members.len()]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.len() != self.members.len() {
            return Err(DataFusionError::Internal("a blind total of other members".to_owned()));
        }
        Ok(Arc::new(Self {
            total: self.total,
            project: self.project.clone(),
            deadline: self.deadline,
            members: children,
            names: self.names.clone(),
            links: Arc::clone(&self.links),
            schema: Arc::clone(&self.schema),
            properties: Arc::clone(&self.properties),
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(DataFusionError::Internal(format!("a blind total has one partition, not {partition}")));
        }
        let members = self.members.iter().map(|member| member.execute(0, Arc::clone(&context)));
        let members = members.collect::<Result<Vec<_>>>()?;
        let sum = Sum {
            total: self.total,
            project: self.project.clone(),
            deadline: self.deadline,
            names: self.names.clone(),
            links: Arc::clone(&self.links),
            schema: Arc::clone(&self.schema),
        };
        let row = stream::once(sum.of(members)).boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), row)))
    }
}
