//! A national table in a statement, and the members' tables that take its place.
//!
//! Release looks at the table as one, and so does the engine while it optimises the statement: fifty members would make each
//! of its rules fifty times as long. Then each scan becomes `UNION ALL` of its members, with names, units and codes harmonised
//! in each member's part, so that they travel with the rest of the fragment, and that union is optimised by itself.
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
    common::{
        Column, DataFusionError, ScalarValue, TableReference,
        tree_node::{Transformed, TreeNode},
    },
    datasource::{provider_as_source, source_as_provider},
    execution::session_state::SessionState,
    logical_expr::{
        Case, Cast, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Projection, SubqueryAlias,
        TableProviderFilterPushDown, TableScan, TableType, Union, binary_expr, lit, logical_plan::TableScanBuilder,
        utils::conjunction,
    },
    physical_plan::ExecutionPlan,
};
use proto::ids::{ControllerId, TableName};
use std::{collections::BTreeSet, sync::Arc};

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

    /// The table itself.
    pub(super) fn offer(&self) -> &Arc<TableOffer> {
        &self.offer
    }

    /// Members that can't be asked, and that the request does without.
    pub(super) fn left_out(&self) -> &[ControllerId] {
        &self.offer.left_out
    }

    /// The members' rows, with the conditions, columns and first rows that the scan has come to ask for; `disjoint`: it was found
    /// that nobody is in two members' rows.
    fn union(&self, scan: &TableScan, disjoint: bool) -> Result<LogicalPlan> {
        let wanted: Vec<usize> = match &scan.projection {
            Some(columns) => columns.clone(),
            None => (0..self.offer.schema.fields().len()).collect(),
        };
        let mut needed = wanted.clone();
        for column in scan.filters.iter().flat_map(Expr::column_refs) {
            let place = self.offer.schema.index_of(&column.name)?;
            if !needed.contains(&place) {
                needed.push(place);
            }
        }
        if needed.is_empty() {
            needed.push(0);
        }
        let parts = self.offer.parts.iter().map(|part| self.part(part, &needed, disjoint).map(Arc::new));
        let mut parts = parts.collect::<Result<Vec<_>>>()?;
        let whole = match (parts.len(), parts.pop()) {
            (1, Some(only)) => only,
            (_, Some(last)) => {
                parts.push(last);
                Arc::new(LogicalPlan::Union(Union::try_new(parts)?))
            }
            (_, None) => return Err(DataFusionError::Internal("a national table without members".to_owned())),
        };
        let mut whole = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(whole, scan.table_name.clone())?);
        if let Some(condition) = conjunction(scan.filters.iter().cloned()) {
            whole = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(whole))?);
        }
        if needed != wanted {
            let columns = scan.projected_schema.columns().into_iter().map(Expr::Column).collect();
            whole = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(whole))?);
        }
        match scan.fetch {
            Some(first) => LogicalPlanBuilder::from(whole).limit(0, Some(first))?.build(),
            None => Ok(whole),
        }
    }

    /// One member's rows, as the whole table has them.
    fn part(&self, part: &Part, needed: &[usize], disjoint: bool) -> Result<LogicalPlan> {
        let mut table = SpokeTable::new(Arc::clone(&part.offer), Arc::clone(&self.links), Arc::clone(&self.context));
        if disjoint {
            table = table.one_of(&self.offer, part);
        }
        let name = TableReference::bare(part.offer.name.to_string());
        let rows = TableScanBuilder::new(name.clone(), provider_as_source(Arc::new(table))).build()?;
        let mut columns = Vec::with_capacity(needed.len());
        for place in needed {
            let Some(field) = self.offer.schema.fields().get(*place) else {
                return Err(DataFusionError::Internal("a column that a national table doesn't have".to_owned()));
            };
            let value = match part.sources.get(*place) {
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

/// Puts members in the place of national tables of an optimised plan, in subqueries too. `disjoint`: tables of which it was found
/// that no person is in two members' rows.
pub(super) fn taken_apart(
    plan: LogicalPlan,
    state: &SessionState,
    disjoint: &BTreeSet<TableName>,
) -> Result<LogicalPlan> {
    let taken = plan.transform_up_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = &node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(national) = provider.downcast_ref::<NationalTable>()
        {
            let members = national.union(scan, disjoint.contains(&national.offer.name))?;
            return state.optimize(&members).map(Transformed::yes);
        }
        Ok(Transformed::no(node))
    })?;
    Ok(taken.data)
}

fn has_subquery(filter: &Expr) -> bool {
    let inner = |e: &Expr| {
        let is = matches!(
            e,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..)
        );
        Ok(is)
    };
    // What can't be walked is left where it is.
    filter.exists(inner).unwrap_or(true)
}

#[async_trait]
impl TableProvider for NationalTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.offer.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // It is taken apart with its conditions; what no member can say stays above their rows.
        let whole = |filter: &Expr| !filter.is_volatile() && !filter.column_refs().is_empty() && !has_subquery(filter);
        let said = |filter: &&Expr| {
            if whole(filter) { TableProviderFilterPushDown::Exact } else { TableProviderFilterPushDown::Unsupported }
        };
        Ok(filters.iter().map(said).collect())
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
