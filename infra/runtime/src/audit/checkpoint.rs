//! Checkpoints: how far a log goes, signed by its party and countersigned by another (the witness). A log that a
//! witnessed checkpoint doesn't lie on was cut or rewritten.

use super::{AuditError, Broken, Head};
use crate::sign::{SigningKey, StatementError, VerifyingKey};
use chrono::{DateTime, Utc};
use std::path::Path;

/// JWS type of a party's own checkpoint.
pub const CHECKPOINT: &str = "eger-checkpoint+jws";
/// JWS type of a witness' countersignature.
pub const WITNESSED: &str = "eger-witnessed+jws";

/// How far a party's log goes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// whose log, as in `eger://spoke/region-h`
    pub party: String,
    /// number of entries
    pub seq: u64,
    /// hash of the last line, hex
    pub hash: String,
    /// when
    pub at: DateTime<Utc>,
}

/// A checkpoint that another party saw.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witnessed {
    /// the checkpoint's signed text
    pub checkpoint: String,
    /// who saw it
    pub witness: String,
    /// when
    pub at: DateTime<Utc>,
}

/// Why a checkpoint isn't believed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not signed by whom it should be.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Signed, but of another form, party or order.
    #[error("the checkpoint can't be used: {0}")]
    Form(String),
    /// The log is not the one that was witnessed.
    #[error(transparent)]
    Log(#[from] AuditError),
}

impl Checkpoint {
    /// Signs how far `party`'s log goes.
    #[must_use]
    pub fn sign(party: &str, head: Head, key: &SigningKey) -> String {
        let checkpoint = Self { party: party.to_owned(), seq: head.seq, hash: head.hash, at: Utc::now() };
        key.sign(CHECKPOINT, &serde_json::to_vec(&checkpoint).unwrap_or_default())
    }

    /// Reads a checkpoint of `party`, signed by `key`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn verify(compact: &str, party: &str, key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let statement = crate::sign::verify(compact, CHECKPOINT, [key])?;
        let checkpoint: Self =
            serde_json::from_slice(&statement.payload).map_err(|e| CheckpointError::Form(e.to_string()))?;
        if checkpoint.party == party {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Form("it is of another party's log".to_owned()))
        }
    }
}

impl Witnessed {
    /// Countersigns another party's checkpoint.
    #[must_use]
    pub fn sign(checkpoint: &str, witness: &str, key: &SigningKey) -> String {
        let seen = Self { checkpoint: checkpoint.to_owned(), witness: witness.to_owned(), at: Utc::now() };
        key.sign(WITNESSED, &serde_json::to_vec(&seen).unwrap_or_default())
    }

    /// Reads a countersignature by `key`. The checkpoint inside is verified with [`Checkpoint::verify`].
    ///
    /// # Errors
    /// When it is anything else.
    pub fn verify(compact: &str, key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let statement = crate::sign::verify(compact, WITNESSED, [key])?;
        serde_json::from_slice(&statement.payload).map_err(|e| CheckpointError::Form(e.to_string()))
    }
}

/// Checks a whole log, and that each of `checkpoints` lies on it.
///
/// # Errors
/// The first line that was changed, or a checkpoint that the log doesn't reach or contradicts.
pub fn verify_log(path: &Path, checkpoints: &[Checkpoint]) -> Result<Head, AuditError> {
    let mut left: Vec<&Checkpoint> = checkpoints.iter().collect();
    let broken = |line, what: String| AuditError::Broken { path: path.to_owned(), broken: Broken { line, what } };
    let mut head = Head::start();
    for item in super::read(path)? {
        let (entry, hash) = item?;
        head = Head { seq: entry.seq, hash };
        for checkpoint in left.iter().filter(|c| c.seq == head.seq) {
            if checkpoint.hash != head.hash {
                return Err(broken(head.seq, format!("is not the line that was witnessed at {}", checkpoint.at)));
            }
        }
        left.retain(|c| c.seq > head.seq);
    }
    match left.iter().max_by_key(|c| c.seq).filter(|c| c.seq > 0) {
        Some(beyond) => Err(broken(
            head.seq + 1,
            format!(
                "is missing: the log had {} entries when it was witnessed at {}; its tail was cut",
                beyond.seq, beyond.at
            ),
        )),
        None => Ok(head),
    }
}
