//! The user's own signature over what is asked in their name: a permit may demand it. The hub tells the digest of every
//! fragment before it runs anything; the client signs the list with the key that its access token is bound to
//! (`cnf.jkt`); each spoke finds the digest of its fragment in the list, or refuses.
//!
//! So a hub that holds a live token can ask nothing but what its user has signed.
//!
//! INVARIANT: a digest says project, controller, zone, fragment and the table's schema; a signature counts for one query
//! id, until its own end, and only by the key that the token names.

use proto::{
    ids::{ControllerId, ProjectId, QueryId},
    wire,
};
use runtime::token::binding::{self, BindingError, BindingKey};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};
use subtle::ConstantTimeEq;

/// JWS type of the signature.
pub const TYPE: &str = "eger-query+jws";
/// The header of `DoGet` that carries it.
pub const HEADER: &str = "x-eger-signature";
/// Digests that one signature may list.
pub const MAX_DIGESTS: usize = 128;
/// The longest that a signature may be good for; clients ask for less.
pub const MAX_LIFE: Duration = Duration::from_secs(3600);
/// Clocks of client and spoke may differ by so much.
const LEEWAY: Duration = Duration::from_secs(runtime::token::LEEWAY);

/// SHA-256 of one thing that is asked; 64 hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("not a digest: 64 hex digits")]
pub struct DigestError;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// One thing that is asked of one controller.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// for which project
    pub project: &'a ProjectId,
    /// of whom
    pub controller: &'a ControllerId,
    /// where the answer will be shown
    pub zone: wire::Zone,
    /// the `Fragment` message's bytes
    pub fragment: &'a [u8],
    /// of the table, as the hub planned it
    pub schema_fingerprint: &'a [u8],
}

/// The digest of what is asked.
#[must_use]
pub fn digest(asked: &Asked<'_>) -> Digest {
    let mut hash = sha2::Sha256::new();
    hash.update(b"eger/query/v1");
    let zone = i32::from(asked.zone).to_be_bytes();
    let parts: [&[u8]; 5] = [
        asked.project.as_ref().as_bytes(),
        asked.controller.as_ref().as_bytes(),
        &zone,
        asked.fragment,
        asked.schema_fingerprint,
    ];
    for part in parts {
        // With its length before it, no part can run into the next.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest(hash.finalize().into())
}

/// Why a signature doesn't count for what is asked. The text is for the one who asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuerySignatureError {
    /// No such signature, or changed.
    #[error("the signature over the query can't be read or was changed: {0}")]
    Form(String),
    /// Another key than the token's.
    #[error("the query is signed with another key than the one that the access token is bound to")]
    Key,
    /// For another query.
    #[error("the signature belongs to another query: sign the digests that came with this query's FlightInfo")]
    Query,
    /// Over, or good for too long.
    #[error("the signature over the query has ended, or would live longer than an hour. Run the query again")]
    Time,
    /// What is asked was not signed.
    #[error("what is asked here is not among what the user signed. Run the query again")]
    Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    query_id: QueryId,
    digests: Vec<Digest>,
    exp: u64,
}

/// Signs `digests` of the query `query`, good until `until`.
///
/// # Errors
/// When there are too many, or the key can't sign.
pub fn make(
    key: &BindingKey,
    query: &QueryId,
    digests: &[Digest],
    until: SystemTime,
) -> Result<String, QuerySignatureError> {
    let form = |error: String| QuerySignatureError::Form(error);
    if digests.len() > MAX_DIGESTS {
        return Err(form(format!("{} parts; {MAX_DIGESTS} can be signed at once", digests.len())));
    }
    let exp = until.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| QuerySignatureError::Time)?.as_secs();
    let payload = Payload { query_id: *query, digests: digests.to_vec(), exp };
    let payload = serde_json::to_vec(&payload).map_err(|e| form(e.to_string()))?;
    key.sign(TYPE, &payload).map_err(|e: BindingError| form(e.to_string()))
}

