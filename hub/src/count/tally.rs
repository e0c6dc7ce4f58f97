//! Counts each person once: the legs' people are matched by the pseudonyms of this request, in the engine, within the memory and
//! on the threads that a statement gets.
//!
//! INVARIANT: a leg is read once, into one plan; of its people nothing is kept beyond it.

use super::{
    legs::{Question, Questions},
    release::Exact,
};
use crate::{
    gather,
    plan::{self, trouble},
    receive::Counting,
    registry::Links,
};
use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int64Type, SchemaRef},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    catalog::streaming::StreamingTable,
    common::{DataFusionError, JoinType},
    datasource::provider_as_source,
    execution::{SessionStateBuilder, TaskContext, config::SessionConfig},
    functions_aggregate::expr_fn::count_distinct,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit},
    physical_plan::{SendableRecordBatchStream, metrics::ExecutionPlanMetricsSet, streaming::PartitionStream},
};
use futures::TryStreamExt;
use proto::{
    quick::{PERSON, dimension},
    refusal::{Kind, Refusal},
};
use std::{fmt, sync::Arc, time::Duration};

/// Cells of one answer.
const MOST_CELLS: usize = 10_000;
/// A request may wait so long for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Name of the count.
const PEOPLE: &str = "people";

/// The cells of a request. Of one that counts by columns only those with `least` people or more leave the plan.
pub(super) async fn cells(
    counting: &Counting<'_>,
    questions: Questions,
    by: usize,
    least: u64,
) -> Result<Vec<Exact>, Refusal> {
    let context = &counting.context;
    let compute = counting.planner.compute();
    let caller = &context.caller;
    let _slot = compute.admission().slot(&caller.user, &caller.issuer, PATIENCE).await?;
    let (environment, _spill) = compute.environment(&context.query)?;
    let config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_target_partitions(compute.profile().target_partitions())
        .with_batch_size(compute.profile().batch_size());
    let state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(environment).with_default_features().build();
    let failed = |error| trouble::running(&error, &context.query);
    let plan = plan(questions, counting.planner.registry().links(), by, least).map_err(failed)?;
    let physical = state.create_physical_plan(&plan).await.map_err(failed)?;
    let batches: Vec<RecordBatch> =
        plan::started(physical, &state).map_err(failed)?.try_collect().await.map_err(failed)?;
    let mut all = Vec::new();
    for batch in &batches {
        read(batch, by, &mut all)?;
    }
    if all.len() > MOST_CELLS {
        return Err(Refusal::new(
            Kind::TooLarge,
            format!("the answer has more than {MOST_CELLS} cells; count by fewer columns, or by coarser ones"),
        ));
    }
    Ok(all)
}

/// (person, columns to count by) of all groups, then the cells.
fn plan(questions: Questions, links: &Arc<Links>, by: usize, least: u64) -> Result<LogicalPlan, DataFusionError> {
    let Questions { all, groups, shared } = questions;
    let brings: Vec<Vec<usize>> = all.iter().map(|question| question.by.clone()).collect();
    let mut legs: Vec<Option<LogicalPlanBuilder>> = all
        .into_iter()
        .enumerate()
        .map(|(at, question)| scan(at, question, links).map(Some))
        .collect::<Result<_, DataFusionError>>()?;
    let mut take =
        |of: &[usize]| of.iter().filter_map(|at| Some((*at, legs.get_mut(*at)?.take()?))).collect::<Vec<_>>();
    let mut parts: Vec<(usize, LogicalPlanBuilder)> = Vec::new();
    // A group without conditions is everybody whom the shared legs find.
    if groups.iter().all(|group| !group.is_empty()) {
        let mut cohort: Option<LogicalPlanBuilder> = None;
        let mut places: Vec<usize> = Vec::new();
        for group in &groups {
            places = group.iter().filter_map(|at| brings.get(*at)).flatten().copied().collect();
            places.sort_unstable();
            let Some(people) = together(take(group), &places)? else { continue };
            cohort = Some(match cohort {
                None => people,
                Some(others) => others.union_distinct(people.build()?)?,
            });
        }
        if let Some(cohort) = cohort {
            let at = brings.len();
            let mut columns = vec![col(PERSON).alias(person(at))];
            columns.extend(places.iter().map(|place| col(dimension(*place))));
            parts.push((at, cohort.project(columns)?));
        }
    }
    parts.extend(take(&shared));
    let places: Vec<usize> = (0..by).collect();
    let people = together(parts, &places)?.ok_or_else(|| DataFusionError::Plan("a request without legs".to_owned()))?;
    let groups: Vec<Expr> = places.iter().map(|place| col(dimension(*place))).collect();
    let counted = people.aggregate(groups, vec![count_distinct(col(PERSON)).alias(PEOPLE)])?;
    if by == 0 {
        return counted.build();
    }
    let least = i64::try_from(least).unwrap_or(i64::MAX);
    counted.filter(col(PEOPLE).gt_eq(lit(least)))?.limit(0, Some(MOST_CELLS + 1))?.build()
}

