//! The conversation with the custodian: batches are blinded on blocking threads, several are on the wire at
//! once, answers are checked and unblinded on blocking threads again. A lost connection is made anew a bounded number of
//! times; what was unanswered is sent again.
//!
//! INVARIANT: nothing but blinded elements leaves; no answer is taken without its proof.

mod run;
mod witness;

pub use witness::{WitnessTrouble, witness};

use self::run::Run;
use super::{
    blind::{Blinded, Input, LinkPublicKey},
    linker::LinkError,
};
use proto::wire::{
    EvaluateReply, EvaluateRequest, PublicKeyReply, PublicKeyRequest, custodian_client::CustodianClient,
};
use runtime::tls::{self, Peer, Tls};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

/// Elements of a batch: large enough that its proof costs nothing, small enough that all cores have one.
pub(super) const BATCH: usize = 1024;
const SMALLEST_BATCH: usize = 32;

/// How a lost connection is made anew.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// connections tried without a single answer before giving up
    pub attempts: u32,
    /// wait before the second; doubled each time, up to four seconds
    pub first_wait: Duration,
    /// an answer that takes longer counts as a lost connection
    pub patience: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 6, first_wait: Duration::from_millis(250), patience: Duration::from_secs(60) }
    }
}

/// How to reach the custodian and how to know it.
pub(super) struct Custodian {
    client: CustodianClient<Channel>,
    /// for errors: name and address
    pub(super) name: String,
    pub(super) key: LinkPublicKey,
    retry: Retry,
    /// batches blinded, on the wire or being unblinded at the same time
    window: usize,
}

impl Custodian {
    pub(super) fn new(address: &str, peer: Peer, tls: &Tls, key: LinkPublicKey, retry: Retry) -> Self {
        let name = format!("'{}' at {address}", peer.name);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { client: CustodianClient::new(tls::channel(address, peer, tls)), name, key, retry, window: 2 * cores + 2 }
    }

    /// Starts evaluating; take the results with [`Run::next`].
    pub(super) fn evaluate(&self, inputs: Vec<Input>) -> Run<'_> {
        let cores = self.window / 2;
        let size = inputs.len().div_ceil(cores.max(1)).clamp(SMALLEST_BATCH, BATCH);
        Run::new(self, inputs.chunks(size).map(<[Input]>::to_vec).collect())
    }
}

/// An open stream.
struct Live {
    requests: mpsc::Sender<EvaluateRequest>,
    replies: Streaming<EvaluateReply>,
    /// sent and unanswered, by sequence
    waiting: HashMap<u64, Blinded>,
    sequence: u64,
    max_batch: usize,
    patience: Duration,
    deadline: Instant,
}

/// Why a stream ended.
enum Lost {
    /// worth another try
    Connection(String),
    /// not worth one
    Final(LinkError),
}

impl Custodian {
    /// Opens a stream, after checking that the custodian has the pinned key.
    async fn connect(&self) -> Result<Live, Lost> {
        let reply = self.timely(self.client.clone().public_key(PublicKeyRequest {})).await?;
        let PublicKeyReply { public_key, max_batch, .. } = reply;
        if public_key != self.key.to_bytes() {
            return Err(Lost::Final(LinkError::OtherKey {
                custodian: self.name.clone(),
                found: super::link_kid(&public_key),
                pinned: self.key.link_kid(),
            }));
        }
        let (requests, outgoing) = mpsc::channel(self.window);
        let replies = self.timely(self.client.clone().evaluate(ReceiverStream::new(outgoing))).await?;
        Ok(Live {
            requests,
            replies,
            waiting: HashMap::new(),
            sequence: 0,
            max_batch: usize::try_from(max_batch).unwrap_or(usize::MAX).max(1),
            patience: self.retry.patience,
            deadline: Instant::now(),
        })
    }

    async fn timely<T>(&self, call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Lost> {
        match tokio::time::timeout(self.retry.patience, call).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(self.judge(&status)),
            Err(_) => Err(self.slow()),
        }
    }

    fn slow(&self) -> Lost {
        Lost::Connection(format!("no answer within {} s", self.retry.patience.as_secs_f32()))
    }

    /// Whether a failed call is worth another try. A status made on this side has a source: the connection.
    fn judge(&self, status: &Status) -> Lost {
        let retryable = matches!(
            status.code(),
            // not ResourceExhausted: a quota is not had by asking again
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Aborted
        );
        if retryable || std::error::Error::source(status).is_some() {
            Lost::Connection(root_cause(status))
        } else {
            Lost::Final(LinkError::Refused { custodian: self.name.clone(), reason: status.message().to_owned() })
        }
    }

    /// The run ended without an answer for everybody.
    pub(super) fn incomplete(&self) -> LinkError {
        self.failed("it left somebody unanswered")
    }

    fn failed(&self, reason: &str) -> LinkError {
        LinkError::Protocol { custodian: self.name.clone(), reason: reason.to_owned() }
    }
}

impl Live {
    /// Sends everything; the channel has room for the whole window.
    fn send(&mut self, blinded: &mut VecDeque<Blinded>) -> Result<(), Lost> {
        while let Some(batch) = blinded.pop_front() {
            let request = EvaluateRequest { sequence: self.sequence, blinded: batch.message.clone() };
            if self.requests.try_send(request).is_err() {
                blinded.push_front(batch);
                return Err(Lost::Connection("the custodian closed the stream".to_owned()));
            }
            if self.waiting.is_empty() {
                self.deadline = Instant::now() + self.patience;
            }
            self.waiting.insert(self.sequence, batch);
            self.sequence += 1;
        }
        Ok(())
    }

    async fn receive(&mut self, custodian: &Custodian) -> Result<(Blinded, EvaluateReply), Lost> {
        let reply = match tokio::time::timeout_at(self.deadline, self.replies.message()).await {
            Ok(Ok(Some(reply))) => reply,
            Ok(Ok(None)) => return Err(Lost::Connection("the custodian ended the stream".to_owned())),
            Ok(Err(status)) => return Err(custodian.judge(&status)),
            Err(_) => return Err(custodian.slow()),
        };
        self.deadline = Instant::now() + self.patience;
        match self.waiting.remove(&reply.sequence) {
            Some(batch) => Ok((batch, reply)),
            None => Err(Lost::Final(custodian.failed("it answered a batch that was not sent"))),
        }
    }
}

/// The innermost cause says most ("connection refused", "certificate of ..").
fn root_cause(status: &Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    if std::ptr::addr_eq(cause, status) { status.message().to_owned() } else { text }
}
