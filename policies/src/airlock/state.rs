//! How far a submission is.

use crate::authorize::AirlockState;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one with that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(super) use named;

named! {
    /// States of a submission.
    State {
        /// files are being added
        Draft = "DRAFT",
        /// the automatic checks found no reason to refuse it
        Checked = "CHECKED",
        /// with the checkers
        UnderReview = "UNDER_REVIEW",
        /// two checkers disagree: a third is asked
        Conflict = "CONFLICT",
        /// it may leave
        Approved = "APPROVED",
        /// it may not leave as it is; a resubmission may
        ChangesRequested = "CHANGES_REQUESTED",
        /// it left
        Released = "RELEASED",
        /// taken back
        Withdrawn = "WITHDRAWN",
    }
}

impl From<State> for AirlockState {
    fn from(state: State) -> Self {
        match state {
            State::Draft => Self::Draft,
            State::Checked => Self::Checked,
            State::UnderReview => Self::UnderReview,
            State::Conflict => Self::Conflict,
            State::Approved => Self::Approved,
            State::ChangesRequested => Self::ChangesRequested,
            State::Released => Self::Released,
            State::Withdrawn => Self::Withdrawn,
        }
    }
}

named! {
    /// What moves a submission.
    Event {
        /// a file was added
        Add = "add",
        /// the automatic checks found no reason to refuse it
        Pass = "pass",
        /// the automatic checks found reasons to refuse it
        Fail = "fail",
        /// it goes to the checkers
        Send = "send",
        /// a checker reviewed it, and another has still to
        Review = "review",
        /// the first two checkers disagree
        Disagree = "disagree",
        /// the checkers approve every file
        Approve = "approve",
        /// the checkers ask for changes
        RequestChanges = "request_changes",
        /// it leaves
        Release = "release",
        /// its files are the open zone's own answers, which the platform has written
        Answer = "answer",
        /// taken back
        Withdraw = "withdraw",
        /// nobody went on with it
        Expire = "expire",
    }
}

/// An event that a state doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a submission that is {state} can't take '{event}'{}", hint(*state))]
pub struct Illegal {
    /// how far it is
    pub state: State,
    /// what was to happen
    pub event: Event,
}

fn hint(state: State) -> &'static str {
    match state {
        State::Draft => ": it has not passed the automatic checks. Mend what they name, and submit anew",
        State::UnderReview | State::Conflict => ": the checkers have it. Withdraw it to change something",
        State::ChangesRequested => ": hand in another one that names it as 'earlier'",
        State::Released => ": it has left. Hand in another one",
        State::Withdrawn => ": it was withdrawn, or lay as a draft for too long. Hand in another one",
        State::Checked | State::Approved => "",
    }
}

impl State {
    /// The state after `event`.
    ///
    /// # Errors
    /// When the event can't happen in this state.
    pub fn next(self, event: Event) -> Result<Self, Illegal> {
        use Event as E;
        use State as S;
        Ok(match (self, event) {
            // What was checked is checked anew when it changes.
            (S::Draft | S::Checked, E::Add | E::Fail) => S::Draft,
            (S::Draft | S::Checked, E::Pass) => S::Checked,
            (S::Checked, E::Send) => S::UnderReview,
            (S::UnderReview, E::Review) => S::UnderReview,
            (S::UnderReview, E::Disagree) => S::Conflict,
            (S::UnderReview | S::Conflict, E::Approve) => S::Approved,
            (S::UnderReview | S::Conflict, E::RequestChanges) => S::ChangesRequested,
            (S::Draft, E::Answer) => S::Approved,
            (S::Approved, E::Release) => S::Released,
            (S::Draft | S::Checked | S::UnderReview | S::Conflict | S::Approved | S::ChangesRequested, E::Withdraw) => {
                S::Withdrawn
            }
            // What waits for people waits as long as they need.
            (S::Draft | S::Checked, E::Expire) => S::Withdrawn,
            (state, event) => return Err(Illegal { state, event }),
        })
    }

    /// Whether nothing moves it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Released | Self::Withdrawn)
    }

    /// Whether the checkers are done with it, so that their comments may be read.
    #[must_use]
    pub fn is_reviewed(self) -> bool {
        matches!(self, Self::Approved | Self::ChangesRequested | Self::Released)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Every state with every event; what isn't listed is refused.
    #[test]
    fn every_state_and_event() {
        use Event as E;
        use State as S;
        let moves = [
            (S::Draft, E::Add, S::Draft),
            (S::Draft, E::Fail, S::Draft),
            (S::Draft, E::Pass, S::Checked),
            (S::Draft, E::Answer, S::Approved),
            (S::Draft, E::Withdraw, S::Withdrawn),
            (S::Draft, E::Expire, S::Withdrawn),
            (S::Checked, E::Add, S::Draft),
            (S::Checked, E::Fail, S::Draft),
            (S::Checked, E::Pass, S::Checked),
            (S::Checked, E::Send, S::UnderReview),
            (S::Checked, E::Withdraw, S::Withdrawn),
            (S::Checked, E::Expire, S::Withdrawn),
            (S::UnderReview, E::Review, S::UnderReview),
            (S::UnderReview, E::Disagree, S::Conflict),
            (S::UnderReview, E::Approve, S::Approved),
            (S::UnderReview, E::RequestChanges, S::ChangesRequested),
            (S::UnderReview, E::Withdraw, S::Withdrawn),
            (S::Conflict, E::Approve, S::Approved),
            (S::Conflict, E::RequestChanges, S::ChangesRequested),
            (S::Conflict, E::Withdraw, S::Withdrawn),
            (S::Approved, E::Release, S::Released),
            (S::Approved, E::Withdraw, S::Withdrawn),
            (S::ChangesRequested, E::Withdraw, S::Withdrawn),
        ];
        for state in S::ALL {
            for event in E::ALL {
                let expected = moves.iter().find(|(s, e, _)| s == state && e == event).map(|(_, _, to)| *to);
                assert_eq!(state.next(*event).ok(), expected, "{state} {event}");
                assert!(!state.is_final() || expected.is_none());
            }
            assert_eq!(S::named(state.name()), Some(*state));
        }
        let said = S::Draft.next(E::Send).unwrap_err().to_string();
        assert!(said.contains("DRAFT") && said.contains("automatic checks"), "{said}");
    }

    /// A submission leaves only after it was checked by machine and by people, or when the platform has written it itself.
    #[test]
    fn nothing_is_released_that_was_not_reviewed() {
        let before = |to: State| -> Vec<State> {
            let all = State::ALL.iter().flat_map(|from| Event::ALL.iter().map(move |event| (*from, *event)));
            let all = all.filter(|(_, event)| *event != Event::Answer);
            all.filter(|(from, event)| *from != to && from.next(*event) == Ok(to)).map(|(from, _)| from).collect()
        };
        let mut from = before(State::Released);
        from.dedup();
        assert_eq!(from, [State::Approved]);
        let mut from = before(State::Approved);
        from.dedup();
        assert_eq!(from, [State::UnderReview, State::Conflict]);
        assert_eq!(before(State::UnderReview), [State::Checked]);
    }
}
