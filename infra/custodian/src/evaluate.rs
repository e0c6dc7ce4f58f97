//! The gRPC service: who asks, how much at once, and the evaluation itself on a bounded pool beside the
//! asynchronous threads.
//!
//! INVARIANT: only peers with the role of a spoke are answered; nothing of an element is kept or logged.

use crate::{
    config::Limits,
    key::{BatchError, Evaluated, LinkageKey},
};
use futures::{Stream, StreamExt, stream};
use proto::{
    refusal::{Kind, Refusal},
    wire::{EvaluateReply, EvaluateRequest, PublicKeyReply, PublicKeyRequest, custodian_server},
};
use runtime::tls::{self, Peer, Role};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// The service, one for the process; cheap to clone.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    key: Arc<LinkageKey>,
    limits: Limits,
    /// places for open streams
    streams: Arc<Semaphore>,
    /// places for running evaluations
    workers: Arc<Semaphore>,
    /// cancelled when the drain time is over: open streams end
    cut: CancellationToken,
}

impl Service {
    /// A service with one key. `cut` ends open streams.
    #[must_use]
    pub fn new(key: LinkageKey, limits: Limits, cut: CancellationToken) -> Self {
        let streams = Arc::new(Semaphore::new(limits.streams));
        let workers = Arc::new(Semaphore::new(limits.workers()));
        Self { shared: Arc::new(Shared { key: Arc::new(key), limits, streams, workers, cut }) }
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<EvaluateReply, Status>> + Send>>;

#[tonic::async_trait]
impl custodian_server::Custodian for Service {
    async fn public_key(&self, request: Request<PublicKeyRequest>) -> Result<Response<PublicKeyReply>, Status> {
        caller(&request)?;
        let key = &self.shared.key;
        Ok(Response::new(PublicKeyReply {
            public_key: key.public_key().to_vec(),
            link_kid: key.link_kid(),
            max_batch: u32::try_from(self.shared.limits.max_batch).unwrap_or(u32::MAX),
        }))
    }

    type EvaluateStream = Replies;

    async fn evaluate(&self, request: Request<Streaming<EvaluateRequest>>) -> Result<Response<Replies>, Status> {
        let peer = caller(&request)?;
        let shared = Arc::clone(&self.shared);
        let place = Arc::clone(&shared.streams).try_acquire_owned().map_err(|_| {
            Refusal::new(
                Kind::Exhausted,
                format!("the custodian has {} streams open, its limit; try again in a minute", shared.limits.streams),
            )
        })?;
        let record = Arc::new(Record::start(peer, place));
        Ok(Response::new(answers(shared, record, request.into_inner())))
    }
}

/// The caller, if it is a spoke.
fn caller<T>(request: &Request<T>) -> Result<Peer, Refusal> {
    let peer = tls::peer_of(request).ok_or_else(|| {
        Refusal::new(Kind::Unauthenticated, "the connection names no caller; use the certificate of `custodian issue`")
    })?;
    if peer.role == Role::Spoke {
        Ok(peer)
    } else {
        tracing::warn!(%peer, "refused a caller that is no spoke");
        Err(Refusal::new(Kind::Denied, format!("{peer} is no spoke, and only spokes may ask the custodian")))
    }
}

/// Answers in the order of the requests; several are worked on at once, and no more are read meanwhile.
fn answers(shared: Arc<Shared>, record: Arc<Record>, requests: Streaming<EvaluateRequest>) -> Replies {
    let cut = shared.cut.clone();
    let in_flight = shared.limits.batches_in_flight;
    let work = Arc::clone(&record);
    let replies =
        requests.map(move |request| answer(Arc::clone(&shared), Arc::clone(&work), request)).buffered(in_flight);
    let stopping =
        || Err(Status::from(Refusal::new(Kind::Unavailable, "the custodian is stopping; connect again in a moment")));
    let whole = replies.take_until(cut.clone().cancelled_owned()).map(Some).chain(stream::once(async move {
        // The end by itself gives nothing; an end by force says so.
        cut.is_cancelled().then(stopping)
    }));
    Box::pin(whole.filter_map(move |reply| {
        record.note(reply.as_ref());
        std::future::ready(reply)
    }))
}

async fn answer(
    shared: Arc<Shared>,
    record: Arc<Record>,
    request: Result<EvaluateRequest, Status>,
) -> Result<EvaluateReply, Status> {
    let EvaluateRequest { sequence, blinded } = request?;
    let permit = Arc::clone(&shared.workers)
        .acquire_owned()
        .await
        .map_err(|_| Refusal::new(Kind::Unavailable, "the custodian is stopping; connect again in a moment"))?;
    let limit = shared.limits.max_batch;
    let done = tokio::task::spawn_blocking(move || {
        let _held = permit;
        shared.key.evaluate(&blinded, limit)
    })
    .await;
    match done {
        Ok(Ok(Evaluated { elements, proof })) => {
            record.count(elements.len() / crate::key::ELEMENT);
            Ok(EvaluateReply { sequence, evaluated: elements, proof })
        }
        Ok(Err(error)) => Err(refusal(sequence, &error).into()),
        Err(_) => Err(Refusal::new(Kind::Internal, format!("batch {sequence}: the evaluation stopped")).into()),
    }
}

fn refusal(sequence: u64, error: &BatchError) -> Refusal {
    let kind = match error {
        BatchError::TooMany { .. } => Kind::TooLarge,
        BatchError::Failed(_) => Kind::Internal,
        BatchError::Length { .. } | BatchError::Empty | BatchError::Point { .. } => Kind::Invalid,
    };
    Refusal::new(kind, format!("batch {sequence}: {error}"))
}

/// What is written down of a stream: who, how much, how long, and whether it ended well.
struct Record {
    peer: Peer,
    started: Instant,
    batches: AtomicU64,
    elements: AtomicU64,
    /// the stream came to its own end: neither refused, nor cut, nor left by the caller
    complete: AtomicBool,
    _place: OwnedSemaphorePermit,
}

impl Record {
    fn start(peer: Peer, place: OwnedSemaphorePermit) -> Self {
        Self {
            peer,
            started: Instant::now(),
            batches: AtomicU64::new(0),
            elements: AtomicU64::new(0),
            complete: AtomicBool::new(false),
            _place: place,
        }
    }

    fn count(&self, elements: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.elements.fetch_add(u64::try_from(elements).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn note(&self, reply: Option<&Result<EvaluateReply, Status>>) {
        match reply {
            Some(Ok(_)) => {}
            Some(Err(status)) => {
                tracing::warn!(spoke = %self.peer.name, reason = status.message(), "a stream ended with an error");
            }
            None => self.complete.store(true, Ordering::Relaxed),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        tracing::info!(
            spoke = %self.peer.name,
            batches = self.batches.load(Ordering::Relaxed),
            elements = self.elements.load(Ordering::Relaxed),
            seconds = self.started.elapsed().as_secs_f64(),
            complete = self.complete.load(Ordering::Relaxed),
            "evaluated"
        );
    }
}
