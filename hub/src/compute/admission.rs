//! Slots for statements that run, and a bounded queue before them that is fair between users.
//!
//! A slot that gets free goes to the waiting user who has the fewest statements running, and among those to the one whose
//! turn came first: with the arrival of a statement, or when the one before it got its slot. Whoever sends many statements
//! at once waits for them in line with himself.
//!
//! INVARIANT: a slot is held by a statement, or free, or on its way to one that waits; never lost, however a wait ends.

use proto::{
    ids::UserId,
    refusal::{Kind, Refusal},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// A user, and the issuer who vouches for them.
type Who = (UserId, String);

/// Hands out slots.
#[derive(Debug, Clone)]
pub struct Admission {
    line: Arc<Line>,
    queue: usize,
}

/// The right to run; held inside the result stream.
#[derive(Debug)]
pub struct Slot {
    line: Arc<Line>,
    who: Who,
}

#[derive(Debug)]
struct Line(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    waiting: usize,
    /// those who have a statement running or waiting
    users: HashMap<Who, User>,
    /// counts statements that came and slots that were given
    clock: u64,
}

#[derive(Debug, Default)]
struct User {
    running: usize,
    /// when a slot was given to them last
    served: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    tell: oneshot::Sender<Slot>,
}

impl Admission {
    /// `slots` statements run at once, `queue` more may wait.
    #[must_use]
    pub fn new(slots: usize, queue: usize) -> Self {
        let state = State { free: slots.max(1), waiting: 0, users: HashMap::new(), clock: 0 };
        Self { line: Arc::new(Line(Mutex::new(state))), queue }
    }

    /// Statements that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.lock().waiting
    }

    /// A slot for one of the user's statements, at once or after waiting.
    ///
    /// # Errors
    /// When too many wait already, of this user or of all, or none got free in time. Trying again later is fine.
    pub async fn slot(&self, user: &UserId, issuer: &str, patience: Duration) -> Result<Slot, Refusal> {
        let who = (user.clone(), issuer.to_owned());
        let (number, mut told) = match self.enter(&who)? {
            Entered::Running(slot) => return Ok(slot),
            Entered::Waiting(number, told) => (number, told),
        };
        // Also when the wait is dropped. A slot that is on its way then is given back by its own end.
        let _leaving = Leaving { line: &self.line, who: &who, number };
        match tokio::time::timeout(patience, &mut told).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(Refusal::new(Kind::Unavailable, "the hub is stopping. Try again shortly")),
            // It may have come at the last moment.
            Err(_) => told.try_recv().map_err(|_| {
                Refusal::new(
                    Kind::Exhausted,
                    format!("the hub is busy: no slot got free within {} s. Try again later", patience.as_secs()),
                )
            }),
        }
    }

    fn enter(&self, who: &Who) -> Result<Entered, Refusal> {
        let mut state = self.line.lock();
        if state.free > 0 && state.waiting == 0 {
            state.give(who);
            return Ok(Entered::Running(Slot { line: Arc::clone(&self.line), who: who.clone() }));
        }
        let left = self.queue.saturating_sub(state.waiting);
        if left == 0 {
            return Err(Refusal::new(Kind::Exhausted, "the hub is busy and its queue is full. Try again in a minute"));
        }
        let own = state.users.get(who).map_or(0, |user| user.waiting.len());
        // Whoever has many there leaves as many places for others.
        if own >= left {
            let message = format!(
                "the hub is busy and {own} of your statements wait already: more would keep others out. Send the next \
                 when one of them is answered"
            );
            return Err(Refusal::new(Kind::Exhausted, message));
        }
        let (tell, told) = oneshot::channel();
        state.clock += 1;
        state.waiting += 1;
        let number = state.clock;
        state.users.entry(who.clone()).or_default().waiting.push_back(Waiting { number, tell });
        Ok(Entered::Waiting(number, told))
    }
}

enum Entered {
    Running(Slot),
    Waiting(u64, oneshot::Receiver<Slot>),
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a free slot for a user.
    fn give(&mut self, who: &Who) {
        self.free -= 1;
        self.clock += 1;
        let served = self.clock;
        let user = self.users.entry(who.clone()).or_default();
        (user.running, user.served) = (user.running + 1, served);
    }

    /// Whose turn it is, when a slot is free: it is taken for them.
    fn next(&mut self) -> Option<(Who, oneshot::Sender<Slot>)> {
        if self.free == 0 {
            return None;
        }
        // While somebody waits, others' turns come later only: nobody waits for ever.
        let turn = |user: &User| user.waiting.front().map(|first| (user.running, first.number.max(user.served)));
        let (_, who) = self.users.iter().filter_map(|(who, user)| Some((turn(user)?, who))).min()?;
        let who = who.clone();
        let first = self.users.get_mut(&who)?.waiting.pop_front()?;
        self.waiting -= 1;
        self.give(&who);
        Some((who, first.tell))
    }

    /// Forgets a user who has nothing here.
    fn tidy(&mut self, who: &Who) {
        if self.users.get(who).is_some_and(|user| user.running == 0 && user.waiting.is_empty()) {
            self.users.remove(who);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let next = {
            let mut state = self.line.lock();
            state.free += 1;
            if let Some(user) = state.users.get_mut(&self.who) {
                user.running -= 1;
            }
            let next = state.next();
            state.tidy(&self.who);
            next
        };
        // Not under the lock: when nobody waits for it any more, the slot ends here, and goes to the next.
        if let Some((who, tell)) = next {
            drop(tell.send(Slot { line: Arc::clone(&self.line), who }));
        }
    }
}

/// Leaves the queue when dropped.
struct Leaving<'a> {
    line: &'a Line,
    who: &'a Who,
    number: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        if let Some(user) = state.users.get_mut(self.who) {
            let before = user.waiting.len();
            user.waiting.retain(|waiting| waiting.number != self.number);
            let left = before - user.waiting.len();
            state.waiting -= left;
        }
        state.tidy(self.who);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use tokio::sync::mpsc;

