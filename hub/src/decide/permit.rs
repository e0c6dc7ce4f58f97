//! How far permits are. Computed anew from everything that was signed, in whatever order it came.

use chrono::NaiveDate;
use policies::{
    application::{Terms, difference},
    permit::Permit,
};
use proto::ids::PermitId;
use std::collections::{BTreeMap, BTreeSet};

super::named! {
    /// States of a permit. Only a granted one lets anybody ask.
    PermitState {
        /// it counts
        Granted = "GRANTED",
        /// another permit took its place
        Amended = "AMENDED",
        /// another permit took its place that differs in the period alone
        Renewed = "RENEWED",
        /// the controller took it back
        Revoked = "REVOKED",
        /// its last day is over
        Expired = "EXPIRED",
    }
}

super::named! {
    /// What moves a permit.
    PermitEvent {
        /// another permit takes its place
        Amend = "amend",
        /// another permit takes its place, for a longer time
        Renew = "renew",
        /// the controller takes it back
        Revoke = "revoke",
        /// its last day is over
        Expire = "expire",
    }
}

impl PermitState {
    /// The state after `event`. Nothing makes a permit count again.
    #[must_use]
    pub fn next(self, event: PermitEvent) -> Self {
        use PermitEvent as E;
        use PermitState as S;
        match (self, event) {
            // What was revoked stays revoked, whatever else happens to it.
            (S::Revoked, _) | (_, E::Revoke) => S::Revoked,
            (S::Granted, E::Amend) => S::Amended,
            (S::Granted, E::Renew) => S::Renewed,
            (S::Granted, E::Expire) => S::Expired,
            (state, E::Amend | E::Renew | E::Expire) => state,
        }
    }
}

/// Permits of one controller in one project, each with its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settled(pub BTreeMap<PermitId, PermitState>);

impl Settled {
    /// The permit under which questions may be asked on that day: of several, the newest.
    #[must_use]
    pub fn live<'a>(&self, permits: &'a [Permit], today: NaiveDate) -> Option<&'a Permit> {
        permits
            .iter()
            .filter(|p| self.0.get(&p.id) == Some(&PermitState::Granted) && p.valid_on(today))
            .max_by_key(|p| (p.decided_at, p.id))
    }
}

impl Settled {
    /// The newest permit that counts, also when its first day is still to come.
    #[must_use]
    pub fn newest<'a>(&self, permits: &'a [Permit]) -> Option<&'a Permit> {
        permits.iter().filter(|p| self.0.get(&p.id) == Some(&PermitState::Granted)).max_by_key(|p| (p.decided_at, p.id))
    }
}

/// The states of one controller's permits in one project.
#[must_use]
pub fn settle(permits: &[Permit], revoked: &BTreeSet<PermitId>, today: NaiveDate) -> Settled {
    let states = permits.iter().map(|permit| {
        let mut state = PermitState::Granted;
        // A replacement counts from its signature on, also when it was revoked or is over since.
        if let Some(by) = permits.iter().find(|other| other.replaces == Some(permit.id) && other.id != permit.id) {
            state = state.next(if renews(permit, by) { PermitEvent::Renew } else { PermitEvent::Amend });
        }
        if permit.valid_to < today {
            state = state.next(PermitEvent::Expire);
        }
        if revoked.contains(&permit.id) {
            state = state.next(PermitEvent::Revoke);
        }
        (permit.id, state)
    });
    Settled(states.collect())
}

/// Whether nothing but the period differs.
fn renews(old: &Permit, new: &Permit) -> bool {
    let changes = difference(&Terms::from(old), &Terms::from(new));
    new.valid_to > old.valid_to && changes.iter().all(|change| change.field.starts_with("period."))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use policies::application::{Decision, EXAMPLE, Form};

    #[test]
    fn every_state_and_event() {
        use PermitEvent as E;
        use PermitState as S;
        for state in S::ALL {
            for event in E::ALL {
                let expected = match (state, event) {
                    (_, E::Revoke) => S::Revoked,
                    (S::Granted, E::Amend) => S::Amended,
                    (S::Granted, E::Renew) => S::Renewed,
                    (S::Granted, E::Expire) => S::Expired,
                    (same, _) => *same,
                };
                assert_eq!(state.next(*event), expected, "{state} {event}");
                assert!(state.next(*event) != S::Granted || *state == S::Granted);
            }
        }
    }

    pub(crate) fn permit() -> Permit {
        let application = Form::from_toml(EXAMPLE, "x").unwrap().check().unwrap();
        application.split()[0].permit(Decision {
            approver: "Bente".to_owned(),
            reason: "within the law".to_owned(),
            at: "2026-12-01T12:00:00Z".parse().unwrap(),
            opt_out_version: 0,
            threshold: None,
        })
    }

    fn after(old: &Permit, change: impl FnOnce(&mut Permit)) -> Permit {
        let mut new = Permit {
            id: PermitId::new(),
            replaces: Some(old.id),
            decided_at: old.decided_at + chrono::Duration::days(1),
            ..old.clone()
        };
        change(&mut new);
        new
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn permits_settle_in_whatever_order_they_came() {
        let first = permit();
        let renewed = after(&first, |p| p.valid_to = day("2031-12-31"));
        let amended = after(&renewed, |p| p.tables[0].columns.truncate(1));
        let mut all = vec![amended.clone(), first.clone(), renewed.clone()];
        for _ in 0..3 {
            all.rotate_left(1);
            let settled = settle(&all, &BTreeSet::new(), day("2027-06-01"));
            assert_eq!(settled.0[&first.id], PermitState::Renewed);
            assert_eq!(settled.0[&renewed.id], PermitState::Amended);
            assert_eq!(settled.live(&all, day("2027-06-01")).unwrap().id, amended.id);
        }
        // the newest is revoked: nothing older comes back
        let settled = settle(&all, &[amended.id].into(), day("2027-06-01"));
        assert_eq!(settled.0[&amended.id], PermitState::Revoked);
        assert!(settled.live(&all, day("2027-06-01")).is_none());
    }

    #[test]
    fn a_permit_counts_from_its_first_to_its_last_day() {
        let all = [permit()];
        for (today, state, live) in [
            ("2026-12-31", PermitState::Granted, false),
            ("2027-01-01", PermitState::Granted, true),
            ("2029-12-31", PermitState::Granted, true),
            ("2030-01-01", PermitState::Expired, false),
        ] {
            let settled = settle(&all, &BTreeSet::new(), day(today));
            assert_eq!((settled.0[&all[0].id], settled.live(&all, day(today)).is_some()), (state, live), "{today}");
        }
    }
}
