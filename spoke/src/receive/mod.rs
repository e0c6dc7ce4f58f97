//! The first step of a query at the spoke: from bytes of the link to a checked question.
//!
//! INVARIANT: nothing is looked up here and nothing is decided; what comes out is only well-formed.

mod actions;
pub(crate) mod flight;

pub(crate) use actions::forbidden;

pub use proto::envelope::Envelope;

use proto::{
    fragment::{self, Limits},
    ids::QueryId,
    plan::keys::Keys,
    refusal::{Kind, Refusal},
    wire::{Compression, Fragment, QuickLeg},
};
use std::sync::Arc;

/// A well-formed question.
#[derive(Debug, Clone)]
pub struct Question {
    /// who asks, for which project, until when
    pub envelope: Envelope,
    /// what is asked
    pub fragment: Fragment,
    /// what the hub thinks the tables look like
    pub fingerprint: Option<[u8; 32]>,
    /// lists of keys that the fragment speaks of
    pub keys: Vec<Arc<Keys>>,
    /// tables with the only version of each that the question holds of
    pub versions: Vec<(String, i64)>,
    /// how the answer may be compressed
    pub accepts: Vec<Compression>,
    /// the blind total that a share is asked for; `None`: a plain answer
    pub blind: Option<QueryId>,
    /// the leg of a quick test that it is; `None`: it is none
    pub quick: Option<QuickLeg>,
}

impl Question {
    /// Reads a ticket.
    ///
    /// # Errors
    /// When it is no request of this version, or is over a limit.
    pub fn from_ticket(ticket: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let request = fragment::from_bytes(ticket, limits)?;
        let incomplete = || Refusal::new(Kind::Invalid, "the request is incomplete");
        let envelope = Envelope::try_from(request.envelope.as_ref().ok_or_else(incomplete)?)?;
        let fingerprint = match request.schema_fingerprint.as_slice() {
            [] => None,
            bytes => Some(bytes.try_into().map_err(|_| incomplete())?),
        };
        // What a newer hub reads besides is none of ours.
        let accepts = request.accepts().collect();
        let keys = request.keys.into_iter().map(|list| Arc::new(Keys::from_wire(list))).collect();
        let versions = request.versions.into_iter().map(|version| (version.table, version.snapshot)).collect();
        let fragment = request.fragment.ok_or_else(incomplete)?;
        let blind = request.blind.map(|blind| blind.total.parse()).transpose();
        let blind = blind.map_err(|_| Refusal::new(Kind::Invalid, "the request's field `blind.total` is not valid"))?;
        Ok(Self { envelope, fragment, fingerprint, keys, versions, accepts, blind, quick: request.quick })
    }

    /// Names of the tables that are read.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        fragment::reads(&self.fragment).into_iter().map(|read| read.table.as_str()).collect()
    }
}
