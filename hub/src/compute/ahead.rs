//! Work on a task of its own on the computing threads, a few batches ahead of whoever takes them.
//!
//! INVARIANT: nothing is asked before the first poll, and no more is taken from the link than the buffer holds: a consumer
//! that stops reading stops the spoke.

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, runtime::SpawnedTask};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tracing::Instrument;

/// Batches that wait for the consumer.
const AHEAD: usize = 2;

pub(crate) type Item = Result<RecordBatch, DataFusionError>;

enum State<S> {
    Unpolled(S),
    Running { batches: mpsc::Receiver<Item>, task: SpawnedTask<()> },
    Over,
}

/// The same batches. Dropping the result stops the task, and with it the answer.
pub(crate) fn of(batches: impl Stream<Item = Item> + Send + 'static) -> impl Stream<Item = Item> {
    futures::stream::unfold(State::Unpolled(batches), |state| async move {
        let (mut batches, task) = match state {
            State::Unpolled(batches) => start(batches),
            State::Running { batches, task } => (batches, task),
            State::Over => return None,
        };
        match batches.recv().await {
            Some(Ok(batch)) => Some((Ok(batch), State::Running { batches, task })),
            // After an error nothing more is said: half an answer must not look like a whole one.
            Some(Err(error)) => Some((Err(error), State::Over)),
            // Whether the task came to its end, or broke.
            None => match task.join().await {
                Ok(()) => None,
                Err(error) => Some((Err(DataFusionError::ExecutionJoin(Box::new(error))), State::Over)),
            },
        }
    })
}

fn start(batches: impl Stream<Item = Item> + Send + 'static) -> (mpsc::Receiver<Item>, SpawnedTask<()>) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let work = async move {
        let mut batches = std::pin::pin!(batches);
        while let Some(next) = batches.next().await {
            let failed = next.is_err();
            if sender.send(next).await.is_err() || failed {
                return;
            }
        }
    };
    let _there = runtime::computing::enter();
    (receiver, SpawnedTask::spawn(work.in_current_span()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use arrow::datatypes::Schema;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    fn batch() -> RecordBatch {
        RecordBatch::new_empty(Arc::new(Schema::empty()))
    }

    /// Lets every task run until it can't go on.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_before_the_first_poll_and_little_ahead_of_the_consumer() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let endless = futures::stream::repeat_with(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(batch())
        });
        let mut rows = Box::pin(of(endless));
        settle().await;
        assert_eq!(made.load(Ordering::SeqCst), 0);
        for taken in 1..=5 {
            assert!(rows.next().await.unwrap().is_ok());
            settle().await;
            // one more than fits waits to be taken in
            assert!(made.load(Ordering::SeqCst) <= taken + AHEAD + 1);
        }
        assert_eq!(Arc::strong_count(&made), 2);
        drop(rows);
        while Arc::strong_count(&made) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_error_is_the_last_word_and_a_panic_is_an_error() {
        let refused = || Err(DataFusionError::Execution("gone".to_owned()));
        let items = futures::stream::iter([Ok(batch()), refused(), Ok(batch())]);
        let seen: Vec<bool> = of(items).map(|item| item.is_ok()).collect().await;
        assert_eq!(seen, [true, false]);
        let breaks = futures::stream::iter([1, 2]).map(|n| if n == 1 { Ok(batch()) } else { panic!("broken") });
        let seen: Vec<Item> = of(breaks).collect().await;
        assert!(matches!(seen.as_slice(), [Ok(_), Err(DataFusionError::ExecutionJoin(_))]), "{seen:?}");
    }
}
