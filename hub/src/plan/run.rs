//! Runs a planned statement.
//!
//! INVARIANT: only the released plan is run, and the answer has exactly the schema that was announced.

use super::{
    Manner, Planned, SpokeScanExec, checked, disjoint, disjoint::Declared, explain, federate, federate::Federated,
    national, partial::LeftOut, trouble,
};
use crate::{compute::ahead, dispatch};
use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    common::DataFusionError,
    execution::SessionState,
    physical_plan::{ExecutionPlan, execute_stream},
};
use futures::{StreamExt, stream::BoxStream};
use policies::query_signature::Digest;
use proto::{
    ids::{ControllerId, PermitId},
    plan::stop::{Stop, stoppable},
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

/// By what a part of a statement was planned. A spoke refuses what was planned by others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Terms {
    controller: ControllerId,
    permit: Option<PermitId>,
    epoch: Option<u32>,
    fingerprint: Vec<u8>,
}

/// A statement planned to the end: fragments as leaves, nobody asked yet.
pub struct Runnable {
    planned: Planned,
    physical: Arc<dyn ExecutionPlan>,
    /// why some of it runs at the hub
    kept: Vec<String>,
    /// national tables that would be cheaper if it were known that they are disjoint
    declared: Vec<Declared>,
}

impl Planned {
    /// Plans it to the end. Asks nobody.
    ///
    /// # Errors
    /// When it can't be planned.
    pub async fn physical(self) -> Result<Runnable, Refusal> {
        // What a user signs must not depend on what the hub has found out in between.
        let mut declared = disjoint::declared(self.plan.get(), &self.context.project.project);
        declared.retain(|table| !self.demands || table.believed());
        let (physical, kept) = self.leaves(&declared).await?;
        Ok(Runnable { planned: self, physical, kept, declared })
    }

    async fn leaves(&self, declared: &[Declared]) -> Result<(Arc<dyn ExecutionPlan>, Vec<String>), Refusal> {
        let Self { context, state, plan, key_list, verdicts, .. } = self;
        let fail = |error: DataFusionError| trouble::planning(&error, &context.query);
        let proven = verdicts.proven(declared);
        let adding = (!proven.is_empty()).then(|| disjoint::adding(state));
        let state = adding.as_ref().unwrap_or(state);
        let mut steps = Steps::default();
        let whole = state.optimize(plan.get()).map_err(fail)?;
        let whole = federate::on_columns(whole).map_err(fail)?;
        steps.done("optimised");
        let mut optimised = national::taken_apart(whole, state, &proven).map_err(fail)?;
        steps.done("taken apart");
        if let Some(clustered) = federate::clustered(&optimised).map_err(fail)? {
            steps.done("clustered");
            optimised = federate::tidied(clustered, state).map_err(fail)?;
            steps.done("optimised again");
        }
        let Federated { plan, mut kept } = federate::at_spokes(optimised).map_err(fail)?;
        if proven.len() < declared.len() {
            kept.push(
                "people of a table that is declared disjoint, until it was found that nobody is at two members"
                    .to_owned(),
            );
        }
        steps.done("cut for spokes");
        let physical = state.query_planner().create_physical_plan(&plan, state).await.map_err(fail)?;
        steps.done("made physical");
        let physical = federate::with_key_lists(physical, *key_list).map_err(fail)?;
        steps.done("key lists");
        let mut scans = Vec::new();
        explain::collect(&physical, &mut scans);
        for scan in scans {
            federate::blind::check(scan.question())?;
            checked::check(scan.question())?;
        }
        tracing::debug!(query_id = %context.query, %steps, "planned");
        Ok((physical, kept))
    }
}

/// How long each step of planning took, for the log.
struct Steps(std::time::Instant, Vec<(&'static str, f64)>);

impl Default for Steps {
    fn default() -> Self {
        Self(std::time::Instant::now(), Vec::with_capacity(8))
    }
}

impl Steps {
    fn done(&mut self, what: &'static str) {
        let now = std::time::Instant::now();
        self.1.push((what, now.duration_since(self.0).as_secs_f64() * 1e3));
        self.0 = now;
    }
}

impl std::fmt::Display for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.1.iter().try_for_each(|(what, ms)| write!(f, "{what} {ms:.1} ms; "))
    }
}

