//! Tickets and handles: everything that a later call needs, sealed by the hub's ticket key. The hub keeps nothing
//! between two calls.
//!
//! INVARIANT: a ticket is redeemed only by the person it was made for (the same user of the same issuer), in the same zone,
//! before it and the access token that it was made with expire. One that was altered, and one of somebody else, get the
//! same answer.

use crate::identify::Caller;
use chrono::Utc;
use hmac::{Hmac, Mac};
use policies::zone::Zone;
use prost::Message;
use proto::refusal::{Kind, Refusal};
use sha2::Sha256;
use std::path::Path;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Length of the key file and of a seal.
const SEAL: usize = 32;
/// The longest ticket looked at.
const MAX_TICKET: usize = 4 << 20;

/// What a sealed thing is for: a handle can't be used as a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// to be redeemed by DoGet
    Ticket,
    /// names a prepared statement
    Prepared,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Ticket => b"eger.ticket.v1",
            Self::Prepared => b"eger.prepared.v1",
        }
    }
}

/// What is sealed.
#[derive(Clone, PartialEq, Message)]
pub struct Body {
    /// whose it is
    #[prost(string, tag = "1")]
    pub user: String,
    /// where it may be used
    #[prost(enumeration = "proto::wire::Zone", tag = "2")]
    pub zone: i32,
    /// which project it is about
    #[prost(string, tag = "3")]
    pub project: String,
    /// the query id that was given out with it
    #[prost(string, tag = "4")]
    pub query_id: String,
    /// seconds since 1970 after which it is refused
    #[prost(int64, tag = "5")]
    pub expires: i64,
    /// the statement
    #[prost(string, tag = "6")]
    pub sql: String,
    /// values of its parameters
    #[prost(bytes = "vec", tag = "7")]
    pub parameters: Vec<u8>,
    /// hash of the schema that was announced
    #[prost(bytes = "vec", tag = "8")]
    pub schema: Vec<u8>,
    /// who vouches for the user
    #[prost(string, tag = "9")]
    pub issuer: String,
    /// what `now()` said when it was announced, microseconds since 1970
    #[prost(sint64, tag = "10")]
    pub now: i64,
    /// digests of what was to be signed
    #[prost(string, repeated, tag = "11")]
    pub digests: Vec<String>,
    /// members of national tables that can't be asked may be left out
    #[prost(bool, tag = "12")]
    pub allow_partial: bool,
    /// the trace that it was announced in, so that its running stands in the same
    #[prost(string, tag = "13")]
    pub traceparent: String,
}

/// Seals and opens tickets.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Sealer(Zeroizing<Vec<u8>>);

/// Why there is no ticket key.
#[derive(Debug, thiserror::Error)]
pub enum TicketKeyError {
    /// The file can't be read or is readable by others.
    #[error("{}: {message}", path.display())]
    File {
        /// which file
        path: std::path::PathBuf,
        /// what is wrong
        message: String,
    },
}

impl Sealer {
    /// Reads the key, which `hub init` made.
    ///
    /// # Errors
    /// When the file is missing, readable by others or not 32 bytes long.
    pub fn load(path: &Path) -> Result<Self, TicketKeyError> {
        let bad = |message: String| TicketKeyError::File { path: path.to_owned(), message };
        let key = runtime::seal::read_private(path).map_err(|e| bad(e.to_string()))?;
        if key.len() != SEAL {
            return Err(bad(format!("is {} bytes long, not {SEAL}. Remove it and run `hub init` again", key.len())));
        }
        Ok(Self(key))
    }

