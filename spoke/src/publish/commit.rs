//! Making files part of a table: one Delta commit, all or nothing.

use super::{
    error::PublishError,
    files,
    snapshot::{self, ROW_GROUPS, Snapshot, property},
    statistics::Statistics,
    store::Store,
};
use crate::declare::{Mode, Text};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use chrono::Utc;
use deltalake_core::{
    DeltaTableError,
    kernel::{
        Action, Add, EagerSnapshot,
        transaction::{CommitBuilder, TableReference},
    },
    protocol::{DeltaOperation, SaveMode},
};
use proto::ids::TableName;
use serde_json::{Value, json};
use std::collections::HashMap;

/// What one ingest publishes.
#[derive(Debug, Clone)]
pub struct Commit {
    /// id of the ingest
    pub ingest: String,
    /// whether the files replace those that are there
    pub mode: Mode,
    /// Arrow schema of the files
    pub schema: SchemaRef,
    /// the files
    pub files: Vec<NewFile>,
    /// id of the custodian's key; empty without pseudonyms
    pub link_kid: String,
    /// id of the spoke's own key; empty without pseudonyms
    pub store_kid: String,
    /// what the table is
    pub description: Text,
    /// column that says when something happened
    pub event_date: Option<String>,
    /// what the files' rows are like
    pub statistics: Option<Statistics>,
}

/// A written file that is not yet part of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// name in the table's folder
    pub name: String,
    /// bytes
    pub size: u64,
    /// rows
    pub rows: u64,
    /// Parquet row groups
    pub row_groups: u32,
}

/// What a commit made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// the new version
    pub version: i64,
    /// rows of the table in that version
    pub rows: u64,
}

impl Store {
    /// Makes `commit` the next version of `table`.
    ///
    /// # Errors
    /// When it could not be written; the table is then as it was before.
    pub async fn commit(&self, table: &TableName, commit: &Commit) -> Result<Published, PublishError> {
        let log_error = |error| PublishError::log(table, error);
        let log = self.log(table);
        files::make_durable(self, table, &commit.files).await?;
        let before = if log.is_delta_table_location().await.map_err(log_error)? {
            Some(EagerSnapshot::try_new(log.as_ref(), None).await.map_err(log_error)?)
        } else {
            None
        };
        let actions = actions(table, commit, before.as_ref())?;
        let mode = match commit.mode {
            Mode::Replace => SaveMode::Overwrite,
            Mode::Append => SaveMode::Append,
        };
        // No second attempt: whoever else writes to this table breaks the promise of one ingest at a time.
        let committed = CommitBuilder::default()
            .with_actions(actions)
            .with_max_retries(0)
            .build(
                before.as_ref().map(|before| before as &dyn TableReference),
                log.clone(),
                DeltaOperation::Write { mode, partition_by: None, predicate: None },
            )
            .await;
        let after = match committed {
            Ok(done) => snapshot::from_log(self, table, done.snapshot.snapshot())?,
            // The entry may be there although the answer was lost, or reading the table afterwards failed.
            Err(error) => match self.landed(table, &commit.ingest).await {
                Some(after) => after,
                None => return Err(log_error(error)),
            },
        };
        files::make_commit_durable(self, table, after.version).await?;
        Ok(Published { version: after.version, rows: after.rows })
    }

    /// The table's current snapshot, if `ingest` made it.
    pub async fn landed(&self, table: &TableName, ingest: &str) -> Option<Snapshot> {
        let after = snapshot::read(self, table, &self.log(table), None).await.ok()?;
        (after.ingest == ingest).then_some(after)
    }
}

