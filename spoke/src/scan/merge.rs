//! Joining the partitions of a plan into one stream: each is driven by a task of its own, and batches are taken
//! from them in turn, so that the order does not depend on which was faster.

use arrow::record_batch::RecordBatch;
use datafusion::{common::runtime::SpawnedTask, error::DataFusionError, execution::SendableRecordBatchStream};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Batches that a partition may be ahead.
const AHEAD: usize = 2;

type Item = Result<RecordBatch, DataFusionError>;

/// One partition; dropping it stops its task.
struct Part {
    batches: mpsc::Receiver<Item>,
    task: SpawnedTask<()>,
}

/// All rows of `streams`. Dropping the result stops every partition.
pub(crate) fn in_turn(streams: Vec<SendableRecordBatchStream>) -> BoxStream<'static, Item> {
    let parts: VecDeque<Part> = streams.into_iter().map(start).collect();
    stream::unfold(parts, |mut parts| async move {
        loop {
            let mut part = parts.pop_front()?;
            match part.batches.recv().await {
                Some(Ok(batch)) => {
                    parts.push_back(part);
                    return Some((Ok(batch), parts));
                }
                // After an error nothing more is said: half an answer must not look like a whole one.
                Some(Err(error)) => return Some((Err(error), VecDeque::new())),
                None => {
                    if let Err(error) = part.task.join().await {
                        return Some((Err(DataFusionError::ExecutionJoin(Box::new(error))), VecDeque::new()));
                    }
                }
            }
        }
    })
    .boxed()
}

fn start(mut rows: SendableRecordBatchStream) -> Part {
    let (sender, batches) = mpsc::channel(AHEAD);
    let task = SpawnedTask::spawn(async move {
        while let Some(batch) = rows.next().await {
            let failed = batch.is_err();
            if sender.send(batch).await.is_err() || failed {
                return;
            }
        }
    });
    Part { batches, task }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::{
        array::{AsArray, Int64Array},
        datatypes::{DataType, Field, Int64Type, Schema},
    };
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use std::{sync::Arc, time::Duration};

    fn batch(n: i64) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![n]))]).unwrap()
    }

    fn part(items: impl futures::Stream<Item = Item> + Send + 'static) -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(batch(0).schema(), items))
    }

    fn number(item: Item) -> i64 {
        item.unwrap().column(0).as_primitive::<Int64Type>().value(0)
    }

    #[tokio::test]
    async fn batches_come_in_turn_however_fast_each_part_is() {
        let fast = part(stream::iter([1, 3, 5].map(|n| Ok(batch(n)))));
        let slow = part(stream::iter([2, 4]).then(|n| async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            Ok(batch(n))
        }));
        let seen: Vec<i64> = in_turn(vec![fast, slow]).map(number).collect().await;
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn an_error_is_the_last_word_and_a_panic_is_an_error() {
        let broken = part(stream::iter([Ok(batch(1)), Err(DataFusionError::Execution("no".to_owned())), Ok(batch(9))]));
        let endless = part(stream::repeat_with(|| Ok(batch(2))));
        let seen: Vec<bool> = in_turn(vec![broken, endless]).map(|item| item.is_ok()).collect().await;
        assert_eq!(seen, [true, true, false]);
        let panics = part(stream::once(async { Err(DataFusionError::Execution("x".to_owned())) }).map(|item: Item| {
            assert!(item.is_ok(), "stop");
            item
        }));
        let seen: Vec<Item> = in_turn(vec![panics]).collect().await;
        assert!(matches!(seen.as_slice(), [Err(DataFusionError::ExecutionJoin(_))]));
    }

    #[tokio::test]
    async fn dropping_the_rows_stops_every_part() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let endless = part(stream::repeat_with(move || {
            let _ = &held;
            Ok(batch(1))
        }));
        let mut rows = in_turn(vec![endless]);
        assert!(rows.next().await.is_some());
        drop(rows);
        tokio::time::timeout(Duration::from_secs(5), async {
            while Arc::strong_count(&alive) > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}
