//! Every decision leaves an event (level trace, target [`TARGET`]): action and answer, nothing of who asked. Tests follow
//! it with a [`Trail`], to show that a call asks what its row says.
//!
//! INVARIANT: following decisions changes none of them.

use super::Action;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The target of the events, for a log's filter.
pub const TARGET: &str = "policies::decided";

pub(super) fn leave(action: Action, allowed: bool) {
    tracing::trace!(target: TARGET, action = action.name(), allowed, "decided");
}

/// Decisions in the order in which they were taken, on all threads where [`Trail::dispatch`] is the default.
#[derive(Debug, Clone, Default)]
pub struct Trail(Arc<Mutex<Vec<(Action, bool)>>>);

impl Trail {
    /// To be made the default subscriber of each thread that is followed.
    #[must_use]
    pub fn dispatch(&self) -> Dispatch {
        Dispatch::new(Follower(self.clone()))
    }

    /// What was decided since the last time, and whether it was allowed; forgets it.
    pub fn taken(&self) -> Vec<(Action, bool)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Follower(Trail);

/// One event's fields.
#[derive(Default)]
struct Said {
    action: Option<Action>,
    allowed: bool,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "action" {
            self.action = Action::ALL.iter().copied().find(|action| action.name() == value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "allowed" {
            self.allowed = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Follower {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        if let Some(action) = said.action {
            self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push((action, said.allowed));
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
