//! Reading the pinned files: DataFusion's own Parquet source over a fixed list of files and row ranges.
//!
//! INVARIANT: no folder is listed here; what is not in the snapshot is not read.

use super::{
    bounds::Possible,
    looked_up::Found,
    pieces::{FileRows, Piece},
};
use crate::{pseudonym::OrderKey, publish::Snapshot};
use datafusion::{
    common::{DataFusionError, Result, config::TableParquetOptions},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
            parquet::{CachedParquetFileReaderFactory, ParquetAccessPlan, RowGroupAccess, metadata::DFParquetMetadata},
        },
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    execution::{cache::cache_manager::FileMetadataCache, object_store::ObjectStoreUrl, runtime_env::RuntimeEnv},
    physical_expr::{PhysicalExpr, conjunction},
    physical_plan::{ExecutionPlan, filter::FilterExecBuilder, filter_pushdown::PushedDown},
};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use proto::plan::keys::Keys;
use std::sync::Arc;

/// Footers read at the same time.
const FOOTERS: usize = 16;

/// The published table, as one query sees it to its end.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    /// which files
    pub(crate) snapshot: Arc<Snapshot>,
    /// where they lie
    pub(crate) store: Arc<dyn ObjectStore>,
    /// its address
    pub(crate) url: ObjectStoreUrl,
}

/// What reads raw rows.
pub(crate) struct Reader {
    pub(crate) reader: Arc<dyn ExecutionPlan>,
    /// pieces that are not opened, since nothing in them can match
    pub(crate) ruled_out: usize,
}

/// What is to be read.
pub(crate) struct Reading<'a> {
    /// columns of the snapshot's schema, in the order wanted
    pub(crate) columns: Vec<usize>,
    /// conditions on the snapshot's columns, in the order in which they are evaluated
    pub(crate) conditions: Conditions,
    /// conditions that come last and are evaluated on whole batches: rows about people who are left out
    pub(crate) except: Conditions,
    /// lists that columns of the snapshot's schema are looked up in, by the columns' places; conditions say so too, these
    /// only spare reading
    pub(crate) lists: Vec<(usize, Arc<Keys>)>,
    /// the project's order; none for a table that has no people: its rows come as they lie
    pub(crate) order: Option<&'a OrderKey>,
    /// how many readers side by side
    pub(crate) parts: usize,
}

impl Pinned {
    fn meta(&self, file: &crate::publish::DataFile) -> ObjectMeta {
        ObjectMeta {
            location: file.location.clone(),
            // Published files never change, so that the cached footer is good for ever.
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: file.size,
            e_tag: None,
            version: None,
        }
    }

    /// Rows of each row group of each file, from the footers; those that are not in the cache are read side by side.
    async fn rows(&self, runtime: &RuntimeEnv) -> Result<Vec<FileRows>> {
        let cache = runtime.cache_manager.get_file_metadata_cache();
        let reads: Vec<_> = (self.snapshot.files.iter())
            .map(|file| file_rows(Arc::clone(&self.store), self.meta(file), Arc::clone(&cache)))
            .collect();
        stream::iter(reads).buffered(FOOTERS).try_collect().await
    }