/// Whether `signature` allows what has this digest, in the query `query`, at `now`. `thumbprint` is the access token's
/// `cnf.jkt`.
///
/// # Errors
/// When it doesn't.
pub fn verify(
    signature: &str,
    thumbprint: &str,
    digest: &Digest,
    query: &QueryId,
    now: SystemTime,
) -> Result<(), QuerySignatureError> {
    let signed =
        binding::verify(signature, TYPE).map_err(|e: BindingError| QuerySignatureError::Form(e.to_string()))?;
    if !bool::from(signed.thumbprint.as_bytes().ct_eq(thumbprint.as_bytes())) {
        return Err(QuerySignatureError::Key);
    }
    let payload: Payload = serde_json::from_slice(&signed.payload)
        .map_err(|_| QuerySignatureError::Form("its content is another".to_owned()))?;
    if payload.digests.len() > MAX_DIGESTS {
        return Err(QuerySignatureError::Form("it lists too much".to_owned()));
    }
    if payload.query_id != *query {
        return Err(QuerySignatureError::Query);
    }
    let until =
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(payload.exp)).ok_or(QuerySignatureError::Time)?;
    let over = now.duration_since(until).is_ok_and(|late| late > LEEWAY);
    let long = until.duration_since(now).is_ok_and(|left| left > MAX_LIFE + LEEWAY);
    if over || long {
        return Err(QuerySignatureError::Time);
    }
    if !payload.digests.contains(digest) {
        return Err(QuerySignatureError::Digest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use runtime::token::binding::Algorithm;

    const SOON: Duration = Duration::from_secs(60);

    fn asked<'a>(project: &'a ProjectId, controller: &'a ControllerId, fragment: &'a [u8]) -> Asked<'a> {
        Asked { project, controller, zone: wire::Zone::Open, fragment, schema_fingerprint: b"schema" }
    }

    #[test]
    fn every_part_of_what_is_asked_is_in_its_digest() {
        let (a, b): (ProjectId, ProjectId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (dst, sds): (ControllerId, ControllerId) = ("dst".parse().unwrap(), "sds".parse().unwrap());
        let one = asked(&a, &dst, b"fragment");
        let mut all = vec![
            digest(&one),
            digest(&asked(&b, &dst, b"fragment")),
            digest(&asked(&a, &sds, b"fragment")),
            digest(&asked(&a, &dst, b"fragments")),
            digest(&Asked { zone: wire::Zone::Enclave, ..one }),
            digest(&Asked { schema_fingerprint: b"", ..one }),
            // a byte that wanders from one part to the next
            digest(&Asked { fragment: b"fragments", schema_fingerprint: b"chema", ..one }),
        ];
        assert_eq!(digest(&one), all[0]);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 7);
        assert_eq!(all[0].to_string().parse::<Digest>().unwrap(), all[0]);
    }

    #[test]
    fn hostile_signatures_of_another_key_query_time_or_fragment_do_not_count() {
        let (project, controller) = ("a".parse().unwrap(), "dst".parse().unwrap());
        let mine = digest(&asked(&project, &controller, b"one"));
        let other = digest(&asked(&project, &controller, b"other"));
        let (now, query) = (SystemTime::now(), QueryId::new());
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let key = BindingKey::generate(algorithm).unwrap();
            let stranger = BindingKey::generate(algorithm).unwrap();
            let print = key.thumbprint();
            let good = make(&key, &query, &[other, mine], now + SOON).unwrap();
            verify(&good, &print, &mine, &query, now).unwrap();

            let check = |text: &str, digest: &Digest, query: &QueryId, now| verify(text, &print, digest, query, now);
            let by_stranger = make(&stranger, &query, &[mine], now + SOON).unwrap();
            assert_eq!(check(&by_stranger, &mine, &query, now), Err(QuerySignatureError::Key));
            assert_eq!(check(&good, &mine, &QueryId::new(), now), Err(QuerySignatureError::Query));
            let later = now + SOON + LEEWAY + Duration::from_secs(2);
            assert_eq!(check(&good, &mine, &query, later), Err(QuerySignatureError::Time));
            let eternal = make(&key, &query, &[mine], now + 2 * MAX_LIFE).unwrap();
            assert_eq!(check(&eternal, &mine, &query, now), Err(QuerySignatureError::Time));
            let of_other = make(&key, &query, &[other], now + SOON).unwrap();
            assert_eq!(check(&of_other, &mine, &query, now), Err(QuerySignatureError::Digest));
            let another_kind = key.sign("dpop+jwt", b"{}").unwrap();
            assert!(matches!(check(&another_kind, &mine, &query, now), Err(QuerySignatureError::Form(_))));
            for text in ["", "a.b.c", &good[..good.len() - 2]] {
                assert!(check(text, &mine, &query, now).is_err());
            }
        }
    }
}
