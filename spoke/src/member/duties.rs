//! What `serve` does as a member beside answering questions: the actions about keys and checkpoints, and, each second, the
//! end of what is over.

use super::{LivePermits, Member, MemberError, Purges, Removal, Witnessing};
use crate::{admit::Admission, config::SpokeConfig, receive::forbidden, rules::Guest};
use policies::{
    authorize::{Action, Resource},
    receipt::Reason,
};
use proto::{
    envelope::{ACCEPTANCE_ACTION, CHECKPOINT_ACTION, MAKE_EPOCH_ACTION, TAKE_EPOCH_ACTION},
    refusal::Refusal,
};
use runtime::{
    audit::AuditLog,
    peer::{Peer, Role},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Permits are looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// A member's duties in a serving spoke.
#[derive(Debug)]
pub struct Duties {
    member: Arc<Member>,
    witnessing: Arc<Witnessing>,
    purges: Arc<Purges>,
}

impl Duties {
    /// The actions that are answered here.
    pub const ACTIONS: [&str; 4] = [ACCEPTANCE_ACTION, MAKE_EPOCH_ACTION, TAKE_EPOCH_ACTION, CHECKPOINT_ACTION];

    /// Opens the spoke's identities and its log.
    ///
    /// # Errors
    /// When a key file or the log can't be opened.
    pub fn open(config: &SpokeConfig, permits: Arc<dyn LivePermits>) -> Result<Self, MemberError> {
        let audit = &Arc::new(AuditLog::open(&config.audit_log())?);
        let member = Arc::new(Member::open(config, permits, Arc::clone(audit))?);
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
        Ok(Self { member, witnessing, purges })
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

    /// Destroys keys of projects that are over, and has the hub remove what it holds of them, until `stop`. Without
    /// `removal` there is no way to the hub's gateway; what it has to remove stays written down.
    pub async fn run(
        self: Arc<Self>,
        admission: Arc<Admission>,
        removal: Option<Arc<dyn Removal>>,
        stop: CancellationToken,
    ) {
        let asking = removal.map(|removal| tokio::spawn(Arc::clone(&self.purges).run(removal, stop.clone())));
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = String::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = look.tick() => {}
            }
            match self.end(&admission).await {
                Ok(()) => said.clear(),
                Err(error) => {
                    let text = error.to_string();
                    if text != said {
                        tracing::error!(%error, "the key of a project that is over can't be destroyed");
                        said = text;
                    }
                }
            }
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
        let Ok(ended) = tokio::task::spawn_blocking(move || member.destroy_ended()).await else { return Ok(()) };
        for project in ended? {
            admission.forget(&project).await;
            if let Err(error) = self.purges.ask(&project, Reason::Revoked) {
                tracing::error!(%project, %error, "the hub can't be asked to remove what it holds");
            }
        }
        Ok(())
    }
}
