//! The fragment: what the hub may ask a spoke. Reading it from bytes, checking it, showing it.
//!
//! INVARIANT: no panic and no unbounded work on any bytes; what this version does not know is refused by
//! name, never passed over. The query engine is not used here.

use prost::Message;

use crate::envelope::{Envelope, EnvelopeError};
use crate::refusal::{Kind, Refusal};
use crate::wire;

pub mod build;
mod check;
pub mod functions;
mod keys;
mod literal;
mod reads;
mod text;

pub use check::check;
#[cfg(feature = "plan")]
pub(crate) use check::check_expr;
pub use reads::reads;
pub use text::{Literals, text};

/// The only version of the fragment so far.
pub const VERSION: u32 = 1;

/// How big a fragment may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole request without its key lists. Decoding takes up to about 100 times that in memory (of empty
    /// expressions, two bytes each).
    pub max_bytes: usize,
    /// Messages nested in each other. Never more than 100 are read, whatever stands here.
    pub max_depth: usize,
    /// Relations, expressions and constants together.
    pub max_nodes: usize,
    /// Elements of any one list.
    pub max_list: usize,
    /// Bytes of any one text or binary constant.
    pub max_text: usize,
    /// Bytes of all key lists together, beside the fragment; of numbers and texts an eighth of that.
    pub max_keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 512 * 1024,
            max_depth: 90,
            max_nodes: 20_000,
            max_list: 10_000,
            max_text: 8 * 1024,
            max_keys: 48 << 20,
        }
    }
}

/// Why a fragment is not accepted. Names what is unknown or too big; holds no constant of the question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// More bytes than are read.
    #[error("the request has {bytes} bytes; at most {limit} are read")]
    TooManyBytes {
        /// Bytes sent.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// No protobuf message of this kind.
    #[error("{0}")]
    Malformed(prost::DecodeError),
    /// Fields that this version does not know, or an encoding that no sender of ours writes.
    #[error("the request holds fields that this version does not know")]
    UnknownFields,
    /// Nested too deeply.
    #[error("the fragment nests more than {limit} levels deep")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// Too many relations, expressions and constants.
    #[error("the fragment has more than {limit} nodes")]
    TooManyNodes {
        /// Nodes allowed.
        limit: usize,
    },
    /// A list is too long.
    #[error("{what} has {length} elements; at most {limit} are allowed")]
    TooLong {
        /// The list.
        what: &'static str,
        /// Its length.
        length: usize,
        /// The length allowed.
        limit: usize,
    },
    /// A text or binary constant is too long.
    #[error("{what} has {length} bytes; at most {limit} are allowed")]
    TextTooLong {
        /// The field.
        what: &'static str,
        /// Its length.
        length: usize,
        /// The length allowed.
        limit: usize,
    },
    /// Another version.
    #[error("version {0} of the fragment is not known here; this side reads version 1")]
    Version(u32),
    /// A part that must be there is not, or is of a kind that this version does not know.
    #[error("{0} is missing, or of a kind that this version does not know")]
    Missing(&'static str),
    /// An enum value that this version does not know.
    #[error("{what} {value} is not known here")]
    Unknown {
        /// The enum.
        what: &'static str,
        /// The value sent.
        value: i32,
    },
    /// A part is not what it must be.
    #[error("{what}: {rule}")]
    Invalid {
        /// The part.
        what: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A function that is not on the allow-list.
    #[error("function {0} is not known here")]
    Function(String),
    /// A function is called in a way that is not allowed.
    #[error("function {function}: {rule}")]
    Arguments {
        /// The function.
        function: &'static str,
        /// The rule that the call breaks.
        rule: String,
    },
    /// A table that does not exist for this request.
    #[error("table {0} does not exist here")]
    Table(String),
    /// A column that does not exist in the input.
    #[error("column {0} does not exist here")]
    Column(String),
    /// A list of keys that did not come along.
    #[error("key list {0} did not come with the question")]
    KeyList(u32),
    /// The parts do not fit each other's types.
    #[error("the fragment's {0} does not fit the types of its input")]
    Mismatch(&'static str),
    /// The envelope is wrong.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl From<FragmentError> for Refusal {
    fn from(error: FragmentError) -> Refusal {
        let kind = match error {
            FragmentError::TooManyBytes { .. }
            | FragmentError::TooDeep { .. }
            | FragmentError::TooManyNodes { .. }
            | FragmentError::TooLong { .. }
            | FragmentError::TextTooLong { .. } => Kind::TooLarge,
            FragmentError::Table(_) | FragmentError::Column(_) => Kind::NotFound,
            _ => Kind::Invalid,
        };
        Refusal::new(kind, error.to_string())
    }
}

/// Ways of compressing that one request may name. Those that are not known are skipped, so that a newer hub can name more.
const MAX_ACCEPTS: usize = 16;

/// Reads a ticket: envelope and fragment, both checked.
pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<wire::ScanRequest, FragmentError> {
    // Before anything is built of it: what is no list of pseudonyms takes far more memory than bytes.
    let too_many = |bytes, limit| Err(FragmentError::TooManyBytes { bytes, limit });
    match keys::sizes(bytes) {
        Some(sizes) if sizes.question > limits.max_bytes => return too_many(sizes.question, limits.max_bytes),
        Some(sizes) if sizes.values > limits.max_keys / 8 => return too_many(sizes.values, limits.max_keys / 8),
        Some(sizes) if bytes.len() - sizes.question > limits.max_keys => {
            return too_many(bytes.len() - sizes.question, limits.max_keys);
        }
        Some(_) => {}
        // The decoder says what is wrong with it.
        None if bytes.len() <= limits.max_bytes => {}
        None => return too_many(bytes.len(), limits.max_bytes),
    }
    let request = wire::ScanRequest::decode(bytes).map_err(malformed)?;
    keys::check_all(&request.keys)?;
    if request.versions.len() > limits.max_list {
        let length = request.versions.len();
        return Err(FragmentError::TooLong { what: "ScanRequest.versions", length, limit: limits.max_list });
    }
    let envelope = request.envelope.as_ref().ok_or(EnvelopeError::Missing)?;
    Envelope::try_from(envelope)?;
    if !matches!(request.schema_fingerprint.len(), 0 | 32) {
        return Err(FragmentError::Invalid { what: "schema_fingerprint", rule: "must be empty or 32 bytes" });
    }
    if request.accepts.len() > MAX_ACCEPTS {
        return Err(FragmentError::TooLong {
            what: "ScanRequest.accepts",
            length: request.accepts.len(),
            limit: MAX_ACCEPTS,
        });
    }
    let fragment = request.fragment.as_ref().ok_or(FragmentError::Missing("fragment"))?;
    check(fragment, limits)?;
    // Protobuf skips unknown fields in silence: an option that a newer hub relies on would be lost and the
    // answer would be wrong. Whatever is not exactly what we would have written is refused.
    if request.encode_to_vec() != bytes {
        return Err(FragmentError::UnknownFields);
    }
    Ok(request)
}

fn malformed(error: prost::DecodeError) -> FragmentError {
    // the kind of a decode error is private to prost
    if error.to_string().ends_with("recursion limit reached") {
        return FragmentError::TooDeep { limit: check::MAX_DEPTH };
    }
    FragmentError::Malformed(error)
}

#[cfg(test)]
mod tests;
