//! National tables that are declared disjoint: no person is in two members' rows. Then people add up, and no pairs of cell
//! and person have to travel. A declaration is not believed: before the first statement that would rest on it, each member
//! sends its different people once, and the hub looks for one that came twice.
//!
//! What was found holds for these versions of the members' tables, under these permits and this key; a member that has
//! published anew refuses a question that rests on it (`ScanRequest.versions`). Lists of people who are left out can change
//! without a new version, so that it is looked for again after [`KEPT`].
//!
//! Members that let nothing out but blind totals don't send their people either. Of a table of such members alone the declaration
//! is believed, and who makes it answers for it (docs/blind-totals.md).
//!
//! INVARIANT: people add up only when it was found that nobody is in two members' rows. Until then, and when somebody is, they
//! are counted as over any other members: the same answer, at a higher price.
//! INVARIANT: who came twice, and how many, is told to nobody; the operator learns which members don't fit the declaration.

use super::{federate, national, national::NationalTable};
use crate::registry::TableOffer;
use arrow::array::AsArray;
use datafusion::{
    common::{Column, DataFusionError, tree_node::TreeNodeRecursion},
    datasource::source_as_provider,
    execution::session_state::{SessionState, SessionStateBuilder},
    functions_aggregate::{
        count::count_udaf,
        expr_fn::{count, max, min},
    },
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource, col, lit},
    physical_plan::collect,
};
use proto::{
    ids::{ControllerId, PermitId, ProjectId, TableName},
    plan::{contributions, persons::persons_udaf},
    schema,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};

/// How long it is not looked for again.
const KEPT: Duration = Duration::from_secs(3_600);
/// Tables remembered at once.
const REMEMBERED: usize = 1_024;
/// Pairs of members that are named to the operator.
const NAMED: usize = 16;

/// A member's table, as it was when nobody was found in two of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Member {
    controller: ControllerId,
    table: TableName,
    snapshot: i64,
    permit: Option<PermitId>,
    epoch: Option<u32>,
    key: String,
}

/// A national table of one project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    project: ProjectId,
    table: TableName,
    members: Vec<Member>,
}

type Verdict = Arc<OnceCell<bool>>;

/// What was found of tables that are declared disjoint; one for all statements.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<HashMap<Key, (Instant, Verdict)>>);

/// A table of a statement that counts people and would be cheaper if it were disjoint.
pub(super) struct Declared {
    key: Key,
    source: Arc<dyn TableSource>,
    /// the column of its people
    person: String,
    /// no member lets its people out to be compared: the declaration is all there is
    believed: bool,
}

impl Verdicts {
    fn of(&self, key: &Key) -> Verdict {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| now.duration_since(*at) < KEPT);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let (_, verdict) = known.entry(key.clone()).or_insert_with(|| (now, Verdict::default()));
        Arc::clone(verdict)
    }

    /// The tables of which it was found already.
    pub(super) fn proven(&self, declared: &[Declared]) -> BTreeSet<TableName> {
        let proven = declared.iter().filter(|table| table.believed || self.of(&table.key).get() == Some(&true));
        proven.map(|table| table.key.table.clone()).collect()
    }

    /// Whether some of it is not known yet.
    pub(super) fn open(&self, declared: &[Declared]) -> bool {
        declared.iter().any(|table| !table.believed && !self.of(&table.key).initialized())
    }

    /// Looks for people in two members' rows, once for all statements that wait for it.
    ///
    /// # Errors
    /// When a member can't be asked.
    pub(super) async fn look(&self, declared: &[Declared], state: &SessionState) -> Result<(), DataFusionError> {
        for table in declared.iter().filter(|table| !table.believed) {
            self.of(&table.key).get_or_try_init(|| table.look(state)).await?;
        }
        Ok(())
    }
}

/// The tables of a statement that are declared disjoint, when it counts different people.
pub(super) fn declared(plan: &LogicalPlan, project: &ProjectId) -> Vec<Declared> {
    let (mut counts, mut found) = (false, Vec::<Declared>::new());
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            counts |= aggregate.aggr_expr.iter().any(people);
        }
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(national) = provider.downcast_ref::<NationalTable>()
            && let Some(one) = Declared::of(national.offer(), &scan.source, project)
            && !found.iter().any(|known| known.key == one.key)
        {
            found.push(one);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if counts { found } else { Vec::new() }
}

