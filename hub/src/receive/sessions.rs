//! Session options. A session is one connection of one token; what it holds is the project chosen, and it is forgotten
//! when it has not been used for a day.
//!
//! INVARIANT: an option names a project; whether the caller belongs to it is asked at every request.

use crate::identify::TokenId;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Sessions remembered at once.
const MAX: usize = 10_000;
/// An unused session is forgotten.
const IDLE: Duration = Duration::from_secs(24 * 3600);

/// One connection of one token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Session {
    pub(super) token: TokenId,
    pub(super) connection: Option<SocketAddr>,
}

/// The options of all sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    idle: Duration,
    all: Mutex<HashMap<Session, (Instant, String)>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { idle: IDLE, all: Mutex::default() }
    }
}

impl Sessions {
    pub(super) fn catalog(&self, session: &Session) -> Option<String> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let (used, catalog) = all.get_mut(session)?;
        if used.elapsed() > self.idle {
            all.remove(session);
            return None;
        }
        *used = Instant::now();
        Some(catalog.clone())
    }

    pub(super) fn set_catalog(&self, session: Session, catalog: Option<String>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX {
            all.retain(|_, (used, _)| used.elapsed() <= self.idle);
        }
        if all.len() >= MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, (used, _))| *used).map(|(s, _)| s.clone())
        {
            all.remove(&oldest);
        }
        match catalog {
            Some(catalog) => all.insert(session, (Instant::now(), catalog)),
            None => all.remove(&session),
        };
    }
}

/// The messages of `Flight.proto` about sessions, which the Arrow crate lacks.
pub(super) mod messages {
    use std::collections::HashMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(in crate::receive) struct SetSessionOptionsRequest {
        #[prost(map = "string, message", tag = "1")]
        pub(in crate::receive) session_options: HashMap<String, SessionOptionValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(in crate::receive) struct SessionOptionValue {
        #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
        pub(in crate::receive) option_value: Option<OptionValue>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(in crate::receive) enum OptionValue {
        #[prost(string, tag = "1")]
        String(String),
        #[prost(bool, tag = "2")]
        Bool(bool),
        #[prost(sfixed64, tag = "3")]
        Int64(i64),
        #[prost(double, tag = "4")]
        Double(f64),
        #[prost(message, tag = "5")]
        StringList(StringListValue),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(in crate::receive) struct StringListValue {
        #[prost(string, repeated, tag = "1")]
        pub(in crate::receive) values: Vec<String>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub(in crate::receive) enum ErrorValue {
        Unspecified = 0,
        InvalidName = 1,
        InvalidValue = 2,
        Error = 3,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(in crate::receive) struct OptionError {
        #[prost(enumeration = "ErrorValue", tag = "1")]
        pub(in crate::receive) value: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(in crate::receive) struct SetSessionOptionsResult {
        #[prost(map = "string, message", tag = "1")]
        pub(in crate::receive) errors: HashMap<String, OptionError>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(in crate::receive) struct GetSessionOptionsResult {
        #[prost(map = "string, message", tag = "1")]
        pub(in crate::receive) session_options: HashMap<String, SessionOptionValue>,
    }

    /// `status` 1: closed.
    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(in crate::receive) struct CloseSessionResult {
        #[prost(int32, tag = "1")]
        pub(in crate::receive) status: i32,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn an_option_is_of_one_connection_and_is_forgotten() {
        let sessions = Sessions::default();
        let at =
            |port| Session { token: TokenId::for_tests(), connection: Some(SocketAddr::from(([127, 0, 0, 1], port))) };
        sessions.set_catalog(at(1), Some("a".to_owned()));
        assert_eq!(sessions.catalog(&at(1)).as_deref(), Some("a"));
        assert_eq!(sessions.catalog(&at(2)), None);
        let hasty = Sessions { idle: Duration::ZERO, ..Sessions::default() };
        hasty.set_catalog(at(1), Some("a".to_owned()));
        while hasty.catalog(&at(1)).is_some() {}
        for port in 0..12_000 {
            sessions.set_catalog(at(port), Some("a".to_owned()));
        }
        assert!(sessions.all.lock().unwrap().len() <= MAX);
    }
}
