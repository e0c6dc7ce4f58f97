//! How far an application is.

use policies::authorize::ApplicationState;

super::named! {
    /// States of an application (TEHDAS2, deliverable 6.4).
    State {
        /// handed in
        Submitted = "SUBMITTED",
        /// looked at for completeness
        PreScreening = "PRE_SCREENING",
        /// with the controllers
        Processing = "PROCESSING",
        /// the applicant owes an answer
        AwaitingAdditionalInformation = "AWAITING_ADDITIONAL_INFORMATION",
        /// every part is decided
        DecisionIssued = "DECISION_ISSUED",
        /// taken back by the applicant
        Withdrawn = "WITHDRAWN",
    }
}

impl From<State> for ApplicationState {
    fn from(state: State) -> Self {
        match state {
            State::Submitted => Self::Submitted,
            State::PreScreening => Self::PreScreening,
            State::Processing => Self::Processing,
            State::AwaitingAdditionalInformation => Self::AwaitingInformation,
            State::DecisionIssued => Self::Decided,
            State::Withdrawn => Self::Withdrawn,
        }
    }
}

super::named! {
    /// What moves an application.
    Event {
        /// somebody looks at it
        Screen = "screen",
        /// it is complete: the controllers are asked
        Complete = "complete",
        /// the applicant is asked something
        Ask = "ask",
        /// the applicant answered everything, before it was complete
        AnswerScreened = "answer_screened",
        /// the applicant answered everything, after it was complete
        AnswerComplete = "answer_complete",
        /// the applicant did not answer in time
        Lapse = "lapse",
        /// the last part was decided
        Decide = "decide",
        /// the applicant takes it back
        Withdraw = "withdraw",
        /// the time for the decision is lengthened
        Extend = "extend",
    }
}

/// An event that a state doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an application that is {state} can't take '{event}'{}", hint(*state))]
pub struct Illegal {
    /// how far it is
    pub state: State,
    /// what was to happen
    pub event: Event,
}

fn hint(state: State) -> &'static str {
    match state {
        State::DecisionIssued => ": it is decided. Hand in an amendment to change something",
        State::Withdrawn => ": it was withdrawn. Hand in a new one",
        State::AwaitingAdditionalInformation => ": answer its open questions first",
        State::Submitted | State::PreScreening | State::Processing => "",
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
            (S::Submitted, E::Screen) => S::PreScreening,
            (S::PreScreening, E::Complete) => S::Processing,
            (S::PreScreening | S::Processing | S::AwaitingAdditionalInformation, E::Ask) => {
                S::AwaitingAdditionalInformation
            }
            (S::AwaitingAdditionalInformation, E::AnswerScreened) => S::PreScreening,
            (S::AwaitingAdditionalInformation, E::AnswerComplete) => S::Processing,
            (S::AwaitingAdditionalInformation, E::Lapse) => S::DecisionIssued,
            // Controllers may decide while a question is open.
            (S::Processing | S::AwaitingAdditionalInformation, E::Decide) => S::DecisionIssued,
            (S::Submitted | S::PreScreening | S::Processing | S::AwaitingAdditionalInformation, E::Withdraw) => {
                S::Withdrawn
            }
            (S::Processing, E::Extend) => S::Processing,
            (state, event) => return Err(Illegal { state, event }),
        })
    }

    /// Whether nothing moves it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::DecisionIssued | Self::Withdrawn)
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
            (S::Submitted, E::Screen, S::PreScreening),
            (S::Submitted, E::Withdraw, S::Withdrawn),
            (S::PreScreening, E::Complete, S::Processing),
            (S::PreScreening, E::Ask, S::AwaitingAdditionalInformation),
            (S::PreScreening, E::Withdraw, S::Withdrawn),
            (S::Processing, E::Ask, S::AwaitingAdditionalInformation),
            (S::Processing, E::Decide, S::DecisionIssued),
            (S::Processing, E::Withdraw, S::Withdrawn),
            (S::Processing, E::Extend, S::Processing),
            (S::AwaitingAdditionalInformation, E::Ask, S::AwaitingAdditionalInformation),
            (S::AwaitingAdditionalInformation, E::AnswerScreened, S::PreScreening),
            (S::AwaitingAdditionalInformation, E::AnswerComplete, S::Processing),
            (S::AwaitingAdditionalInformation, E::Lapse, S::DecisionIssued),
            (S::AwaitingAdditionalInformation, E::Decide, S::DecisionIssued),
            (S::AwaitingAdditionalInformation, E::Withdraw, S::Withdrawn),
        ];
        for state in S::ALL {
            for event in E::ALL {
                let expected = moves.iter().find(|(s, e, _)| s == state && e == event).map(|(_, _, to)| *to);
                assert_eq!(state.next(*event).ok(), expected, "{state} {event}");
                assert!(!state.is_final() || expected.is_none());
            }
            assert_eq!(S::named(state.name()), Some(*state));
        }
        let said = S::DecisionIssued.next(E::Withdraw).unwrap_err().to_string();
        assert!(said.contains("DECISION_ISSUED") && said.contains("amendment"), "{said}");
    }
}
