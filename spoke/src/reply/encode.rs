//! Batches as Flight messages: the schema first, then rows in messages of a bounded size, each compressed or not.
//!
//! Texts and bytes leave in their plain types, whatever they are laid out as here (`proto::schema::plain`): the hub plans with
//! those. Encoding happens while the next batches are being read by the query's own tasks.

use super::pace::{Codec, Paced, Spent};
use crate::scan::window::bytes_of;
use arrow::{
    array::RecordBatchOptions,
    compute::cast,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::{
        CompressionType,
        writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions},
    },
    record_batch::RecordBatch,
};
use arrow_flight::{FlightData, SchemaAsIpc};
use futures::{Stream, StreamExt};
use proto::{refusal::Refusal, schema::plain};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// Messages of about so many bytes: large enough to be cheap, small enough to flow.
const MESSAGE_BYTES: usize = 1 << 20;

/// Why an answer breaks off.
#[derive(Debug)]
pub(super) enum Unsent {
    /// the query ended
    Ended(Refusal),
    /// its rows can't be written
    Arrow(ArrowError),
}

/// See the module. Nothing is read from `rows` before a message is wanted.
pub(super) fn messages<S>(
    schema: &Schema,
    rows: S,
    pace: Paced,
) -> impl Stream<Item = Result<FlightData, Unsent>> + use<S>
where
    S: Stream<Item = Result<RecordBatch, Refusal>> + Send + Unpin + 'static,
{
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_data_type(plain(field.data_type())));
    let sent = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()));
    let first = SchemaAsIpc::new(&sent, &IpcWriteOptions::default()).into();
    let mut context = IpcWriteContext::default();
    // Messages are alike: each begins with the room that the last one took.
    context.set_reserve_scratch(true);
    let encoder = Encoder {
        rows,
        sent,
        data: IpcDataGenerator::default(),
        tracker: DictionaryTracker::new(false),
        context,
        pace,
        pieces: VecDeque::new(),
        ready: VecDeque::from([first]),
        leaving: None,
        over: false,
    };
    futures::stream::unfold(encoder, |mut encoder| async move {
        let next = encoder.next().await.transpose()?;
        encoder.over |= next.is_err();
        Some((next, encoder))
    })
}

struct Encoder<S> {
    rows: S,
    /// what the hub reads
    sent: SchemaRef,
    data: IpcDataGenerator,
    tracker: DictionaryTracker,
    context: IpcWriteContext,
    pace: Paced,
    /// rows of one message each
    pieces: VecDeque<RecordBatch>,
    ready: VecDeque<FlightData>,
    /// the message given away last, and when it was begun and given away
    leaving: Option<(Spent, Instant, Instant)>,
    over: bool,
}

impl<S> Encoder<S>
where
    S: Stream<Item = Result<RecordBatch, Refusal>> + Send + Unpin + 'static,
{
    async fn next(&mut self) -> Result<Option<FlightData>, Unsent> {
        // Asked for more: the link has taken the last message.
        if let Some((spent, begun, given)) = self.leaving.take() {
            self.pace.sent(Spent { blocked: given.elapsed(), whole: begun.elapsed(), ..spent });
        }
        if self.over {
            return Ok(None);
        }
        let begun = Instant::now();
        loop {
            if let Some(message) = self.ready.pop_front() {
                if let Some((_, _, given)) = self.leaving.as_mut() {
                    *given = Instant::now();
                }
                return Ok(Some(message));
            }
            if let Some(rows) = self.pieces.pop_front() {
                let spent = self.encode(&rows).map_err(Unsent::Arrow)?;
                self.leaving = Some((spent, begun, begun));
                continue;
            }
            match self.rows.next().await {
                Some(Ok(batch)) => self.pieces = pieces(&self.plain(batch).map_err(Unsent::Arrow)?),
                Some(Err(refusal)) => return Err(Unsent::Ended(refusal)),
                None => return Ok(None),
            }
        }
    }

    fn encode(&mut self, rows: &RecordBatch) -> Result<Spent, ArrowError> {
        let (codec, begun) = (self.pace.codec(), Instant::now());
        let options = IpcWriteOptions::default();
        let options = match codec {
            Codec::None => options,
            Codec::Lz4 => options.try_with_compression(Some(CompressionType::LZ4_FRAME))?,
            // The level that is fast: what is slow here is only waited for at the hub.
            Codec::Zstd => {
                options.try_with_compression(Some(CompressionType::ZSTD))?.try_with_compression_level(Some(1))?
            }
        };
        let (dictionaries, batch) = self.data.encode(rows, &mut self.tracker, &options, &mut self.context)?;
        let raw = bytes_of(rows);
        let mut wire = 0;
        for message in dictionaries.into_iter().chain([batch]).map(FlightData::from) {
            wire += message.data_header.len() + message.data_body.len();
            self.ready.push_back(message);
        }
        Ok(Spent { codec, raw, wire, encoding: begun.elapsed(), blocked: Duration::ZERO, whole: Duration::ZERO })
    }

    fn plain(&self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        let fields = self.sent.fields().iter();
        if fields.clone().zip(batch.columns()).all(|(field, column)| field.data_type() == column.data_type()) {
            return Ok(batch);
        }
        let columns = fields.zip(batch.columns()).map(|(field, column)| cast(column, field.data_type()));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.sent), columns.collect::<Result<_, _>>()?, &options)
    }
}

/// The batch in parts of about [`MESSAGE_BYTES`].
fn pieces(batch: &RecordBatch) -> VecDeque<RecordBatch> {
    let parts = bytes_of(batch).div_ceil(MESSAGE_BYTES).max(1);
    let size = batch.num_rows().div_ceil(parts).max(1);
    (0..batch.num_rows()).step_by(size).map(|at| batch.slice(at, size.min(batch.num_rows() - at))).collect()
}

#[cfg(test)]
mod tests;
