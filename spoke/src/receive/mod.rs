//! The first step of a query at the spoke: from bytes of the link to a checked question.
//!
//! INVARIANT: nothing is looked up here and nothing is decided; what comes out is only well-formed.

mod actions;
pub(crate) mod flight;

pub(crate) use actions::forbidden;

pub use proto::envelope::Envelope;

use proto::{
    fragment::{self, Limits},
    refusal::{Kind, Refusal},
    wire::{Fragment, Rel, rel},
};

/// A well-formed question.
#[derive(Debug, Clone)]
pub struct Question {
    /// who asks, for which project, until when
    pub envelope: Envelope,
    /// what is asked
    pub fragment: Fragment,
    /// what the hub thinks the table looks like
    pub fingerprint: Option<[u8; 32]>,
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
        Ok(Self { envelope, fragment: request.fragment.ok_or_else(incomplete)?, fingerprint })
    }

    /// Names of the tables that are read.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut next = self.fragment.root.as_ref();
        // A relation has one input so far; a join will have two.
        while let Some(Rel { kind: Some(kind) }) = next {
            next = match kind {
                rel::Kind::Read(read) => {
                    names.push(read.table.as_str());
                    None
                }
                rel::Kind::Filter(rel) => rel.input.as_deref(),
                rel::Kind::Project(rel) => rel.input.as_deref(),
                rel::Kind::Aggregate(rel) => rel.input.as_deref(),
                rel::Kind::SortLimit(rel) => rel.input.as_deref(),
            };
        }
        names
    }
}
