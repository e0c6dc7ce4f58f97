//! Each call of the hub asks the rules what its row in `hub::endpoints` says, and nothing else. A handler that stops
//! asking, or asks for something else, fails here.

mod commands;
mod flight;
mod http;

use hub::endpoints::Row;
use policies::authorize::{Action, trail::Trail};
use std::collections::BTreeSet;

/// Runs on threads whose decisions the trail follows, and no others.
pub fn followed<T>(trail: &Trail, test: impl Future<Output = T>) -> T {
    let dispatch = trail.dispatch();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
        .build()
        .unwrap();
    let _here = tracing::dispatcher::set_default(&trail.dispatch());
    runtime.block_on(test)
}

/// What was asked since the last time is what the row says.
pub fn asked(trail: &Trail, (name, actions): &Row) {
    let asked: BTreeSet<Action> = trail.taken().into_iter().map(|(action, _)| action).collect();
    assert_eq!(asked, actions.iter().copied().collect(), "{name}");
}
