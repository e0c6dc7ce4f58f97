//! Keeps hub and spokes of one mind: delivers parts, fetches what was signed, computes workspaces. Every two seconds, and
//! at once when nudged.
//!
//! A spoke that is away is asked again the next time; it holds up nobody else. Nothing is pushed as a difference: each
//! round compares what there is with what there should be.
//!
//! INVARIANT: what a spoke delivers counts when that controller's own approvers signed it, and for that controller alone.

use super::spoke;
use crate::{
    apply::{Applications, ApplyError},
    config::Projects,
    registry::Links,
};
use chrono::{DateTime, NaiveDate, Utc};
use proto::ids::ControllerId;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// The rhythm.
const EVERY: Duration = Duration::from_secs(2);
/// A spoke has so long for one round.
const PATIENCE: Duration = Duration::from_secs(20);

/// What time it is. Tests say so themselves.
pub trait Clock: Send + Sync + 'static {
    /// Now (UTC).
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Makes the reconciler look at once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Something has changed.
    pub fn nudge(&self) {
        self.0.notify_one();
    }
}

/// Keeps hub and spokes of one mind.
pub struct Reconciler {
    applications: Applications,
    links: Arc<Links>,
    clock: Arc<dyn Clock>,
    nudge: Nudge,
    projects: watch::Sender<Arc<Projects>>,
    /// after which event, and on which day, workspaces were computed
    computed: Option<(i64, NaiveDate)>,
}

impl Reconciler {
    /// Puts it together and computes the workspaces once, so that nobody is let in by what was true before.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn new(applications: Applications, links: Arc<Links>, clock: Arc<dyn Clock>) -> Result<Self, ApplyError> {
        let projects = watch::Sender::new(Arc::default());
        let mut new = Self { applications, links, clock, nudge: Nudge::default(), projects, computed: None };
        new.compute().await?;
        Ok(new)
    }

    /// What makes it look at once.
    #[must_use]
    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// The projects that are open, always as they were last computed.
    #[must_use]
    pub fn projects(&self) -> watch::Receiver<Arc<Projects>> {
        self.projects.subscribe()
    }

    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut busy: BTreeSet<ControllerId> = BTreeSet::new();
        // Tasks of their own: one that has begun to write must be able to end while we wait to write.
        let mut rounds = JoinSet::new();
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
                () = self.nudge.0.notified() => {}
                Some(done) = rounds.join_next(), if !rounds.is_empty() => {
                    match done {
                        Ok(controller) => drop(busy.remove(&controller)),
                        // Nobody knows which: each may be asked again.
                        Err(_) => busy.clear(),
                    }
                    self.look().await;
                    continue;
                }
            }
            self.look().await;
            let controllers = match self.applications.controllers().await {
                Ok(controllers) => controllers,
                Err(error) => {
                    tracing::error!(%error, "applications can't be read");
                    continue;
                }
            };
            for controller in controllers {
                if busy.insert(controller.clone()) {
                    let (applications, links) = (self.applications.clone(), Arc::clone(&self.links));
                    rounds.spawn(round(applications, links, controller, self.clock.now()));
                }
            }
        }
    }

    /// Lets time pass and computes workspaces, when anything has changed.
    async fn look(&mut self) {
        if let Err(error) = self.compute().await {
            tracing::error!(%error, "workspaces can't be computed");
        }
    }

    async fn compute(&mut self) -> Result<(), ApplyError> {
        let now = self.clock.now();
        self.applications.pass_time(now).await?;
        // Taken before computing: what is written meanwhile is looked at the next time.
        let state = Some((self.applications.head().await?, now.date_naive()));
        if self.computed == state {
            return Ok(());
        }
        let projects = self.applications.workspaces(now).await?;
        self.projects.send_replace(Arc::new(projects));
        self.computed = state;
        Ok(())
    }
}

/// One round with one controller's spoke.
async fn round(
    applications: Applications,
    links: Arc<Links>,
    controller: ControllerId,
    now: DateTime<Utc>,
) -> ControllerId {
    let round = spoke::exchange(&applications, &links, &controller, now);
    match tokio::time::timeout(PATIENCE, round).await {
        Ok(Ok(())) => {}
        Ok(Err(spoke::Trouble::Database(error))) => tracing::error!(%controller, %error, "a round ended"),
        Ok(Err(trouble)) => away(&applications, &controller, &trouble.to_string()).await,
        Err(_) => away(&applications, &controller, "it did not answer in time").await,
    }
    controller
}

async fn away(applications: &Applications, controller: &ControllerId, why: &str) {
    tracing::debug!(%controller, why, "a spoke could not be asked");
    if let Err(error) = applications.undelivered(controller, why).await {
        tracing::error!(%controller, %error, "a part's state can't be written");
    }
}
