//! The key that a person's access token is bound to (RFC 9449): kept by the person's own program, named in the token by
//! its thumbprint (`cnf.jkt`, RFC 7638). What it signs is a compact JWS whose header carries the public key; whoever
//! verifies compares that key's thumbprint with the token's.
//!
//! INVARIANT: Ed25519 and P-256 only, one algorithm for each; a header that says anything else, or more, is refused. A
//! private key is never printed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::Signer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The longest signed text read, bytes.
pub const MAX_SIGNED: usize = 16 << 10;

/// Why a key or a signature can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// No key could be made, or one can't sign.
    #[error("no key for signing: {0}")]
    Key(String),
    /// Not what this module writes.
    #[error("not a signature of this kind")]
    Malformed,
    /// The public key in the header did not make this signature.
    #[error("the signature does not fit")]
    Signature,
}

/// Which kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519, `EdDSA`
    EdDsa,
    /// ECDSA over P-256 with SHA-256
    Es256,
}

impl Algorithm {
    /// As in a JWS header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }
}

/// A public key as JWK, with the members that its thumbprint is made of and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicJwk {
    crv: String,
    kty: String,
    x: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl PublicJwk {
    /// SHA-256 thumbprint (RFC 7638), as in a token's `cnf.jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // The members in the order of their names: the canonical form.
        let text = serde_json::to_vec(self).unwrap_or_default();
        BASE64.encode(Sha256::digest(text))
    }

    /// Which algorithm the key is for; none when it isn't a key of this platform.
    fn algorithm(&self) -> Option<Algorithm> {
        let whole = |part: &str| BASE64.decode(part).is_ok_and(|bytes| bytes.len() == 32);
        match (self.kty.as_str(), self.crv.as_str(), self.y.as_deref()) {
            ("OKP", "Ed25519", None) if whole(&self.x) => Some(Algorithm::EdDsa),
            ("EC", "P-256", Some(y)) if whole(&self.x) && whole(y) => Some(Algorithm::Es256),
            _ => None,
        }
    }

    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &str) -> Option<bool> {
        match algorithm {
            Algorithm::EdDsa => {
                let point: [u8; 32] = BASE64.decode(&self.x).ok()?.try_into().ok()?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(&point).ok().filter(|key| !key.is_weak())?;
                let signature: [u8; 64] = BASE64.decode(signature).ok()?.try_into().ok()?;
                Some(key.verify_strict(signed, &ed25519_dalek::Signature::from_bytes(&signature)).is_ok())
            }
            Algorithm::Es256 => {
                // Both halves in full, and nothing after them.
                BASE64.decode(signature).ok().filter(|bytes| bytes.len() == 64)?;
                let key = jsonwebtoken::DecodingKey::from_ec_components(&self.x, self.y.as_deref()?).ok()?;
                let good = jsonwebtoken::crypto::verify(signature, signed, &key, jsonwebtoken::Algorithm::ES256);
                Some(good.unwrap_or(false))
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    jwk: PublicJwk,
}

/// A private key; wiped when dropped, never printed.
#[derive(ZeroizeOnDrop)]
pub struct BindingKey {
    private: Private,
    #[zeroize(skip)]
    public: PublicJwk,
}

#[derive(ZeroizeOnDrop)]
enum Private {
    EdDsa(ed25519_dalek::SigningKey),
    /// PKCS #8
    Es256(Zeroizing<Vec<u8>>),
}

/// A private key as it is kept in its owner's file.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[zeroize(skip)]
    alg: String,
    secret: String,
}

impl fmt::Debug for BindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BindingKey({})", self.thumbprint())
    }
}