fn actions(table: &TableName, commit: &Commit, before: Option<&EagerSnapshot>) -> Result<Vec<Action>, PublishError> {
    let broken = |source: DeltaTableError| PublishError::log(table, source);
    let mut actions = Vec::new();
    let stamped = commit.schema.fields().iter().any(|field| matches!(field.data_type(), DataType::Timestamp(..)));
    let protocol = if stamped {
        json!({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"]})
    } else {
        json!({"minReaderVersion": 1, "minWriterVersion": 2})
    };
    let known = before.is_some_and(|before| !stamped || before.protocol().min_reader_version() >= 3);
    if !known {
        actions.push(Action::Protocol(from_json(protocol).map_err(broken)?));
    }

    let encoded = snapshot::schema_to_text(&commit.schema)
        .ok_or_else(|| broken(DeltaTableError::Generic("the schema can't be written as text".to_owned())))?;
    let statistics = statistics(commit, before).map_or_else(String::new, |statistics| statistics.to_text());
    let properties = snapshot::properties([
        (property::SCHEMA, &encoded),
        (property::LINK_KID, &commit.link_kid),
        (property::STORE_KID, &commit.store_kid),
        (property::DA, &commit.description.da),
        (property::EN, &commit.description.en),
        (property::EVENT_DATE, commit.event_date.as_deref().unwrap_or_default()),
        (property::INGEST, &commit.ingest),
        (property::STATISTICS, &statistics),
    ]);
    let id = before.map_or_else(|| uuid::Uuid::new_v4().to_string(), |before| before.metadata().id().to_owned());
    let metadata = json!({
        "id": id,
        "name": table.as_str(),
        "description": commit.description.en,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": delta_schema(table, &commit.schema)?,
        "partitionColumns": [],
        "configuration": properties,
        "createdTime": before.and_then(|before| before.metadata().created_time()).unwrap_or_else(|| Utc::now().timestamp_millis()),
    });
    actions.push(Action::Metadata(from_json(metadata).map_err(broken)?));

    if commit.mode == Mode::Replace
        && let Some(before) = before
    {
        for view in before.try_log_data().map_err(broken)?.iter() {
            actions.push(view.remove_action(true).into());
        }
    }
    for file in &commit.files {
        actions.push(
            Add {
                path: file.name.clone(),
                size: i64::try_from(file.size).unwrap_or(i64::MAX),
                modification_time: Utc::now().timestamp_millis(),
                data_change: true,
                stats: Some(json!({"numRecords": file.rows}).to_string()),
                tags: Some(HashMap::from([(ROW_GROUPS.to_owned(), Some(file.row_groups.to_string()))])),
                ..Add::default()
            }
            .into(),
        );
    }
    Ok(actions)
}

/// Of all the table's files after the commit.
fn statistics(commit: &Commit, before: Option<&EagerSnapshot>) -> Option<Statistics> {
    let own = commit.statistics.as_ref()?;
    match before.filter(|_| commit.mode == Mode::Append) {
        None => Some(own.clone()),
        Some(before) => {
            let before = snapshot::statistics(before.metadata().configuration())?;
            Statistics::clone(&before).and(own)
        }
    }
}

/// The kernel's actions have no constructors; their JSON form is the Delta protocol's own.
fn from_json<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, DeltaTableError> {
    serde_json::from_value(value).map_err(|error| DeltaTableError::Generic(error.to_string()))
}

fn delta_schema(table: &TableName, schema: &Schema) -> Result<String, PublishError> {
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let name = match field.data_type() {
            DataType::Utf8 => "string".to_owned(),
            DataType::Int32 => "integer".to_owned(),
            DataType::Int64 => "long".to_owned(),
            DataType::Float64 => "double".to_owned(),
            DataType::Boolean => "boolean".to_owned(),
            DataType::Date32 => "date".to_owned(),
            DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
            DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp_ntz".to_owned(),
            DataType::FixedSizeBinary(_) => "binary".to_owned(),
            other => {
                return Err(PublishError::log(
                    table,
                    DeltaTableError::Generic(format!(
                        "column '{}' has type {other}, which can't be published",
                        field.name()
                    )),
                ));
            }
        };
        fields.push(json!({"name": field.name(), "type": name, "nullable": true, "metadata": {}}));
    }
    Ok(json!({"type": "struct", "fields": fields}).to_string())
}
