//! How one party says no to another.
//!
//! INVARIANT: the only place that builds a [`tonic::Status`]. `message` is what the outside reads: it says
//! what to do and holds no data value; what only the log may know is logged by whoever refuses.

use std::fmt;

use tonic::{Code, Status};

/// What kind of no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nobody known is asking.
    Unauthenticated,
    /// Known, but may not. The same for what does not exist, where existence itself is a secret.
    Denied,
    /// Does not exist.
    NotFound,
    /// The request makes no sense.
    Invalid,
    /// It was planned by what is no longer so: another key, another permit, other columns. Planned anew it may be answered.
    Stale,
    /// The request, or its answer, is over a limit of size.
    TooLarge,
    /// Out of memory, slots or quota at the moment.
    Exhausted,
    /// Not reachable, or shutting down.
    Unavailable,
    /// Not done by the deadline.
    Deadline,
    /// The caller went away.
    Cancelled,
    /// A fault of ours.
    Internal,
}

impl Kind {
    fn code(self) -> Code {
        match self {
            Kind::Unauthenticated => Code::Unauthenticated,
            Kind::Denied => Code::PermissionDenied,
            Kind::NotFound => Code::NotFound,
            Kind::Invalid => Code::InvalidArgument,
            // A side that doesn't know of it reads a request that makes no sense.
            Kind::Stale => Code::FailedPrecondition,
            Kind::TooLarge => Code::OutOfRange, // what tonic itself says of a too large message
            Kind::Exhausted => Code::ResourceExhausted,
            Kind::Unavailable => Code::Unavailable,
            Kind::Deadline => Code::DeadlineExceeded,
            Kind::Cancelled => Code::Cancelled,
            Kind::Internal => Code::Internal,
        }
    }

    fn of(code: Code) -> Self {
        match code {
            Code::Unauthenticated => Kind::Unauthenticated,
            Code::PermissionDenied => Kind::Denied,
            Code::NotFound => Kind::NotFound,
            Code::InvalidArgument | Code::Unimplemented => Kind::Invalid,
            Code::FailedPrecondition => Kind::Stale,
            Code::OutOfRange => Kind::TooLarge,
            Code::ResourceExhausted => Kind::Exhausted,
            Code::Unavailable | Code::Aborted => Kind::Unavailable,
            Code::DeadlineExceeded => Kind::Deadline,
            Code::Cancelled => Kind::Cancelled,
            Code::Ok | Code::Unknown | Code::AlreadyExists | Code::DataLoss | Code::Internal => Kind::Internal,
        }
    }
}

/// A no, with the message that the outside reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of no.
    pub kind: Kind,
    /// What the outside reads.
    pub message: String,
}

impl Refusal {
    /// A refusal of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Whether the same request may succeed a little later.
    pub fn retryable(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Exhausted)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Status {
    #[allow(clippy::disallowed_methods)] // here and nowhere else
    fn from(refusal: Refusal) -> Status {
        Status::new(refusal.kind.code(), refusal.message)
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        Refusal::new(Kind::of(status.code()), status.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in [
            Kind::Unauthenticated,
            Kind::Denied,
            Kind::NotFound,
            Kind::Invalid,
            Kind::Stale,
            Kind::TooLarge,
            Kind::Exhausted,
            Kind::Unavailable,
            Kind::Deadline,
            Kind::Cancelled,
            Kind::Internal,
        ] {
            let refusal = Refusal::new(kind, "why");
            assert_eq!(Refusal::from(Status::from(refusal.clone())), refusal);
        }
    }

    #[test]
    fn only_passing_trouble_is_worth_another_try() {
        assert!(Refusal::new(Kind::Unavailable, "").retryable());
        assert!(!Refusal::new(Kind::Denied, "").retryable());
        assert!(!Refusal::new(Kind::Deadline, "").retryable());
    }
}
