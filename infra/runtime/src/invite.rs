//! The one-time code by which a spoke joins its hub: where the hub's gateway is, how to know it, and a secret.
//!
//! Form: `eger1.` and base64url of `{"g": gateway, "f": SHA-256 of the authority (hex), "h": hub, "c": controller, "s": secret}`.
//!
//! INVARIANT: `Debug` and errors show nothing of the secret.

use crate::peer::Peer;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, str::FromStr};
use zeroize::{ZeroizeOnDrop, Zeroizing};

const PREFIX: &str = "eger1.";
/// The longest code that is looked at.
const MAX_CODE: usize = 2048;

/// A code, parsed.
pub struct Invite {
    /// `host:port` of the hub's gateway
    pub gateway: String,
    /// SHA-256 of the certificate (DER) of the authority that the gateway's own certificate comes from
    pub authority: [u8; 32],
    /// the hub
    pub hub: Peer,
    /// the spoke that is invited
    pub spoke: Peer,
    /// what proves the invitation
    pub secret: InviteSecret,
}

/// The secret of a code: 256 random bits. Wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct InviteSecret(Zeroizing<[u8; 32]>);

/// Why a text is no code.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("that is no code of `hub admin invite`: it begins with {PREFIX} and is one word. Copy all of it")]
pub struct InviteError;

#[derive(serde::Serialize, serde::Deserialize, ZeroizeOnDrop)]
struct Form {
    g: String,
    f: String,
    h: String,
    c: String,
    s: String,
}

impl InviteSecret {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        getrandom::fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// SHA-256 of it: what the hub keeps.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        Sha256::digest(self.0.as_slice()).into()
    }

    /// As it travels.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// From what [`InviteSecret::text`] gave.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }
}

impl Invite {
    /// The code's text.
    #[must_use]
    pub fn code(&self) -> Zeroizing<String> {
        let form = Form {
            g: self.gateway.clone(),
            f: hex::encode(self.authority),
            h: self.hub.name.clone(),
            c: self.spoke.name.clone(),
            s: self.secret.text().to_string(),
        };
        let json = Zeroizing::new(serde_json::to_vec(&form).unwrap_or_default());
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json.as_slice())))
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        if text.len() > MAX_CODE {
            return Err(InviteError);
        }
        let body = text.strip_prefix(PREFIX).ok_or(InviteError)?;
        let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| InviteError)?);
        let form: Form = serde_json::from_slice(&json).map_err(|_| InviteError)?;
        let authority = hex::decode(&form.f).ok().and_then(|f| f.try_into().ok()).ok_or(InviteError)?;
        let port = form.g.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            return Err(InviteError);
        }
        Ok(Self {
            gateway: form.g.clone(),
            authority,
            hub: Peer::hub(&form.h).map_err(|_| InviteError)?,
            spoke: Peer::spoke(&form.c).map_err(|_| InviteError)?,
            secret: InviteSecret::parse(&form.s).ok_or(InviteError)?,
        })
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite({} to {} at {})", self.spoke, self.hub, self.gateway)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_code_is_read_back_and_hides_its_secret() {
        let secret = InviteSecret::random().unwrap();
        let (hash, text) = (secret.hash(), secret.text());
        let invite = Invite {
            gateway: "hub.example.org:7003".to_owned(),
            authority: [7; 32],
            hub: Peer::hub("main").unwrap(),
            spoke: Peer::spoke("region-h").unwrap(),
            secret,
        };
        let code = invite.code();
        let read: Invite = format!("  {}\n", *code).parse().unwrap();
        assert_eq!((read.gateway.as_str(), read.authority), ("hub.example.org:7003", [7; 32]));
        assert_eq!(
            (read.hub.to_string(), read.spoke.to_string()),
            ("eger://hub/main".into(), "eger://spoke/region-h".into())
        );
        assert_eq!(read.secret.hash(), hash);
        assert!(!format!("{read:?}").contains(text.as_str()));
    }

    #[test]
    fn anything_else_is_refused_without_saying_what_it_was() {
        let form = |g: &str, s: &str| {
            let json = format!(r#"{{"g":"{g}","f":"{}","h":"main","c":"x","s":"{s}"}}"#, "00".repeat(32));
            format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
        };
        let good = URL_SAFE_NO_PAD.encode([1; 32]);
        assert!(form("h:1", &good).parse::<Invite>().is_ok());
        for text in [
            String::new(),
            "eger1.".to_owned(),
            "eger2.e30".to_owned(),
            "eger1.e30".to_owned(),
            form("nowhere", &good),
            form(":1", &good),
            form("h:1", "c2hvcnQ"),
            "x".repeat(4096),
        ] {
            let error = text.parse::<Invite>().unwrap_err();
            assert!(error.to_string().contains("hub admin invite"));
        }
    }
}
