//! Who of those that accepted can share a key: every two of them name one another, with the same keys.
//!
//! INVARIANT: nobody comes in whom one who is in doesn't name.

use super::MemberError;
use policies::{
    epoch::{Acceptance, EpochRecord},
    permit::{Member, Permit},
};
use proto::ids::ControllerId;
use std::collections::BTreeMap;

/// Those who get the next key, and those who have to wait, with the reason.
#[derive(Debug)]
pub(super) struct Group {
    /// by controller; the maker too
    pub(super) members: Vec<Member>,
    pub(super) left_out: Vec<(ControllerId, String)>,
}

/// Forms the group at the maker, who holds `own`, from acceptances that were verified under it. Those who share the
/// key already come first; newcomers come in when all who are in name them, and the other way round.
pub(super) fn form(
    own: &Permit,
    accepted: &BTreeMap<ControllerId, Acceptance>,
    last: Option<&EpochRecord>,
) -> Result<Group, MemberError> {
    let shares = |controller: &ControllerId| {
        last.is_some_and(|record| record.members.iter().any(|member| member.controller == *controller))
    };
    let mut waiting: Vec<&Member> =
        own.members.iter().filter(|m| m.controller != own.controller && accepted.contains_key(&m.controller)).collect();
    waiting.sort_by_key(|member| (!shares(&member.controller), &member.controller));
    let names = |who: &Member, whom: &Member| {
        if who.controller == own.controller {
            own.members.contains(whom)
        } else {
            accepted.get(&who.controller).is_some_and(|acceptance| acceptance.lists(whom))
        }
    };
    let maker = own.member(&own.controller).ok_or_else(|| MemberError::NoPermit(own.project.clone()))?;
    let mut members = vec![maker.clone()];
    let mut left_out = Vec::new();
    for candidate in waiting {
        match members.iter().find(|inside| !names(inside, candidate) || !names(candidate, inside)) {
            None => members.push(candidate.clone()),
            Some(inside) if shares(&inside.controller) && shares(&candidate.controller) => {
                return Err(MemberError::Parted(inside.controller.clone(), candidate.controller.clone()));
            }
            Some(inside) => {
                let (from, to) = if names(inside, candidate) {
                    (&candidate.controller, &inside.controller)
                } else {
                    (&inside.controller, &candidate.controller)
                };
                left_out
                    .push((candidate.controller.clone(), format!("the permit at '{from}' does not name '{to}' yet")));
            }
        }
    }
    members.sort_by(|a, b| a.controller.cmp(&b.controller));
    Ok(Group { members, left_out })
}