impl Runnable {
    /// What it asks under permits that demand the user's own signature, in an order that doesn't depend on the plan.
    #[must_use]
    pub fn to_sign(&self) -> Vec<Question> {
        if matches!(self.planned.manner, Manner::Explain | Manner::Release) {
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

    /// Has the spokes asked whether tables that are declared disjoint are, where it isn't known, and plans again when they are.
    ///
    /// # Errors
    /// When it can't be planned. What can't be found out is taken not to be so.
    pub async fn proven(mut self) -> Result<Self, Refusal> {
        let Planned { state, verdicts, context, manner, .. } = &self.planned;
        if matches!(manner, Manner::Explain | Manner::Release) || !verdicts.open(&self.declared) {
            return Ok(self);
        }
        if let Err(error) = verdicts.look(&self.declared, state).await {
            let refusal = trouble::running(&error, &context.query);
            tracing::warn!(query_id = %context.query, reason = %refusal.message, "whether a national table is disjoint is not known yet");
            return Ok(self);
        }
        (self.physical, self.kept) = self.planned.leaves(&self.declared).await?;
        Ok(self)
    }

    /// By what it was planned.
    #[must_use]
    pub fn terms(&self) -> BTreeSet<Terms> {
        let mut scans = Vec::new();
        explain::collect(&self.physical, &mut scans);
        let questions = scans.into_iter().map(SpokeScanExec::question);
        questions
            .map(|question| Terms {
                controller: question.controller().clone(),
                permit: question.terms().permit,
                epoch: question.terms().epoch,
                fingerprint: question.fingerprint(),
            })
            .collect()
    }

    /// Starts it. Spokes are asked when the answer is first polled.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(self) -> Result<Answer, Refusal> {
        let physical = Arc::clone(&self.physical);
        let schema = Arc::clone(&self.planned.schema);
        match self.planned.manner {
            Manner::Answer => {
                let query = self.planned.context.query;
                let stream =
                    started(physical, &self.planned.state).map_err(|error| trouble::running(&error, &query))?;
                let (announced, left_out) = (Arc::clone(&schema), self.planned.left_out);
                let batches = stream
                    .map(move |batch| {
                        let batch = batch.map_err(|error| trouble::running(&error, &query))?;
                        fit(&batch, &left_out, &announced)
                    })
                    .boxed();
                Ok(Answer { schema, batches })
            }
            Manner::Explain => {
                let batch = explain::describe(&physical, &self.kept, &self.planned.left_out, None)?;
                Ok(Answer { schema, batches: futures::stream::iter([Ok(batch)]).boxed() })
            }
            Manner::Release => {
                let batch = explain::rules(&self.planned.notes)?;
                Ok(Answer { schema, batches: futures::stream::iter([Ok(batch)]).boxed() })
            }
            Manner::Analyze => {
                let batches = futures::stream::once(self.analyze(physical)).boxed();
                Ok(Answer { schema, batches })
            }
        }
    }

    async fn analyze(self, physical: Arc<dyn ExecutionPlan>) -> Result<RecordBatch, Refusal> {
        let fail = |error: DataFusionError| trouble::running(&error, &self.planned.context.query);
        let mut stream = started(Arc::clone(&physical), &self.planned.state).map_err(fail)?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch.map_err(fail)?.num_rows() as u64;
        }
        let measured = explain::Measured { rows, zone: self.planned.context.caller.zone };
        explain::describe(&physical, &self.kept, &self.planned.left_out, Some(&measured))
    }
}

/// A plan's rows, made by the computing threads. Dropping them ends the work, in the middle of a join too.
pub(crate) fn started(
    plan: Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<BoxStream<'static, ahead::Item>, DataFusionError> {
    let stop = Stop::default();
    let plan = stoppable(plan, &stop)?;
    let rows = {
        let _there = runtime::computing::enter();
        execute_stream(plan, state.task_ctx())?
    };
    let guard = stop.guard();
    Ok(ahead::of(rows).inspect(move |_| _ = &guard).boxed())
}

/// The same rows under the announced schema: the engine may differ in what it says about NULLs, in metadata, and in how many
/// digits it leaves room for (a rounded decimal has fewer once its plan is simplified).
fn fit(batch: &RecordBatch, left_out: &LeftOut, schema: &SchemaRef) -> Result<RecordBatch, Refusal> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().cloned().chain(left_out.column(batch.num_rows()));
    let columns = columns.zip(schema.fields()).map(|(column, field)| roomier(column, field.data_type())).collect();
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|error| {
        tracing::error!(%error, "an answer differs from its announced schema");
        Refusal::new(Kind::Internal, "the answer differs from its announced schema. Tell the hub's operator")
    })
}

/// The same decimals with the announced room. What would lose a digit stays as it is, and is refused.
fn roomier(column: ArrayRef, announced: &DataType) -> ArrayRef {
    let fits = match (column.data_type(), announced) {
        (DataType::Decimal128(_, has), DataType::Decimal128(_, wants)) => has <= wants,
        _ => false,
    };
    if !fits || column.data_type() == announced {
        return column;
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&column, announced, &exact).unwrap_or(column)
}
