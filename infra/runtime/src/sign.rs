//! Signed statements between parties: JWS in compact form (RFC 7515) with EdDSA over Ed25519 (RFC 8037). What was
//! signed is the exact bytes; they are kept, and never built again from what was parsed.
//!
//! INVARIANT: a verifier says which kind of statement (`typ`) it expects and which keys it trusts. The algorithm is
//! fixed; a header that says anything else, or more, is refused.

use crate::seal::{self, Passphrase, SealError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The longest statement read, bytes of its compact form.
pub const MAX_STATEMENT: usize = 1 << 20;

/// Why a signing key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// There is a key already.
    #[error("{}: a key is already there and is not overwritten", path.display())]
    Exists {
        /// which file
        path: PathBuf,
    },
    /// The file can't be read, opened or written.
    #[error("key {}: {cause}", path.display())]
    Sealed {
        /// which file
        path: PathBuf,
        /// why
        cause: SealError,
    },
    /// The file opens but holds something else.
    #[error("key {}: holds no signing key. Restore it from its backup", path.display())]
    Malformed {
        /// which file
        path: PathBuf,
    },
    /// The operating system gives no randomness.
    #[error("no key could be made: {0}")]
    Random(String),
}

/// A private signing key; wiped when dropped, never printed.
#[derive(ZeroizeOnDrop)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().fingerprint())
    }
}

impl SigningKey {
    /// A new key, in memory only.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, SigningKeyError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| SigningKeyError::Random(e.to_string()))?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// A new key in a new file, sealed under the passphrase for the use that `context` names.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn create(path: &Path, context: &str, pass: &Passphrase) -> Result<Self, SigningKeyError> {
        if path.exists() {
            return Err(SigningKeyError::Exists { path: path.to_owned() });
        }
        let key = Self::generate()?;
        key.save(path, context, pass)?;
        Ok(key)
    }

    /// Seals this key into a new file under the passphrase, for the use that `context` names.
    ///
    /// # Errors
    /// When the file exists or can't be written.
    pub fn save(&self, path: &Path, context: &str, pass: &Passphrase) -> Result<(), SigningKeyError> {
        if path.exists() {
            return Err(SigningKeyError::Exists { path: path.to_owned() });
        }
        let wrap = |cause| SigningKeyError::Sealed { path: path.to_owned(), cause };
        let mut seed = self.0.to_bytes();
        let sealed = seal::seal(pass, context, &seed);
        seed.zeroize();
        seal::write_private(path, &sealed.map_err(wrap)?)
            .map_err(|cause| wrap(SealError::Io { path: path.to_owned(), cause }))
    }

    /// The key of a sealed file.
    ///
    /// # Errors
    /// When it can't be read, others can read it, the passphrase is another, or it was sealed for another use.
    pub fn load(path: &Path, context: &str, pass: &Passphrase) -> Result<Self, SigningKeyError> {
        let wrap = |cause| SigningKeyError::Sealed { path: path.to_owned(), cause };
        let plain = seal::open(pass, context, &seal::read_private(path).map_err(wrap)?).map_err(wrap)?;
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(
            plain.as_slice().try_into().map_err(|_| SigningKeyError::Malformed { path: path.to_owned() })?,
        );
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// What others verify with.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// A signed statement of kind `typ` over exactly these bytes.
    #[must_use]
    pub fn sign(&self, typ: &str, payload: &[u8]) -> String {
        let header = Header { alg: "EdDSA".to_owned(), typ: typ.to_owned(), kid: self.public().fingerprint() };
        // A struct of three texts always has a JSON form.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let mut text = BASE64.encode(header);
        text.push('.');
        BASE64.encode_string(payload, &mut text);
        let signature = self.0.sign(text.as_bytes());
        text.push('.');
        BASE64.encode_string(signature.to_bytes(), &mut text);
        text
    }
}

/// A public key that statements are verified with: 32 bytes, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

/// A text that is no public key.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a public signing key: 64 hex digits, as the other party's own command prints them")]
pub struct VerifyingKeyError;

impl VerifyingKey {
    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// When they are no point of the curve, or one of small order (for which anybody can sign).
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, VerifyingKeyError> {
        match ed25519_dalek::VerifyingKey::from_bytes(bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(key)),
            _ => Err(VerifyingKeyError),
        }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Short form for people to compare, such as over the telephone: eight groups of four hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.to_bytes())
    }
}

/// Short form of public bytes for people to compare: the first 128 bits of their SHA-256, in eight groups of four hex digits.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    let digest = hex::encode(Sha256::digest(bytes));
    let groups: Vec<&str> = (0..8).filter_map(|i| digest.get(i * 4..i * 4 + 4)).collect();
    groups.join("-")
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

impl FromStr for VerifyingKey {
    type Err = VerifyingKeyError;

    fn from_str(text: &str) -> Result<Self, VerifyingKeyError> {
        let bytes = hex::decode(text.trim()).map_err(|_| VerifyingKeyError)?;
        Self::from_bytes(bytes.as_slice().try_into().map_err(|_| VerifyingKeyError)?)
    }
}

impl TryFrom<String> for VerifyingKey {
    type Error = VerifyingKeyError;

    fn try_from(text: String) -> Result<Self, VerifyingKeyError> {
        text.parse()
    }
}

impl From<VerifyingKey> for String {
    fn from(key: VerifyingKey) -> String {
        key.to_string()
    }
}

