//! The ways to the spokes: links that they opened at the gateway, and connections to those that listen.
//!
//! INVARIANT: a link leads to the controller whose certificate opened it, and an expelled controller has none.

use super::Custodian;
use crate::config::SpokeAddress;
use proto::ids::ControllerId;
use runtime::{
    ca::CertFacts,
    peer::{Peer, PeerError},
    tls::{Tls, Watch},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Links that one controller may have; the oldest goes when another comes.
const MAX_LINKS: usize = 8;
/// A link whose spoke says nothing for so long is used only when there is no other. Keep-alive makes it speak every
/// 15 s.
const SILENT: Duration = Duration::from_secs(17);
/// How long a question waits for a spoke that is probably just coming back.
const PATIENCE: Duration = Duration::from_secs(3);
/// A spoke is probably coming back so long after its last link broke, or after this hub was started.
const RETURNING: Duration = Duration::from_secs(15);

/// The way to one spoke.
#[derive(Debug, Clone)]
pub struct Link(Channel);

impl Link {
    /// A channel. It breaks with its connection, and another is got from [`Links`].
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.0.clone()
    }
}

/// The ways to all spokes.
#[derive(Debug)]
pub struct Links {
    listening: BTreeMap<ControllerId, Listening>,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    begun: Instant,
    custodian: Option<Custodian>,
}

/// A spoke that listens: connected on first use, again after a loss.
#[derive(Debug)]
struct Listening {
    address: String,
    peer: Peer,
    tls: Tls,
}

#[derive(Debug, Default)]
struct State {
    dialled: HashMap<ControllerId, Vec<Dialled>>,
    connected: HashMap<ControllerId, (Link, CancellationToken)>,
    /// when the last link of a controller broke
    lost: HashMap<ControllerId, Instant>,
    expelled: BTreeSet<ControllerId>,
    /// how many links a controller has opened
    arrivals: HashMap<ControllerId, u64>,
    next: u64,
}

/// A link that a spoke opened.
#[derive(Debug)]
struct Dialled {
    id: u64,
    link: Link,
    certificate: Arc<CertFacts>,
    watch: Watch,
}

impl Links {
    /// Prepares the ways to the spokes that listen; nothing is connected yet. Whoever answers must be
    /// `eger://spoke/CONTROLLER`.
    ///
    /// # Errors
    /// When a controller's name can't be a peer's name.
    pub fn new(spokes: &BTreeMap<ControllerId, SpokeAddress>, tls: &Tls) -> Result<Self, PeerError> {
        let listening = spokes
            .iter()
            .map(|(controller, spoke)| {
                let peer = Peer::spoke(controller.as_ref())?;
                let listening = Listening { address: spoke.address.clone(), peer, tls: tls.clone() };
                Ok((controller.clone(), listening))
            })
            .collect::<Result<_, PeerError>>()?;
        Ok(Self {
            listening,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            begun: Instant::now(),
            custodian: None,
        })
    }

    /// The same, with a way to the custodian.
    #[must_use]
    pub fn with_custodian(mut self, custodian: Custodian) -> Self {
        self.custodian = Some(custodian);
        self
    }

    /// Who adds up the masks of blind totals, if the hub knows one.
    #[must_use]
    pub fn custodian(&self) -> Option<&Custodian> {
        self.custodian.as_ref()
    }

    /// The controllers whose spokes listen.
    pub fn listening(&self) -> impl Iterator<Item = &ControllerId> {
        self.listening.keys()
    }

    /// The way to a controller's spoke, if it is there now. Of several links each is taken in turn; those of an older
    /// certificate are about to end and are taken only when there is no other.
    #[must_use]
    pub fn get(&self, controller: &ControllerId) -> Option<Link> {
        let mut state = self.lock();
        if state.expelled.contains(controller) {
            return None;
        }
        let turn = state.next;
        state.next = turn.wrapping_add(1);
        if let Some(link) = state.dialled.get(controller).and_then(|all| choose(all, turn)) {
            return Some(link);
        }
        let listening = self.listening.get(controller)?;
        let (link, _) = state.connected.entry(controller.clone()).or_insert_with(|| {
            let end = CancellationToken::new();
            let peer = listening.peer.clone();
            (Link(runtime::tls::channel_until(&listening.address, peer, &listening.tls, &end)), end)
        });
        Some(link.clone())
    }

    /// The same, with a few seconds' patience for a spoke that is probably just coming back.
    pub async fn reach(&self, controller: &ControllerId) -> Option<Link> {
        let until = Instant::now() + self.patience(controller);
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(link) = self.get(controller) {
                return Some(link);
            }
            match tokio::time::timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    }

