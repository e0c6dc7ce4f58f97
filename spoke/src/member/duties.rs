//! What `serve` does as a member beside answering questions: the actions about keys and checkpoints, and, each second, the
//! end of what is over and the lists of people who leave.

use super::{LivePermits, Member, MemberError, Purges, Removal, Witnessing, leaving::Leaving};
use crate::{admit::Admission, config::SpokeConfig, publish::State, receive::forbidden, rules::Guest};
use policies::{
    authorize::{Action, Resource},
    receipt::Reason,
};
use proto::{
    envelope::{ACCEPTANCE_ACTION, CHECKPOINT_ACTION, MAKE_EPOCH_ACTION, TAKE_EPOCH_ACTION},
    ids::ProjectId,
    refusal::Refusal,
};
use runtime::{
    audit::AuditLog,
    peer::{Peer, Role},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Permits and lists are looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// A member's duties in a serving spoke.
#[derive(Debug)]
pub struct Duties {
    member: Arc<Member>,
    witnessing: Arc<Witnessing>,
    purges: Arc<Purges>,
    leaving: Leaving,
    /// projects that are over, why, and whether that is written down for the hub
    asked: Mutex<BTreeMap<ProjectId, (Reason, bool)>>,
}

impl Duties {
    /// The actions that are answered here.
    pub const ACTIONS: [&str; 4] = [ACCEPTANCE_ACTION, MAKE_EPOCH_ACTION, TAKE_EPOCH_ACTION, CHECKPOINT_ACTION];

    /// Opens the spoke's identities and its log; `state` has the lists of people.
    ///
    /// # Errors
    /// When a key file or the log can't be opened.
    pub fn open(config: &SpokeConfig, permits: Arc<dyn LivePermits>, state: State) -> Result<Self, MemberError> {
        let audit = &Arc::new(AuditLog::open(&config.audit_log())?);
        let member = Arc::new(Member::open(config, Arc::clone(&permits), Arc::clone(audit))?);
        // The controller's id is a peer's name: both were checked on reading.
        let own = Peer { role: Role::Spoke, name: config.controller.to_string() };
        let witnessing =
            Arc::new(Witnessing::new(own, config.hub_peer(), Arc::clone(member.signing()), Arc::clone(audit)));
        let purges = Arc::new(Purges::new(
            config.receipts_dir(),
            config.controller.clone(),
            Arc::clone(audit),
            Arc::clone(&witnessing),
        ));
        let leaving = Leaving::new(state, permits, Arc::clone(&purges));
        Ok(Self { member, witnessing, purges, leaving, asked: Mutex::default() })
    }

    /// Removals that are asked of the hub.
    #[must_use]
    pub fn purges(&self) -> &Arc<Purges> {
        &self.purges
    }

    /// Answers an action; `None`: it is none of a member's.
    pub(crate) async fn act(&self, guest: Guest, kind: &str, body: &[u8]) -> Option<Result<Vec<u8>, Refusal>> {
        Some(match kind {
            ACCEPTANCE_ACTION => self.member.acceptance(guest, body).await,
            MAKE_EPOCH_ACTION => self.member.make(guest, body).await,
            TAKE_EPOCH_ACTION => self.member.take(guest, body).await,
            CHECKPOINT_ACTION => match guest.may(Action::SpokeCheckpoint, Resource::Audit) {
                Ok(()) => self.witnessing.exchange(body).await,
                Err(_) => Err(forbidden()),
            },
            _ => return None,
        })
    }

    /// Destroys keys of projects that are over, and has the hub remove what it holds of them and of people who leave, until
    /// `stop`. Without `removal` there is no way to the hub's gateway; what it has to remove stays written down.
    pub async fn run(
        self: Arc<Self>,
        admission: Arc<Admission>,
        removal: Option<Arc<dyn Removal>>,
        stop: CancellationToken,
    ) {
        let asking = removal.map(|removal| tokio::spawn(Arc::clone(&self.purges).run(removal, stop.clone())));
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut ending, mut leaving) = (Said::default(), Said::default());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = look.tick() => {}
            }
            ending.about("the key of a project that is over can't be destroyed", self.end(&admission).await);
            leaving
                .about("the hub can't be asked to remove what it holds of people who left", self.leaving.look().await);
        }
        if let Some(asking) = asking {
            // It ends by the same token.
            let _ = asking.await;
        }
    }

    /// One look at what is over.
    ///
    /// # Errors
    /// When a key can't be destroyed.
    pub async fn end(&self, admission: &Admission) -> Result<(), MemberError> {
        let member = Arc::clone(&self.member);
        let Ok(over) = tokio::task::spawn_blocking(move || member.over()).await else { return Ok(()) };
        let projects = self.ask(over?);
        let member = Arc::clone(&self.member);
        let Ok(ended) = tokio::task::spawn_blocking(move || member.destroy(&projects)).await else { return Ok(()) };
        for project in ended? {
            admission.forget(&project).await;
        }
        Ok(())
    }

    /// Writes down, once, that the hub has to remove what it holds of projects that are over; names these projects.
    ///
    /// It comes before the key goes: in between nothing may get lost. But what can't be written down keeps no key alive;
    /// it is tried again, for as long as this process runs.
    fn ask(&self, over: Vec<(ProjectId, Reason)>) -> Vec<ProjectId> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|project, (_, written)| !*written || over.iter().any(|(known, _)| known == project));
        for (project, reason) in &over {
            asked.entry(project.clone()).or_insert((*reason, false));
        }
        for (project, (reason, written)) in asked.iter_mut().filter(|(_, (_, written))| !*written) {
            match self.purges.ask(project, *reason) {
                Ok(()) => *written = true,
                Err(error) => tracing::error!(%project, %error, "the hub can't be asked to remove what it holds"),
            }
        }
        over.into_iter().map(|(project, _)| project).collect()
    }
}

/// What was said last, so that an error is said once for each change.
#[derive(Debug, Default)]
struct Said(String);

impl Said {
    fn about<E: std::fmt::Display>(&mut self, what: &str, outcome: Result<(), E>) {
        let text = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        if !text.is_empty() && text != self.0 {
            tracing::error!(error = text, "{what}");
        }
        self.0 = text;
    }
}
