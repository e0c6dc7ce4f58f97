//! Controllers that let only cells out that their own spoke has checked: the part of a statement that makes cells of their people becomes
//! one question, and what comes back is released already.
//!
//! It is done before the release rules of this hub look at the statement: they see the leaf's rows as cells, with what their spoke has
//! hidden in them. HAVING, ORDER BY, LIMIT and joins of groups follow here, over shown numbers.
//!
//! INVARIANT: a leaf asks for whole cells of one controller's people. What would need more of such a controller is refused
//! before anybody is asked ([`cut`], and [`check`] for whatever comes another way); the spoke would refuse it too.

use super::{SpokeScanExec, SpokeTable, national::NationalTable, roles::SessionRoles};
use crate::{
    permit::{self, Permitted},
    registry::{Links, TableOffer},
    release::{self, Ledger, Roles},
};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{
        Column, DataFusionError, Result, Statistics, TableReference,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    datasource::{provider_as_source, source_as_provider},
    execution::session_state::SessionState,
    logical_expr::{Expr, LogicalPlan, Projection, TableScan, TableSource, TableType, logical_plan::TableScanBuilder},
    optimizer::{
        Optimizer, OptimizerRule, decorrelate_predicate_subquery::DecorrelatePredicateSubquery,
        eliminate_cross_join::EliminateCrossJoin, extract_equijoin_predicate::ExtractEquijoinPredicate,
    },
    physical_expr::{PhysicalExpr, expressions},
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};
use policies::{disclosure::Threshold, zone::Zone};
use proto::{
    fragment::Limits,
    ids::ControllerId,
    plan,
    refusal::{Kind, Refusal},
    wire,
};
use std::{collections::HashMap, sync::Arc};

/// The statement, in which spokes that check their own cells are asked for them. Others' statements stay as they are.
///
/// `plan` is analysed, not optimised.
///
/// # Errors
/// A [`Refusal`] when it needs more of such a controller than its cells, or can't be answered in the open zone at all.
pub(super) fn cut(plan: LogicalPlan, zone: Zone, state: &SessionState) -> Result<LogicalPlan> {
    if zone == Zone::Enclave || controller(&plan)?.is_none() {
        return Ok(plan);
    }
    let unreleasable = |refusal: release::ReleaseRefusal| denied(refusal.to_string());
    release::allowed(&plan, &SessionRoles).map_err(unreleasable)?;
    let mut number = 0;
    let cut = plan.transform_down_with_subqueries(|node| {
        let Some(checking) = controller(&node)? else {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        };
        if !release::makes_cells(&node, &SessionRoles).map_err(unreleasable)? {
            return Ok(Transformed::no(node));
        }
        number += 1;
        let leaf = cells(&node, &checking, number, state)?;
        Ok(Transformed::new(leaf, true, TreeNodeRecursion::Jump))
    })?;
    Ok(cut.data)
}

/// Whether a part of a plan still asks for people whom their spoke lets out as checked cells only.
///
/// # Errors
/// When it does: what to ask instead.
pub(super) fn check(question: &Permitted<wire::Fragment>) -> std::result::Result<(), Refusal> {
    let of_people = question.tables().any(|offer| people(offer));
    if question.terms().checked.is_none() || question.asks_cells() || !of_people {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::Denied,
        format!(
            "'{}' lets only cells out that its own spoke has checked. Ask for an aggregate over its tables alone",
            question.controller()
        ),
    ))
}

/// The first controller among a plan's that lets only checked cells of its people out.
fn controller(plan: &LogicalPlan) -> Result<Option<ControllerId>> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found = checking(scan);
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn checking(scan: &TableScan) -> Option<ControllerId> {
    let provider = source_as_provider(&scan.source).ok()?;
    let of =
        |offer: &Arc<TableOffer>| (offer.terms.checked.is_some() && people(offer)).then(|| offer.controller.clone());
    match provider.downcast_ref::<SpokeTable>() {
        Some(table) => of(table.offer()),
        None => provider.downcast_ref::<NationalTable>()?.members().find_map(of),
    }
}

fn people(offer: &TableOffer) -> bool {
    let source =
        provider_as_source(Arc::new(datafusion::datasource::empty::EmptyTable::new(Arc::clone(&offer.schema))));
    SessionRoles.has_people(source.as_ref())
}

/// A part that makes cells, as what the spoke of `checking` is asked, with the same columns.
fn cells(node: &LogicalPlan, checking: &ControllerId, number: usize, state: &SessionState) -> Result<LogicalPlan> {
    let tables = tables(node, checking)?;
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
    ];
    // No more than what a fragment needs to say it: the rules look at what a statement says, at the spoke as here.
    let sayable = Optimizer::with_rules(rules).optimize(node.clone(), state, |_, _| {})?;
    let said = plan::say(&sayable).map_err(|unsayable| {
        denied(format!(
            "'{checking}' lets only cells out that its own spoke has checked, and it can't be asked for these: they need {}. Write \
             the aggregate without, one level of groups at a time",
            unsayable.what
        ))
    })?;
    let first = tables.first().ok_or_else(|| broken("names no table"))?;
    let (context, links) = (Arc::clone(first.table()?.context()), Arc::clone(first.table()?.links()));
    let mut offers: Vec<Arc<TableOffer>> = Vec::new();
    for table in &tables {
        let offer = table.table()?.offer();
        if !offers.iter().any(|known| known.name == offer.name) {
            offers.push(Arc::clone(offer));
        }
    }
    let external = |refusal: Refusal| DataFusionError::External(Box::new(refusal));
    let sources = Sources(tables.iter().map(|table| (table.name.clone(), Arc::clone(&table.source))).collect());
    let (schema, layout) = answered(&said.fragment, &sources, least(&offers), state)?;
    let question = permit::fragment(&context, &offers, said.fragment).map_err(external)?.of_cells();
    if layout.shown() != node.schema().fields().len() {
        return Err(broken("have other columns"));
    }
    let provider = CheckedCells { question, links, schema: Arc::clone(&schema), layout: Arc::new(layout) };
    let name = TableReference::bare(format!("cells {number} of {checking}"));
    let scan = TableScanBuilder::new(name.clone(), provider_as_source(Arc::new(provider))).build()?;
    let shown = node.schema().iter().zip(schema.fields()).map(|((table, field), sent)| {
        Expr::Column(Column::new(Some(name.clone()), sent.name())).alias_qualified(table.cloned(), field.name())
    });
    Projection::try_new(shown.collect(), Arc::new(LogicalPlan::TableScan(scan))).map(LogicalPlan::Projection)
}