    const ISSUER: &str = "https://id.example.org";
    const LONG: Duration = Duration::from_secs(60);

    fn user(name: &str) -> UserId {
        format!("{name}@example.org").parse().unwrap()
    }

    async fn slot(admission: &Admission, name: &str, patience: Duration) -> Result<Slot, Refusal> {
        admission.slot(&user(name), ISSUER, patience).await
    }

    /// Waits in line; tells its name, and then holds the slot no longer.
    async fn waits(admission: &Admission, name: &'static str, order: &mpsc::UnboundedSender<&'static str>) {
        let before = admission.line.lock().waiting;
        let (waiting, order) = (admission.clone(), order.clone());
        tokio::spawn(async move {
            let _slot = slot(&waiting, name, LONG).await.unwrap();
            order.send(name).unwrap();
        });
        while admission.line.lock().waiting == before {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn slots_queue_and_refusals() {
        let admission = Admission::new(1, 1);
        let first = slot(&admission, "anna", LONG).await.unwrap();
        let waits = tokio::spawn({
            let admission = admission.clone();
            async move { slot(&admission, "anna", LONG).await }
        });
        tokio::task::yield_now().await;
        let full = slot(&admission, "bo", LONG).await.unwrap_err();
        assert!(full.message.contains("queue is full"), "{full}");
        drop(first);
        let second = waits.await.unwrap().unwrap();
        let late = slot(&admission, "bo", Duration::from_millis(20)).await.unwrap_err();
        assert!(late.message.contains("no slot got free"), "{late}");
        assert_eq!(late.kind, Kind::Exhausted);
        drop(second);
        slot(&admission, "bo", LONG).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_sends_many_waits_in_line_with_himself() {
        let admission = Admission::new(1, 100);
        let (order, mut came) = mpsc::unbounded_channel();
        let first = slot(&admission, "greedy", LONG).await.unwrap();
        for _ in 0..20 {
            waits(&admission, "greedy", &order).await;
        }
        waits(&admission, "anna", &order).await;
        waits(&admission, "bo", &order).await;
        waits(&admission, "anna", &order).await;
        drop((first, order));
        let mut all = Vec::new();
        while let Some(name) = came.recv().await {
            all.push(name);
        }
        // Each in turn; the twenty that came first are not ahead of the others.
        assert_eq!(all.len(), 23);
        assert_eq!(all[..6], ["greedy", "anna", "bo", "greedy", "anna", "greedy"], "{all:?}");
        assert!(admission.line.lock().users.is_empty(), "somebody was not forgotten");
    }

    #[tokio::test]
    async fn those_who_come_again_and_again_dont_keep_out_one_who_waits_with_many() {
        let admission = Admission::new(1, 100);
        let (order, mut came) = mpsc::unbounded_channel();
        let first = slot(&admission, "anna", LONG).await.unwrap();
        for _ in 0..3 {
            waits(&admission, "many", &order).await;
        }
        waits(&admission, "bo", &order).await;
        drop(first);
        let mut all = Vec::new();
        for _ in 0..6 {
            let name = came.recv().await.unwrap();
            all.push(name);
            if name == "bo" {
                let (again, order) = (admission.clone(), order.clone());
                tokio::spawn(async move {
                    let _slot = slot(&again, "bo", LONG).await.unwrap();
                    order.send("bo").unwrap();
                });
                tokio::task::yield_now().await;
            }
        }
        let last = all.iter().rposition(|name| *name == "many").unwrap();
        assert!(last <= 5 && all.iter().filter(|name| **name == "many").count() == 3, "{all:?}");
    }

    #[tokio::test]
    async fn nobody_can_fill_the_queue_alone() {
        let admission = Admission::new(1, 10);
        let (order, mut came) = mpsc::unbounded_channel();
        let first = slot(&admission, "anna", LONG).await.unwrap();
        for _ in 0..5 {
            waits(&admission, "greedy", &order).await;
        }
        let enough = slot(&admission, "greedy", LONG).await.unwrap_err();
        assert!(enough.message.contains("5 of your statements wait already"), "{enough}");
        assert_eq!(enough.kind, Kind::Exhausted);
        waits(&admission, "bo", &order).await;
        drop(first);
        assert_eq!(came.recv().await, Some("greedy"));
        assert_eq!(came.recv().await, Some("bo"));
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_no_slot() {
        let admission = Admission::new(2, 100);
        let both = [slot(&admission, "anna", LONG).await.unwrap(), slot(&admission, "anna", LONG).await.unwrap()];
        let (order, mut came) = mpsc::unbounded_channel();
        // One is given up while it waits, one when its slot is on the way already.
        let mut given_up = Box::pin(slot(&admission, "bo", LONG));
        let mut too_late = Box::pin(slot(&admission, "cy", LONG));
        assert!(futures::poll!(&mut given_up).is_pending() && futures::poll!(&mut too_late).is_pending());
        waits(&admission, "dora", &order).await;
        drop(given_up);
        drop(both);
        drop(too_late);
        assert_eq!(came.recv().await, Some("dora"));
        let state = || {
            let state = admission.line.lock();
            (state.free, state.waiting)
        };
        while state() != (2, 0) {
            tokio::task::yield_now().await;
        }
        assert!(admission.line.lock().users.is_empty());
    }
}
