//! Threads for what computes, apart from those that serve: a query that keeps a thread busy for long holds up other queries at
//! the most, and no connection, deadline or end.

use std::sync::OnceLock;
use tokio::runtime::{Builder, EnterGuard, Runtime};

/// A thread's stack: expressions are walked by recursion, as deep as their longest chain of operators. Only what is used is taken
/// from memory.
pub const STACK: usize = 32 << 20;

static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();

/// While the guard lives, tasks that are spawned on this thread run on the computing threads: as many as the machine lets this
/// process use. `None`: they could not be started, and the tasks run where they are spawned.
#[must_use]
pub fn enter() -> Option<EnterGuard<'static>> {
    let threads = THREADS.get_or_init(|| {
        let threads =
            Builder::new_multi_thread().enable_all().thread_name("computing").thread_stack_size(STACK).build();
        threads.inspect_err(|error| tracing::error!(%error, "threads for queries can't be started")).ok()
    });
    threads.as_ref().map(Runtime::enter)
}

/// Tasks on the computing threads that have not ended.
#[must_use]
pub fn alive() -> usize {
    THREADS.get().and_then(Option::as_ref).map_or(0, |threads| threads.metrics().num_alive_tasks())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[tokio::test]
    async fn a_busy_query_holds_up_nobody_who_serves() {
        // One thread serves here.
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let busy = {
            let _there = super::enter();
            tokio::spawn(async move {
                let _ = stopped.recv();
                std::thread::current().name().map(str::to_owned)
            })
        };
        // This one still runs, and ends the other.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        drop(stop);
        assert_eq!(busy.await.unwrap().as_deref(), Some("computing"));
    }
}
