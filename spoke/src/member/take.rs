//! Taking a project's key that its lead or deputy made.
//!
//! INVARIANT: a key is taken only with a record signed by the lead or deputy of the own live permit, sealed by the same
//! spoke's HPKE key, of an epoch that is not older than any known here, and when it is the record's key.

use super::{Member, MemberError};
use crate::pseudonym::project_key::SealedKey;
use policies::epoch::EpochRecord;
use serde_json::json;
use std::sync::PoisonError;

const WHAT: &str = "the record of the epoch";

/// What a record says of itself; nothing of it is believed yet.
pub(super) fn claimed(record: &str) -> Result<EpochRecord, MemberError> {
    let malformed = || MemberError::statement(WHAT)(runtime::sign::StatementError::Malformed.into());
    EpochRecord::claimed(record).ok_or_else(malformed)
}

impl Member {
    /// Takes the key that `sealed` holds, under `record`. Taking what is here already changes nothing. Returns the epoch.
    ///
    /// # Errors
    /// When the record or the key is not what the own permit asks for, or something can't be written.
    pub fn take_epoch(&self, record: &str, sealed: &[u8]) -> Result<u32, MemberError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let text = record;
        let live = self.permit(&claimed(text)?.project)?;
        let record = EpochRecord::verify(text, live.permit()).map_err(MemberError::statement(WHAT))?;
        let project = &record.project;

        let holding = self.holding(project)?;
        let here = |key_id: &str, epoch| key_id == record.key_id && epoch == record.epoch;
        if holding.as_ref().is_some_and(|holds| here(&holds.key_id, holds.epoch)) {
            return Ok(record.epoch);
        }
        if record.lead == self.controller {
            return Err(MemberError::Own);
        }
        let mut history = self.history(project)?;
        let known = history.epoch().max(holding.as_ref().map_or(0, |holds| holds.epoch));
        if record.epoch < known {
            return Err(MemberError::Older { project: project.clone(), found: record.epoch, known });
        }
        // The same epoch again is taken when it is the same key, which was lost or destroyed since.
        let again = history.last().is_some_and(|(last, _)| here(&last.key_id, last.epoch)) && holding.is_none();
        if record.epoch == known && !again {
            return Err(MemberError::Conflict { project: project.clone(), epoch: record.epoch });
        }

        let sealed = SealedKey::from_bytes(sealed)?;
        let (from, sender) = sealed.sender();
        for (differs, same) in [
            ("project", sealed.project() == project),
            ("epoch", sealed.epoch() == record.epoch),
            ("maker", *from == record.lead),
            ("maker's HPKE key", sender == record.sealing),
            ("receiver", *sealed.to() == self.controller),
        ] {
            if !same {
                return Err(MemberError::Differs(differs));
            }
        }
        let held = sealed.open(&self.sealing)?;
        if held.key_id() != record.key_id {
            return Err(MemberError::Differs("key id"));
        }
        self.audit.append(&json!({
            "event": "epoch", "what": "taken", "project": project, "epoch": record.epoch, "key_id": record.key_id,
            "lead": record.lead, "members": record.members.iter().map(|m| &m.controller).collect::<Vec<_>>(),
            "permit": live.permit().id,
        }))?;
        held.store(&self.projects, &self.pass)?;
        let epoch = record.epoch;
        tracing::info!(%project, epoch, key = record.key_id, lead = %record.lead, "took an epoch");
        if !again {
            history.push(record, text.to_owned());
            history.save()?;
        }
        Ok(epoch)
    }
}