    /// An operator that reads raw rows; S stands in them. Row groups in which nothing can match are not opened.
    ///
    /// # Errors
    /// When a file's footer can't be read, or a condition does not fit the schema.
    pub(crate) async fn reader(
        &self,
        reading: Reading<'_>,
        runtime: &RuntimeEnv,
        options: &datafusion::config::ConfigOptions,
    ) -> Result<Reader> {
        let files = self.rows(runtime).await?;
        let possible = Possible::new(&files, &self.snapshot.schema, &reading.conditions);
        let dealt = match reading.order {
            Some(order) => super::pieces::deal(super::pieces::in_order(&files, order), reading.parts),
            None => super::pieces::in_runs(super::pieces::as_they_lie(&files), reading.parts),
        };
        let mut ruled_out = 0;
        // Dealt first and left out then: in which order rows leave doesn't depend on what is left out.
        let groups: Vec<FileGroup> = dealt
            .into_iter()
            .map(|mut part| {
                let all = part.len();
                part.retain(|piece| possible.in_group(piece.file, piece.group));
                ruled_out += all - part.len();
                FileGroup::new(self.files(&part, &files, &reading.lists))
            })
            .collect();

        let mut parquet = TableParquetOptions::default();
        parquet.global.pushdown_filters = true;
        parquet.global.enable_page_index = true;
        parquet.global.bloom_filter_on_read = true;
        parquet.global.pruning = true;
        // The order of conditions is part of the promise: a permit's row filter comes first.
        parquet.global.reorder_filters = false;
        let factory = CachedParquetFileReaderFactory::new(
            Arc::clone(&self.store),
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let source = ParquetSource::new(TableSchema::from(Arc::clone(&self.snapshot.schema)))
            .with_table_parquet_options(parquet)
            .with_parquet_file_reader_factory(Arc::new(factory));
        let (source, mut rest) = push(source, reading.conditions, options)?;
        rest.extend(reading.except);
        // Columns that only the remaining conditions need are read too, and dropped again below.
        let mut read = reading.columns.clone();
        for condition in &rest {
            for column in datafusion::physical_expr::utils::collect_columns(condition) {
                if !read.contains(&column.index()) {
                    read.push(column.index());
                }
            }
        }
        let config = FileScanConfigBuilder::new(self.url.clone(), source)
            .with_file_groups(groups)
            // Without this, idle readers would take files from one another and the order were one of chance.
            .with_preserve_order(true)
            .with_projection_indices(Some(read.clone()))?
            .build();
        let reader: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        if rest.is_empty() {
            return Ok(Reader { reader, ruled_out });
        }
        let condition = datafusion::physical_expr::utils::reassign_expr_columns(conjunction(rest), &reader.schema())?;
        let filter = FilterExecBuilder::new(condition, reader)
            .apply_projection(Some((0..reading.columns.len()).collect()))?
            .build()?;
        Ok(Reader { reader: Arc::new(filter), ruled_out })
    }

    /// What is read of pieces, in their order. Row groups that follow one another in a file are read without opening it
    /// again.
    fn files(&self, pieces: &[Piece], files: &[FileRows], lists: &[(usize, Arc<Keys>)]) -> Vec<PartitionedFile> {
        let mut read: Vec<(Piece, Vec<RowGroupAccess>)> = Vec::new();
        for &piece in pieces {
            let Some(access) = self.access(piece, files, lists) else { continue };
            match read.last_mut() {
                Some((last, all)) if last.file == piece.file && last.group < piece.group => {
                    if let Some(place) = all.get_mut(piece.group) {
                        *place = access;
                    }
                    *last = piece;
                }
                _ => {
                    let groups = files.get(piece.file).map_or(0, |file| file.groups.len());
                    let mut all = vec![RowGroupAccess::Skip; groups];
                    if let Some(place) = all.get_mut(piece.group) {
                        *place = access;
                    }
                    read.push((piece, all));
                }
            }
        }
        let file = |(piece, access): (Piece, Vec<RowGroupAccess>)| {
            let file = PartitionedFile::new_from_meta(self.meta(self.snapshot.files.get(piece.file)?));
            Some(file.with_extension(ParquetAccessPlan::new(access)))
        };
        read.into_iter().filter_map(file).collect()
    }

    /// What is read of a piece's row group; `None` when no list has anything in it.
    fn access(&self, piece: Piece, files: &[FileRows], lists: &[(usize, Arc<Keys>)]) -> Option<RowGroupAccess> {
        let FileRows { groups, footer, .. } = files.get(piece.file)?;
        let rows = *groups.get(piece.group)?;
        let mut wanted: Option<RowSelection> = None;
        for (column, list) in lists {
            let Some(footer) = footer else { break };
            match super::looked_up::rows(footer, piece, *column, list) {
                Found::Everywhere => {}
                Found::Nowhere => return None,
                Found::In(rows) => {
                    wanted = Some(match wanted {
                        Some(wanted) => wanted.intersection(&rows),
                        None => rows,
                    });
                }
            }
        }
        Some(match wanted {
            Some(wanted) if !wanted.selects_any() => return None,
            Some(wanted) => RowGroupAccess::Selection(wanted),
            None if piece.rows == rows => RowGroupAccess::Scan,
            None => RowGroupAccess::Selection(RowSelection::from(vec![
                RowSelector::skip(piece.start),
                RowSelector::select(piece.rows),
                RowSelector::skip(rows - piece.start - piece.rows),
            ])),
        })
    }
}

/// Conditions on stored columns, in the order in which they are evaluated.
type Conditions = Vec<Arc<dyn PhysicalExpr>>;

async fn file_rows(store: Arc<dyn ObjectStore>, meta: ObjectMeta, cache: Arc<FileMetadataCache>) -> Result<FileRows> {
    let footer = DFParquetMetadata::new(&store, &meta).with_file_metadata_cache(Some(cache)).fetch_metadata().await?;
    let groups = footer
        .row_groups()
        .iter()
        .map(|group| usize::try_from(group.num_rows()))
        .collect::<Result<_, _>>()
        .map_err(|_| DataFusionError::Internal("a row group has a negative number of rows".to_owned()))?;
    Ok(FileRows { name: meta.location.to_string(), groups, footer: Some(footer) })
}

/// Gives the source the conditions that it can evaluate while decoding; returns the others.
///
/// Once a condition is left over, all that follow are left over too, so that none overtakes it.
fn push(
    source: ParquetSource,
    conditions: Conditions,
    options: &datafusion::config::ConfigOptions,
) -> Result<(Arc<dyn FileSource>, Conditions)> {
    let mut source: Arc<dyn FileSource> = Arc::new(source);
    let mut rest = Vec::new();
    for condition in conditions {
        if rest.is_empty() {
            let result = source.try_pushdown_filters(vec![Arc::clone(&condition)], options)?;
            let taken = result.filters.iter().all(|f| matches!(f, PushedDown::Yes));
            if let (true, Some(with)) = (taken, result.updated_node) {
                source = with;
                continue;
            }
        }
        rest.push(condition);
    }
    Ok((source, rest))
}
