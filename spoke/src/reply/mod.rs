//! The last step of a query at the spoke: rows as Arrow Flight messages, as fast as the hub takes them.
//!
//! The stream owns everything that the query holds: its place among the running queries, its tasks, its memory. When
//! the hub goes away, tonic drops the stream, and all of it is free.
//!
//! INVARIANT: once a permit is over, no further message leaves that was asked for under it.
//! INVARIANT: an answer ends whole or with an error; it is never cut short in silence.

mod bounded;
mod encode;
mod pace;
mod warden;

pub(crate) use pace::{Pace, Paced, WAYS};

use crate::scan::{Running, failure};
use arrow_flight::FlightData;
use bounded::Bounded;
use encode::Unsent;
use futures::{
    StreamExt, future,
    stream::{self, BoxStream},
};
use proto::measured;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::Span;
use warden::End;

/// The answer as a stream of Flight messages, compressed as `pace` finds worth it. `admission`: how long it took until the
/// question was admitted, for the log.
pub(crate) fn stream(
    running: Running,
    admission: Duration,
    pace: Paced,
    stop: CancellationToken,
    span: Span,
) -> BoxStream<'static, Result<FlightData, Status>> {
    let schema = Arc::clone(&running.schema);
    let (query, permit) = (running.context.query, running.context.ended.clone());
    let told = running.context.watch.told();
    let rows = Bounded::new(running, admission, stop, span);
    encode::messages(&schema, rows, pace)
        // What was encoded while the permit lived and not taken by then doesn't leave either.
        .map(move |message| match message {
            Ok(_) if permit.is_cancelled() => Err(End::Permit.refusal(&query).into()),
            Ok(message) => Ok(message),
            Err(Unsent::Ended(refusal)) => Err(refusal.into()),
            Err(Unsent::Arrow(error)) => {
                Err(failure::refusal(&datafusion::error::DataFusionError::ArrowError(Box::new(error), None), &query)
                    .into())
            }
        })
        // After the last row, with the final status. Nothing when the answer was not whole.
        .chain(stream::once(async move { told.get().map(|told| Err(measured::end(told))) }).filter_map(future::ready))
        .boxed()
}
