//! Takes a spoke's answer in, batch by batch, as fast as it is wanted.
//!
//! INVARIANT: an answer is whole or an error. A stream that stops without its final status, has another schema than
//! planned, or is late, is an error that names the controller; rows that came before are never an answer of their own.

mod fit;
mod measured;
mod trouble;
mod unfold;

use crate::{
    compute::ahead,
    dispatch::{self, Broken},
    permit::Permitted,
    plan::KeySlot,
    registry::Links,
    watch::Leg,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use arrow_flight::{
    FlightData,
    decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder},
    error::FlightError,
};
use datafusion::{
    common::DataFusionError,
    physical_plan::{
        SendableRecordBatchStream,
        metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{FutureExt, Stream, StreamExt};
use proto::{fragment::Limits, plan::keys::Keys, refusal::Refusal, wire};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tonic::Streaming;

pub use measured::{Took, took};

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes around a key list's values.
const FRAME: usize = 32;
/// Name of the metric that counts bytes received from a spoke.
pub const WIRE_BYTES: &str = "wire_bytes";
/// Name of the metric that counts rows received from a spoke.
pub const WIRE_ROWS: &str = "wire_rows";
/// Name of the metric that counts bytes of key lists sent to a spoke.
pub const KEY_BYTES: &str = "key_bytes";

/// What was received in answer to one fragment.
#[derive(Debug, Clone)]
struct Counters {
    rows: Count,
    bytes: Count,
    keys: Count,
    spoke: measured::Spoke,
}

/// The rows that answer `question`, which speaks of `lists`. The request is sent when the stream is first polled; an answer that breaks before
/// it gave a row is asked for once more.
#[must_use]
pub fn rows(
    question: Permitted<wire::Fragment>,
    lists: Vec<Arc<KeySlot>>,
    links: Arc<Links>,
    schema: SchemaRef,
    metrics: &ExecutionPlanMetricsSet,
    partition: usize,
) -> SendableRecordBatchStream {
    let counters = Counters {
        rows: MetricBuilder::new(metrics).counter(WIRE_ROWS, partition),
        bytes: MetricBuilder::new(metrics).counter(WIRE_BYTES, partition),
        keys: MetricBuilder::new(metrics).counter(KEY_BYTES, partition),
        spoke: measured::Spoke::new(metrics, partition),
    };
    let context = question.context();
    let leg = context.watch.leg(question.controller(), context.caller.zone);
    // A quick test's leg is answered once.
    let state = State::Ask { again: question.quick().is_none() };
    let gather = Gather { question, lists, links, schema: Arc::clone(&schema), counters, leg, state };
    let batches = futures::stream::try_unfold(gather, |mut gather| async move {
        let next = gather.next().await.map_err(|refusal| DataFusionError::External(Box::new(refusal)))?;
        Ok::<_, DataFusionError>(next.map(|batch| (batch, gather)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, ahead::of(batches)))
}

struct Gather {
    question: Permitted<wire::Fragment>,
    /// what other parts of the statement find, which must be complete before this one is asked
    lists: Vec<Arc<KeySlot>>,
    links: Arc<Links>,
    schema: SchemaRef,
    counters: Counters,
    leg: Leg,
    state: State,
}

enum State {
    /// Not asked yet; `again`: may be asked once more when it breaks.
    Ask {
        again: bool,
    },
    Answer {
        decoder: Box<FlightDataDecoder>,
        again: bool,
    },
}

impl Gather {
    async fn next(&mut self) -> Result<Option<RecordBatch>, Refusal> {
        loop {
            let again = match &self.state {
                State::Ask { again } | State::Answer { again, .. } => *again,
            };
            let deadline = self.question.context().deadline;
            let error = match tokio::time::timeout_at(deadline, self.step()).await {
                Ok(Ok(Step::Batch(batch))) => {
                    self.counters.rows.add(batch.num_rows());
                    self.leg.rows(batch.num_rows() as u64, self.counters.bytes.value() as u64);
                    if let State::Answer { again, .. } = &mut self.state {
                        *again &= batch.num_rows() == 0;
                    }
                    return Ok(Some(batch));
                }
                Ok(Ok(Step::End)) => {
                    self.leg.done(self.counters.bytes.value() as u64);
                    return Ok(None);
                }
                Ok(Ok(Step::On)) => continue,
                Ok(Err(error)) => error,
                Err(_) => return Err(trouble::late(&self.question)),
            };
            let refusal = trouble::refusal(&self.question, &error, matches!(self.state, State::Answer { .. }));
            if !(again && refusal.retryable()) {
                return Err(refusal);
            }
            self.state = State::Ask { again: false };
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn step(&mut self) -> Result<Step, Trouble> {
        match &mut self.state {
            State::Ask { again } => {
                let again = *again;
                let begun = Instant::now();
                self.leg.begins(!self.lists.is_empty());
                let mut keys = Vec::with_capacity(self.lists.len());
                for list in &self.lists {
                    let list = fitting(list.complete().await.as_ref(), self.lists.len());
                    self.counters.keys.add(prost::Message::encoded_len(&list));
                    keys.push(list);
                }
                self.leg.asked(keys.len(), self.counters.keys.value() as u64);
                self.counters.spoke.keys_after(begun.elapsed());
                let parent = self.leg.parent();
                let stream = dispatch::send(&self.question, keys, &self.links, &parent);
                let stream = stream.await.map_err(Trouble::Broken)?;
                self.leg.answers();
                self.counters.spoke.answered_after(begun.elapsed());
                let decoder = FlightDataDecoder::new(frames(stream, self.counters.clone()));
                self.state = State::Answer { decoder: Box::new(decoder), again };
                Ok(Step::On)
            }
            State::Answer { decoder, .. } => match decoded(decoder).await? {
                None if decoder.schema().is_none() => Err(Trouble::Garbage("no schema")),
                None => Ok(Step::End),
                Some(Err(error)) => Err(Trouble::Flight(error)),
                Some(Ok(message)) => match message.payload {
                    DecodedPayload::None => Ok(Step::On),
                    DecodedPayload::Schema(sent) => {
                        if fit::fits(&self.schema, &sent) {
                            Ok(Step::On)
                        } else {
                            Err(Trouble::Garbage("another schema"))
                        }
                    }
                    DecodedPayload::RecordBatch(batch) => {
                        if !fit::fits(&self.schema, batch.schema_ref()) {
                            return Err(Trouble::Garbage("another schema"));
                        }
                        let fitted = fit::fitted(&self.schema, &batch).map(Step::Batch);
                        fitted.ok_or(Trouble::Garbage("rows that don't fit the schema"))
                    }
                },
            },
        }
    }
}

enum Step {
    On,
    Batch(RecordBatch),
    End,
}

/// The next message. Where lengths in a message don't fit its bytes, the decoder's own checks end the task; here that
/// is an answer like other nonsense.
async fn decoded(decoder: &mut FlightDataDecoder) -> Result<Option<Result<DecodedFlightData, FlightError>>, Trouble> {
    let next = std::panic::AssertUnwindSafe(decoder.next()).catch_unwind();
    next.await.map_err(|_| Trouble::Garbage("a message that contradicts itself"))
}

/// What went wrong with one try.
#[derive(Debug)]
enum Trouble {
    Broken(Broken),
    Flight(FlightError),
    Garbage(&'static str),
}

/// A list as it travels: a filter instead of more than a spoke reads.
fn fitting(list: &Keys, lists: usize) -> wire::KeyList {
    let all = Limits::default().max_keys / lists.max(1);
    let most = if list.sorted_ids().is_some() || list.is_bloom() { all } else { all / 8 };
    let said = list.to_wire();
    // some bytes more for the list's own frame
    if prost::Message::encoded_len(&said) + FRAME <= most { said } else { list.within(all - FRAME).to_wire() }
}

/// The messages of an answer, counted. An end without the spoke's final status is an error: HTTP/2 lets a stream be
/// reset in a way that looks like an orderly end.
fn frames(
    stream: Streaming<FlightData>,
    counters: Counters,
) -> impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static {
    futures::stream::try_unfold((stream, counters), |(mut stream, counters)| async move {
        let said = |status| FlightError::Tonic(Box::new(status));
        if let Some(data) = stream.message().await.map_err(said)? {
            counters.bytes.add(data.data_body.len() + data.data_header.len() + data.app_metadata.len());
            unfold::check(&data).map_err(|why| FlightError::DecodeError(why.to_owned()))?;
            return Ok(Some((data, (stream, counters))));
        }
        match stream.trailers().await.map_err(said)? {
            Some(trailers) if trailers.contains_key("grpc-status") => {
                if let Some(measured) = proto::measured::read(&trailers) {
                    counters.spoke.told(&measured);
                }
                Ok(None)
            }
            _ => Err(FlightError::ProtocolError("the answer stopped without a final status".to_owned())),
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use proto::wire::key_list::Kind;

    #[test]
    fn lists_that_a_spoke_would_not_read_are_not_sent() {
        let numbers = |n: i64| {
            Keys::from_wire(wire::KeyList { kind: Some(Kind::Numbers(wire::Numbers { values: (0..n).collect() })) })
        };
        assert!(matches!(fitting(&numbers(1_000), 1).kind, Some(Kind::Numbers(_))));
        assert!(matches!(fitting(&numbers(2_000_000), 1).kind, Some(Kind::Bloom(_))));
        let ids = Keys::ids((0..1_000_000_u128).map(u128::to_be_bytes));
        assert!(matches!(fitting(&ids, 1).kind, Some(Kind::Ids(_))));
        let Some(Kind::Bloom(bloom)) = fitting(&ids, 8).kind else { panic!("no filter") };
        assert!(bloom.blocks.len() <= Limits::default().max_keys / 8);
        // Not even a filter fits.
        assert_eq!(fitting(&ids, 64).kind, Some(Kind::Everything(true)));
    }
}
