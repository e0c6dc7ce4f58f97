//! A table as one project sees it: permitted columns, permitted rows, nobody who is left out, the project's pseudonyms.
//!
//! INVARIANT: the schema of a view holds permitted columns only, so that no filter, expression or projection can name
//! another one. The row filter is the first condition of every read.
//! INVARIANT: who is left out is decided on the stored person columns, whether or not they are permitted.

use super::{
    filters::{Columns, StoredLists, on_stored},
    keys::ProjectKeys,
    row_filter,
};
use crate::{
    optout::{Except, Excluded},
    pseudonym::Recoder,
    publish::Snapshot,
    results::Facts,
    scan::{
        permuted::{PermutedScan, Project},
        source::{Pinned, Reading},
    },
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::Session,
    common::{DFSchema, DataFusionError, Result, Statistics, stats::Precision},
    datasource::{TableProvider, TableType},
    execution::SessionState,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::ExecutionPlan,
};
use policies::grant::TableGrant;
use proto::{ids::TableName, plan::keys::of_in_keys, schema};
use std::{collections::HashMap, fmt, sync::Arc};

/// Who is left out of one project's views.
#[derive(Debug, Clone)]
pub(crate) struct LeftOut {
    /// everybody on the lists
    pub(crate) people: Arc<Excluded>,
    /// version of the lists that the permit records
    pub(crate) version: u64,
}

/// Something in a permit that can't be used with the published table.
#[derive(Debug, thiserror::Error)]
#[error("table '{table}', field {field}: {message}")]
pub(crate) struct GrantProblem {
    /// which table of the permit
    pub(crate) table: TableName,
    /// which field
    pub(crate) field: &'static str,
    /// what is wrong
    pub(crate) message: String,
}

/// See the module.
pub(crate) struct PermittedTable {
    pinned: Pinned,
    schema: SchemaRef,
    /// for each permitted column, its place in the stored schema
    stored: Vec<usize>,
    stored_names: DFSchema,
    linking: HashMap<String, Arc<Recoder>>,
    row_filter: Option<Arc<dyn PhysicalExpr>>,
    left_out: Vec<Arc<dyn PhysicalExpr>>,
    keys: Arc<ProjectKeys>,
    lists: StoredLists,
}

impl LeftOut {
    /// For each person column of a stored table the condition that its row is about nobody who is left out.
    fn conditions(&self, raw: &Schema) -> Vec<Arc<dyn PhysicalExpr>> {
        if !self.people.anybody(self.version) {
            return Vec::new();
        }
        let person = |field: &Field| field.metadata().get(schema::ROLE).is_some_and(|role| role == schema::PERSON);
        let fields = raw.fields().iter().enumerate().filter(|(_, field)| person(field));
        fields
            .map(|(index, field)| {
                let column = Arc::new(Column::new(field.name(), index));
                Arc::new(Except::new(Arc::clone(&self.people), self.version, column)) as Arc<dyn PhysicalExpr>
            })
            .collect()
    }
}

impl PermittedTable {
    pub(crate) fn new(
        pinned: Pinned,
        granted: &TableGrant,
        keys: &Arc<ProjectKeys>,
        left_out: &LeftOut,
        state: &SessionState,
    ) -> Result<Self, GrantProblem> {
        let raw = Arc::clone(&pinned.snapshot.schema);
        let problem = |field, message| GrantProblem { table: granted.name.clone(), field, message };
        let mut fields = Vec::new();
        let mut stored = Vec::new();
        let mut linking = HashMap::new();
        for name in &granted.columns {
            let (index, field) = raw
                .column_with_name(name)
                .ok_or_else(|| problem("columns", format!("the published table has no column '{name}'")))?;
            match field.metadata().get(schema::ROLE).map(String::as_str) {
                None => {}
                Some(schema::PERSON) => drop(linking.insert(name.clone(), Arc::clone(&keys.person))),
                Some(schema::KEY) => drop(linking.insert(name.clone(), Arc::clone(&keys.key))),
                Some(other) => {
                    return Err(problem("columns", format!("column '{name}' has a role not known here: '{other}'")));
                }
            }
            fields.push(Field::clone(field));
            stored.push(index);
        }
        let row_filter = granted
            .row_filter
            .as_ref()
            .map(|text| row_filter::compile(text, &granted.name, &raw, state))
            .transpose()?;
        let stored_names =
            DFSchema::try_from(raw.as_ref().clone()).map_err(|error| problem("columns", error.strip_backtrace()))?;
        Ok(Self {
            schema: Arc::new(Schema::new_with_metadata(fields, raw.metadata().clone())),
            left_out: left_out.conditions(&raw),
            pinned,
            stored,
            stored_names,
            linking,
            row_filter,
            keys: Arc::clone(keys),
            lists: StoredLists::default(),
        })
    }

