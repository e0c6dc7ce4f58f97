//! Reading columns of a snapshot back, for tables that find their people through it.

use super::{error::PublishError, snapshot::Snapshot, store::Store};
use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask, arrow_reader::ArrowReaderOptions,
        async_reader::AsyncFileReader,
    },
    errors::ParquetError,
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use std::{ops::Range, sync::Arc};

/// A file in an object store, as the Parquet reader wants it.
#[derive(Clone)]
pub(crate) struct ParquetObject {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) size: u64,
}

fn foreign(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for ParquetObject {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.store.get_range(&self.path, range).map_err(foreign).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(foreign) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let metadata =
                ParquetMetaDataReader::new().with_arrow_reader_options(options).load_and_finish(self, size).await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

impl Store {
    /// Rows of a snapshot, with the named columns in the given order.
    ///
    /// # Errors
    /// When the snapshot has no such column; the stream fails when a file can't be read.
    pub(crate) fn columns(
        &self,
        snapshot: &Snapshot,
        names: &[&str],
    ) -> Result<BoxStream<'static, Result<RecordBatch, PublishError>>, PublishError> {
        let mut indices = Vec::with_capacity(names.len());
        for name in names {
            indices.push(snapshot.schema.index_of(name).map_err(|_| PublishError::Foreign {
                table: snapshot.table.to_string(),
                version: snapshot.version,
                message: format!("has no column '{name}'; ingest it again"),
            })?);
        }
        // The projection gives columns in the order of the file; this puts them in the order asked for.
        let order: Vec<usize> =
            indices.iter().map(|index| indices.iter().filter(|other| *other < index).count()).collect();
        let store = self.object_store();
        let files = snapshot.files.clone();
        let streams = futures::stream::iter(files).then(move |file| {
            let object = ParquetObject { store: Arc::clone(&store), path: file.location.clone(), size: file.size };
            let (indices, order) = (indices.clone(), order.clone());
            async move {
                let path = file.location;
                let at = path.clone();
                let builder =
                    ParquetRecordBatchStreamBuilder::new(object).await.map_err(|error| unreadable(&path, error))?;
                let mask = ProjectionMask::roots(builder.parquet_schema(), indices);
                let stream = builder.with_projection(mask).build().map_err(|error| unreadable(&path, error))?;
                Ok::<_, PublishError>(stream.map_err(move |error| unreadable(&at, error)).and_then(move |batch| {
                    let projected = batch.project(&order).map_err(|error| unreadable(&path, error.into()));
                    futures::future::ready(projected)
                }))
            }
        });
        Ok(streams.try_flatten().boxed())
    }
}

fn unreadable(path: &Path, error: ParquetError) -> PublishError {
    let source = object_store::Error::Generic { store: "Parquet reader", source: Box::new(error) };
    PublishError::Store { what: format!("reading {path}"), source }
}
