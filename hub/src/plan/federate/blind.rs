//! Members of which nothing but shares of blind totals leaves: their parts of one aggregate become one leaf, whose row is the
//! total.
//!
//! INVARIANT: a total is over the very members that each member's permit names, and all are asked the same fragment, to the
//! byte: the custodian refuses anything else, and so does each spoke.

use super::{Result, leaf::SpokePart};
use crate::{
    permit::Permitted,
    plan::{SpokeScanExec, blind::BlindTotalExec},
    registry::Links,
};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Column, DataFusionError, Statistics, TableReference},
    datasource::{provider_as_source, source_as_provider},
    logical_expr::{Expr, LogicalPlan, Projection, TableType, logical_plan::TableScanBuilder},
    physical_plan::ExecutionPlan,
};
use proto::{
    blind::{columns, statistics},
    ids::{ControllerId, QueryId},
    refusal::{Kind, Refusal},
    wire,
};
use std::{collections::BTreeSet, sync::Arc};

/// The members' parts as one total; `None`: they are of members whose rows may leave.
pub(super) fn total(parts: &[Arc<LogicalPlan>]) -> Result<Option<LogicalPlan>> {
    let found: Vec<Option<Part>> = parts.iter().map(|part| Part::of(part)).collect();
    let asked: Vec<&Part> = found.iter().flatten().collect();
    let Some((first, set)) = asked.iter().find_map(|part| Some((*part, part.question.terms().blind.as_ref()?))) else {
        return Ok(None);
    };
    let names: BTreeSet<&ControllerId> = asked.iter().map(|part| part.question.controller()).collect();
    if asked.len() != parts.len() || names.len() != parts.len() || !set.members.iter().eq(names) {
        let members: Vec<&str> = set.members.iter().map(ControllerId::as_str).collect();
        return no(format!(
            "is over {}: all of them, nobody else, and no condition on `controller`",
            members.join(", ")
        ));
    }
    statistics(first.question.get()).map_err(|unshareable| refused(unshareable.to_string()))?;
    columns::check(&first.schema).map_err(|inexact| refused(inexact.to_string()))?;
    for part in &asked {
        if part.question.terms().blind.as_ref() != Some(set) {
            return no(format!(
                "'{}' was told of another set of members or another custodian",
                part.question.controller()
            ));
        }
        if part.question.get() != first.question.get() {
            return no(format!(
                "'{}' and '{}' would be asked different things; declare their tables with the same name, columns, units and codes",
                first.question.controller(),
                part.question.controller()
            ));
        }
    }
    let provider = BlindPart {
        questions: asked.iter().map(|part| part.question.clone()).collect(),
        links: Arc::clone(&first.links),
        schema: Arc::clone(&first.schema),
    };
    let name = TableReference::bare("blind total");
    let scan = TableScanBuilder::new(name.clone(), provider_as_source(Arc::new(provider))).build()?;
    let columns = first.schema.fields().iter().zip(&first.shown);
    let shown = columns.map(|(field, shown)| {
        Expr::Column(Column::new(Some(name.clone()), field.name())).alias_qualified(shown.0.clone(), shown.1.as_str())
    });
    let shown = Projection::try_new(shown.collect(), Arc::new(LogicalPlan::TableScan(scan)))?;
    Ok(Some(LogicalPlan::Projection(shown)))
}

/// Whether a part of a plan still asks for what doesn't leave.
///
/// # Errors
/// When it does: what to ask instead.
pub(in crate::plan) fn check(question: &Permitted<wire::Fragment>) -> std::result::Result<(), Refusal> {
    match &question.terms().blind {
        Some(set) if question.blind().is_none() => {
            let members: Vec<&str> = set.members.iter().map(ControllerId::as_str).collect();
            Err(Refusal::new(
                Kind::Denied,
                format!(
                    "'{}' lets nothing out but totals over {} together. Ask for COUNT, COUNT(DISTINCT person) or SUM of whole \
                     numbers or decimals, without GROUP BY, over their national table, which must be declared disjoint",
                    question.controller(),
                    members.join(", ")
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// One member's part, as a leaf has it.
struct Part {
    question: Permitted<wire::Fragment>,
    links: Arc<Links>,
    schema: SchemaRef,
    /// the names that the rest of the plan knows its columns by
    shown: Vec<(Option<TableReference>, String)>,
}

impl Part {
    fn of(plan: &LogicalPlan) -> Option<Self> {
        let LogicalPlan::Projection(projection) = plan else { return None };
        let LogicalPlan::TableScan(scan) = projection.input.as_ref() else { return None };
        let provider = source_as_provider(&scan.source).ok()?;
        let part = provider.downcast_ref::<SpokePart>()?;
        let shown = projection.schema.iter().map(|(table, field)| (table.cloned(), field.name().clone())).collect();
        Some(Self { question: part.question().clone(), links: Arc::clone(part.links()), schema: part.schema(), shown })
    }
}

fn no<T>(why: String) -> Result<T> {
    Err(refused(format!("a blind total {why}")))
}

fn refused(message: String) -> DataFusionError {
    DataFusionError::External(Box::new(Refusal::new(Kind::Denied, message)))
}

/// All members' parts, as a table of one row.
#[derive(Debug)]
struct BlindPart {
    questions: Vec<Permitted<wire::Fragment>>,
    links: Arc<Links>,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for BlindPart {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = || {
            let refusal = Refusal::new(Kind::Internal, "a part of a statement was changed after it was made");
            DataFusionError::External(Box::new(refusal))
        };
        let all = projection.is_none_or(|columns| columns.iter().copied().eq(0..self.schema.fields().len()));
        if !all || !filters.is_empty() || limit.is_some() {
            return Err(changed());
        }
        // Another one each time that it is planned: a total is given once.
        let total = QueryId::new();
        let answer = columns::answer_schema();
        let member = |question: &Permitted<wire::Fragment>| {
            let statistics = Statistics::new_unknown(&answer);
            SpokeScanExec::new(
                question.clone().sharing(total),
                Arc::clone(&self.links),
                Arc::clone(&answer),
                statistics,
            )
        };
        let members = self.questions.iter().map(member).collect();
        let whole = BlindTotalExec::new(total, members, Arc::clone(&self.links), Arc::clone(&self.schema));
        Ok(Arc::new(whole.ok_or_else(changed)?))
    }
}
