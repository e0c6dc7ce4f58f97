//! Two parties who keep each other's logs honest: each signs how far its own log goes, the other countersigns, and both
//! keep what they got.
//!
//! Beside the log lie `witnessed/` (the own checkpoints, countersigned: the newest of each witness, and one for each day) and
//! `seen/` (each other party's public key and the newest checkpoint of its log).
//!
//! INVARIANT: a checkpoint that goes back or contradicts an earlier one is never countersigned, and what was seen before
//! is kept.

use super::{
    AuditError, AuditLog,
    checkpoint::{Checkpoint, CheckpointError, Witnessed},
};
use crate::{
    peer::Peer,
    sign::{SigningKey, VerifyingKey},
};
use chrono::Utc;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Why a checkpoint is not countersigned, or a countersignature not kept.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Not signed as it should be.
    #[error("{party}: {cause}")]
    Checkpoint {
        /// whose
        party: Peer,
        /// why
        cause: CheckpointError,
    },
    /// The other party comes with another key than before.
    #[error("ALARM: {party} signs with another key than before (seen {seen}, now {found}). Ask its operator; if the key was \
             changed on purpose, remove {}", path.display())]
    Key {
        /// who
        party: Peer,
        /// fingerprint that was pinned
        seen: String,
        /// fingerprint that came
        found: String,
        /// where it is pinned
        path: PathBuf,
    },
    /// The other party's log is shorter than it was.
    #[error("ALARM: the log of {party} had {seen} entries and has {found} now: its tail was cut")]
    Back {
        /// whose log
        party: Peer,
        /// entries then
        seen: u64,
        /// entries now
        found: u64,
    },
    /// The other party's log was rewritten.
    #[error("ALARM: line {seq} of the log of {party} is another one than was seen before: it was rewritten")]
    Contradicts {
        /// whose log
        party: Peer,
        /// which line
        seq: u64,
    },
    /// The own log is not the one that was witnessed.
    #[error("ALARM: {party} countersigned that this log has {seen} entries; it has {found}: its tail was cut")]
    Own {
        /// who saw it
        party: Peer,
        /// entries then
        seen: u64,
        /// entries now
        found: u64,
    },
    /// The own log can't be read.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// A file beside the log.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
}

/// One party's side of it.
#[derive(Debug)]
pub struct Witness {
    folder: PathBuf,
    party: Peer,
    key: Arc<SigningKey>,
    log: Arc<AuditLog>,
    turn: Mutex<()>,
}

impl Witness {
    /// For `party`, whose log is `log`; files are kept beside it.
    #[must_use]
    pub fn new(party: Peer, key: Arc<SigningKey>, log: Arc<AuditLog>) -> Self {
        let folder = log.path().parent().unwrap_or(Path::new(".")).to_owned();
        Self { folder, party, key, log, turn: Mutex::default() }
    }

    /// The own public key.
    #[must_use]
    pub fn key(&self) -> VerifyingKey {
        self.key.public()
    }

    /// How far the own log goes, signed.
    ///
    /// # Errors
    /// When the log can't be read, or was changed.
    pub fn checkpoint(&self) -> Result<String, WitnessError> {
        Ok(Checkpoint::sign(&self.party.to_string(), self.log.head()?, &self.key))
    }

    /// The key that `other` signs with: the one that it came with first.
    ///
    /// # Errors
    /// When it comes with another one now.
    pub fn pinned(&self, other: &Peer, key: &VerifyingKey) -> Result<VerifyingKey, WitnessError> {
        let path = self.seen(other, "pub");
        match known_key(&path)? {
            Some(seen) if seen == *key => Ok(seen),
            Some(seen) => Err(WitnessError::Key {
                party: other.clone(),
                seen: seen.fingerprint(),
                found: key.fingerprint(),
                path,
            }),
            None => {
                write(&path, &format!("{key}\n"))?;
                tracing::info!(party = %other, key = key.fingerprint(), "saw the signing key of another party for the first time");
                Ok(*key)
            }
        }
    }

