//! Keeps the keys of projects in step: asks the members' spokes, every few seconds and when nudged, whether they accept one
//! another, has the lead (or, when it is away, the deputy) make the next epoch, and brings every member its sealed key.
//!
//! INVARIANT: the hub decides nothing here. Who gets a key is decided by the spoke that makes it, under its own permit; what a
//! hub leaves out or sends twice is refused there or changes nothing.

mod round;

use super::store::EpochStore;
use crate::{audit::HubAudit, registry::Links};
use async_trait::async_trait;
use policies::epoch::Acceptance;
use proto::ids::{ControllerId, PermitId, ProjectId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Spokes are asked this often.
const ROUND: Duration = Duration::from_secs(5);
/// What failed is tried again after this, also when nothing changed.
const AGAIN: Duration = Duration::from_secs(60);

/// The projects whose keys are looked after, and whom they ask.
#[async_trait]
pub trait Members: Send + Sync + 'static {
    /// All open projects with their controllers.
    async fn open(&self) -> BTreeMap<ProjectId, BTreeSet<ControllerId>>;
}

/// Who was to make an epoch, for whom and under which permits.
type Wish = (ControllerId, BTreeSet<(ControllerId, PermitId)>);

#[derive(Debug, Default)]
struct Known {
    /// the newest acceptance of each, also of those that are away now
    accepted: BTreeMap<ControllerId, (String, Acceptance)>,
    away: BTreeMap<ControllerId, Instant>,
    /// for whom the last epoch was asked for, and when to ask again all the same
    tried: Option<(Wish, Option<Instant>)>,
    /// what was said last about each matter, so that it is said once
    said: BTreeMap<String, String>,
}

/// See the module.
pub struct KeyKeeper {
    links: Arc<Links>,
    store: EpochStore,
    members: Arc<dyn Members>,
    audit: HubAudit,
    patience: Duration,
    known: Mutex<HashMap<ProjectId, Known>>,
}

impl KeyKeeper {
    /// A lead that is away for longer than `patience` is stood in for by its deputy.
    #[must_use]
    pub fn new(
        links: Arc<Links>,
        store: EpochStore,
        members: Arc<dyn Members>,
        audit: HubAudit,
        patience: Duration,
    ) -> Self {
        Self { links, store, members, audit, patience, known: Mutex::default() }
    }

    /// Looks after the keys until `stop`.
    pub async fn run(self: Arc<Self>, nudge: Arc<Notify>, stop: CancellationToken) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = round.tick() => {}
                () = nudge.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    /// One look at all projects.
    pub async fn round(&self) {
        let open = self.members.open().await;
        let mut all = self.known.lock().await;
        all.retain(|project, _| open.contains_key(project));
        for (project, controllers) in &open {
            let known = all.entry(project.clone()).or_default();
            if let Err(error) = self.project(project, controllers, known).await {
                known.say(project, "keys", &error.to_string());
            }
        }
    }
}

impl Known {
    /// Logs what is new about a matter.
    fn say(&mut self, project: &ProjectId, matter: &str, text: &str) {
        if self.said.get(matter).map(String::as_str) != Some(text) {
            tracing::warn!(%project, matter, text, "the project's key");
            self.said.insert(matter.to_owned(), text.to_owned());
        }
    }

    fn done(&mut self, matter: &str) {
        self.said.remove(matter);
    }
}
