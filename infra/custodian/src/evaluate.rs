//! The gRPC service: who asks, how much at once and in all, and the evaluation itself on a bounded pool beside the
//! asynchronous threads.
//!
//! INVARIANT: only enrolled keys of registered controllers are answered, each batch is counted before it is sent, and
//! nothing of an element is kept or logged but a digest of what was counted. Without an audit log nothing is evaluated.

mod record;
mod say;

use crate::{
    config::Limits,
    key::{Evaluated, LinkageKey},
    log::{Event, Log},
    register::{Charge, Controller, Register},
};
use futures::{Stream, StreamExt, stream};
use proto::{
    refusal::{Kind, Refusal},
    wire::{
        CustodianCheckpointReply, CustodianCheckpointRequest, EvaluateReply, EvaluateRequest, PublicKeyReply,
        PublicKeyRequest, custodian_server,
    },
};
use record::Record;
use runtime::{
    audit::witness::{Witness, WitnessError},
    tls::{self, Peer, Role},
};
use sha2::{Digest, Sha256};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// The service, one for the process; cheap to clone.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

/// What the service works with.
pub struct Parts {
    /// the linkage key
    pub key: LinkageKey,
    /// who may ask, and how much
    pub register: Register,
    /// the audit log
    pub log: Log,
    /// checkpoints seen and witnessed
    pub witness: Witness,
    /// what it bears
    pub limits: Limits,
}

struct Shared {
    parts: Parts,
    /// places for open streams
    streams: Arc<Semaphore>,
    /// places for running evaluations
    workers: Arc<Semaphore>,
    /// number of the next stream
    next: AtomicU64,
    /// cancelled when the drain time is over: open streams end
    cut: CancellationToken,
}

impl Service {
    /// A service with one key. `cut` ends open streams.
    #[must_use]
    pub fn new(parts: Parts, cut: CancellationToken) -> Self {
        let streams = Arc::new(Semaphore::new(parts.limits.streams));
        let workers = Arc::new(Semaphore::new(parts.limits.workers()));
        Self { shared: Arc::new(Shared { parts, streams, workers, next: AtomicU64::new(1), cut }) }
    }
}

/// Who asks: the name and the key of its certificate.
#[derive(Debug, Clone)]
struct Caller {
    name: String,
    key: Arc<str>,
}

type Replies = Pin<Box<dyn Stream<Item = Result<EvaluateReply, Status>> + Send>>;

#[tonic::async_trait]
impl custodian_server::Custodian for Service {
    async fn public_key(&self, request: Request<PublicKeyRequest>) -> Result<Response<PublicKeyReply>, Status> {
        caller(&request)?;
        let Parts { key, limits, .. } = &self.shared.parts;
        Ok(Response::new(PublicKeyReply {
            public_key: key.public_key().to_vec(),
            link_kid: key.link_kid(),
            max_batch: u32::try_from(limits.max_batch).unwrap_or(u32::MAX),
        }))
    }

    type EvaluateStream = Replies;

    async fn evaluate(&self, request: Request<Streaming<EvaluateRequest>>) -> Result<Response<Replies>, Status> {
        let caller = caller(&request)?;
        let shared = Arc::clone(&self.shared);
        enrolled(&shared, &caller).await?;
        let limits = shared.parts.limits;
        let place = Arc::clone(&shared.streams).try_acquire_owned().map_err(|_| {
            Refusal::new(
                Kind::Unavailable,
                format!("the custodian has {} streams open, its limit; try again in a minute", limits.streams),
            )
        })?;
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        // Before the first answer: who can't be written down isn't answered.
        write(&shared, Event::Evaluating { controller: &caller.name, stream: number })?;
        let record = Arc::new(Record::start(caller, number, shared.parts.log.clone(), place));
        Ok(Response::new(answers(shared, record, request.into_inner())))
    }

    async fn checkpoint(
        &self,
        request: Request<CustodianCheckpointRequest>,
    ) -> Result<Response<CustodianCheckpointReply>, Status> {
        let caller = caller(&request)?;
        let controller = enrolled(&self.shared, &caller).await?;
        let CustodianCheckpointRequest { checkpoint, witnessed } = request.into_inner();
        Ok(Response::new(exchange(&self.shared.parts, &controller, &checkpoint, &witnessed)?))
    }
}

/// The caller, if it is a spoke.
fn caller<T>(request: &Request<T>) -> Result<Caller, Refusal> {
    let unknown = || {
        Refusal::new(
            Kind::Unauthenticated,
            "the connection names no caller; ask for a certificate: spoke custodian request",
        )
    };
    let peer = tls::peer_of(request).ok_or_else(unknown)?;
    let key = tls::key_of(request).ok_or_else(unknown)?;
    if peer.role == Role::Spoke {
        Ok(Caller { name: peer.name, key })
    } else {
        tracing::warn!(%peer, "refused a caller that is no spoke");
        Err(Refusal::new(Kind::Denied, format!("{peer} is no spoke, and only spokes may ask the custodian")))
    }
}

