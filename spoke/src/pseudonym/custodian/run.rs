//! One evaluation under way: what is to be blinded, what is on the wire, what is being unblinded.

use super::{Custodian, Live, Lost};
use crate::pseudonym::{
    blind::{self, Bad, Blinded, Input},
    cache::Entries,
    linker::LinkError,
};
use std::{collections::VecDeque, time::Duration};
use tokio::task::JoinSet;

/// An evaluation under way.
pub(in crate::pseudonym) struct Run<'a> {
    custodian: &'a Custodian,
    todo: VecDeque<Vec<Input>>,
    /// ready to be sent
    blinded: VecDeque<Blinded>,
    live: Option<Live>,
    work: JoinSet<Step>,
    /// elements that the custodian takes in one batch, once it said so
    limit: usize,
    /// connections lost since the last answer
    failures: u32,
    /// why it is over before everything is done
    over: Option<LinkError>,
}

/// A finished piece of work of a blocking thread.
enum Step {
    Blinded(Result<Blinded, voprf::Error>),
    Finished(Result<Entries, Bad>),
}

impl<'a> Run<'a> {
    pub(super) fn new(custodian: &'a Custodian, todo: VecDeque<Vec<Input>>) -> Self {
        Self {
            custodian,
            todo,
            blinded: VecDeque::new(),
            live: None,
            work: JoinSet::new(),
            limit: usize::MAX,
            failures: 0,
            over: None,
        }
    }

    /// The next batch of results, in no particular order; none when all are done. An error comes last: what was answered
    /// and proven before it is given first.
    pub(in crate::pseudonym) async fn next(&mut self) -> Result<Option<Entries>, LinkError> {
        while self.over.is_none() {
            let waiting = self.live.as_ref().map_or(0, |live| live.waiting.len());
            for _ in self.work.len() + self.blinded.len() + waiting..self.custodian.window {
                let Some(inputs) = self.todo.pop_front() else { break };
                self.work.spawn_blocking(move || Step::Blinded(blind::blind(inputs)));
            }
            if self.work.is_empty() && self.blinded.is_empty() && waiting == 0 {
                return Ok(None);
            }
            match self.turn().await {
                Ok(Some(entries)) => return Ok(Some(entries)),
                Ok(None) => {}
                Err(Lost::Final(error)) => self.over = Some(error),
                Err(Lost::Connection(reason)) => self.over = self.lost(reason).await.err(),
            }
        }
        while let Some(step) = self.work.join_next().await {
            if let Ok(Step::Finished(Ok(entries))) = step {
                return Ok(Some(entries));
            }
        }
        self.over.take().map_or(Ok(None), Err)
    }

    /// Sends what is ready, then waits for one thing: work done or an answer.
    async fn turn(&mut self) -> Result<Option<Entries>, Lost> {
        let custodian = self.custodian;
        if !self.blinded.is_empty() {
            if self.live.is_none() {
                let live = custodian.connect().await?;
                self.fit(live.max_batch);
                self.live = Some(live);
            }
            if let Some(live) = &mut self.live {
                live.send(&mut self.blinded)?;
            }
        }
        let (live, work) = (&mut self.live, &mut self.work);
        let reply = async {
            match live {
                Some(live) if !live.waiting.is_empty() => live.receive(custodian).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(step) = work.join_next() => match step {
                Ok(step) => self.take(step).map_err(Lost::Final),
                Err(_) => Err(Lost::Final(LinkError::Worker)),
            },
            reply = reply => {
                let (batch, reply) = reply?;
                self.failures = 0;
                let key = custodian.key.clone();
                self.work.spawn_blocking(move || Step::Finished(batch.finish(&reply.evaluated, &reply.proof, &key)));
                Ok(None)
            }
        }
    }

    /// Takes note of the custodian's limit; what is larger is cut up and blinded again.
    fn fit(&mut self, limit: usize) {
        self.limit = limit;
        let (fits, large): (VecDeque<_>, VecDeque<_>) =
            self.blinded.drain(..).partition(|batch| batch.inputs.len() <= limit);
        self.blinded = fits;
        let todo = std::mem::take(&mut self.todo);
        let inputs = large.into_iter().map(|batch| batch.inputs).chain(todo);
        self.todo = inputs.flat_map(|inputs| inputs.chunks(limit).map(<[Input]>::to_vec).collect::<Vec<_>>()).collect();
    }

    fn take(&mut self, step: Step) -> Result<Option<Entries>, LinkError> {
        match step {
            Step::Blinded(Ok(batch)) => {
                if batch.inputs.len() > self.limit {
                    self.todo.extend(batch.inputs.chunks(self.limit).map(<[Input]>::to_vec));
                } else {
                    self.blinded.push_back(batch);
                }
                Ok(None)
            }
            Step::Finished(Ok(entries)) => Ok(Some(entries)),
            Step::Blinded(Err(error)) => Err(self.custodian.failed(&error.to_string())),
            Step::Finished(Err(Bad::Malformed)) => {
                Err(self.custodian.failed("it answered what is no answer to the batch sent"))
            }
            Step::Finished(Err(Bad::Proof)) => Err(LinkError::Proof { custodian: self.custodian.name.clone() }),
        }
    }

    /// Puts back what was unanswered and waits before the next connection; an error after too many.
    async fn lost(&mut self, reason: String) -> Result<(), LinkError> {
        if let Some(live) = self.live.take() {
            self.blinded.extend(live.waiting.into_values());
        }
        self.failures += 1;
        let retry = self.custodian.retry;
        if self.failures >= retry.attempts {
            return Err(LinkError::Unreachable {
                custodian: self.custodian.name.clone(),
                attempts: self.failures,
                reason,
            });
        }
        let wait = retry.first_wait.saturating_mul(1 << (self.failures - 1).min(10)).min(Duration::from_secs(4));
        tracing::warn!(
            custodian = %self.custodian.name,
            attempt = self.failures,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            %reason,
            "no connection to the custodian, trying again"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
