//! The last answers, so that the same person's same request over the same tables gets the same answer, and costs nothing.
//!
//! INVARIANT: only released answers are kept, each for the person who got it; whoever asks is asked for a token and a permit all
//! the same before it is looked at.

use super::Counted;
use chrono::{DateTime, Duration, Utc};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Answers that are kept at once.
const MOST: usize = 1_000;
/// Cells of all of them together.
const CELLS: usize = 200_000;
/// An answer is given again for so long: whoever has left the tables meanwhile is out of it then.
const LIFE: Duration = Duration::minutes(10);

/// What an answer follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u8; 32]);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    answers: HashMap<Key, (DateTime<Utc>, Counted)>,
    /// oldest first
    order: VecDeque<Key>,
    cells: usize,
}

impl State {
    fn remove(&mut self, key: &Key) {
        if let Some((_, counted)) = self.answers.remove(key) {
            self.cells -= counted.cells.len();
            self.order.retain(|other| other != key);
        }
    }
}

impl Kept {
    pub(super) fn find(&self, key: &Key, now: DateTime<Utc>) -> Option<Counted> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers.get(key).filter(|(at, _)| now - *at < LIFE).map(|(_, counted)| counted.clone())
    }

    pub(super) fn keep(&self, key: Key, now: DateTime<Utc>, counted: Counted) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.remove(&key);
        state.cells += counted.cells.len();
        state.answers.insert(key, (now, counted));
        state.order.push_back(key);
        while let Some(oldest) = state.order.front().copied()
            && (state.order.len() > MOST
                || state.cells > CELLS
                || state.answers.get(&oldest).is_some_and(|(at, _)| now - *at >= LIFE))
        {
            state.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_given_again_for_ten_minutes_and_the_oldest_make_room() {
        let (kept, now) = (Kept::default(), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let key = |n: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            Key(bytes)
        };
        let lots = super::super::lot::Lots::for_tests(1);
        let query = proto::ids::QueryId::new();
        let counted = super::super::release::released(query, Vec::new(), Vec::new(), 10, (&lots, &[0; 32]));
        kept.keep(key(0), now, counted.clone());
        assert_eq!(kept.find(&key(0), now + Duration::minutes(9)), Some(counted.clone()));
        assert_eq!(kept.find(&key(0), now + Duration::minutes(10)), None);
        assert_eq!(kept.find(&key(1), now), None);
        for n in 1..=u32::try_from(MOST).unwrap() {
            kept.keep(key(n), now, counted.clone());
        }
        assert!(kept.find(&key(0), now).is_none() && kept.find(&key(1), now).is_some());
        assert_eq!(kept.0.lock().unwrap().answers.len(), MOST);
        // One that is given anew is the youngest.
        kept.keep(key(1), now, counted.clone());
        kept.keep(key(5_000), now, counted.clone());
        assert!(kept.find(&key(2), now).is_none() && kept.find(&key(1), now).is_some());
        // What is over is gone, not only unseen.
        kept.keep(key(6_000), now + LIFE, counted.clone());
        assert_eq!(kept.0.lock().unwrap().answers.len(), 1);
        // Large ones make room for each other.
        let cell = super::super::Cell { values: Vec::new(), people: Some(20) };
        let large = Counted { cells: vec![cell; 90_000], ..counted };
        for n in 0..3 {
            kept.keep(key(n), now, large.clone());
        }
        let state = kept.0.lock().unwrap();
        assert!(state.cells == 180_000 && state.answers.len() == 2 && state.order.len() == 2);
    }
}