impl BindingKey {
    /// A new key.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, BindingError> {
        let private = match algorithm {
            Algorithm::EdDsa => {
                let mut seed = Zeroizing::new([0u8; 32]);
                getrandom::fill(seed.as_mut()).map_err(|e| BindingError::Key(e.to_string()))?;
                Private::EdDsa(ed25519_dalek::SigningKey::from_bytes(&seed))
            }
            Algorithm::Es256 => {
                let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                    .map_err(|e| BindingError::Key(e.to_string()))?;
                Private::Es256(Zeroizing::new(pair.serialize_der()))
            }
        };
        Self::of(private)
    }

    fn of(private: Private) -> Result<Self, BindingError> {
        let jwk = |kty: &str, crv: &str, x: &[u8], y: Option<&[u8]>| PublicJwk {
            crv: crv.to_owned(),
            kty: kty.to_owned(),
            x: BASE64.encode(x),
            y: y.map(|y| BASE64.encode(y)),
        };
        let public = match &private {
            Private::EdDsa(key) => jwk("OKP", "Ed25519", key.verifying_key().as_bytes(), None),
            Private::Es256(der) => {
                let bad = || BindingError::Key("not a P-256 key".to_owned());
                let der = rcgen::KeyPair::try_from(der.as_slice()).map_err(|_| bad())?;
                // 4, then both coordinates: a point in full.
                let ([4, point @ ..], true) = (der.public_key_raw(), der.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256))
                else {
                    return Err(bad());
                };
                let (x, y) = point.split_at_checked(32).filter(|(_, y)| y.len() == 32).ok_or_else(bad)?;
                jwk("EC", "P-256", x, Some(y))
            }
        };
        Ok(Self { private, public })
    }

    /// The key's other half.
    #[must_use]
    pub fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// The public key's thumbprint, as in a token's `cnf.jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.public.thumbprint()
    }

    /// Which kind of key it is.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.private {
            Private::EdDsa(_) => Algorithm::EdDsa,
            Private::Es256(_) => Algorithm::Es256,
        }
    }

    /// A compact JWS of kind `typ` over exactly these bytes, the public key in its header.
    ///
    /// # Errors
    /// When the key can't sign.
    pub fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, BindingError> {
        let header = Header { alg: self.algorithm().name().to_owned(), typ: typ.to_owned(), jwk: self.public.clone() };
        let header = serde_json::to_vec(&header).map_err(|e| BindingError::Key(e.to_string()))?;
        let mut text = BASE64.encode(header);
        text.push('.');
        BASE64.encode_string(payload, &mut text);
        let signature = match &self.private {
            Private::EdDsa(key) => BASE64.encode(key.sign(text.as_bytes()).to_bytes()),
            Private::Es256(der) => {
                let key = jsonwebtoken::EncodingKey::from_ec_der(der);
                jsonwebtoken::crypto::sign(text.as_bytes(), &key, jsonwebtoken::Algorithm::ES256)
                    .map_err(|e| BindingError::Key(e.to_string()))?
            }
        };
        text.push('.');
        text.push_str(&signature);
        Ok(text)
    }

    /// The private key as text, for a file that its owner alone can read.
    ///
    /// # Errors
    /// Never in practice: two texts always have a JSON form.
    pub fn to_secret(&self) -> Result<Zeroizing<String>, BindingError> {
        let secret = match &self.private {
            Private::EdDsa(key) => BASE64.encode(key.as_bytes()),
            Private::Es256(der) => BASE64.encode(der.as_slice()),
        };
        let kept = Kept { alg: self.algorithm().name().to_owned(), secret };
        serde_json::to_string(&kept).map(Zeroizing::new).map_err(|e| BindingError::Key(e.to_string()))
    }

    /// The key of such a text.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_secret(text: &str) -> Result<Self, BindingError> {
        let bad = || BindingError::Key("the file holds no such key. Sign in again (hub login)".to_owned());
        let kept: Kept = serde_json::from_str(text).map_err(|_| bad())?;
        let secret = Zeroizing::new(BASE64.decode(&kept.secret).map_err(|_| bad())?);
        Self::of(match kept.alg.as_str() {
            "EdDSA" => {
                let seed: Zeroizing<[u8; 32]> = Zeroizing::new(secret.as_slice().try_into().map_err(|_| bad())?);
                Private::EdDsa(ed25519_dalek::SigningKey::from_bytes(&seed))
            }
            "ES256" => Private::Es256(secret),
            _ => return Err(bad()),
        })
    }
}

