//! Answers the questions over the raw files, person numbers in clear, in one place: what the platform must equal.
//!
//! Reads the files itself (own encodings, own dates, the `csv` crate) and shares nothing with the spoke's ingest,
//! so that a mistake there cannot be made here again unseen.
//!
//! INVARIANT: for synthetic data only. No part of the platform may depend on this module.

mod compare;
mod read;
mod values;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::catalog::{MemTable, MemorySchemaProvider, SchemaProvider};
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};

pub use self::compare::{Cells, Open, Wanted, cells, enclave, near, open};
pub use self::read::{Contents, ReadError, read};
use crate::questions::PEOPLE;
use crate::registers::{CONTROLLERS, TABLES, Table};

/// All registers in one session.
pub struct Oracle {
    session: SessionContext,
    /// Rows left out of each table because they do not fit its declaration.
    pub rejected: Vec<(&'static Table, u64)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// The files.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The statement, or the engine.
    #[error("the oracle cannot answer: {0}")]
    Engine(#[from] DataFusionError),
    /// Small cells are asked for of an answer that does not count people.
    #[error("the answer has no whole-number column '{PEOPLE}'")]
    NoPeople,
}

impl Oracle {
    /// Reads every table below `dir`, the folder that [`crate::generate::registers`] filled.
    pub fn open(dir: &Path) -> Result<Oracle, OracleError> {
        let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        let mut rejected = Vec::new();
        for controller in CONTROLLERS {
            let schema = MemorySchemaProvider::new();
            for table in TABLES.into_iter().filter(|t| t.controller == controller.id) {
                let contents = read(table, &dir.join(controller.id), &dir.join(controller.id))?;
                rejected.push((table, contents.rejected));
                let memory = MemTable::try_new(contents.batch.schema(), vec![vec![contents.batch]])?;
                schema.register_table(table.name.to_owned(), Arc::new(memory))?;
            }
            if let Some(catalog) = session.catalog("datafusion") {
                catalog.register_schema(controller.id, Arc::new(schema))?;
            }
        }
        Ok(Oracle { session, rejected })
    }

    /// The answer as one batch.
    pub async fn ask(&self, sql: &str) -> Result<RecordBatch, OracleError> {
        let plan = self.session.state().create_logical_plan(sql).await?;
        let frame = self.session.execute_logical_plan(plan).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await?;
        Ok(concat_batches(&schema, &batches).map_err(DataFusionError::from)?)
    }
}

/// Rows of an answer whose cell has 1 to 4 people: the ones that the open zone may not show.
pub fn small_cells(answer: &RecordBatch) -> Result<Vec<usize>, OracleError> {
    let people = answer.column_by_name(PEOPLE).ok_or(OracleError::NoPeople)?;
    let people = cast(people, &DataType::Int64).map_err(DataFusionError::from)?;
    let people = arrow::array::as_primitive_array::<Int64Type>(&people);
    Ok((0..people.len()).filter(|row| people.is_valid(*row) && (1..5).contains(&people.value(*row))).collect())
}

#[cfg(test)]
mod tests;
