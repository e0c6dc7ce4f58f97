//! One fragment at one spoke: how far it is, its spans, its numbers.

use super::Watch;
use proto::ids::ControllerId;
use runtime::telemetry::{
    TraceParent,
    spans::{TARGET, number},
};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, Ordering},
};
use tracing::{Span, field::Empty};

/// How far a fragment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// its turn hasn't come
    NotAsked,
    /// it waits for what another part of the statement finds
    WaitsForKeys,
    /// the spoke has the question
    Asked,
    /// rows come
    Rows,
    /// all rows are here
    Done,
    /// it ended without them
    Ended,
}

const STAGES: [Stage; 6] = [Stage::NotAsked, Stage::WaitsForKeys, Stage::Asked, Stage::Rows, Stage::Done, Stage::Ended];

/// What others may look at while the fragment runs.
#[derive(Debug)]
pub(super) struct State {
    pub(super) controller: ControllerId,
    stage: AtomicU8,
    rows: AtomicU64,
}

impl State {
    pub(super) fn new(controller: ControllerId) -> Self {
        Self { controller, stage: AtomicU8::new(0), rows: AtomicU64::new(0) }
    }

    pub(super) fn stage(&self) -> Stage {
        STAGES.get(usize::from(self.stage.load(Ordering::Relaxed))).copied().unwrap_or(Stage::Ended)
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    fn set(&self, stage: Stage) {
        let at = STAGES.iter().position(|known| *known == stage).and_then(|at| u8::try_from(at).ok());
        self.stage.store(at.unwrap_or(u8::MAX), Ordering::Relaxed);
    }
}

/// Held by whoever runs the fragment; dropped, it has ended.
#[derive(Debug)]
pub struct Leg {
    watch: Arc<Watch>,
    state: Arc<State>,
    exact: bool,
    dispatch: Option<Span>,
    gather: Option<Span>,
    bytes: u64,
    keys: u64,
}

impl Leg {
    pub(super) fn new(watch: Arc<Watch>, state: Arc<State>, exact: bool) -> Self {
        Self { watch, state, exact, dispatch: None, gather: None, bytes: 0, keys: 0 }
    }

    /// It begins; `lists`: it waits for key lists first.
    pub fn begins(&mut self, lists: bool) {
        self.state.set(if lists { Stage::WaitsForKeys } else { Stage::Asked });
        self.dispatch = Some(tracing::info_span!(
            target: TARGET, parent: &self.watch.span(), "dispatch",
            controller = %self.state.controller, keys = Empty, outcome = Empty, otel.kind = "client"
        ));
    }

    /// The question goes out with key lists of so many bytes.
    pub fn asked(&mut self, lists: usize, bytes: u64) {
        self.state.set(Stage::Asked);
        self.keys += bytes;
        if lists > 0 {
            self.watch.meters.key_lists(&self.state.controller, lists as u64);
        }
    }

    /// What the spoke hangs its own spans below.
    #[must_use]
    pub fn parent(&self) -> TraceParent {
        self.dispatch.as_ref().map(TraceParent::of).unwrap_or_default().or(&self.watch.parent)
    }

    /// The spoke answers.
    pub fn answers(&mut self) {
        if let Some(dispatch) = &self.dispatch {
            self.gather = Some(tracing::info_span!(
                target: TARGET, parent: dispatch, "gather", controller = %self.state.controller, rows = Empty, bytes = Empty
            ));
        }
    }

    /// So many more rows came, and so many bytes in all.
    pub fn rows(&mut self, more: u64, bytes: u64) {
        self.state.set(Stage::Rows);
        self.state.rows.fetch_add(more, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// All of them are here.
    pub fn done(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.close(Stage::Done, "whole");
    }

    fn close(&mut self, stage: Stage, outcome: &'static str) {
        self.state.set(stage);
        let Some(dispatch) = self.dispatch.take() else { return };
        let rows = self.state.rows();
        if let Some(gather) = self.gather.take() {
            gather.record("rows", number(rows, self.exact));
            gather.record("bytes", number(self.bytes, self.exact));
        }
        dispatch.record("keys", number(self.keys, self.exact));
        dispatch.record("outcome", outcome);
        self.watch.meters.gathered(&self.state.controller, rows, self.bytes, self.keys);
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.close(if self.state.stage() == Stage::Done { Stage::Done } else { Stage::Ended }, "broken off");
    }
}
