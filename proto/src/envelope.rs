//! Everything about a request that is not the question itself, parsed into types.
//!
//! INVARIANT: nothing here decides anything; it only turns foreign text into ids or says which field is wrong.

use std::time::{Duration, SystemTime};

use prost::Message;

use crate::ids::{PermitId, ProjectId, QueryId, UserId};
use crate::refusal::{Kind, Refusal};
use crate::wire;

/// The only version of the envelope so far.
pub const VERSION: u32 = 1;

/// Action type of the catalogue request in Arrow Flight's `DoAction`.
pub const CATALOGUE_ACTION: &str = "eger.v1.catalogue";
/// Action type: a part of an application for the spoke's inbox.
pub const PART_ACTION: &str = "eger.v1.part";
/// Action type: what the controller's approver signed.
pub const DECISIONS_ACTION: &str = "eger.v1.decisions";
/// Action type: the spoke's signed acceptance of a project's members.
pub const ACCEPTANCE_ACTION: &str = "eger.v1.acceptance";
/// Action type: the lead makes the next project key.
pub const MAKE_EPOCH_ACTION: &str = "eger.v1.epoch.make";
/// Action type: a member takes a project key.
pub const TAKE_EPOCH_ACTION: &str = "eger.v1.epoch.take";
/// Action type: checkpoints of audit logs, for countersigning.
pub const CHECKPOINT_ACTION: &str = "eger.v1.checkpoint";

/// Longest W3C trace context that is carried.
const MAX_TRACEPARENT: usize = 128;

/// Longest access token or signature that is carried, bytes.
const MAX_TOKEN: usize = 16 << 10;

/// A catalogue request holds an envelope and nothing else.
const MAX_CATALOGUE_REQUEST: usize = (32 << 10) + 4096;

/// A text that proves who somebody is: an access token or a signature. Wiped when dropped, never printed; equality is for
/// tests.
#[derive(Clone, Default, PartialEq, Eq, zeroize::ZeroizeOnDrop)]
pub struct Proof(String);

impl Proof {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever verifies or passes it on.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "Proof(none)" } else { "Proof(..)" })
    }
}

/// Who asks, for which project, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The query, the same on every side.
    pub query_id: QueryId,
    /// The project that the question belongs to.
    pub project: ProjectId,
    /// Who asks, as the hub identified them.
    pub user: UserId,
    /// Where the answer will be released. Never `Unspecified`.
    pub zone: wire::Zone,
    /// When the spoke stops by itself; `None`: its own limit only.
    pub deadline: Option<SystemTime>,
    /// Rows to answer at most; `None`: the spoke's own limit.
    pub max_rows: Option<u64>,
    /// Bytes to answer at most; `None`: the spoke's own limit.
    pub max_bytes: Option<u64>,
    /// W3C trace context, may be empty; printable ASCII.
    pub traceparent: String,
    /// The permit that the hub means; the spoke looks at its own copy. `None`: the live one.
    pub permit: Option<PermitId>,
    /// The user's access token. Unverified here.
    pub token: Proof,
    /// The user's signature over the fragments' digests. Unverified here.
    pub signature: Proof,
    /// Epoch of the project key that the hub planned with; `None`: not checked.
    pub epoch: Option<u32>,
}

/// What is wrong with an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes are no message of this kind.
    #[error("the catalogue request cannot be read")]
    Malformed,
    /// There is no envelope.
    #[error("the request has no envelope")]
    Missing,
    /// Another version.
    #[error("version {0} of the envelope is not known here; this side reads version 1")]
    Version(u32),
    /// One field does not parse.
    #[error("the envelope's field `{0}` is not valid")]
    Field(&'static str),
}

impl From<EnvelopeError> for Refusal {
    fn from(error: EnvelopeError) -> Refusal {
        Refusal::new(Kind::Invalid, error.to_string())
    }
}

impl TryFrom<&wire::Envelope> for Envelope {
    type Error = EnvelopeError;

    fn try_from(e: &wire::Envelope) -> Result<Self, EnvelopeError> {
        use EnvelopeError::Field;
        if e.version != VERSION {
            return Err(EnvelopeError::Version(e.version));
        }
        let zone = match wire::Zone::try_from(e.zone) {
            Ok(wire::Zone::Unspecified) | Err(_) => return Err(Field("zone")),
            Ok(zone) => zone,
        };
        let printable = e.traceparent.bytes().all(|b| b.is_ascii_graphic());
        if e.traceparent.len() > MAX_TRACEPARENT || !printable {
            return Err(Field("traceparent"));
        }
        let proof = |text: &String, name| {
            let fine = text.len() <= MAX_TOKEN && text.bytes().all(|b| b.is_ascii_graphic());
            if fine { Ok(Proof(text.clone())) } else { Err(Field(name)) }
        };
        let permit = match e.permit.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|_| Field("permit"))?),
        };
        Ok(Self {
            query_id: e.query_id.parse().map_err(|_| Field("query_id"))?,
            project: e.project.parse().map_err(|_| Field("project"))?,
            user: e.user.parse().map_err(|_| Field("user"))?,
            zone,
            deadline: deadline(e.deadline_unix_ms)?,
            max_rows: (e.max_rows > 0).then_some(e.max_rows),
            max_bytes: (e.max_bytes > 0).then_some(e.max_bytes),
            traceparent: e.traceparent.clone(),
            permit,
            token: proof(&e.token, "token")?,
            signature: proof(&e.signature, "signature")?,
            epoch: (e.epoch > 0).then_some(e.epoch),
        })
    }
}

