//! The last step of a query at the spoke: rows as Arrow Flight messages, as fast as the hub takes them.
//!
//! The stream owns everything that the query holds: its place among the running queries, its tasks, its memory. When
//! the hub goes away, tonic drops the stream, and all of it is free.
//!
//! INVARIANT: once a permit is over, no further message leaves that was asked for under it.
//! INVARIANT: an answer ends whole or with an error; it is never cut short in silence.

mod bounded;
mod warden;

use crate::scan::{Running, failure};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{FlightData, encode::FlightDataEncoderBuilder, error::FlightError};
use bounded::Bounded;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use proto::refusal::{Kind, Refusal};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::Span;
use warden::End;

/// Messages of about so many bytes: large enough to be cheap, small enough to flow.
const MESSAGE_BYTES: usize = 1 << 20;

/// The answer as a stream of Flight messages. `admission`: how long it took until the question was admitted, for the log.
pub(crate) fn stream(
    running: Running,
    admission: Duration,
    stop: CancellationToken,
    span: Span,
) -> BoxStream<'static, Result<FlightData, Status>> {
    let schema = Arc::clone(&running.schema);
    let (query, permit) = (running.context.query, running.context.ended.clone());
    let rows =
        Bounded::new(running, admission, stop, span).map_err(|refusal| FlightError::Tonic(Box::new(refusal.into())));
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_options(IpcWriteOptions::default())
        .with_max_flight_data_size(MESSAGE_BYTES)
        .build(rows)
        .map_err(move |error| match error {
            FlightError::Tonic(status) => *status,
            FlightError::Arrow(error) => {
                failure::refusal(&datafusion::error::DataFusionError::ArrowError(Box::new(error), None), &query).into()
            }
            // The texts of the others may hold anything.
            _ => Refusal::new(Kind::Internal, format!("query {query} failed: the answer can't be encoded")).into(),
        })
        // What was encoded while the permit lived and not taken by then doesn't leave either.
        .map(move |message| match message {
            Ok(_) if permit.is_cancelled() => Err(End::Permit.refusal(&query).into()),
            other => other,
        })
        .boxed()
}
