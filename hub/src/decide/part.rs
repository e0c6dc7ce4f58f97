//! How far one controller's part is.

super::named! {
    /// States of a part.
    PartState {
        /// made, not complete yet: not to be sent
        Held = "HELD",
        /// to be delivered
        Waiting = "WAITING",
        /// in the controller's inbox
        Delivered = "DELIVERED",
        /// the controller signed a permit
        Granted = "GRANTED",
        /// the controller signed a refusal
        Refused = "REFUSED",
        /// a later part took its place
        Superseded = "SUPERSEDED",
        /// the applicant took it back, or didn't complete it
        Withdrawn = "WITHDRAWN",
    }
}

super::named! {
    /// What moves a part.
    PartEvent {
        /// its application is complete
        Release = "release",
        /// the spoke has taken it
        Deliver = "deliver",
        /// a permit came
        Grant = "grant",
        /// a refusal came
        Refuse = "refuse",
        /// an amendment asks for something else
        Supersede = "supersede",
        /// its application ended
        Withdraw = "withdraw",
    }
}

impl PartState {
    /// The state after `event`; none when the event changes nothing in this state.
    #[must_use]
    pub fn next(self, event: PartEvent) -> Option<Self> {
        use PartEvent as E;
        use PartState as S;
        match (self, event) {
            (S::Held, E::Release) => Some(S::Waiting),
            (S::Waiting, E::Deliver) => Some(S::Delivered),
            // A controller may have got the part by another way than this hub's, so a decision needs no delivery.
            (S::Held | S::Waiting | S::Delivered, E::Grant) => Some(S::Granted),
            (S::Held | S::Waiting | S::Delivered, E::Refuse) => Some(S::Refused),
            (S::Held | S::Waiting | S::Delivered, E::Supersede) => Some(S::Superseded),
            (S::Held | S::Waiting | S::Delivered, E::Withdraw) => Some(S::Withdrawn),
            // What was signed counts, also when it crossed with a newer part: the newer permit will replace it.
            (S::Superseded | S::Refused, E::Grant) => Some(S::Granted),
            _ => None,
        }
    }

    /// Whether a decision is still to come.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Held | Self::Waiting | Self::Delivered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        use PartEvent as E;
        use PartState as S;
        let moves = [
            (S::Held, E::Release, S::Waiting),
            (S::Held, E::Grant, S::Granted),
            (S::Held, E::Refuse, S::Refused),
            (S::Held, E::Supersede, S::Superseded),
            (S::Held, E::Withdraw, S::Withdrawn),
            (S::Waiting, E::Deliver, S::Delivered),
            (S::Waiting, E::Grant, S::Granted),
            (S::Waiting, E::Refuse, S::Refused),
            (S::Waiting, E::Supersede, S::Superseded),
            (S::Waiting, E::Withdraw, S::Withdrawn),
            (S::Delivered, E::Grant, S::Granted),
            (S::Delivered, E::Refuse, S::Refused),
            (S::Delivered, E::Supersede, S::Superseded),
            (S::Delivered, E::Withdraw, S::Withdrawn),
            (S::Superseded, E::Grant, S::Granted),
            (S::Refused, E::Grant, S::Granted),
        ];
        for state in S::ALL {
            for event in E::ALL {
                let expected = moves.iter().find(|(s, e, _)| s == state && e == event).map(|(_, _, to)| *to);
                assert_eq!(state.next(*event), expected, "{state} {event}");
            }
        }
    }
}