/// What the spoke answers a fragment with: it makes the same of the same fragment.
fn answered(
    fragment: &wire::Fragment,
    sources: &Sources,
    least: Threshold,
    state: &SessionState,
) -> Result<(SchemaRef, release::Layout)> {
    let asked = plan::decode_plainly(fragment, sources, state, &Limits::default());
    let asked = asked.map_err(|error| DataFusionError::External(Box::new(Refusal::from(error))))?;
    let asked = state.analyzer().execute_and_check(asked, state.config_options(), |_, _| {})?;
    // Nothing of it runs here, so that nothing is remembered.
    let nothing = Arc::new(Ledger::default());
    let checked = release::checked(asked, &SessionRoles, &nothing, least);
    let (plan, layout) = checked.map_err(|refusal| denied(refusal.to_string()))?.into_parts();
    Ok((plan.schema().into_inner(), layout))
}

fn least(offers: &[Arc<TableOffer>]) -> Threshold {
    offers.first().map_or(Threshold::DEFAULT, |offer| offer.least())
}

/// A table that cells are made of.
struct Read {
    name: String,
    source: Arc<dyn TableSource>,
    provider: Arc<dyn TableProvider>,
}

impl Read {
    fn table(&self) -> Result<&SpokeTable> {
        self.provider.downcast_ref::<SpokeTable>().ok_or_else(|| broken("read no table of a spoke"))
    }
}

/// All tables that a part reads, which must be this controller's.
fn tables(node: &LogicalPlan, checking: &ControllerId) -> Result<Vec<Read>> {
    let mut tables: Vec<Read> = Vec::new();
    node.apply_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(TreeNodeRecursion::Continue) };
        let provider = source_as_provider(&scan.source)?;
        let own = provider.downcast_ref::<SpokeTable>().is_some_and(|table| table.offer().controller == *checking);
        if !own {
            let other = scan.table_name.table();
            return Err(denied(format!(
                "'{checking}' lets only cells out that its own spoke has checked, so its people can't be counted together with \
                 what '{other}' holds. Count them by themselves (WITH g AS (SELECT .. FROM {checking}.. GROUP BY ..)), and join \
                 the groups"
            )));
        }
        tables.push(Read { name: scan.table_name.table().to_owned(), source: Arc::clone(&scan.source), provider });
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

struct Sources(HashMap<String, Arc<dyn TableSource>>);

impl plan::Tables for Sources {
    fn table(&self, name: &str) -> Option<Arc<dyn TableSource>> {
        self.0.get(name).cloned()
    }
}

fn denied(message: String) -> DataFusionError {
    DataFusionError::External(Box::new(Refusal::new(Kind::Denied, message)))
}

fn broken(what: &str) -> DataFusionError {
    DataFusionError::External(Box::new(Refusal::new(
        Kind::Internal,
        format!("checked cells {what}. Tell the hub's operator"),
    )))
}

/// Cells that a spoke has released, as a table: the statement's columns, then the numbers of the rules that hide them.
#[derive(Debug)]
pub(super) struct CheckedCells {
    question: Permitted<wire::Fragment>,
    links: Arc<Links>,
    schema: SchemaRef,
    layout: Arc<release::Layout>,
}

impl CheckedCells {
    /// Whose people they are of.
    pub(super) fn controller(&self) -> &ControllerId {
        self.question.controller()
    }

    /// What its columns are.
    pub(super) fn layout(&self) -> &release::Layout {
        &self.layout
    }
}

#[async_trait]
impl TableProvider for CheckedCells {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    /// Always asked whole: what the statement leaves out is left out here.
    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !filters.is_empty() {
            return Err(broken("were to be filtered by their spoke"));
        }
        let statistics = Statistics::new_unknown(&self.schema);
        let (question, links) = (self.question.clone(), Arc::clone(&self.links));
        let whole = Arc::new(SpokeScanExec::new(question, links, Arc::clone(&self.schema), statistics));
        let Some(wanted) = projection else { return Ok(whole) };
        let columns = wanted.iter().map(|&place| {
            let field = self.schema.fields().get(place).ok_or_else(|| broken("have fewer columns"))?;
            let column: Arc<dyn PhysicalExpr> = Arc::new(expressions::Column::new(field.name(), place));
            Ok((column, field.name().clone()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, whole)?))
    }
}
