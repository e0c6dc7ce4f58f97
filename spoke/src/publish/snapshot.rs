//! One version of a published table: its files, and what the spoke that published it says about it.

use super::{error::PublishError, statistics::Statistics, store::Store};
use crate::declare::Text;
use arrow::{
    datatypes::{Schema, SchemaRef},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use deltalake_core::{kernel::EagerSnapshot, logstore::LogStoreRef};
use object_store::path::Path;
use proto::ids::TableName;
use std::{collections::HashMap, sync::Arc};

/// Names of the table properties that a spoke writes.
pub(super) mod property {
    pub(crate) const SCHEMA: &str = "eger.schema";
    pub(crate) const LINK_KID: &str = "eger.link_kid";
    pub(crate) const STORE_KID: &str = "eger.store_kid";
    pub(crate) const DA: &str = "eger.da";
    pub(crate) const EN: &str = "eger.en";
    pub(crate) const EVENT_DATE: &str = "eger.event_date";
    pub(crate) const INGEST: &str = "eger.ingest";
    pub(crate) const STATISTICS: &str = "eger.statistics";
}

/// Tag of a data file: how many row groups it has.
pub(super) const ROW_GROUPS: &str = "eger.row_groups";

/// One version of a published table.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// its name
    pub table: TableName,
    /// version in the Delta log
    pub version: i64,
    /// Arrow schema of the files; roles and descriptions stand in the fields' metadata
    pub schema: SchemaRef,
    /// its files, in the order of the people in them
    pub files: Vec<DataFile>,
    /// rows in all files
    pub rows: u64,
    /// bytes of all files
    pub bytes: u64,
    /// id of the custodian's key that pseudonyms rest on; empty when there are none
    pub link_kid: String,
    /// id of the spoke's own key that they are stored under; empty when there are none
    pub store_kid: String,
    /// what the table is
    pub description: Text,
    /// column that says when something happened
    pub event_date: Option<String>,
    /// id of the ingest that made this version
    pub ingest: String,
    /// what its rows are like; none when it was published by a spoke that counted nothing
    pub statistics: Option<Arc<Statistics>>,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// path in [`Store::object_store`]
    pub location: Path,
    /// bytes
    pub size: u64,
    /// rows
    pub rows: u64,
    /// Parquet row groups
    pub row_groups: u32,
}

pub(super) async fn read(
    store: &Store,
    table: &TableName,
    log: &LogStoreRef,
    version: Option<i64>,
) -> Result<Snapshot, PublishError> {
    let wanted = version.map(u64::try_from).transpose().map_err(|_| PublishError::Foreign {
        table: table.to_string(),
        version: version.unwrap_or_default(),
        message: "is no version".to_owned(),
    })?;
    let eager = EagerSnapshot::try_new(log.as_ref(), wanted).await.map_err(|error| PublishError::log(table, error))?;
    from_log(store, table, &eager)
}

pub(super) fn from_log(store: &Store, table: &TableName, eager: &EagerSnapshot) -> Result<Snapshot, PublishError> {
    let version = i64::try_from(eager.version()).unwrap_or(i64::MAX);
    let foreign =
        |message: &str| PublishError::Foreign { table: table.to_string(), version, message: message.to_owned() };
    let properties = eager.metadata().configuration();
    let text = |key: &str| properties.get(key).cloned().unwrap_or_default();
    let schema = properties
        .get(property::SCHEMA)
        .and_then(|encoded| schema_from_text(encoded))
        .ok_or_else(|| foreign("has no schema of a spoke; was it written by another program?"))?;

    let folder = store.table_path(table);
    let mut files = Vec::new();
    for view in eager.try_log_data().map_err(|error| PublishError::log(table, error))?.iter() {
        // The replacement for this call reads Arrow arrays of the log by position; tags are not among its accessors.
        #[expect(deprecated)]
        let add = view.add_action();
        let row_groups = add.tags.as_ref().and_then(|tags| tags.get(ROW_GROUPS)?.as_ref()?.parse().ok());
        let (Some(rows), Ok(size)) = (view.num_records(), u64::try_from(view.size())) else {
            return Err(foreign("a file has no row count; was it written by another program?"));
        };
        files.push(DataFile {
            location: folder.clone().join(view.path().as_ref()),
            size,
            rows: rows as u64,
            row_groups: row_groups.ok_or_else(|| foreign("a file has no row group count"))?,
        });
    }
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(Snapshot {
        table: table.clone(),
        version,
        schema: Arc::new(schema),
        rows: files.iter().map(|file| file.rows).sum(),
        bytes: files.iter().map(|file| file.size).sum(),
        files,
        link_kid: text(property::LINK_KID),
        store_kid: text(property::STORE_KID),
        description: Text { da: text(property::DA), en: text(property::EN) },
        event_date: properties.get(property::EVENT_DATE).filter(|column| !column.is_empty()).cloned(),
        ingest: text(property::INGEST),
        statistics: statistics(properties),
    })
}

pub(super) fn statistics(properties: &HashMap<String, String>) -> Option<Arc<Statistics>> {
    properties.get(property::STATISTICS).and_then(|text| Statistics::from_text(text)).map(Arc::new)
}

/// An Arrow schema as text: Delta's own types can't say fixed-size binary.
pub(super) fn schema_to_text(schema: &Schema) -> Option<String> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, schema).ok()?;
    writer.finish().ok()?;
    drop(writer);
    Some(BASE64_STANDARD.encode(bytes))
}

fn schema_from_text(text: &str) -> Option<Schema> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let reader = StreamReader::try_new(bytes.as_slice(), None).ok()?;
    Some(reader.schema().as_ref().clone())
}

/// Properties that a commit writes.
pub(super) fn properties(parts: [(&str, &str); 8]) -> HashMap<String, String> {
    let mut all: HashMap<String, String> =
        parts.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    // Pinned snapshots are read from the log by version, however old: nobody may tidy it away.
    all.insert("delta.enableExpiredLogCleanup".to_owned(), "false".to_owned());
    all
}
