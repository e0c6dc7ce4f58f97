//! A controller's table, as the planner sees it.

use super::scan::SpokeScanExec;
use crate::{
    permit,
    registry::{Links, TableOffer},
    request::RequestContext,
};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DataFusionError, Statistics, stats::Precision},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};
use proto::{
    fragment::Limits,
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
}

impl SpokeTable {
    pub(super) fn new(offer: Arc<TableOffer>, links: Arc<Links>, context: Arc<RequestContext>) -> Self {
        Self { offer, links, context }
    }

    /// The offer behind it.
    #[must_use]
    pub fn offer(&self) -> &Arc<TableOffer> {
        &self.offer
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
        Some(self.estimate(&self.offer.schema, 0, None))
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
        let statistics = self.estimate(&schema, filters.len(), limit);
        Ok(Arc::new(SpokeScanExec::new(question, Arc::clone(&self.links), schema, statistics)))
    }
}

impl SpokeTable {
    /// Never exact: an exact count would be taken for the answer to `COUNT(*)` without asking the spoke, and the
    /// spoke's row filter is not in it.
    fn estimate(&self, schema: &Schema, filters: usize, limit: Option<usize>) -> Statistics {
        let all = usize::try_from(self.offer.rows).unwrap_or(usize::MAX);
        // A filter is taken to keep a fifth of the rows.
        let kept = filters.min(6).try_into().map_or(all, |n| all / 5usize.pow(n)).max(1);
        let rows = limit.map_or(kept, |limit| kept.min(limit));
        let width: usize = schema.fields().iter().map(|f| f.data_type().primitive_width().unwrap_or(16)).sum();
        let mut statistics = Statistics::new_unknown(schema);
        statistics.num_rows = Precision::Inexact(rows);
        statistics.total_byte_size = Precision::Inexact(rows.saturating_mul(width.max(1)));
        statistics
    }
}