/// The session for a statement whose people add up: the engine would have each person sent once instead of counted at the
/// spokes.
pub(super) fn adding(state: &SessionState) -> SessionState {
    let rules = state.optimizer().rules.iter().filter(|rule| rule.name() != "single_distinct_aggregation_to_group_by");
    let rules = rules.cloned().collect();
    SessionStateBuilder::new_from_existing(state.clone()).with_optimizer_rules(rules).build()
}

fn people(measure: &Expr) -> bool {
    match measure {
        Expr::Alias(alias) => people(&alias.expr),
        Expr::AggregateFunction(function) => {
            function.func == persons_udaf()
                || contributions::tells(&function.func).is_some()
                || (function.func == count_udaf() && function.params.distinct)
        }
        _ => false,
    }
}

/// The only column of people that a table has.
pub(super) fn person(offer: &TableOffer) -> Option<&str> {
    let role = |field: &&Arc<arrow::datatypes::Field>| {
        field.metadata().get(schema::ROLE).is_some_and(|role| role == schema::PERSON)
    };
    let mut people = offer.schema.fields().iter().filter(role);
    people.next().filter(|_| people.next().is_none()).map(|field| field.name().as_str())
}

impl Declared {
    fn of(offer: &TableOffer, source: &Arc<dyn TableSource>, project: &ProjectId) -> Option<Self> {
        if !offer.disjoint || offer.parts.len() < 2 {
            return None;
        }
        let members = offer.parts.iter().map(|part| Member {
            controller: part.offer.controller.clone(),
            table: part.offer.name.clone(),
            snapshot: part.offer.snapshot,
            permit: part.offer.terms.permit,
            epoch: part.offer.terms.epoch,
            key: part.offer.terms.key_id.clone(),
        });
        let key = Key { project: project.clone(), table: offer.name.clone(), members: members.collect() };
        let believed = offer.parts.iter().all(|part| part.offer.terms.blind.is_some());
        Some(Self { key, source: Arc::clone(source), person: person(offer)?.to_owned(), believed })
    }

    /// Whether its members let nothing out but blind totals, so that the declaration is taken as it stands.
    pub(super) fn believed(&self) -> bool {
        self.believed
    }

    /// Whether nobody is in two members' rows.
    async fn look(&self, state: &SessionState) -> Result<bool, DataFusionError> {
        let whole = state.optimize(&self.twice()?)?;
        let members = national::taken_apart(whole, state, &BTreeSet::new())?;
        let federate::Federated { plan, .. } = federate::at_spokes(members)?;
        let physical = state.query_planner().create_physical_plan(&plan, state).await?;
        let found = collect(physical, state.task_ctx()).await?;
        let mut pairs = Vec::new();
        for batch in &found {
            let texts = |place: usize| batch.columns().get(place).and_then(|column| column.as_string_opt::<i32>());
            let (Some(a), Some(b)) = (texts(0), texts(1)) else {
                return Err(DataFusionError::Internal("members have no names".to_owned()));
            };
            let named = a.iter().flatten().zip(b.iter().flatten());
            pairs.extend(named.map(|(a, b)| format!("'{a}' and '{b}'")));
        }
        if pairs.is_empty() {
            tracing::info!(project = %self.key.project, table = %self.key.table, "nobody is in two members' rows");
        } else {
            tracing::warn!(
                project = %self.key.project, table = %self.key.table, members = pairs.join(", "),
                "a national table is declared disjoint, and there are people in the rows of two members: they are counted \
                 once all the same. Set persons = \"overlapping\" in its declaration"
            );
        }
        Ok(pairs.is_empty())
    }

    /// Pairs of members that have a person in common.
    fn twice(&self) -> Result<LogicalPlan, DataFusionError> {
        let controller = crate::registry::national::declare::CONTROLLER;
        let person = || Expr::Column(Column::new_unqualified(&self.person));
        LogicalPlanBuilder::scan("members", Arc::clone(&self.source), None)?
            .project([person(), col(controller)])?
            .filter(person().is_not_null())?
            .aggregate([person(), col(controller)], Vec::<Expr>::new())?
            .aggregate(
                [person()],
                [count(lit(1_i64)).alias("n"), min(col(controller)).alias("first"), max(col(controller)).alias("last")],
            )?
            .filter(col("n").gt(lit(1_i64)))?
            .aggregate([col("first"), col("last")], Vec::<Expr>::new())?
            .limit(0, Some(NAMED))?
            .build()
    }
}
