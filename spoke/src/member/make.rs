//! Making the next epoch of a project's key, as its lead or deputy.
//!
//! INVARIANT: a key is sealed only to members of the own live permit whose acceptance was verified here, with the keys
//! that the permit names. INVARIANT: as long as the members stay the same, so does the epoch: nobody but controllers can
//! bring about another one.

use super::{Member, MemberError, group};
use crate::pseudonym::{
    identity::PublicKey,
    project_key::{self, Held},
};
use chrono::Utc;
use policies::{
    epoch::{Acceptance, EpochRecord},
    permit::Permit,
};
use proto::ids::{ControllerId, ProjectId};
use serde_json::json;
use std::{collections::BTreeMap, sync::PoisonError};

/// The hub can't know of more epochs than this that were not heard of here.
const LEAP: u32 = 1000;
/// Epochs that one spoke makes within a day, for one project.
const A_DAY: usize = 12;

/// A project's key of one epoch, for all its members.
#[derive(Debug)]
pub struct Made {
    /// the signed record
    pub record: String,
    /// the key for each other member, sealed
    pub keys: Vec<(ControllerId, Vec<u8>)>,
    /// who accepted and can't have it yet, with the reason
    pub left_out: Vec<(ControllerId, String)>,
}

impl Member {
    /// Makes the next key of `project` for those whose acceptances are given; when they are the ones who share the
    /// present key, that one is sealed to them again. `after`: the last epoch that the hub knows.
    ///
    /// # Errors
    /// When this spoke is not the one to make it, an acceptance is not believed, or something can't be written.
    pub fn make_epoch(&self, project: &ProjectId, acceptances: &[String], after: u32) -> Result<Made, MemberError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.permit(project)?;
        let own = live.permit();
        if own.lead != self.controller && own.deputy.as_ref() != Some(&self.controller) {
            return Err(MemberError::NotMaker { lead: own.lead.clone() });
        }
        let mut history = self.history(project)?;
        let accepted = self.verified(own, acceptances)?;
        if own.lead != self.controller && accepted.contains_key(&own.lead) {
            return Err(MemberError::LeadIsThere(own.lead.clone()));
        }
        for (controller, acceptance) in &accepted {
            if history.seen(controller).is_some_and(|newest| acceptance.at < newest) {
                return Err(MemberError::Replayed(controller.clone()));
            }
        }
        let group = group::form(own, &accepted, history.last().map(|(record, _)| record))?;
        history.remember(accepted.iter().map(|(controller, acceptance)| (controller.clone(), acceptance.at)));

        let held = self.held(project)?;
        let known = history.epoch().max(held.as_ref().map_or(0, Held::epoch));
        if after > known.saturating_add(LEAP) {
            return Err(MemberError::Leap { after, own: known });
        }
        let present = history.last().and_then(|(record, text)| {
            let same = record.lead == self.controller && record.members == group.members && after <= record.epoch;
            let held = held.filter(|held| held.epoch() == record.epoch && held.key_id() == record.key_id)?;
            same.then(|| (record.clone(), text.to_owned(), held))
        });
        let (record, text, held) = match present {
            Some(present) => {
                history.save()?;
                present
            }
            None => {
                let made = history.made_today(&self.controller);
                if made >= A_DAY {
                    return Err(MemberError::TooMany(made));
                }
                let held = Held::new(project.clone(), known.max(after) + 1)?;
                let record = self.record(project, &held, group.members);
                let text = record.sign(&self.signing)?;
                (record, text, held)
            }
        };
        let keys = self.seal(&held, &record, &accepted)?;
        if history.epoch() != record.epoch {
            self.audit.append(&json!({
                "event": "epoch", "what": "made", "project": project, "epoch": record.epoch, "key_id": record.key_id,
                "members": record.members.iter().map(|m| &m.controller).collect::<Vec<_>>(), "permit": own.id,
            }))?;
            held.store(&self.projects, &self.pass)?;
            tracing::info!(%project, epoch = record.epoch, key = record.key_id, members = record.members.len(), "made an epoch");
            history.push(record, text.clone());
            history.save()?;
        }
        Ok(Made { record: text, keys, left_out: group.left_out })
    }

    /// The acceptances of other controllers, each verified under the own permit; the newest of each.
    fn verified(&self, own: &Permit, texts: &[String]) -> Result<BTreeMap<ControllerId, Acceptance>, MemberError> {
        let now = Utc::now();
        let mut accepted: BTreeMap<ControllerId, Acceptance> = BTreeMap::new();
        for text in texts {
            let who = Acceptance::claimed(text).map(|claimed| claimed.controller);
            if who.as_ref() == Some(&self.controller) {
                continue; // the own permit speaks for itself
            }
            let what = who.map_or_else(|| "an acceptance".to_owned(), |who| format!("the acceptance of '{who}'"));
            let acceptance = Acceptance::verify(text, own, now).map_err(MemberError::statement(what))?;
            if accepted.get(&acceptance.controller).is_none_or(|before| before.at < acceptance.at) {
                accepted.insert(acceptance.controller.clone(), acceptance);
            }
        }
        Ok(accepted)
    }

    fn held(&self, project: &ProjectId) -> Result<Option<Held>, MemberError> {
        let path = project_key::path_of(&self.projects, project);
        if path.exists() { Ok(Some(Held::load(&path, &self.pass)?)) } else { Ok(None) }
    }

    fn record(&self, project: &ProjectId, held: &Held, members: Vec<policies::permit::Member>) -> EpochRecord {
        EpochRecord {
            project: project.clone(),
            epoch: held.epoch(),
            key_id: held.key_id(),
            members,
            lead: self.controller.clone(),
            sealing: self.sealing.public().to_string(),
            signing: self.signing.public(),
            at: Utc::now(),
        }
    }

    fn seal(
        &self,
        held: &Held,
        record: &EpochRecord,
        accepted: &BTreeMap<ControllerId, Acceptance>,
    ) -> Result<Vec<(ControllerId, Vec<u8>)>, MemberError> {
        let mut keys = Vec::new();
        for member in record.members.iter().filter(|member| member.controller != self.controller) {
            // Everybody in the record was taken from the acceptances.
            let Some(acceptance) = accepted.get(&member.controller) else { continue };
            let key: PublicKey =
                acceptance.sealing.parse().map_err(|error: crate::pseudonym::identity::PublicKeyError| {
                    MemberError::statement(format!("the acceptance of '{}'", member.controller))(
                        policies::epoch::EpochError::Form(error.to_string()),
                    )
                })?;
            let sealed = held.seal_to((&self.controller, &self.sealing), &member.controller, &key)?;
            keys.push((member.controller.clone(), sealed.to_bytes()?));
        }
        Ok(keys)
    }
}
