//! Writing the Parquet files of one ingest. They belong to no table until they are committed.

use super::{IngestError, arrange::BATCH, survey::Survey};
use crate::{
    declare::TableDecl,
    publish::{NewFile, PublishError, Statistics, Store, disk_full},
};
use arrow::{
    array::{Array, AsArray, FixedSizeBinaryArray, RecordBatch},
    datatypes::{DataType, SchemaRef},
};
use object_store::{ObjectStoreExt, buffered::BufWriter, path::Path};
use parquet::{
    arrow::AsyncArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::{KeyValue, SortingColumn},
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

/// Rows of a row group: small enough to be skipped, large enough to compress.
const GROUP: usize = 8 * BATCH;
/// Rows of a file.
const FILE: u64 = 64 * GROUP as u64;
/// Rows of a page.
const PAGE: usize = 2048;
/// Chance that a bloom filter says a person might be there who is not.
const FALSE_POSITIVES: f64 = 0.01;

/// What the files are to be known by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kids {
    pub(crate) link: String,
    pub(crate) store: String,
}

/// Writes files into a table's folder.
pub(crate) struct TableWriter {
    store: Store,
    decl: TableDecl,
    schema: SchemaRef,
    properties: WriterProperties,
    ingest: String,
    person: Option<usize>,
    last_person: Option<[u8; 16]>,
    people: u64,
    survey: Survey,
    current: Option<Current>,
    files: Vec<NewFile>,
}

struct Current {
    name: String,
    path: Path,
    rows: u64,
    writer: AsyncArrowWriter<BufWriter>,
    /// its end was tried and failed
    broken: bool,
}

impl TableWriter {
    /// `rows` and `people` are what is expected; they size the bloom filters.
    pub(crate) fn new(store: &Store, decl: &TableDecl, ingest: &str, kids: &Kids, rows: u64, people: u64) -> Self {
        let schema = decl.schema();
        let person = decl.person().and_then(|person| schema.index_of(person).ok());
        let groups = rows.div_ceil(GROUP as u64).max(1);
        // Row groups are cut from rows sorted by person: each has about its share of the people, plus the one cut in two.
        let people_of_group = (people.div_ceil(groups) + people.div_ceil(groups) / 8 + 2).min(GROUP as u64);
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("eger spoke ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP))
            .set_data_page_row_count_limit(PAGE)
            .set_write_batch_size(PAGE)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_key_value_metadata(Some(vec![
                KeyValue::new("eger.table".to_owned(), decl.name.to_string()),
                KeyValue::new("eger.ingest".to_owned(), ingest.to_owned()),
                KeyValue::new("eger.link_kid".to_owned(), kids.link.clone()),
                KeyValue::new("eger.store_kid".to_owned(), kids.store.clone()),
            ]));
        for (index, field) in schema.fields().iter().enumerate() {
            if !matches!(field.data_type(), DataType::FixedSizeBinary(_)) {
                continue;
            }
            // Pseudonyms are as good as random: a dictionary would only be in the way.
            let path = ColumnPath::new(vec![field.name().clone()]);
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
            if Some(index) == person {
                properties = properties
                    .set_column_bloom_filter_enabled(path.clone(), true)
                    .set_column_bloom_filter_fpp(path.clone(), FALSE_POSITIVES)
                    .set_column_bloom_filter_max_ndv(path, people_of_group);
            }
        }
        if let Some(person) = person.and_then(|person| i32::try_from(person).ok()) {
            let column = SortingColumn { column_idx: person, descending: false, nulls_first: false };
            properties = properties.set_sorting_columns(Some(vec![column]));
        }
        Self {
            store: store.clone(),
            decl: decl.clone(),
            schema,
            properties: properties.build(),
            ingest: ingest.to_owned(),
            person,
            last_person: None,
            people: 0,
            survey: Survey::new(&decl.schema(), person),
            current: None,
            files: Vec::new(),
        }
    }

    /// Writes rows, in the order in which they are to stand.
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<(), IngestError> {
        self.count_people(batch);
        self.survey.add(batch);
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin()?,
        };
        let written = current.writer.write(batch).await;
        current.rows += batch.num_rows() as u64;
        let full = current.rows >= FILE;
        self.current = Some(current);
        written.map_err(|error| self.failed(error))?;
        if full { self.end_file().await } else { Ok(()) }
    }

    fn begin(&mut self) -> Result<Current, IngestError> {
        let name = format!("part-{}-{:05}.parquet", self.ingest, self.files.len());
        let path = self.store.table_path(&self.decl.name).join(name.as_str());
        let to = BufWriter::new(self.store.object_store(), path.clone());
        let writer = AsyncArrowWriter::try_new(to, self.schema.clone(), Some(self.properties.clone()))
            .map_err(|error| self.failed(error))?;
        Ok(Current { name, path, rows: 0, writer, broken: false })
    }

    async fn end_file(&mut self) -> Result<(), IngestError> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let finished = current.writer.finish().await;
        let size = current.writer.bytes_written() as u64;
        let (name, rows) = (current.name.clone(), current.rows);
        match finished {
            Ok(metadata) => {
                let row_groups = u32::try_from(metadata.num_row_groups()).unwrap_or(u32::MAX);
                self.files.push(NewFile { name, size, rows, row_groups });
                Ok(())
            }
            Err(error) => {
                current.broken = true;
                self.current = Some(current);
                Err(self.failed(error))
            }
        }
    }

    /// Ends the last file. The files are complete then, and still part of nothing.
    pub(crate) async fn finish(&mut self) -> Result<Vec<NewFile>, IngestError> {
        self.end_file().await?;
        Ok(self.files.clone())
    }

    /// People in what was written; rows must have come sorted by person.
    pub(crate) fn people(&self) -> u64 {
        self.people
    }

    /// What the rows are like that were written.
    pub(crate) fn statistics(&self) -> Statistics {
        self.survey.finish()
    }

    /// Removes everything that was written.
    pub(crate) async fn abort(mut self) {
        if let Some(current) = self.current.take() {
            // One whose end failed can not be aborted any more (that panics); dropping it tidies up after it.
            if !current.broken
                && let Err(error) = current.writer.into_inner().abort().await
            {
                tracing::debug!(file = %current.path, %error, "a half-written file will be removed by the next ingest");
            }
            // It may be complete all the same, when only the answer was lost.
            let _ = self.store.object_store().delete(&current.path).await;
        }
        let folder = self.store.table_path(&self.decl.name);
        for file in self.files {
            let path = folder.clone().join(file.name.as_str());
            if let Err(error) = self.store.object_store().delete(&path).await {
                tracing::warn!(file = %path, %error, "a file that was not published could not be removed; the next ingest will");
            }
        }
    }

    fn count_people(&mut self, batch: &RecordBatch) {
        let Some(person) = self.person else { return };
        let column: Option<&FixedSizeBinaryArray> =
            batch.columns().get(person).and_then(|column| column.as_fixed_size_binary_opt());
        let Some(column) = column else { return };
        for row in 0..column.len() {
            if column.is_null(row) {
                continue;
            }
            let person = column.value(row).first_chunk::<16>().copied();
            if person != self.last_person {
                self.people += 1;
                self.last_person = person;
            }
        }
    }

    fn failed(&self, error: ParquetError) -> IngestError {
        let what = format!("the files of table '{}'", self.decl.name);
        if disk_full(&error) {
            return PublishError::DiskFull { what }.into();
        }
        let source = object_store::Error::Generic { store: "Parquet writer", source: Box::new(error) };
        PublishError::Store { what, source }.into()
    }
}
