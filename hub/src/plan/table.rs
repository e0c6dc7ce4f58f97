//! A controller's table, as the planner sees it.

use super::{disjoint, federate::of_table, scan::SpokeScanExec};
use crate::{
    permit,
    registry::{Links, TableOffer, national::Part},
    request::RequestContext,
};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DataFusionError, Statistics},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};
use proto::{
    fragment::Limits,
    ids::TableName,
    plan::{self, encode_expr},
    refusal::{Kind, Refusal},
    wire,
};
use std::{collections::BTreeSet, sync::Arc};

/// One table of one spoke, in one request.
#[derive(Debug)]
pub struct SpokeTable {
    offer: Arc<TableOffer>,
    links: Arc<Links>,
    context: Arc<RequestContext>,
    share: Option<Share>,
}

/// A member's part of a national table in which it was found that no person is in two members' rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    /// the national table
    pub(super) of: TableName,
    /// the member's column of people
    pub(super) person: String,
}

impl SpokeTable {
    pub(super) fn new(offer: Arc<TableOffer>, links: Arc<Links>, context: Arc<RequestContext>) -> Self {
        Self { offer, links, context, share: None }
    }

    /// The offer behind it.
    #[must_use]
    pub fn offer(&self) -> &Arc<TableOffer> {
        &self.offer
    }

    /// The same table as a part of a national one that is known to be disjoint.
    pub(super) fn one_of(mut self, national: &TableOffer, part: &Part) -> Self {
        let place = disjoint::person(national).and_then(|name| national.schema.index_of(name).ok());
        let source = place.and_then(|place| part.sources.get(place));
        let name = disjoint::person(national).map(str::to_owned);
        let person = source.and_then(|source| source.from.clone().or(name));
        self.share = person.map(|person| Share { of: national.name.clone(), person });
        self
    }

    /// Which part of a disjoint national table it is.
    pub(super) fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    /// The request that it belongs to.
    pub(super) fn context(&self) -> &Arc<RequestContext> {
        &self.context
    }

    /// How spokes are reached.
    pub(super) fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// The question whose answer is `wanted` columns of the rows that pass `filters`.
    fn fragment(
        &self,
        wanted: &[String],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<wire::Fragment, DataFusionError> {
        // Columns that only a filter needs are read and dropped at the spoke.
        let mut columns = wanted.to_vec();
        let filtered: BTreeSet<&str> =
            filters.iter().flat_map(|f| f.column_refs()).map(|column| column.name.as_str()).collect();
        for field in self.offer.schema.fields() {
            if filtered.contains(field.name().as_str()) && !wanted.contains(field.name()) {
                columns.push(field.name().clone());
            }
        }
        let mut rel = plan::read(&self.offer.name, &columns);
        for filter in filters {
            let predicate = encode_expr(filter).map_err(|e| DataFusionError::Internal(e.to_string()))?;
            rel = plan::filter(rel, predicate);
        }
        if columns.len() > wanted.len() {
            let column = |name: &String| wire::Expr { kind: Some(wire::expr::Kind::Column(name.clone())) };
            rel = plan::project(rel, wanted.iter().map(|name| plan::named(name, column(name))).collect());
        }
        if let Some(limit) = limit {
            rel = plan::limit(rel, limit as u64);
        }
        let fragment = plan::fragment(rel);
        // Each filter is small enough; all of them together may not be.
        proto::fragment::check(&fragment, &Limits::default()).map_err(|error| {
            let message = format!(
                "too much is asked of '{}' at once: {error}. Use fewer or shorter conditions",
                self.offer.controller
            );
            DataFusionError::External(Box::new(Refusal::new(Kind::TooLarge, message)))
        })?;
        Ok(fragment)
    }
}

#[async_trait]
impl TableProvider for SpokeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.offer.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        // What the fragment can say is said, and the spoke is trusted to filter; the rest stays at the hub.
        Ok(filters
            .iter()
            .map(|filter| match encode_expr(filter) {
                // A condition on no column is decided at the hub: perhaps nobody has to be asked.
                Ok(_) if !filter.is_volatile() && !filter.column_refs().is_empty() => {
                    TableProviderFilterPushDown::Exact
                }
                _ => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(of_table(&self.offer, &self.offer.schema, &[], None))
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let schema = match projection {
            Some(columns) => Arc::new(self.offer.schema.project(columns)?),
            None => Arc::clone(&self.offer.schema),
        };
        let wanted: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let fragment = self.fragment(&wanted, filters, limit)?;
        let question = permit::fragment(&self.context, std::slice::from_ref(&self.offer), fragment)
            .map_err(|refusal| DataFusionError::External(Box::new(refusal)))?;
        let statistics = of_table(&self.offer, &schema, filters, limit);
        Ok(Arc::new(SpokeScanExec::new(question, Arc::clone(&self.links), schema, statistics)))
    }
}