/// Why a statement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not a compact JWS with the header that this platform writes.
    #[error("not a signed statement of this platform")]
    Malformed,
    /// It is signed, but as something else.
    #[error("a statement of another kind: '{found}' where '{expected}' belongs")]
    Kind {
        /// what it is
        found: String,
        /// what was expected
        expected: String,
    },
    /// None of the trusted keys signed it.
    #[error("signed by nobody who is trusted here (key {kid})")]
    Untrusted {
        /// the fingerprint that it claims
        kid: String,
    },
    /// A trusted key is named, but the signature is not its.
    #[error("the signature does not fit: the statement was changed")]
    Signature,
}

/// A statement that a trusted key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// what was signed, byte by byte
    pub payload: Vec<u8>,
    /// by whom
    pub signer: VerifyingKey,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// Verifies a compact JWS: kind `typ`, signed by one of `trusted`.
///
/// # Errors
/// When it is anything else.
pub fn verify<'a>(
    compact: &str,
    typ: &str,
    trusted: impl IntoIterator<Item = &'a VerifyingKey>,
) -> Result<Statement, StatementError> {
    let (signed, payload, signature, header) = parts(compact).ok_or(StatementError::Malformed)?;
    if header.alg != "EdDSA" {
        return Err(StatementError::Malformed);
    }
    if header.typ != typ {
        let found = header.typ.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
        return Err(StatementError::Kind { found, expected: typ.to_owned() });
    }
    let signer = trusted.into_iter().find(|key| key.fingerprint() == header.kid).copied().ok_or_else(|| {
        StatementError::Untrusted { kid: header.kid.chars().filter(|c| c.is_ascii_graphic()).take(64).collect() }
    })?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    signer.0.verify_strict(signed.as_bytes(), &signature).map_err(|_| StatementError::Signature)?;
    Ok(Statement { payload, signer })
}

type Parts<'a> = (&'a str, Vec<u8>, [u8; 64], Header);

fn parts(compact: &str) -> Option<Parts<'_>> {
    if compact.len() > MAX_STATEMENT {
        return None;
    }
    let (signed, signature) = compact.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let header = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
    let signature = BASE64.decode(signature).ok()?.try_into().ok()?;
    Some((signed, BASE64.decode(payload).ok()?, signature, header))
}

/// The fingerprint of the key that a statement claims to be signed by. Nothing is verified.
#[must_use]
pub fn claimed_signer(compact: &str) -> Option<String> {
    parts(compact).map(|(_, _, _, header)| header.kid)
}

/// What a statement claims to say. Nothing is verified: good for finding the key to verify with, and for whoever only
/// passes statements on.
#[must_use]
pub fn claimed_payload(compact: &str) -> Option<Vec<u8>> {
    parts(compact).map(|(_, payload, _, _)| payload)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_exact_bytes_kind_and_key_are_believed() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let text = key.sign("eger-permit+jws", b"{\"a\":1}");
        let good = verify(&text, "eger-permit+jws", [&other.public(), &key.public()]).unwrap();
        assert_eq!((good.payload.as_slice(), good.signer), (b"{\"a\":1}".as_slice(), key.public()));
        assert!(matches!(verify(&text, "eger-revocation+jws", [&key.public()]), Err(StatementError::Kind { .. })));
        assert!(matches!(
            verify(&text, "eger-permit+jws", [&other.public()]),
            Err(StatementError::Untrusted { kid }) if kid == key.public().fingerprint()
        ));
        // every single character that changes makes it another statement
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&changed, "eger-permit+jws", [&key.public()]).is_err(), "character {at}");
        }
    }

    #[test]
    fn headers_that_choose_their_own_rules_are_refused() {
        let key = SigningKey::generate().unwrap();
        let kid = key.public().fingerprint();
        let forged = |header: &str| {
            let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode("{}"));
            let signature = key.0.sign(signed.as_bytes());
            format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
        };
        let good = forged(&format!(r#"{{"alg":"EdDSA","typ":"t","kid":"{kid}"}}"#));
        assert!(verify(&good, "t", [&key.public()]).is_ok());
        for header in [
            format!(r#"{{"alg":"none","typ":"t","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS256","typ":"t","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"t","kid":"{kid}","crit":["b64"],"b64":false}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"t","kid":"{kid}","jwk":{{}}}}"#),
            "{}".to_owned(),
        ] {
            assert_eq!(verify(&forged(&header), "t", [&key.public()]), Err(StatementError::Malformed), "{header}");
        }
    }

    #[test]
    fn a_key_comes_back_from_its_file_only_with_passphrase_and_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("approver.key");
        let pass = Passphrase::from_text("correct horse");
        let key = SigningKey::create(&path, "approver", &pass).unwrap();
        assert!(matches!(SigningKey::create(&path, "approver", &pass), Err(SigningKeyError::Exists { .. })));
        assert_eq!(SigningKey::load(&path, "approver", &pass).unwrap().public(), key.public());
        assert!(SigningKey::load(&path, "audit", &pass).is_err());
        assert!(SigningKey::load(&path, "approver", &Passphrase::from_text("x")).is_err());
        assert_eq!(key.public().to_string().parse::<VerifyingKey>().unwrap(), key.public());
        assert!("00".repeat(32).parse::<VerifyingKey>().is_err());
    }
}