    fn mac(&self, purpose: Purpose, payload: &[u8]) -> Result<Hmac<Sha256>, Refusal> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .map_err(|_| Refusal::new(Kind::Internal, "no ticket can be made"))?;
        mac.update(purpose.label());
        mac.update(payload);
        Ok(mac)
    }

    /// Seals a body.
    ///
    /// # Errors
    /// When it is too long.
    pub fn seal(&self, purpose: Purpose, body: &Body) -> Result<Vec<u8>, Refusal> {
        let mut bytes = body.encode_to_vec();
        if bytes.len() + SEAL > MAX_TICKET {
            return Err(Refusal::new(Kind::TooLarge, "the statement with its values is too long"));
        }
        let seal = self.mac(purpose, &bytes)?.finalize().into_bytes();
        bytes.extend_from_slice(&seal);
        Ok(bytes)
    }

    /// Opens what this hub sealed for this caller.
    ///
    /// # Errors
    /// When it was altered, is somebody else's or another zone's, or expired.
    pub fn open(&self, purpose: Purpose, sealed: &[u8], caller: &Caller) -> Result<Body, Refusal> {
        let what = match purpose {
            Purpose::Ticket => "ticket",
            Purpose::Prepared => "prepared statement",
        };
        let invalid =
            || Refusal::new(Kind::Denied, format!("this {what} is not valid for you. Run the statement again"));
        let split = sealed.len().checked_sub(SEAL).filter(|_| sealed.len() <= MAX_TICKET).ok_or_else(invalid)?;
        let (payload, seal) = sealed.split_at(split);
        self.mac(purpose, payload)?.verify_slice(seal).map_err(|_| invalid())?;
        let body = Body::decode(payload).map_err(|_| invalid())?;
        let mine = body.user == caller.user.as_ref()
            && body.issuer == caller.issuer
            && Zone::from_wire(body.zone) == Some(caller.zone);
        if !mine {
            return Err(invalid());
        }
        if Utc::now().timestamp() >= body.expires {
            return Err(Refusal::new(Kind::Denied, format!("this {what} has expired. Run the statement again")));
        }
        Ok(body)
    }

    #[cfg(test)]
    pub(crate) fn for_tests(key: u8) -> Self {
        Self(Zeroizing::new(vec![key; SEAL]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn caller(user: &str, zone: Zone) -> Caller {
        Caller::for_tests(user, zone)
    }

    fn body(expires_in: i64) -> Body {
        let anna = caller("anna", Zone::Open);
        Body {
            user: anna.user.to_string(),
            issuer: anna.issuer,
            zone: Zone::Open.to_wire().into(),
            project: "a".to_owned(),
            expires: Utc::now().timestamp() + expires_in,
            sql: "SELECT 1".to_owned(),
            ..Body::default()
        }
    }

    #[test]
    fn the_key_of_tickets_is_wiped_when_dropped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<Sealer>();
    }

    #[test]
    fn only_the_right_caller_opens_it_and_only_in_time() {
        let sealer = Sealer::for_tests(1);
        let ticket = sealer.seal(Purpose::Ticket, &body(60)).unwrap();
        let open = |sealer: &Sealer, purpose, ticket: &[u8], caller: &Caller| {
            sealer.open(purpose, ticket, caller).map_err(|r| (r.kind, r.message))
        };
        let anna = caller("anna", Zone::Open);
        assert_eq!(open(&sealer, Purpose::Ticket, &ticket, &anna).unwrap().sql, "SELECT 1");
        // Another token of the same person.
        let fresh = Caller { token: proto::envelope::Proof::new("another"), ..caller("anna", Zone::Open) };
        assert!(open(&sealer, Purpose::Ticket, &ticket, &fresh).is_ok());
        let namesake = Caller { issuer: "https://other.example.org".to_owned(), ..caller("anna", Zone::Open) };

        let tampered: Vec<u8> = ticket.iter().enumerate().map(|(i, b)| if i == 3 { b ^ 1 } else { *b }).collect();
        let answer = open(&sealer, Purpose::Ticket, &tampered, &anna).unwrap_err();
        for other in [
            open(&sealer, Purpose::Ticket, &ticket, &caller("bo", Zone::Open)),
            open(&sealer, Purpose::Ticket, &ticket, &namesake),
            open(&sealer, Purpose::Ticket, &ticket, &caller("anna", Zone::Enclave)),
            open(&Sealer::for_tests(2), Purpose::Ticket, &ticket, &anna),
            open(&sealer, Purpose::Ticket, &ticket[..ticket.len() - 1], &anna),
            open(&sealer, Purpose::Ticket, b"", &anna),
        ] {
            assert_eq!(other.unwrap_err(), answer);
        }
        assert!(open(&sealer, Purpose::Prepared, &ticket, &anna).unwrap_err().1.contains("not valid"));

        let late = sealer.seal(Purpose::Ticket, &body(-1)).unwrap();
        let expired = open(&sealer, Purpose::Ticket, &late, &anna).unwrap_err();
        assert!(expired.1.contains("expired"), "{expired:?}");
    }
}
