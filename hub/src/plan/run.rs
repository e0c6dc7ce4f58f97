//! Runs a planned statement.
//!
//! INVARIANT: only the released plan is run, and the answer has exactly the schema that was announced.

use super::{Manner, Planned, explain, trouble};
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use datafusion::{
    common::DataFusionError,
    physical_plan::{ExecutionPlan, execute_stream},
};
use futures::{StreamExt, stream::BoxStream};
use proto::refusal::{Kind, Refusal};
use std::sync::Arc;

/// A statement's answer, batch by batch. Dropping it stops all work, here and at the spokes. Made only by running a
/// released plan.
pub struct Answer {
    schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch, Refusal>>,
}

impl Answer {
    /// Names and types, and the batches that have them.
    #[must_use]
    pub fn into_parts(self) -> (SchemaRef, BoxStream<'static, Result<RecordBatch, Refusal>>) {
        (self.schema, self.batches)
    }
}

impl Planned {
    /// The plan that runs: optimised, with fragments as leaves.
    async fn physical(&self) -> Result<Arc<dyn ExecutionPlan>, Refusal> {
        let fail = |error: DataFusionError| trouble::planning(&error, &self.context.query);
        self.state.create_physical_plan(self.plan.get()).await.map_err(fail)
    }

    /// Starts it. Spokes are asked when the answer is first polled.
    ///
    /// # Errors
    /// When it can't be planned to the end.
    pub async fn run(self) -> Result<Answer, Refusal> {
        let physical = self.physical().await?;
        let schema = Arc::clone(&self.schema);
        match self.manner {
            Manner::Answer => {
                let query = self.context.query;
                let stream = execute_stream(physical, self.state.task_ctx())
                    .map_err(|error| trouble::running(&error, &query))?;
                let announced = Arc::clone(&schema);
                let batches = stream
                    .map(move |batch| {
                        batch.map_err(|error| trouble::running(&error, &query)).and_then(|b| fit(&b, &announced))
                    })
                    .boxed();
                Ok(Answer { schema, batches })
            }
            Manner::Explain => {
                let batch = explain::describe(&physical, None)?;
                Ok(Answer { schema, batches: futures::stream::iter([Ok(batch)]).boxed() })
            }
            Manner::Analyze => {
                let batches = futures::stream::once(self.analyze(physical)).boxed();
                Ok(Answer { schema, batches })
            }
        }
    }

    async fn analyze(self, physical: Arc<dyn ExecutionPlan>) -> Result<RecordBatch, Refusal> {
        let fail = |error: DataFusionError| trouble::running(&error, &self.context.query);
        let mut stream = execute_stream(Arc::clone(&physical), self.state.task_ctx()).map_err(fail)?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch.map_err(fail)?.num_rows() as u64;
        }
        explain::describe(&physical, Some(&explain::Measured { rows, zone: self.context.caller.zone }))
    }
}

/// The same rows under the announced schema: the engine may differ in what it says about NULLs and in metadata.
fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Refusal> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options).map_err(|error| {
        tracing::error!(%error, "an answer differs from its announced schema");
        Refusal::new(Kind::Internal, "the answer differs from its announced schema. Tell the hub's operator")
    })
}