    /// The key that `other` came with first, if it ever did.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn known(&self, other: &Peer) -> Result<Option<VerifyingKey>, WitnessError> {
        known_key(&self.seen(other, "pub"))
    }

    /// Countersigns how far `other`'s log goes.
    ///
    /// # Errors
    /// When it isn't signed by `key`, or its log goes back on what was seen before.
    pub fn witness(&self, other: &Peer, key: &VerifyingKey, compact: &str) -> Result<String, WitnessError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let checked = |text: &str| {
            Checkpoint::verify(text, &other.to_string(), key)
                .map_err(|cause| WitnessError::Checkpoint { party: other.clone(), cause })
        };
        let now = checked(compact)?;
        let path = self.seen(other, "jws");
        if let Some(text) = read(&path)? {
            let before = checked(text.trim())?;
            let alarm = if now.seq < before.seq {
                Some(WitnessError::Back { party: other.clone(), seen: before.seq, found: now.seq })
            } else if now.seq == before.seq && now.hash != before.hash {
                Some(WitnessError::Contradicts { party: other.clone(), seq: now.seq })
            } else {
                None
            };
            if let Some(alarm) = alarm {
                // Both signed statements together are the proof.
                write(&self.seen(other, "alarm.jws"), compact)?;
                return Err(alarm);
            }
        }
        write(&path, compact)?;
        Ok(Witnessed::sign(compact, &self.party.to_string(), &self.key))
    }

    /// Keeps an own checkpoint that `other`, who signs with `key`, has countersigned.
    ///
    /// # Errors
    /// When it isn't that, or the own log is shorter by now.
    pub fn keep(&self, other: &Peer, key: &VerifyingKey, witnessed: &str) -> Result<Checkpoint, WitnessError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = |cause| WitnessError::Checkpoint { party: other.clone(), cause };
        let checkpoint = inside(witnessed, other, key, &self.party, &self.key.public()).map_err(wrong)?;
        let found = self.log.head()?.seq;
        if checkpoint.seq > found {
            return Err(WitnessError::Own { party: other.clone(), seen: checkpoint.seq, found });
        }
        let name = name_of(other);
        let folder = self.folder.join("witnessed");
        write(&folder.join(format!("{name}.jws")), witnessed)?;
        let day = folder.join(format!("{name}-{}.jws", Utc::now().format("%Y-%m-%d")));
        if !day.exists() {
            write(&day, witnessed)?;
        }
        Ok(checkpoint)
    }

    fn seen(&self, other: &Peer, end: &str) -> PathBuf {
        self.folder.join("seen").join(format!("{}.{end}", name_of(other)))
    }
}

/// The own checkpoints in `witnessed/` beside a log, for [`super::checkpoint::verify_log`]: each countersigned by the party whose key
/// was pinned, each signed by the own key.
///
/// # Errors
/// When a file can't be read, or is not what it should be.
pub fn witnessed(log: &Path, party: &Peer, own: &VerifyingKey) -> Result<Vec<Checkpoint>, WitnessError> {
    let folder = log.parent().unwrap_or(Path::new("."));
    let list = folder.join("witnessed");
    let failed = |cause| WitnessError::Io { path: list.clone(), cause };
    let entries = match std::fs::read_dir(&list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|end| end != "jws") {
            continue;
        }
        let malformed = |cause: String| WitnessError::Io { path: path.clone(), cause: io::Error::other(cause) };
        let text = read(&path)?.unwrap_or_default();
        let claimed = crate::sign::claimed_payload(text.trim())
            .and_then(|bytes| serde_json::from_slice::<Witnessed>(&bytes).ok())
            .ok_or_else(|| malformed("is no countersigned checkpoint".to_owned()))?;
        let witness: Peer = claimed.witness.parse().map_err(|e: crate::peer::PeerError| malformed(e.to_string()))?;
        let pinned = folder.join("seen").join(format!("{}.pub", name_of(&witness)));
        let key = known_key(&pinned)?
            .ok_or_else(|| malformed(format!("its witness' key is missing ({})", pinned.display())))?;
        let checkpoint = inside(text.trim(), &witness, &key, party, own)
            .map_err(|cause| WitnessError::Checkpoint { party: witness.clone(), cause })?;
        all.push(checkpoint);
    }
    Ok(all)
}

/// The checkpoint of `party`, signed by `own`, that `witness` countersigned with `key`.
fn inside(
    text: &str,
    witness: &Peer,
    key: &VerifyingKey,
    party: &Peer,
    own: &VerifyingKey,
) -> Result<Checkpoint, CheckpointError> {
    let seen = Witnessed::verify(text, key)?;
    if seen.witness != witness.to_string() {
        return Err(CheckpointError::Form("it is another party's countersignature".to_owned()));
    }
    Checkpoint::verify(&seen.checkpoint, &party.to_string(), own)
}

fn name_of(peer: &Peer) -> String {
    format!("{}.{}", peer.role, peer.name)
}

fn known_key(path: &Path) -> Result<Option<VerifyingKey>, WitnessError> {
    let Some(text) = read(path)? else { return Ok(None) };
    text.trim()
        .parse()
        .map(Some)
        .map_err(|_| WitnessError::Io { path: path.to_owned(), cause: io::Error::other("holds no public key") })
}

fn read(path: &Path) -> Result<Option<String>, WitnessError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(WitnessError::Io { path: path.to_owned(), cause }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), WitnessError> {
    let failed = |cause| WitnessError::Io { path: path.to_owned(), cause };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    crate::seal::write_private(path, text.as_bytes()).map_err(failed)?;
    // Signed statements and public keys. Where two users share a log, each has to read what the other got.
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests;
