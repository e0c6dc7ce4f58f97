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
    order: VecDeque<Key>,
}

impl Kept {
    pub(super) fn find(&self, key: &Key, now: DateTime<Utc>) -> Option<Counted> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers.get(key).filter(|(at, _)| now - *at < LIFE).map(|(_, counted)| counted.clone())
    }

    pub(super) fn keep(&self, key: Key, now: DateTime<Utc>, counted: Counted) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.answers.insert(key, (now, counted)).is_none() {
            state.order.push_back(key);
        }
        while state.order.len() > MOST {
            if let Some(oldest) = state.order.pop_front() {
                state.answers.remove(&oldest);
            }
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
    }
}
