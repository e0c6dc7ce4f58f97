//! Collecting an answer while it flows, and giving it again.
//!
//! INVARIANT: nothing is kept of an answer that broke, was not read to its end, or whose permit ended meanwhile.

use super::{Answer, FRAME, Place, SHARE};
use arrow::{
    buffer::Buffer,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::{reader::StreamDecoder, writer::StreamWriter},
    record_batch::RecordBatch,
};
use datafusion::error::DataFusionError;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

type Rows = BoxStream<'static, Result<RecordBatch, DataFusionError>>;

/// An answer on its way into memory. Dropped before its end, it leaves nothing.
pub(crate) struct Filling {
    place: Place,
    schema: SchemaRef,
    writer: StreamWriter<Vec<u8>>,
    /// bytes that are set aside for it
    held: usize,
}

impl Filling {
    pub(crate) fn new(place: Place, schema: &SchemaRef) -> Option<Self> {
        let writer = StreamWriter::try_new(Vec::new(), schema).ok()?;
        let mut filling = Self { place, schema: SchemaRef::clone(schema), writer, held: 0 };
        filling.grow().then_some(filling)
    }

    /// Takes one batch more; whether there is room.
    fn add(&mut self, batch: &RecordBatch) -> bool {
        self.writer.write(batch).is_ok() && self.grow()
    }

    /// Sets aside what the answer takes by now.
    fn grow(&mut self) -> bool {
        let results = &self.place.results;
        let needed = self.writer.get_ref().capacity() + FRAME;
        if needed > results.most / SHARE {
            return false;
        }
        let more = needed.saturating_sub(self.held);
        let mut kept = results.lock();
        let room = kept.room(results.most, more);
        if room {
            kept.filling += more;
            self.held += more;
        }
        room
    }

    /// The answer is whole.
    fn finish(mut self) -> Result<(), ArrowError> {
        self.writer.finish()?;
        let mut encoded = std::mem::take(self.writer.get_mut());
        encoded.shrink_to_fit();
        let answer = Answer {
            schema: SchemaRef::clone(&self.schema),
            encoded: Buffer::from_vec(encoded),
            project: self.place.project.clone(),
            ended: self.place.ended.clone(),
        };
        let (results, key) = (&self.place.results, self.place.key);
        let mut kept = results.lock();
        kept.filling -= std::mem::take(&mut self.held);
        // Somebody else may have collected the same meanwhile.
        kept.remove(&key);
        if !self.place.ended.is_cancelled() && kept.room(results.most, answer.bytes()) {
            kept.bytes += answer.bytes();
            kept.answers.put(key, answer);
        }
        Ok(())
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        if self.held > 0 {
            self.place.results.lock().filling -= self.held;
        }
    }
}

/// The same rows, collected as they pass.
pub(crate) fn collected(rows: Rows, filling: Filling) -> Rows {
    stream::unfold((rows, Some(filling)), |(mut rows, mut filling)| async move {
        let next = rows.next().await;
        match &next {
            Some(Ok(batch)) => filling = filling.and_then(|mut filling| filling.add(batch).then_some(filling)),
            Some(Err(_)) => filling = None,
            None => {
                if let Some(filling) = filling.take() {
                    // An answer that can't be written is only not kept.
                    let _ = filling.finish();
                }
            }
        }
        Some((next?, (rows, filling)))
    })
    .boxed()
}

/// The rows of an answer that is kept.
pub(crate) fn again(answer: &Answer) -> Rows {
    let state = (StreamDecoder::new(), answer.encoded.clone());
    stream::try_unfold(state, |(mut decoder, mut rest)| async move {
        while !rest.is_empty() {
            if let Some(batch) = decoder.decode(&mut rest)? {
                return Ok(Some((batch, (decoder, rest))));
            }
        }
        decoder.finish()?;
        Ok(None)
    })
    .boxed()
}
