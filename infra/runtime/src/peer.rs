//! Names of the parties on a link: a URI in the certificate's subject alternative names, such as
//! `eger://spoke/region-h`. Host names and addresses mean nothing here.

use std::{fmt, str::FromStr};

/// What a party is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// plans and gathers
    Hub,
    /// holds one controller's data
    Spoke,
    /// evaluates pseudonyms blindly
    Custodian,
}

/// A party: its role and its name. Display and parsing use the URI form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// what it is
    pub role: Role,
    /// lower-case letters, digits and `-`; a spoke's is its controller's id
    pub name: String,
}

/// A text that names no party.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "'{0}' names no party: write eger://hub/NAME, eger://spoke/NAME or eger://custodian/NAME, NAME in lower-case letters, digits, '-' or '_'"
)]
pub struct PeerError(String);

impl Peer {
    /// A party by role and name.
    ///
    /// # Errors
    /// When the name is empty, longer than 63 characters or has other characters than `a-z 0-9 - _`.
    pub fn new(role: Role, name: &str) -> Result<Self, PeerError> {
        let fine = (1..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if fine { Ok(Self { role, name: name.to_owned() }) } else { Err(PeerError(name.to_owned())) }
    }

    /// The hub called `name`.
    ///
    /// # Errors
    /// As [`Peer::new`].
    pub fn hub(name: &str) -> Result<Self, PeerError> {
        Self::new(Role::Hub, name)
    }

    /// The spoke of controller `name`.
    ///
    /// # Errors
    /// As [`Peer::new`].
    pub fn spoke(name: &str) -> Result<Self, PeerError> {
        Self::new(Role::Spoke, name)
    }

    /// The custodian called `name`.
    ///
    /// # Errors
    /// As [`Peer::new`].
    pub fn custodian(name: &str) -> Result<Self, PeerError> {
        Self::new(Role::Custodian, name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hub => "hub",
            Self::Spoke => "spoke",
            Self::Custodian => "custodian",
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eger://{}/{}", self.role, self.name)
    }
}

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let wrong = || PeerError(text.to_owned());
        let (role, name) = text.strip_prefix("eger://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let role = match role {
            "hub" => Role::Hub,
            "spoke" => Role::Spoke,
            "custodian" => Role::Custodian,
            _ => return Err(wrong()),
        };
        Self::new(role, name).map_err(|_| wrong())
    }
}