/// The caller's registration, if the key that it proved to have is the one enrolled last.
async fn enrolled(shared: &Shared, caller: &Caller) -> Result<Controller, Refusal> {
    let found = shared.parts.register.find(&caller.name).await.map_err(|error| say::no_register(&error))?;
    found.filter(|c| c.removed.is_none() && c.key.as_deref() == Some(&*caller.key)).ok_or_else(|| {
        tracing::warn!(spoke = %caller.name, "refused a key that is not enrolled");
        say::not_enrolled(&caller.name)
    })
}

/// Writes an entry, or says that nothing is answered.
fn write(shared: &Shared, event: Event<'_>) -> Result<(), Refusal> {
    shared.parts.log.write(&event).map(drop).map_err(|_| say::no_log())
}

/// Countersigns the spoke's checkpoint, keeps its countersignature of ours, and shows how far our log goes now.
fn exchange(
    parts: &Parts,
    controller: &Controller,
    checkpoint: &str,
    witnessed: &str,
) -> Result<CustodianCheckpointReply, Refusal> {
    let peer = Peer { role: Role::Spoke, name: controller.name.clone() };
    let theirs = controller.signing.as_ref().ok_or_else(|| say::not_enrolled(&controller.name))?;
    let refused = |error: WitnessError| {
        let reason = error.to_string();
        tracing::warn!(spoke = %controller.name, %reason, "refused a checkpoint");
        match parts.log.write(&Event::CheckpointRefused { controller: &controller.name, reason: &reason }) {
            Ok(_) => Refusal::new(Kind::Invalid, format!("checkpoint: {reason}")),
            Err(_) => say::no_log(),
        }
    };
    let key = parts.witness.pinned(&peer, theirs).map_err(refused)?;
    if !witnessed.is_empty() {
        parts.witness.keep(&peer, &key, witnessed).map_err(refused)?;
    }
    let countersigned = match checkpoint {
        "" => String::new(),
        text => parts.witness.witness(&peer, &key, text).map_err(refused)?,
    };
    let own = parts.witness.checkpoint().map_err(|_| say::no_log())?;
    Ok(CustodianCheckpointReply { checkpoint: own, witnessed: countersigned })
}

/// Answers in the order of the requests; several are worked on at once, and no more are read meanwhile.
fn answers(shared: Arc<Shared>, record: Arc<Record>, requests: Streaming<EvaluateRequest>) -> Replies {
    let cut = shared.cut.clone();
    let in_flight = shared.parts.limits.batches_in_flight;
    let work = Arc::clone(&record);
    let replies =
        requests.map(move |request| answer(Arc::clone(&shared), Arc::clone(&work), request)).buffered(in_flight);
    let whole = replies.take_until(cut.clone().cancelled_owned()).map(Some).chain(stream::once(async move {
        // The end by itself gives nothing; an end by force says so.
        cut.is_cancelled().then(|| Err(Status::from(say::stopping())))
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
    let limit = shared.parts.limits.max_batch;
    let elements = LinkageKey::count(&blinded, limit).map_err(|error| say::bad_batch(sequence, &error))?;
    count(&shared, &record, &blinded, elements).await?;
    let permit = Arc::clone(&shared.workers).acquire_owned().await.map_err(|_| say::stopping())?;
    let done = tokio::task::spawn_blocking(move || {
        let _held = permit;
        shared.parts.key.evaluate(&blinded, limit)
    })
    .await;
    match done {
        Ok(Ok(Evaluated { elements, proof })) => {
            record.count(elements.len() / crate::key::ELEMENT);
            Ok(EvaluateReply { sequence, evaluated: elements, proof })
        }
        Ok(Err(error)) => Err(say::bad_batch(sequence, &error).into()),
        Err(_) => Err(Refusal::new(Kind::Internal, format!("batch {sequence}: the evaluation stopped")).into()),
    }
}

/// Counts a batch against the quota, on disk, and tells operators what they should know.
async fn count(shared: &Shared, record: &Record, blinded: &[u8], elements: usize) -> Result<(), Refusal> {
    if shared.parts.log.is_broken() {
        return Err(say::no_log());
    }
    let Caller { name, key } = record.caller();
    let digest = Sha256::digest(blinded).into();
    let elements = u64::try_from(elements).unwrap_or(u64::MAX);
    let charged = shared.parts.register.charge(name, key, &digest, elements, chrono::Utc::now()).await;
    let (charge, alarms) = charged.map_err(|error| say::no_register(&error))?;
    for alarm in alarms {
        let (controller, kind) = (alarm.controller.as_str(), alarm.kind);
        tracing::warn!(spoke = controller, used = alarm.used, quota = alarm.quota, "alarm: {}", kind.sentence());
        write(shared, Event::Alarm { controller, kind: kind.as_str(), used: alarm.used, quota: alarm.quota })?;
    }
    match charge {
        Charge::Counted | Charge::Again => Ok(()),
        Charge::Refused { quota, from } => Err(say::over_quota(name, elements, quota, from)),
        Charge::Unknown => Err(say::not_enrolled(name)),
    }
}
