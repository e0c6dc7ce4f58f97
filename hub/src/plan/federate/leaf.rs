//! A part of a statement that one spoke answers, as a table of the plan.

use super::{
    Result,
    estimate::{Estimate, estimate},
    site,
};
use crate::{
    permit::{self, Permitted},
    plan::SpokeScanExec,
    registry::{Links, TableOffer},
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Column, DataFusionError, TableReference, tree_node::TreeNode},
    datasource::provider_as_source,
    logical_expr::{Expr, LogicalPlan, Projection, TableType, logical_plan::TableScanBuilder},
    physical_plan::ExecutionPlan,
};
use proto::{
    plan,
    refusal::{Kind, Refusal},
    wire,
};
use std::sync::Arc;

/// The columns are named as the fragment names them.
#[derive(Debug)]
pub(super) struct SpokePart {
    question: Permitted<wire::Fragment>,
    links: Arc<Links>,
    schema: SchemaRef,
    expected: Estimate,
}

impl SpokePart {
    /// What is asked.
    pub(super) fn question(&self) -> &Permitted<wire::Fragment> {
        &self.question
    }

    /// How spokes are reached.
    pub(super) fn links(&self) -> &Arc<Links> {
        &self.links
    }
}

/// Whether a part of a statement can be a leaf.
pub(super) enum Said {
    /// it is one, with the same columns
    Leaf(LogicalPlan),
    /// its tables are one spoke's, and a fragment can't say this
    Unsayable(String),
    /// its tables are not one spoke's
    Elsewhere,
}

/// The plan as a leaf with the same columns, if its tables are one spoke's and a fragment can say it.
pub(super) fn of(part: &LogicalPlan) -> Result<Said> {
    let Some(tables) = site::one(part) else { return Ok(Said::Elsewhere) };
    let plan::Said { fragment, columns } = match plan::say(part) {
        Ok(said) => said,
        Err(unsayable) => return Ok(Said::Unsayable(unsayable.what)),
    };
    let Some(table) = tables.first().and_then(site::Table::get) else { return Ok(Said::Elsewhere) };
    let mut offers: Vec<Arc<TableOffer>> = Vec::new();
    for offer in tables.iter().filter_map(|table| table.get().map(|t| t.offer())) {
        if !offers.iter().any(|known| known.name == offer.name) {
            offers.push(Arc::clone(offer));
        }
    }
    let external = |refusal: Refusal| DataFusionError::External(Box::new(refusal));
    let mut question = permit::fragment(table.context(), &offers, fragment).map_err(external)?;
    if shared(&tables) && aggregated(part) {
        // Its people are added to others': that holds of these versions only.
        question = question.held();
    }
    let fields = part.schema().fields().iter().zip(&columns);
    let fields: Vec<Field> = fields.map(|(field, name)| Field::clone(field).with_name(name)).collect();
    let provider = SpokePart {
        question,
        links: Arc::clone(table.links()),
        schema: Arc::new(Schema::new_with_metadata(fields, part.schema().metadata().clone())),
        expected: estimate(part),
    };
    let name = TableReference::bare(format!("at {}", provider.question.controller()));
    let scan = TableScanBuilder::new(name.clone(), provider_as_source(Arc::new(provider))).build()?;
    let shown = part.schema().iter().zip(&columns).map(|((table, field), sent)| {
        Expr::Column(Column::new(Some(name.clone()), sent)).alias_qualified(table.cloned(), field.name())
    });
    let shown = Projection::try_new(shown.collect(), Arc::new(LogicalPlan::TableScan(scan)))?;
    Ok(Said::Leaf(LogicalPlan::Projection(shown)))
}

fn shared(tables: &[site::Table]) -> bool {
    tables.iter().any(|table| table.get().is_some_and(|table| table.share().is_some()))
}

fn aggregated(plan: &LogicalPlan) -> bool {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_)))).unwrap_or(true)
}

#[async_trait]
impl TableProvider for SpokePart {
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
        let all = projection.is_none_or(|columns| columns.iter().copied().eq(0..self.schema.fields().len()));
        if !all || !filters.is_empty() || limit.is_some() {
            // It is made after the last step that could ask for less.
            let refusal = Refusal::new(Kind::Internal, "a part of a statement was changed after it was made");
            return Err(DataFusionError::External(Box::new(refusal)));
        }
        let statistics = self.expected.statistics(&self.schema);
        let (question, links) = (self.question.clone(), Arc::clone(&self.links));
        Ok(Arc::new(SpokeScanExec::new(question, links, Arc::clone(&self.schema), statistics)))
    }
}