    fn patience(&self, controller: &ControllerId) -> Duration {
        let state = self.lock();
        let lost = state.lost.get(controller).is_some_and(|at| at.elapsed() < RETURNING);
        let returning = lost || self.begun.elapsed() < RETURNING;
        if returning && !state.expelled.contains(controller) { PATIENCE } else { Duration::ZERO }
    }

    /// Takes a link into use, until [`Links::remove`]. Gives its number.
    pub(crate) fn add(
        &self,
        controller: &ControllerId,
        channel: Channel,
        certificate: Arc<CertFacts>,
        watch: Watch,
    ) -> u64 {
        let mut state = self.lock();
        let id = state.next;
        state.next = id.wrapping_add(1);
        // It was admitted just now; what was read of it before is older.
        state.expelled.remove(controller);
        *state.arrivals.entry(controller.clone()).or_default() += 1;
        let all = state.dialled.entry(controller.clone()).or_default();
        all.push(Dialled { id, link: Link(channel), certificate, watch });
        if all.len() > MAX_LINKS {
            all.remove(0).watch.cut();
        }
        drop(state);
        self.changed();
        id
    }

    /// A link is no more. Gives how many its controller has left.
    pub(crate) fn remove(&self, controller: &ControllerId, id: u64) -> usize {
        let mut state = self.lock();
        let left = match state.dialled.get_mut(controller) {
            Some(all) => {
                all.retain(|link| link.id != id);
                all.len()
            }
            None => 0,
        };
        if left == 0 && state.dialled.remove(controller).is_some() {
            state.lost.insert(controller.clone(), Instant::now());
        }
        drop(state);
        self.changed();
        left
    }

    /// How many links a controller has opened since this hub was started. What its spoke said before the last of them may be
    /// another process's word.
    pub(super) fn arrivals(&self, controller: &ControllerId) -> u64 {
        self.lock().arrivals.get(controller).copied().unwrap_or_default()
    }

    /// How many links stand, by controller.
    #[must_use]
    pub fn standing(&self) -> Vec<(ControllerId, usize)> {
        self.lock().dialled.iter().map(|(controller, all)| (controller.clone(), all.len())).collect()
    }

    /// The certificates that hold links open, by controller.
    pub(crate) fn certificates(&self) -> Vec<(ControllerId, Arc<CertFacts>)> {
        let state = self.lock();
        let all = state.dialled.iter();
        all.flat_map(|(controller, links)| links.iter().map(|l| (controller.clone(), Arc::clone(&l.certificate))))
            .collect()
    }

    /// Cuts every link of a controller that this certificate opened, whatever runs on it.
    pub(crate) fn cut(&self, controller: &ControllerId, fingerprint: &str) {
        let mut state = self.lock();
        if let Some(all) = state.dialled.get_mut(controller) {
            for link in all.iter().filter(|link| link.certificate.fingerprint == fingerprint) {
                link.watch.cut();
            }
            all.retain(|link| link.certificate.fingerprint != fingerprint);
        }
        drop(state);
        self.changed();
    }

    /// Whom the hub doesn't connect to any more. Cuts what stands; whoever is not among them any more may be connected to.
    pub(crate) fn set_expelled(&self, expelled: BTreeSet<ControllerId>) {
        let mut state = self.lock();
        for controller in &expelled {
            if let Some((_, end)) = state.connected.remove(controller) {
                end.cancel();
            }
        }
        let different = state.expelled != expelled;
        state.expelled = expelled;
        drop(state);
        if different {
            self.changed();
        }
    }

    /// Ends all links.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        for (_, all) in state.dialled.drain() {
            all.iter().for_each(|link| link.watch.cut());
        }
        for (_, (_, end)) in state.connected.drain() {
            end.cancel();
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn choose(all: &[Dialled], turn: u64) -> Option<Link> {
    let there: Vec<&Dialled> = all.iter().filter(|link| !link.watch.is_gone()).collect();
    let newest = there.iter().map(|link| link.certificate.not_before).max()?;
    let lively: Vec<&Dialled> = there
        .iter()
        .copied()
        .filter(|link| link.certificate.not_before == newest && link.watch.silent() < SILENT)
        .collect();
    // All silent: the newest link is the likeliest to be there.
    let chosen = match lively.len() {
        0 => there.last().copied()?,
        n => lively.get(usize::try_from(turn % n as u64).unwrap_or(0)).copied()?,
    };
    Some(chosen.link.clone())
}
