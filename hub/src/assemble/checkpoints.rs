//! Exchanges checkpoints of audit logs with the spokes: each countersigns the other's, so that neither can cut or rewrite
//! its log unseen.
//!
//! INVARIANT: a spoke's log that goes back is never countersigned; it is an alarm in the hub's log.

use super::{
    keys::Members,
    link::{Silence, act},
};
use crate::{
    audit::{Event, HubAudit},
    registry::Links,
};
use proto::{
    envelope::CHECKPOINT_ACTION,
    ids::ControllerId,
    wire::{CheckpointReply, CheckpointRequest},
};
use runtime::{
    audit::witness::{Witness, WitnessError},
    peer::Peer,
    sign::{SigningKey, VerifyingKey},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// How often.
const ROUND: Duration = Duration::from_secs(60);
/// The last exchange, when the hub stops, may take this long.
const LAST: Duration = Duration::from_secs(3);

/// See the module.
pub struct Checkpoints {
    links: Arc<Links>,
    members: Arc<dyn Members>,
    witness: Arc<Witness>,
    audit: HubAudit,
    said: Mutex<BTreeMap<ControllerId, String>>,
}

impl Checkpoints {
    /// For the hub `own`, which signs with `key`.
    #[must_use]
    pub fn new(own: Peer, key: Arc<SigningKey>, audit: HubAudit, links: Arc<Links>, members: Arc<dyn Members>) -> Self {
        let witness = Arc::new(Witness::new(own, key, Arc::clone(audit.log())));
        Self { links, members, witness, audit, said: Mutex::default() }
    }

    /// Exchanges every minute, and once more at `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = round.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.round() => {}
            }
        }
        if tokio::time::timeout(LAST, self.round()).await.is_err() {
            tracing::warn!("the last checkpoints were not exchanged with every spoke");
        }
    }

    /// Exchanges with every spoke that is there.
    pub async fn round(&self) {
        let spokes: BTreeSet<ControllerId> = self.members.open().await.into_values().flatten().collect();
        futures::future::join_all(spokes.iter().map(|controller| self.settle(controller))).await;
    }

    async fn settle(&self, controller: &ControllerId) {
        let outcome = self.exchange(controller).await;
        let mut said = self.said.lock().await;
        let text = match outcome {
            Ok(()) => {
                said.remove(controller);
                return;
            }
            Err(Trouble::Away) => return,
            Err(Trouble::Said(text)) => text,
            Err(Trouble::Alarm(error)) => {
                let text = error.to_string();
                if said.get(controller) != Some(&text) {
                    let event = Event::Alarm { party: format!("eger://spoke/{controller}"), what: text.clone() };
                    if let Err(refusal) = self.audit.record(event).await {
                        tracing::error!(%refusal, "the alarm can't be written to the audit log");
                    }
                }
                text
            }
        };
        if said.get(controller) != Some(&text) {
            tracing::error!(%controller, reason = text, "no checkpoints were exchanged");
            said.insert(controller.clone(), text);
        }
    }

    async fn exchange(&self, controller: &ControllerId) -> Result<(), Trouble> {
        let own = self.work(|witness| witness.checkpoint()).await?;
        let reply = self.send(controller, own, String::new()).await?;
        let other = Peer::spoke(controller.as_ref()).map_err(|error| Trouble::Said(error.to_string()))?;
        let key: VerifyingKey =
            reply.key.parse().map_err(|_| Trouble::Said("its public signing key can't be read".to_owned()))?;
        let countersigned = self
            .work(move |witness| {
                let key = witness.pinned(&other, &key)?;
                if !reply.witnessed.is_empty() {
                    witness.keep(&other, &key, &reply.witnessed)?;
                }
                witness.witness(&other, &key, &reply.checkpoint)
            })
            .await?;
        self.send(controller, String::new(), countersigned).await.map(drop)
    }

    async fn send(
        &self,
        controller: &ControllerId,
        checkpoint: String,
        witnessed: String,
    ) -> Result<CheckpointReply, Trouble> {
        let request = CheckpointRequest { checkpoint, witnessed, key: self.witness.key().to_string() };
        act(&self.links, controller, CHECKPOINT_ACTION, &request).await.map_err(|silence| match silence {
            Silence::Away => Trouble::Away,
            Silence::Said(refusal) => Trouble::Said(format!("'{controller}' says: {refusal}")),
        })
    }

    /// Reads and writes files, and waits for the disk.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Witness) -> Result<T, WitnessError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let witness = Arc::clone(&self.witness);
        let done = tokio::task::spawn_blocking(move || work(&witness)).await.map_err(|_| Trouble::Away)?;
        done.map_err(Trouble::Alarm)
    }
}

enum Trouble {
    Away,
    Said(String),
    Alarm(WitnessError),
}
