//! The second engine: DataFusion as it comes, in one process, over the CSV files themselves. It shares nothing with the
//! spoke's ingest, the fragment or the hub's planner.

use super::{
    Table,
    engine::{Engine, Failed},
    folder,
};
use anyhow::{Context, Result, bail};
use arrow::{
    array::RecordBatch,
    compute::concat_batches,
    csv,
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{MemTable, MemorySchemaProvider, SchemaProvider},
    prelude::{SessionConfig, SessionContext},
};
use std::{fs::File, sync::Arc};

#[derive(Clone)]
pub(super) struct Plain(SessionContext);

impl Plain {
    pub(super) async fn open(tables: &[Table]) -> Result<Self> {
        let mut config = SessionConfig::new().with_target_partitions(1);
        // As the hub's session has it: types of texts in answers are compared.
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        let session = SessionContext::new_with_config(config);
        let catalog = session.catalog("datafusion").context("a catalog")?;
        for name in ["dst", "sds", "region-h", "region-m", "national"] {
            let schema = MemorySchemaProvider::new();
            for table in tables.iter().filter(|table| table.controller == name) {
                let batch = read(table)?;
                let memory = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
                schema.register_table(table.declared.name.clone(), Arc::new(memory))?;
            }
            catalog.register_schema(name, Arc::new(schema))?;
        }
        let views = std::fs::read_to_string(folder().join("data/national/local.sql"))?;
        #[allow(clippy::disallowed_methods, reason = "the engine by itself, which knows only these tables")]
        session.sql(&views).await?;
        Ok(Self(session))
    }
}

fn read(table: &Table) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    for column in &table.declared.columns {
        let kind = match (column.role.as_deref(), column.kind.as_deref().unwrap_or_default()) {
            (Some("person"), _) | (_, "text") => DataType::Utf8,
            (_, "int32") => DataType::Int32,
            (_, "int64") => DataType::Int64,
            (_, "float64") => DataType::Float64,
            (_, "boolean") => DataType::Boolean,
            (_, "date") => DataType::Date32,
            (_, "timestamp") => DataType::Timestamp(TimeUnit::Microsecond, None),
            (_, other) => match other.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')?.split_once(','))
            {
                Some((precision, scale)) => DataType::Decimal128(precision.parse()?, scale.parse()?),
                None => bail!("{}: type {other}", column.name),
            },
        };
        fields.push(Field::new(&column.name, kind, true));
    }
    let schema = Arc::new(Schema::new(fields));
    let missing = regex::Regex::new("^NA$")?;
    let reader = csv::ReaderBuilder::new(Arc::clone(&schema)).with_header(true).with_null_regex(missing);
    let batches = reader.build(File::open(&table.file)?)?.collect::<Result<Vec<_>, _>>();
    Ok(concat_batches(&schema, &batches.with_context(|| table.file.display().to_string())?)?)
}

#[async_trait]
impl Engine for Plain {
    const NAME: &'static str = "datafusion";

    async fn ask(&mut self, sql: &str) -> Result<RecordBatch, Failed> {
        let failed = |error: datafusion::error::DataFusionError| Failed(error.to_string());
        #[allow(clippy::disallowed_methods, reason = "the engine by itself, which knows only these tables")]
        let frame = self.0.sql(sql).await.map_err(failed)?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.map_err(failed)?;
        concat_batches(&schema, &batches).map_err(|error| Failed(error.to_string()))
    }
}
