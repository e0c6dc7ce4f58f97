//! What an answer follows from. Two questions with the same key have the same rows, in the same order.
//!
//! INVARIANT: whatever can change a row stands in the key. A question's fields are taken apart one by one, so that a new
//! field doesn't compile until somebody says whether it changes the rows.

use crate::receive::{Envelope, Question};
use chrono::NaiveDate;
use policies::permit::Permit;
use prost::Message;
use sha2::{Digest, Sha256};

/// See the module. A hash: nothing of the question can be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// Collects what a key is made of, each part with its name and length, so that no two lists of parts run together.
pub(crate) struct Facts(Sha256);

impl Facts {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    pub(crate) fn key(self) -> Key {
        Key(self.0.finalize().into())
    }

    /// What is asked. Who asks, in time for what and with which proof decides whether there is an answer, and not what is in
    /// it; caps are kept while an answer flows.
    pub(crate) fn question(&mut self, question: &Question) {
        // A share of a blind total is never kept: it has a seed of its own.
        // Nor is a leg of a quick test: it has a key of its own.
        // How it is packed is decided anew for each answer, and versions are checked before: the live ones are added from this side.
        let Question { envelope, fragment, fingerprint, keys, versions: _, accepts: _, blind: _, quick: _ } = question;
        let Envelope {
            query_id: _,
            project,
            user: _,
            zone,
            deadline: _,
            max_rows: _,
            max_bytes: _,
            traceparent: _,
            // Must be the live ones, which are added from this side.
            permit: _,
            epoch: _,
            token: _,
            signature: _,
        } = envelope;
        self.add("project", project.as_ref().as_bytes());
        self.add("zone", &i32::from(*zone).to_le_bytes());
        self.add("fragment", &fragment.encode_to_vec());
        self.add("fingerprint", fingerprint.as_ref().map_or(&[], |print| print.as_slice()));
        for list in keys {
            self.add("key list", &list.to_wire().encode_to_vec());
        }
    }

    /// Under what it is answered: the permit with all that it says, the project's key, and the lists of those who are left out.
    pub(crate) fn terms(&mut self, permit: &Permit, (epoch, kid): (u32, &str), lists: u64, today: NaiveDate) {
        self.add("permit", permit.id.to_string().as_bytes());
        // Its text too: that an id stands for one text only is the approver's promise and not checked here.
        self.add("permit's text", &serde_json::to_vec(permit).unwrap_or_default());
        self.add("epoch", &epoch.to_le_bytes());
        self.add("kid", kid.as_bytes());
        self.add("opt-outs in the permit", &permit.opt_out_version.to_le_bytes());
        self.add("lists", &lists.to_le_bytes());
        self.add("today", today.to_string().as_bytes());
    }
}
