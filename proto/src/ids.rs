//! Ids as types of their own: parsed once at the edge, trusted afterwards.
//!
//! INVARIANT: an error never repeats the rejected value; somebody may have typed a person number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A value that is not an id of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {rule}")]
pub struct IdError {
    kind: &'static str,
    rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $valid:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(IdError { kind: $kind, rule: $rule })
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// `^[a-z][a-z0-9 extra]{0,62}$`
fn name_with(text: &str, extra: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let lower = |b: &u8| b.is_ascii_lowercase();
    bytes.len() <= 63
        && bytes.first().is_some_and(lower)
        && bytes.iter().all(|b| lower(b) || b.is_ascii_digit() || extra.contains(b))
}

text_id! {
    /// A data controller: the name of its spoke and of its schema in SQL.
    ControllerId, "controller id", |t| name_with(t, b"_-"),
    "1 to 63 characters, a to z first, then a to z, 0 to 9, '_' and '-'"
}
text_id! {
    /// An organisation whose people check what leaves the secure processing environment.
    OrganisationId, "organisation", |t| name_with(t, b"_-"),
    "1 to 63 characters, a to z first, then a to z, 0 to 9, '_' and '-'"
}
text_id! {
    /// A project: the name of its catalog in SQL.
    ProjectId, "project id", |t| name_with(t, b"_-"),
    "1 to 63 characters, a to z first, then a to z, 0 to 9, '_' and '-'"
}
impl ProjectId {
    /// The name under which controllers let people be counted without a project. No application can have it.
    pub const QUICK_TEST: &str = "quick-test";

    /// The standing group of the controllers that take part in quick tests.
    #[must_use]
    pub fn quick_test() -> Self {
        Self(Self::QUICK_TEST.to_owned())
    }

    /// Whether it is that group, and no project.
    #[must_use]
    pub fn is_quick_test(&self) -> bool {
        self.0 == Self::QUICK_TEST
    }
}

text_id! {
    /// A published table.
    TableName, "table name", |t| name_with(t, b"_"),
    "1 to 63 characters, a to z first, then a to z, 0 to 9 and '_'"
}
text_id! {
    /// Who asks: an e-mail address or a short name.
    UserId, "user id",
    |t| (1..=128).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b)),
    "1 to 128 characters of A to Z, a to z, 0 to 9, '.', '_', '@', '+' and '-'"
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// A new id; ids sort by the time they were made.
            #[allow(clippy::new_without_default)] // each call gives another id: that is not a default
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                // one spelling only, so that a log is searched with one text
                match Uuid::try_parse(text) {
                    Ok(id) if id.get_version_num() == 7 && id.to_string() == text => Ok(Self(id)),
                    _ => Err(IdError { kind: $kind, rule: "a UUID of version 7, lower case, with hyphens" }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

uuid_id! {
    /// One query, the same on every side and in every log line.
    QueryId, "query id"
}
uuid_id! {
    /// One controller's signed permit. An amendment is another permit with an id of its own.
    PermitId, "permit id"
}
uuid_id! {
    /// One controller's part of an application.
    PartId, "part id"
}
uuid_id! {
    /// One application. An amendment is another one of the same project.
    ApplicationId, "application id"
}
uuid_id! {
    /// One submission to the airlock. A resubmission is another one, which names the earlier.
    SubmissionId, "submission id"
}

impl SubmissionId {
    /// A new id that tells the day on which it was made (UTC), and not when on that day: who makes it chooses the moment, and
    /// others read the id. Ids of one day sort by chance.
    #[must_use]
    pub fn of_day(day: chrono::NaiveDate) -> Self {
        let start = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
        let mut bytes = *Uuid::new_v4().as_bytes();
        for (byte, of_day) in bytes.iter_mut().zip(start.to_be_bytes().into_iter().skip(2)) {
            *byte = of_day;
        }
        let built = uuid::Builder::from_bytes(bytes).with_variant(uuid::Variant::RFC4122);
        Self(built.with_version(uuid::Version::SortRand).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn names_follow_their_rule() {
        for good in ["a", "region-h", "a1_b", &"a".repeat(63)] {
            assert_eq!(good.parse::<ControllerId>().unwrap().as_str(), good);
        }
        for bad in ["", "1a", "A", "a b", "æ", "a/..", "-a", &"a".repeat(64)] {
            assert!(bad.parse::<ProjectId>().is_err(), "{bad}");
        }
        assert!("region-h".parse::<TableName>().is_err());
        assert!("anna@example.org".parse::<UserId>().is_ok());
        assert!("anna example".parse::<UserId>().is_err());
    }

    #[test]
    fn errors_do_not_repeat_the_value() {
        let error = "0101011234".parse::<ProjectId>().unwrap_err();
        assert!(!error.to_string().contains("0101011234"), "{error}");
    }

    #[test]
    fn ids_of_a_day_tell_the_day_and_no_moment() {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let (one, two) = (SubmissionId::of_day(day), SubmissionId::of_day(day));
        let told = |id: SubmissionId| id.0.get_timestamp().unwrap().to_unix();
        assert_ne!(one, two);
        assert_eq!((told(one), told(two)), ((1_772_323_200, 0), (1_772_323_200, 0)));
        assert!(SubmissionId::of_day(day.succ_opt().unwrap()) > one);
        assert_eq!(one.to_string().parse::<SubmissionId>().unwrap(), one);
    }

    #[test]
    fn query_ids_sort_by_time_and_read_back() {
        let (first, second) = (QueryId::new(), QueryId::new());
        assert!(first <= second);
        assert_eq!(first.to_string().parse::<QueryId>().unwrap(), first);
        assert!("67e55044-10b1-426f-9247-bb680e5fe0c8".parse::<QueryId>().is_err());
        assert!(first.to_string().to_uppercase().parse::<QueryId>().is_err());
    }

    #[test]
    fn serde_parses_instead_of_trusting() {
        assert!(serde_json::from_str::<TableName>("\"lmdb\"").is_ok());
        assert!(serde_json::from_str::<TableName>("\"../x\"").is_err());
    }
}
