//! Session options. A session is one person on one connection; what it holds is the project chosen, and whether answers may be
//! partial. It ends with the access token that was last used in it, and when it has not been used for a day.
//!
//! INVARIANT: an option names a project; whether the caller belongs to it is asked at every request. Another person's token
//! on the same connection is another session.

use crate::identify::Caller;
use proto::ids::UserId;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Sessions remembered at once.
const MAX: usize = 10_000;
/// An unused session is forgotten.
const IDLE: Duration = Duration::from_secs(24 * 3600);

/// One person on one connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Session {
    user: UserId,
    issuer: String,
    connection: Option<SocketAddr>,
}

impl Session {
    pub(super) fn new(caller: &Caller, connection: Option<SocketAddr>) -> Self {
        Self { user: caller.user.clone(), issuer: caller.issuer.clone(), connection }
    }
}

#[derive(Debug)]
struct Options {
    used: Instant,
    /// the end of the token last used
    until: SystemTime,
    set: Set,
}

/// What was chosen; nothing of it yet in a new session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// the project
    pub(super) catalog: Option<String>,
    /// answers may do without members of national tables that can't be asked
    pub(super) allow_partial: bool,
}

impl Options {
    fn over(&self, idle: Duration) -> bool {
        self.used.elapsed() > idle || SystemTime::now() >= self.until
    }
}

/// The options of all sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    idle: Duration,
    all: Mutex<HashMap<Session, Options>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { idle: IDLE, all: Mutex::default() }
    }
}

impl Sessions {
    /// The project chosen; `until` is the end of the token that asks.
    pub(super) fn catalog(&self, session: &Session, until: SystemTime) -> Option<String> {
        self.get(session, until)?.catalog
    }

    /// Whether answers may be partial.
    pub(super) fn allow_partial(&self, session: &Session, until: SystemTime) -> bool {
        self.get(session, until).is_some_and(|set| set.allow_partial)
    }

    /// What was chosen, if anything was.
    pub(super) fn get(&self, session: &Session, until: SystemTime) -> Option<Set> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let options = all.get_mut(session)?;
        if options.over(self.idle) {
            all.remove(session);
            return None;
        }
        options.used = Instant::now();
        options.until = until;
        Some(options.set.clone())
    }

    /// Chooses something else.
    pub(super) fn change(&self, session: Session, until: SystemTime, how: impl FnOnce(&mut Set)) {
        let mut set = self.get(&session, until).unwrap_or_default();
        how(&mut set);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX {
            all.retain(|_, options| !options.over(self.idle));
        }
        if all.len() >= MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, options)| options.used).map(|(s, _)| s.clone())
        {
            all.remove(&oldest);
        }
        if set == Set::default() {
            all.remove(&session);
        } else {
            all.insert(session, Options { used: Instant::now(), until, set });
        }
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
    fn an_option_is_of_one_person_on_one_connection_and_is_forgotten() {
        let sessions = Sessions::default();
        let until = SystemTime::now() + IDLE;
        let of = |user, port| {
            let caller = Caller::for_tests(user, policies::zone::Zone::Open);
            Session::new(&caller, Some(SocketAddr::from(([127, 0, 0, 1], port))))
        };
        let catalog = |session: &Session| sessions.catalog(session, until);
        let choose = |sessions: &Sessions, session, until| {
            sessions.change(session, until, |set| set.catalog = Some("a".to_owned()));
        };
        choose(&sessions, of("anna", 1), until);
        assert_eq!(catalog(&of("anna", 1)).as_deref(), Some("a"));
        assert_eq!(catalog(&of("anna", 2)), None);
        assert_eq!(catalog(&of("bo", 1)), None);
        // One option is set beside another, and both are forgotten alone.
        assert!(!sessions.allow_partial(&of("anna", 1), until));
        sessions.change(of("anna", 1), until, |set| set.allow_partial = true);
        assert!(sessions.allow_partial(&of("anna", 1), until) && !sessions.allow_partial(&of("anna", 2), until));
        sessions.change(of("anna", 1), until, |set| set.catalog = None);
        assert_eq!(sessions.get(&of("anna", 1), until), Some(Set { catalog: None, allow_partial: true }));
        sessions.change(of("anna", 1), until, |set| *set = Set::default());
        assert_eq!(sessions.get(&of("anna", 1), until), None);
        // With the end of its token a session ends.
        choose(&sessions, of("anna", 3), SystemTime::now());
        assert_eq!(catalog(&of("anna", 3)), None);
        let hasty = Sessions { idle: Duration::ZERO, ..Sessions::default() };
        choose(&hasty, of("anna", 1), until);
        while hasty.catalog(&of("anna", 1), until).is_some() {}
        for port in 0..12_000 {
            choose(&sessions, of("anna", port), until);
        }
        assert!(sessions.all.lock().unwrap().len() <= MAX);
    }
}
