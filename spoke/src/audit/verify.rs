//! Whether the log is as it was written, and whole: against checkpoints that others countersigned.
//!
//! What `serve` and `ingest` got from hub and custodian lies in `audit/witnessed/` and is used when no other is given.
//!
//! INVARIANT: a checkpoint counts with the own signature and, where a witness signed it, with the witness' too. One that can't be
//! checked is an error, never passed over.

use crate::{config::SpokeConfig, pseudonym::identity::signing};
use runtime::{
    audit::{
        AuditError, Head,
        checkpoint::{Checkpoint, Witnessed, verify_log},
        witness::{self, WitnessError},
    },
    peer::{Peer, Role},
    seal::Passphrase,
    sign::VerifyingKey,
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Checkpoints that somebody brings along, and whose keys they are under.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// files with them; none: what lies beside the log
    pub checkpoints: Vec<PathBuf>,
    /// the witness' key; without it the files hold the spoke's own checkpoints
    pub witness: Option<VerifyingKey>,
    /// this spoke's key; without it the sealed file is opened
    pub key: Option<VerifyingKey>,
}

/// Why the log is not known to be whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It can't be read, was changed, or its end is missing.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// What lies beside it.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// This spoke's own key.
    #[error(
        "checkpoints can't be checked without this spoke's own key: {0}. Run it as the user that runs `spoke serve`, or give the \
         public key with --key (`spoke identity` prints it)"
    )]
    Key(String),
    /// What was brought along.
    #[error("{}: {cause}", path.display())]
    Given {
        /// which file
        path: PathBuf,
        /// what is wrong
        cause: String,
    },
}

/// Where checkpoints came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Given,
    Witnesses,
}

/// The log is whole, as far as anybody has seen it.
#[derive(Debug, Clone)]
pub struct Verified {
    /// how far it goes
    pub head: Head,
    from: Source,
    checkpoints: Vec<Checkpoint>,
}

impl Verified {
    /// The entry up to which a checkpoint proves that nothing is missing.
    #[must_use]
    pub fn proven(&self) -> Option<u64> {
        self.checkpoints.iter().map(|checkpoint| checkpoint.seq).max()
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} entries, unchanged; last hash {}", self.head.seq, self.head.hash)?;
        let Some(newest) = self.checkpoints.iter().max_by_key(|checkpoint| (checkpoint.seq, checkpoint.at)) else {
            return f.write_str(
                "no checkpoint of a witness was used, since there is none yet: a cut end would not show. Hub and custodian \
                 countersign them while `spoke serve` runs and after an ingest",
            );
        };
        let whose = match self.from {
            Source::Given => "given",
            Source::Witnesses => "countersigned by witnesses (audit/witnessed)",
        };
        let at = newest.at.format("%Y-%m-%d %H:%M:%S");
        write!(
            f,
            "{} checkpoints {whose} lie on it; the newest, at entry {}, is from {at}",
            self.checkpoints.len(),
            newest.seq
        )
    }
}

/// Checks every line, and that the log lies on the checkpoints that are given, else on those beside it.
///
/// # Errors
/// The first line that was changed or is missing, or what can't be checked.
pub fn verify(config: &SpokeConfig, given: &Given) -> Result<Verified, VerifyError> {
    let log = config.audit_log();
    let party = Peer { role: Role::Spoke, name: config.controller.to_string() };
    let own = || given.key.map_or_else(|| own_key(config), Ok);
    let (from, checkpoints) = if !given.checkpoints.is_empty() {
        let own = own()?;
        let read = |path: &PathBuf| {
            brought(path, given.witness.as_ref(), &party, &own)
                .map_err(|cause| VerifyError::Given { path: path.clone(), cause })
        };
        (Source::Given, given.checkpoints.iter().map(read).collect::<Result<_, _>>()?)
    } else if any_beside(&log) {
        (Source::Witnesses, witness::witnessed(&log, &party, &own()?)?)
    } else {
        (Source::Witnesses, Vec::new())
    };
    let head = verify_log(&log, &checkpoints)?;
    Ok(Verified { head, from, checkpoints })
}

fn brought(
    path: &Path,
    witness: Option<&VerifyingKey>,
    party: &Peer,
    own: &VerifyingKey,
) -> Result<Checkpoint, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let text = match witness {
        Some(witness) => Witnessed::verify(text.trim(), witness).map_err(|error| error.to_string())?.checkpoint,
        None => text.trim().to_owned(),
    };
    Checkpoint::verify(&text, &party.to_string(), own).map_err(|error| error.to_string())
}

/// Whether anything was countersigned at all. A folder that can't be listed is looked into, and says why.
fn any_beside(log: &Path) -> bool {
    match std::fs::read_dir(log.with_file_name("witnessed")) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

fn own_key(config: &SpokeConfig) -> Result<VerifyingKey, VerifyError> {
    let open = |path: &Path, pass: Result<Passphrase, runtime::seal::SealError>| {
        let pass = pass.map_err(|error| error.to_string())?;
        signing::load(path, &pass).map(|key| key.public()).map_err(|error| error.to_string())
    };
    let own = open(&config.signing_key(), config.passphrase());
    // The user that runs `ingest` has a copy of its own.
    let copy = || open(&config.ingest_keys_dir().join("signing.key"), config.ingest_passphrase());
    own.or_else(|why| if config.separate_ingest() { copy().map_err(|_| why) } else { Err(why) })
        .map_err(VerifyError::Key)
}
