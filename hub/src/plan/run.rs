//! Runs a planned statement.
//!
//! INVARIANT: only the released plan is run, and the answer has exactly the schema that was announced.

use super::{Manner, Planned, SpokeScanExec, explain, federate, federate::Federated, national, trouble};
use crate::{dispatch, request::RequestContext};
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use datafusion::{
    common::DataFusionError,
    execution::session_state::SessionState,
    physical_plan::{ExecutionPlan, execute_stream},
};
use futures::{StreamExt, stream::BoxStream};
use policies::query_signature::Digest;
use proto::{
    ids::ControllerId,
    refusal::{Kind, Refusal},
};
use std::{collections::BTreeSet, sync::Arc};

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

/// One thing that a statement asks of a controller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// whom
    pub controller: ControllerId,
    /// what, for the user's signature
    pub digest: Digest,
}

/// A statement planned to the end: fragments as leaves, nobody asked yet.
pub struct Runnable {
    context: Arc<RequestContext>,
    state: SessionState,
    physical: Arc<dyn ExecutionPlan>,
    /// why some of it runs at the hub
    kept: Vec<String>,
    manner: Manner,
    schema: SchemaRef,
}

impl Planned {
    /// Plans it to the end. Asks nobody.
    ///
    /// # Errors
    /// When it can't be planned.
    pub async fn physical(self) -> Result<Runnable, Refusal> {
        let Self { context, state, plan, manner, schema, .. } = self;
        let fail = |error: DataFusionError| trouble::planning(&error, &context.query);
        let members = national::taken_apart(plan.get().clone()).map_err(fail)?;
        let mut optimised = state.optimize(&members).map_err(fail)?;
        if let Some(clustered) = federate::clustered(&optimised).map_err(fail)? {
            optimised = state.optimize(&clustered).map_err(fail)?;
        }
        let Federated { plan, kept } = federate::at_spokes(optimised).map_err(fail)?;
        let physical = state.query_planner().create_physical_plan(&plan, &state).await.map_err(fail)?;
        let physical = federate::with_key_lists(physical).map_err(fail)?;
        Ok(Runnable { context, state, physical, kept, manner, schema })
    }
}

impl Runnable {
    /// What it asks under permits that demand the user's own signature, in an order that doesn't depend on the plan.
    #[must_use]
    pub fn to_sign(&self) -> Vec<Question> {
        if self.manner == Manner::Explain {
            return Vec::new();
        }
        let mut scans = Vec::new();
        explain::collect(&self.physical, &mut scans);
        let asked: BTreeSet<Question> = scans
            .into_iter()
            .map(SpokeScanExec::question)
            .filter(|question| question.terms().client_signature)
            .map(|question| Question { controller: question.controller().clone(), digest: dispatch::digest(question) })
            .collect();
        asked.into_iter().collect()
    }

    /// Starts it. Spokes are asked when the answer is first polled.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(self) -> Result<Answer, Refusal> {
        let physical = Arc::clone(&self.physical);
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
                let batch = explain::describe(&physical, &self.kept, None)?;
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
        explain::describe(&physical, &self.kept, Some(&explain::Measured { rows, zone: self.context.caller.zone }))
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