/// Name of the person column of a leg before it meets others.
fn person(at: usize) -> String {
    format!("{PERSON}{at}")
}

/// Whoever is in all of the parts, with all values of `places` that they have there.
fn together(
    parts: Vec<(usize, LogicalPlanBuilder)>,
    places: &[usize],
) -> Result<Option<LogicalPlanBuilder>, DataFusionError> {
    let mut joined: Option<(usize, LogicalPlanBuilder)> = None;
    for (at, part) in parts {
        joined = Some(match joined {
            None => (at, part),
            Some((first, people)) => {
                let on = (vec![person(first)], vec![person(at)]);
                (first, people.join(part.build()?, JoinType::Inner, on, None)?)
            }
        });
    }
    let Some((first, people)) = joined else { return Ok(None) };
    let mut columns = vec![col(person(first)).alias(PERSON)];
    columns.extend(places.iter().map(|place| col(dimension(*place))));
    people.project(columns).map(Some)
}

/// A leg's people: `p<leg>`, and `d<place>` for each column to count by.
fn scan(at: usize, question: Question, links: &Arc<Links>) -> Result<LogicalPlanBuilder, DataFusionError> {
    let (schema, by) = (Arc::clone(&question.schema), question.by.clone());
    let partition = Arc::new(OfSpoke { question, links: Arc::clone(links) });
    let table = StreamingTable::try_new(schema, vec![partition])?;
    let mut columns = vec![col(PERSON).alias(person(at))];
    columns.extend(by.iter().map(|place| col(dimension(*place)).alias(dimension(*place))));
    LogicalPlanBuilder::scan(format!("leg{at}"), provider_as_source(Arc::new(table)), None)?.project(columns)
}

/// A leg's answer as it comes from its spoke. Read once: its nonce is used up then.
struct OfSpoke {
    question: Question,
    links: Arc<Links>,
}

impl fmt::Debug for OfSpoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfSpoke({})", self.question.permitted.controller())
    }
}

impl PartitionStream for OfSpoke {
    fn schema(&self) -> &SchemaRef {
        &self.question.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let Question { permitted, schema, .. } = &self.question;
        let metrics = ExecutionPlanMetricsSet::new();
        gather::rows(permitted.clone(), Vec::new(), Arc::clone(&self.links), Arc::clone(schema), &metrics, 0)
    }
}

fn read(batch: &RecordBatch, by: usize, all: &mut Vec<Exact>) -> Result<(), Refusal> {
    let unreadable = || Refusal::new(Kind::Internal, "the quick test's cells can't be read. Tell the hub's operator");
    let people =
        batch.columns().last().and_then(|column| column.as_primitive_opt::<Int64Type>()).ok_or_else(unreadable)?;
    let options = FormatOptions::default();
    let columns = batch.columns().iter().take(by);
    let formats = columns
        .map(|column| Ok((column, ArrayFormatter::try_new(column, &options).map_err(|_| unreadable())?)))
        .collect::<Result<Vec<_>, Refusal>>()?;
    for row in 0..batch.num_rows() {
        let value = |(column, format): &(&arrow::array::ArrayRef, ArrayFormatter<'_>)| {
            column.is_valid(row).then(|| format.value(row).to_string())
        };
        let values = formats.iter().map(value).collect();
        all.push(Exact { values, people: u64::try_from(people.value(row)).map_err(|_| unreadable())? });
    }
    Ok(())
}
