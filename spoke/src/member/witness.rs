//! Checkpoints of audit logs, exchanged with the hub: the action `eger.v1.checkpoint`.
//!
//! INVARIANT: what the hub's log can't stand behind is not countersigned, and is an alarm in this spoke's own log.

use super::actions::decode;
use prost::Message;
use proto::{
    refusal::{Kind, Refusal},
    wire::{CheckpointReply, CheckpointRequest},
};
use runtime::{
    audit::{
        AuditLog,
        witness::{Witness, WitnessError},
    },
    peer::Peer,
    sign::{SigningKey, VerifyingKey},
};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};

/// This spoke and its hub as each other's witnesses.
#[derive(Debug)]
pub struct Witnessing {
    witness: Witness,
    hub: Peer,
    log: Arc<AuditLog>,
    said: Mutex<String>,
}

impl Witnessing {
    /// Between `own`, which signs with `key` and whose log is `log`, and `hub`.
    #[must_use]
    pub fn new(own: Peer, hub: Peer, key: Arc<SigningKey>, log: Arc<AuditLog>) -> Self {
        Self { witness: Witness::new(own, key, Arc::clone(&log)), hub, log, said: Mutex::default() }
    }

    /// The key that the hub came with first; receipts are signed with it.
    ///
    /// # Errors
    /// When the file of it can't be read.
    pub fn hub_key(&self) -> Result<Option<VerifyingKey>, WitnessError> {
        self.witness.known(&self.hub)
    }

    /// Answers the action.
    pub(crate) async fn exchange(self: &Arc<Self>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = decode::<CheckpointRequest>(body)?;
        let this = Arc::clone(self);
        // Reads and writes files, and waits for the disk.
        let reply = tokio::task::spawn_blocking(move || this.answer(&request)).await;
        Ok(reply.map_err(|_| Refusal::new(Kind::Unavailable, "this spoke is stopping"))??.encode_to_vec())
    }

    fn answer(&self, request: &CheckpointRequest) -> Result<CheckpointReply, Refusal> {
        let key: VerifyingKey = request
            .key
            .parse()
            .map_err(|_| Refusal::new(Kind::Invalid, "the request's field `key` is no public signing key"))?;
        let key = self.witness.pinned(&self.hub, &key).map_err(|error| self.alarm(&error))?;
        if !request.witnessed.is_empty() {
            self.witness.keep(&self.hub, &key, &request.witnessed).map_err(|error| self.alarm(&error))?;
        }
        let witnessed = match request.checkpoint.as_str() {
            "" => String::new(),
            text => self.witness.witness(&self.hub, &key, text).map_err(|error| self.alarm(&error))?,
        };
        let checkpoint = self.witness.checkpoint().map_err(|error| self.alarm(&error))?;
        Ok(CheckpointReply { checkpoint, witnessed, key: self.witness.key().to_string() })
    }

    /// Written down once for each change.
    fn alarm(&self, error: &WitnessError) -> Refusal {
        let text = error.to_string();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != text {
            tracing::error!(party = %self.hub, %error, "a checkpoint is refused");
            if let Err(error) =
                self.log.append(&json!({ "event": "alarm", "party": self.hub.to_string(), "what": text }))
            {
                tracing::error!(%error, "the alarm can't be written to the audit log");
            }
            said.clone_from(&text);
        }
        Refusal::new(Kind::Denied, text)
    }
}