impl From<&Envelope> for wire::Envelope {
    fn from(e: &Envelope) -> Self {
        let deadline_unix_ms = e.deadline.map_or(0, |at| {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            // 0 means "none": a deadline that is long past stays a deadline
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX).max(1)
        });
        Self {
            version: VERSION,
            query_id: e.query_id.to_string(),
            project: e.project.to_string(),
            user: e.user.to_string(),
            deadline_unix_ms,
            max_rows: e.max_rows.unwrap_or(0),
            max_bytes: e.max_bytes.unwrap_or(0),
            traceparent: e.traceparent.clone(),
            zone: e.zone.into(),
            permit: e.permit.map(|id| id.to_string()).unwrap_or_default(),
            token: e.token.0.clone(),
            signature: e.signature.0.clone(),
            epoch: e.epoch.unwrap_or(0),
        }
    }
}

fn deadline(unix_ms: i64) -> Result<Option<SystemTime>, EnvelopeError> {
    let wrong = EnvelopeError::Field("deadline_unix_ms");
    match u64::try_from(unix_ms) {
        Err(_) => Err(wrong),
        Ok(0) => Ok(None),
        Ok(ms) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).map(Some).ok_or(wrong),
    }
}

/// Reads a catalogue request and its envelope.
pub fn catalogue_request(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
    if bytes.len() > MAX_CATALOGUE_REQUEST {
        return Err(EnvelopeError::Malformed);
    }
    let request = wire::CatalogueRequest::decode(bytes).map_err(|_| EnvelopeError::Malformed)?;
    // what this side does not know, it must not pass over
    if request.encode_to_vec() != bytes {
        return Err(EnvelopeError::Malformed);
    }
    Envelope::try_from(request.envelope.as_ref().ok_or(EnvelopeError::Missing)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn good() -> wire::Envelope {
        wire::Envelope {
            version: 1,
            query_id: QueryId::new().to_string(),
            project: "diabetes".into(),
            user: "anna@example.org".into(),
            deadline_unix_ms: 1_800_000_000_000,
            max_rows: 0,
            max_bytes: 7,
            traceparent: String::new(),
            zone: wire::Zone::Enclave.into(),
            permit: PermitId::new().to_string(),
            token: "a.b.c".into(),
            signature: String::new(),
            epoch: 3,
        }
    }

    #[test]
    fn tokens_and_signatures_are_wiped_when_dropped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<Proof>();
    }

    #[test]
    fn there_and_back() {
        let envelope = Envelope::try_from(&good()).unwrap();
        assert_eq!((envelope.max_rows, envelope.max_bytes), (None, Some(7)));
        let again = wire::Envelope::from(&envelope);
        assert_eq!(Envelope::try_from(&again).unwrap(), envelope);
    }

    #[test]
    fn every_field_is_refused_by_name() {
        let wrong = |change: fn(&mut wire::Envelope)| {
            let mut envelope = good();
            change(&mut envelope);
            Envelope::try_from(&envelope).unwrap_err().to_string()
        };
        assert!(wrong(|e| e.version = 2).contains("version 2"));
        assert!(wrong(|e| e.query_id = "x".into()).contains("query_id"));
        assert!(wrong(|e| e.project = "../x".into()).contains("project"));
        assert!(wrong(|e| e.user = "a b".into()).contains("user"));
        assert!(wrong(|e| e.zone = 0).contains("zone"));
        assert!(wrong(|e| e.zone = 99).contains("zone"));
        assert!(wrong(|e| e.deadline_unix_ms = -1).contains("deadline_unix_ms"));
        assert!(wrong(|e| e.traceparent = "a\nb".into()).contains("traceparent"));
        assert!(wrong(|e| e.permit = "all".into()).contains("permit"));
        assert!(wrong(|e| e.token = "a b".into()).contains("token"));
        assert!(wrong(|e| e.token = "a".repeat(MAX_TOKEN + 1)).contains("token"));
        assert!(wrong(|e| e.signature = "\u{e6}".into()).contains("signature"));
    }

    #[test]
    fn a_token_is_never_printed() {
        let mut message = good();
        message.token = "planted.secret.token".into();
        let shown = format!("{:?}", Envelope::try_from(&message).unwrap());
        assert!(!shown.contains("planted"), "{shown}");
    }

    #[test]
    fn a_catalogue_request_with_unknown_fields_is_refused() {
        let mut bytes = wire::CatalogueRequest { envelope: Some(good()) }.encode_to_vec();
        assert!(catalogue_request(&bytes).is_ok());
        bytes.extend([0x7a, 0x01, b'x']); // field 15
        assert_eq!(catalogue_request(&bytes), Err(EnvelopeError::Malformed));
        assert_eq!(catalogue_request(&[]), Err(EnvelopeError::Missing));
    }
}
