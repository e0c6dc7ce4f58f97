//! A national table in a statement, and the members' tables that take its place.
//!
//! Release looks at the table as one, before it is taken apart. Then each scan of it becomes `UNION ALL` of its members,
//! with names, units and codes harmonised in each member's part, so that they travel with the rest of the fragment.
//!
//! INVARIANT: the parts together give exactly the columns that the whole announced.

use super::SpokeTable;
use crate::{
    registry::{Links, TableOffer, national::Part},
    request::RequestContext,
};
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Column, DataFusionError, ScalarValue, TableReference, tree_node::Transformed},
    datasource::{provider_as_source, source_as_provider},
    logical_expr::{
        Case, Cast, Expr, LogicalPlan, Operator, Projection, SubqueryAlias, TableScan, TableType, Union, binary_expr,
        lit, logical_plan::TableScanBuilder,
    },
    physical_plan::ExecutionPlan,
};
use std::sync::Arc;

type Result<T> = std::result::Result<T, DataFusionError>;

/// A national table, in one request.
#[derive(Debug)]
pub(super) struct NationalTable {
    offer: Arc<TableOffer>,
    links: Arc<Links>,
    context: Arc<RequestContext>,
}

impl NationalTable {
    pub(super) fn new(offer: Arc<TableOffer>, links: Arc<Links>, context: Arc<RequestContext>) -> Self {
        Self { offer, links, context }
    }

    /// The members' tables.
    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<TableOffer>> {
        self.offer.parts.iter().map(|part| &part.offer)
    }

    fn union(&self, scan: &TableScan) -> Result<LogicalPlan> {
        let parts = self.offer.parts.iter().map(|part| self.part(part, scan).map(Arc::new));
        let mut parts = parts.collect::<Result<Vec<_>>>()?;
        let whole = match (parts.len(), parts.pop()) {
            (1, Some(only)) => only,
            (_, Some(last)) => {
                parts.push(last);
                Arc::new(LogicalPlan::Union(Union::try_new(parts)?))
            }
            (_, None) => return Err(DataFusionError::Internal("a national table without members".to_owned())),
        };
        SubqueryAlias::try_new(whole, scan.table_name.clone()).map(LogicalPlan::SubqueryAlias)
    }

    /// One member's rows, as the whole table has them.
    fn part(&self, part: &Part, scan: &TableScan) -> Result<LogicalPlan> {
        let table = SpokeTable::new(Arc::clone(&part.offer), Arc::clone(&self.links), Arc::clone(&self.context));
        let name = TableReference::bare(part.offer.name.to_string());
        let rows = TableScanBuilder::new(name.clone(), provider_as_source(Arc::new(table))).build()?;
        let whole: Vec<usize> = match &scan.projection {
            Some(columns) => columns.clone(),
            None => (0..self.offer.schema.fields().len()).collect(),
        };
        let mut columns = Vec::with_capacity(whole.len());
        for (place, field) in whole.into_iter().zip(scan.projected_schema.fields()) {
            let value = match part.sources.get(place) {
                // the last column
                None => lit(part.offer.controller.to_string()),
                Some(source) => {
                    let from = source.from.as_ref().unwrap_or(field.name());
                    let known = part.offer.schema.field_with_name(from).ok();
                    let column = Expr::Column(Column::new(Some(name.clone()), from));
                    harmonised(source, column, known.map(|f| f.data_type()), field.data_type())?
                }
            };
            columns.push(value.alias(field.name()));
        }
        let projected = Projection::try_new(columns, Arc::new(LogicalPlan::TableScan(rows)))?;
        Ok(LogicalPlan::Projection(projected))
    }
}

/// A member's value in the whole table's unit, code and type.
fn harmonised(
    source: &crate::registry::national::declare::Source,
    column: Expr,
    from: Option<&DataType>,
    to: &DataType,
) -> Result<Expr> {
    if source.missing {
        return Ok(Expr::Literal(ScalarValue::try_from(to)?, None));
    }
    let mut value = if from == Some(to) { column } else { Expr::Cast(Cast::new(Box::new(column), to.clone())) };
    if let Some(factor) = source.factor {
        value = binary_expr(value, Operator::Multiply, lit(factor));
    }
    if let Some(offset) = source.offset {
        value = binary_expr(value, Operator::Plus, lit(offset));
    }
    if source.map.is_empty() && source.other.is_none() {
        return Ok(value);
    }
    let cases = source.map.iter().map(|(from, to)| (Box::new(lit(from.as_str())), Box::new(lit(to.as_str()))));
    let otherwise = match &source.other {
        None => value.clone(),
        // A code that is missing stays missing.
        Some(other) => Expr::Case(Case {
            expr: None,
            when_then_expr: vec![(Box::new(Expr::IsNotNull(Box::new(value.clone()))), Box::new(lit(other.as_str())))],
            else_expr: None,
        }),
    };
    if source.map.is_empty() {
        return Ok(otherwise);
    }
    Ok(Expr::Case(Case {
        expr: Some(Box::new(value)),
        when_then_expr: cases.collect(),
        else_expr: Some(Box::new(otherwise)),
    }))
}

/// Puts members in the place of national tables, in subqueries too.
pub(super) fn taken_apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let taken = plan.transform_up_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = &node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(national) = provider.downcast_ref::<NationalTable>()
        {
            return national.union(scan).map(Transformed::yes);
        }
        Ok(Transformed::no(node))
    })?;
    Ok(taken.data)
}

#[async_trait]
impl TableProvider for NationalTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.offer.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::Internal("a national table that was not taken apart".to_owned()))
    }
}