    /// The permitted columns.
    pub(crate) fn columns(&self) -> &Schema {
        &self.schema
    }

    /// Whether rows of the table are kept from the project: by the permit's filter, or because somebody is left out.
    pub(crate) fn hides_rows(&self) -> bool {
        self.row_filter.is_some() || !self.left_out.is_empty()
    }

    /// The pinned snapshot.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.pinned.snapshot
    }

    /// What its rows follow from, beside the permit, the project's key and the lists of people.
    pub(crate) fn facts(&self, facts: &mut Facts) {
        let snapshot = &self.pinned.snapshot;
        facts.add("table", snapshot.table.as_str().as_bytes());
        facts.add("snapshot", &snapshot.version.to_le_bytes());
        // A table that was removed and published again starts from the same version.
        facts.add("ingest", snapshot.ingest.as_bytes());
        for file in &snapshot.files {
            facts.add("file", file.location.as_ref().as_bytes());
        }
        facts.add("columns", &schema::fingerprint(&self.schema));
        // As it was compiled, whatever the text in the permit says.
        if let Some(filter) = &self.row_filter {
            facts.add("row filter", filter.to_string().as_bytes());
        }
    }

    fn on_stored(&self, filter: &Expr) -> Option<Expr> {
        on_stored(filter, &Columns { stored: &self.pinned.snapshot.schema, linking: &self.linking, lists: &self.lists })
    }

    fn statistics(&self, schema: &Schema) -> Statistics {
        let snapshot = &self.pinned.snapshot;
        // Never exact: with an exact count, COUNT(*) would be answered without reading, past the row filter.
        Statistics {
            num_rows: Precision::Inexact(usize::try_from(snapshot.rows).unwrap_or(usize::MAX)),
            total_byte_size: Precision::Inexact(usize::try_from(snapshot.bytes).unwrap_or(usize::MAX)),
            column_statistics: Statistics::unknown_column(schema),
        }
    }
}

/// Whether rows of a stored table may be about people, or link to them. Only then does the order in which they lie tell
/// anything that another project's must not.
fn has_people(stored: &Schema) -> bool {
    let reference = stored.metadata().get(schema::TABLE_ROLE).is_some_and(|role| role == schema::REFERENCE);
    !reference || stored.fields().iter().any(|field| field.metadata().contains_key(schema::ROLE))
}

impl fmt::Debug for PermittedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermittedTable").field("table", &self.pinned.snapshot.table).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for PermittedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match self.on_stored(filter) {
                Some(_) => TableProviderFilterPushDown::Exact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = projection.map_or_else(|| (0..self.stored.len()).collect(), Clone::clone);
        let schema = Arc::new(self.schema.project(&wanted)?);
        let columns = wanted
            .iter()
            .map(|&column| self.stored.get(column).copied())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| DataFusionError::Internal("a column outside the view".to_owned()))?;
        let mut conditions: Vec<Arc<dyn PhysicalExpr>> = self.row_filter.iter().cloned().collect();
        let mut lists = Vec::new();
        for filter in filters {
            let filter = self
                .on_stored(filter)
                .ok_or_else(|| DataFusionError::Internal("a filter that can't be evaluated here".to_owned()))?;
            if let Some((Expr::Column(column), list)) = of_in_keys(&filter) {
                let place = self.pinned.snapshot.schema.index_of(&column.name)?;
                lists.push((place, Arc::clone(list)));
            }
            conditions.push(session.create_physical_expr(filter, &self.stored_names)?);
        }
        let order = has_people(&self.pinned.snapshot.schema).then(|| Arc::clone(&self.keys.order));
        let reading = Reading {
            columns,
            conditions,
            except: self.left_out.clone(),
            lists,
            order: order.as_deref(),
            parts: session.config().target_partitions(),
        };
        let reader = self.pinned.reader(reading, session.runtime_env(), session.config_options()).await?;
        let recoders = schema.fields().iter().map(|field| self.linking.get(field.name()).cloned()).collect();
        let snapshot = &self.pinned.snapshot;
        let project = Project { order, recoders, label: format!("{}@{}", snapshot.table, snapshot.version) };
        let statistics = self.statistics(&schema);
        Ok(Arc::new(PermutedScan::new(reader, schema, project, limit, statistics)))
    }
}
