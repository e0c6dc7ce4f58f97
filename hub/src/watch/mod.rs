//! What can be seen of a statement while it runs and afterwards: its trace, its numbers for the operator, and how far each
//! spoke is, for the person who asked.
//!
//! INVARIANT: watching decides nothing: a statement without anybody who watches it gives the same answer.
//! INVARIANT: numbers are exact only in the enclave, or in the operator's own log; elsewhere they are rounded up, to classes that begin
//! elsewhere for each statement.

mod leg;
mod meters;

pub use leg::{Leg, Stage};
pub use meters::{METRICS, Meters, Now};

use policies::{disclosure::moved, zone::Zone};
use proto::ids::ControllerId;
use runtime::telemetry::{
    TraceParent,
    spans::{TARGET, shown},
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Span, field::Empty};

/// One statement, watched.
#[derive(Debug, Default)]
pub struct Watch {
    /// what the client sent, passed on when nothing is traced here
    parent: TraceParent,
    span: Option<Span>,
    meters: Meters,
    edge: Edge,
    legs: Mutex<Vec<Arc<leg::State>>>,
}

/// Where classes of coarse numbers begin for this statement; another place for each, so that the place tells of no person.
#[derive(Debug)]
struct Edge(u8);

impl Default for Edge {
    fn default() -> Self {
        Self(edge())
    }
}

/// A place drawn by chance, for [`policies::disclosure::moved`].
pub(crate) fn edge() -> u8 {
    let mut place = [0];
    // Without random numbers no token was checked and nothing was asked; the classes begin where they used to.
    if getrandom::fill(&mut place).is_err() {
        tracing::warn!("no random numbers: classes of numbers begin at their usual places");
    }
    u8::from_le_bytes(place)
}

/// How far one fragment at one spoke is; what the person who asked is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// whom
    pub controller: ControllerId,
    /// how far
    pub stage: Stage,
    /// rows that came so far
    pub rows: u64,
    /// whether that is the number itself; else there are at most so many
    pub exact: bool,
}

impl Watch {
    /// Watches a call about a statement, named `call`, which came with `parent`.
    #[must_use]
    pub fn new(call: &'static str, parent: TraceParent, meters: Meters) -> Self {
        let span =
            tracing::info_span!(target: TARGET, parent: None, "receive", call, outcome = Empty, otel.kind = "server");
        parent.adopt(&span);
        Self { parent, span: Some(span), meters, ..Self::default() }
    }

    /// Watches nothing but the numbers.
    #[must_use]
    pub fn counting(meters: Meters) -> Self {
        Self { meters, ..Self::default() }
    }

    /// The call's own span.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span.clone().unwrap_or_else(Span::none)
    }

    /// What hangs below the call hangs here.
    #[must_use]
    pub fn parent(&self) -> TraceParent {
        TraceParent::of(&self.span()).or(&self.parent)
    }

    /// The numbers.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Another fragment, at `controller`, which nobody has been asked yet.
    #[must_use]
    pub fn leg(self: &Arc<Self>, controller: &ControllerId, zone: Zone) -> Leg {
        let state = Arc::new(leg::State::new(controller.clone()));
        self.legs.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&state));
        Leg::new(Arc::clone(self), state, zone == Zone::Enclave)
    }

    /// How far each spoke is.
    #[must_use]
    pub fn progress(&self, zone: Zone) -> Vec<Progress> {
        let exact = zone == Zone::Enclave;
        let legs = self.legs.lock().unwrap_or_else(PoisonError::into_inner);
        legs.iter()
            .map(|leg| Progress {
                controller: leg.controller.clone(),
                stage: leg.stage(),
                rows: shown(if exact { leg.rows() } else { moved(leg.rows(), self.edge.0) }, exact),
                exact,
            })
            .collect()
    }
}
