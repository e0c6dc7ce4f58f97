//! Joining the partitions of a plan into one stream: each is driven by a task of its own, and batches are taken
//! from them in turn, so that the order does not depend on which was faster.

use arrow::record_batch::RecordBatch;
use datafusion::{
    common::runtime::SpawnedTask, error::DataFusionError, execution::SendableRecordBatchStream,
};
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
    Part { batches, task: task }
}
