//! Whole answers kept in memory, to be given again to the same question. Off unless `[serve] results` says how much memory.
//!
//! What is kept stands for the scan and for nothing else: token, permit, rules, signature, quota, place among the running
//! queries and the audit log's entry come before it is looked at, and caps, deadline and the permit's end hold while it flows.
//! The order of rows is the project's and the snapshot's, the same for each asking, so an answer given again shows no
//! order that asking again would not.
//!
//! INVARIANT: an answer is kept whole or not at all, and only while the permit lives that it was made under.
//! INVARIANT: when people withdraw or must be erased, everything goes: it may be about them.
//! INVARIANT: what is kept and what is being collected are together never larger than the configuration says.

mod fill;
mod key;

pub(crate) use fill::{Filling, again, collected};
pub(crate) use key::{Facts, Key};

use arrow::{buffer::Buffer, datatypes::SchemaRef};
use lru::LruCache;
use proto::ids::ProjectId;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The part of all memory that one answer may take.
const SHARE: usize = 8;
/// What an answer takes besides its rows: key, schema, tokens. Many small answers are bounded too.
const FRAME: usize = 1_024;
/// How often answers whose permit is over are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// An answer that may be given again.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) schema: SchemaRef,
    /// as an Arrow stream
    pub(crate) encoded: Buffer,
    project: ProjectId,
    /// cancelled when the permit is over that it was made under, or somebody left
    ended: CancellationToken,
}

impl Answer {
    fn bytes(&self) -> usize {
        self.encoded.capacity() + FRAME
    }
}

/// See the module.
pub(crate) struct Results {
    most: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    answers: LruCache<Key, Answer>,
    /// of the answers that are kept
    bytes: usize,
    /// of those that are being collected
    filling: usize,
}

/// One question's place: where its answer is looked for, and kept when it is whole.
pub(crate) struct Place {
    pub(crate) results: Arc<Results>,
    pub(crate) key: Key,
    pub(crate) project: ProjectId,
    pub(crate) ended: CancellationToken,
}

impl Results {
    /// Keeps answers in so many bytes at most; `None` when that is nothing.
    pub(crate) fn new(most: usize) -> Option<Arc<Self>> {
        let kept = Kept { answers: LruCache::unbounded(), bytes: 0, filling: 0 };
        (most > 0).then(|| Arc::new(Self { most, kept: Mutex::new(kept) }))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops all answers.
    pub(crate) fn clear(&self) {
        self.lock().drop_all(|_| true);
    }

    /// Drops a project's answers, when its key was destroyed.
    pub(crate) fn forget(&self, project: &ProjectId) {
        self.lock().drop_all(|answer| answer.project == *project);
    }

    /// Drops answers whose permit is over.
    pub(crate) fn sweep(&self) {
        self.lock().drop_all(|answer| answer.ended.is_cancelled());
    }

    /// Sweeps each second until `stop`: memory is given back though nobody asks.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => self.sweep(),
            }
        }
    }

    /// Answers and bytes that are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> (usize, usize) {
        let kept = self.lock();
        (kept.answers.len(), kept.bytes)
    }
}

impl Kept {
    fn drop_all(&mut self, which: impl Fn(&Answer) -> bool) {
        let over: Vec<Key> = self.answers.iter().filter(|(_, answer)| which(answer)).map(|(key, _)| *key).collect();
        for key in over {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(answer) = self.answers.pop(key) {
            self.bytes -= answer.bytes();
        }
    }

    /// Makes room for so many bytes beside what is being collected, at the cost of what was not asked for longest.
    fn room(&mut self, most: usize, bytes: usize) -> bool {
        while self.bytes + self.filling + bytes > most {
            let Some((_, answer)) = self.answers.pop_lru() else { return false };
            self.bytes -= answer.bytes();
        }
        true
    }
}

impl Place {
    /// The answer, when it is kept.
    pub(crate) fn find(&self) -> Option<Answer> {
        let mut kept = self.results.lock();
        let answer = kept.answers.get(&self.key)?.clone();
        if answer.ended.is_cancelled() {
            kept.remove(&self.key);
            return None;
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests;