/// Something that the holder of a key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// what was signed, byte by byte
    pub payload: Vec<u8>,
    /// the thumbprint of the key that signed it
    pub thumbprint: String,
}

/// Verifies a compact JWS of kind `typ` with the key in its own header. It says nothing until the thumbprint is compared
/// with one that is known.
///
/// # Errors
/// When it is anything else.
pub fn verify(compact: &str, typ: &str) -> Result<Signed, BindingError> {
    let malformed = BindingError::Malformed;
    if compact.len() > MAX_SIGNED {
        return Err(malformed);
    }
    let (signed, signature) = compact.rsplit_once('.').ok_or(malformed.clone())?;
    let (header, payload) = signed.split_once('.').ok_or(malformed.clone())?;
    let header = BASE64.decode(header).map_err(|_| malformed.clone())?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| malformed.clone())?;
    let payload = BASE64.decode(payload).map_err(|_| malformed.clone())?;
    let algorithm = header.jwk.algorithm().ok_or(malformed.clone())?;
    if header.typ != typ || header.alg != algorithm.name() {
        return Err(malformed);
    }
    match header.jwk.verify(algorithm, signed.as_bytes(), signature) {
        Some(true) => Ok(Signed { payload, thumbprint: header.jwk.thumbprint() }),
        Some(false) => Err(BindingError::Signature),
        None => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_thumbprint_is_the_standards_own() {
        // RFC 8037, appendix A.3
        let jwk: PublicJwk =
            serde_json::from_str(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)
                .unwrap();
        assert_eq!(jwk.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn both_kinds_of_key_sign_come_back_from_their_text_and_are_not_printed() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let key = BindingKey::generate(algorithm).unwrap();
            let text = key.sign("t", b"payload").unwrap();
            let signed = verify(&text, "t").unwrap();
            assert_eq!((signed.payload.as_slice(), &signed.thumbprint), (b"payload".as_slice(), &key.thumbprint()));
            let secret = key.to_secret().unwrap();
            let again = BindingKey::from_secret(&secret).unwrap();
            assert_eq!((again.public(), again.algorithm()), (key.public(), algorithm));
            let kept: Kept = serde_json::from_str(&secret).unwrap();
            assert!(!format!("{key:?}").contains(&kept.secret));
            assert!(verify(&text, "u").is_err());
            // every single character that changes makes it another text
            for at in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(bytes).unwrap();
                assert!(verify(&changed, "t").is_err(), "{algorithm:?}, character {at}");
            }
        }
        assert!(BindingKey::from_secret("{}").is_err());
    }

    #[test]
    fn hostile_headers_that_choose_their_own_rules_are_refused() {
        let key = BindingKey::generate(Algorithm::EdDsa).unwrap();
        let Private::EdDsa(private) = &key.private else { unreachable!() };
        let forged = |header: &str| {
            let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode("{}"));
            format!("{signed}.{}", BASE64.encode(private.sign(signed.as_bytes()).to_bytes()))
        };
        let x = &key.public.x;
        let jwk = format!(r#""jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
        assert!(verify(&forged(&format!(r#"{{"alg":"EdDSA","typ":"t",{jwk}}}"#)), "t").is_ok());
        for header in [
            format!(r#"{{"alg":"none","typ":"t",{jwk}}}"#),
            format!(r#"{{"alg":"HS256","typ":"t",{jwk}}}"#),
            format!(r#"{{"alg":"ES256","typ":"t",{jwk}}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"t","kid":"1",{jwk}}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"t","crit":["b64"],"b64":false,{jwk}}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"t","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}","d":"AA"}}}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"t","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}="}}}}"#),
            r#"{"alg":"EdDSA","typ":"t"}"#.to_owned(),
        ] {
            assert!(verify(&forged(&header), "t").is_err(), "{header}");
        }
        // A key of small order, for which anybody can sign.
        let weak = BASE64.encode([0u8; 32]);
        let header = format!(r#"{{"alg":"EdDSA","typ":"t","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{weak}"}}}}"#);
        assert_eq!(verify(&forged(&header), "t"), Err(BindingError::Malformed));
    }
}
