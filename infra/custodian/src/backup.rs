//! Backup of the linkage key in three shares, of which any two make it again (Shamir over GF(256)). Each share is sealed
//! under a passphrase of its own, for three people who keep them apart.
//!
//! What is cut into shares is a one-time pad, and each file also holds the key under that pad: the library that cuts leaves
//! its polynomials in memory, which then say nothing about the key.
//!
//! INVARIANT: one share says nothing about the key; nothing of the key or a share stays in memory or on disk unsealed.

use crate::key::{ELEMENT, KeyError, LinkageKey};
use blahaj::{Share, Sharks};
use runtime::seal::{self, Passphrase, SealError};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How many shares are made, and how many make the key again.
pub const SHARES: u8 = 3;
/// How many shares make the key again.
pub const NEEDED: u8 = 2;
/// What the sealed file is for, authenticated with it.
const CONTEXT: &str = "eger/custodian/linkage-share/v1";
/// Bytes of a backup's id: it tells shares of different backups apart.
const ID: usize = 8;

/// Why there is no backup, or no key from it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A share's file can't be opened or made.
    #[error("share {}: {cause}", path.display())]
    Sealed {
        /// which file
        path: PathBuf,
        /// why
        cause: SealError,
    },
    /// A share's file can't be written.
    #[error("{}: can't be written: {cause}", path.display())]
    Write {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// There is one already.
    #[error("{}: is there already and is not overwritten. Choose an empty folder", .0.display())]
    Exists(PathBuf),
    /// Two shares under one passphrase are one share.
    #[error("two of the passphrases are the same: each of the three people needs one of their own")]
    SamePassphrase,
    /// A file that opens but holds no share.
    #[error("share {}: holds no share of a linkage key", .0.display())]
    Malformed(PathBuf),
    /// Too few.
    #[error("{given} share given, {NEEDED} different ones of the three are needed")]
    TooFew {
        /// how many different ones were given
        given: usize,
    },
    /// The same one twice.
    #[error(
        "{} and {} are the same share: two different ones of the three are needed. Ask another of the three people",
        first.display(),
        second.display()
    )]
    Twice {
        /// one
        first: PathBuf,
        /// the other
        second: PathBuf,
    },
    /// Shares that don't belong together.
    #[error("the shares are of different backups. Take two that were made together")]
    Different,
    /// They make another key.
    #[error(
        "the shares make a linkage key ({found}) other than the recorded one ({recorded}, keys/custodian.pub). Nothing \
         was restored: take the shares of this custodian's backup"
    )]
    OtherKey {
        /// id of the key that the shares make
        found: String,
        /// id of the key that spokes have pinned
        recorded: String,
    },
    /// The recorded public key.
    #[error("{}: {message}", path.display())]
    Recorded {
        /// which file
        path: PathBuf,
        /// what is wrong
        message: String,
    },
}

/// Writes three shares of the key into `folder`, each sealed under its own passphrase. Gives their paths.
///
/// # Errors
/// When a file is there already, can't be written, or two passphrases are the same.
pub fn write(key: &LinkageKey, folder: &Path, passes: &[Passphrase; 3]) -> Result<Vec<PathBuf>, BackupError> {
    for (i, pass) in passes.iter().enumerate() {
        if passes.iter().skip(i + 1).any(|other| other.same(pass)) {
            return Err(BackupError::SamePassphrase);
        }
    }
    let paths: Vec<PathBuf> = (1..=SHARES).map(|n| folder.join(format!("linkage-share-{n}-of-{SHARES}"))).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(BackupError::Exists(there.clone()));
    }
    std::fs::create_dir_all(folder).map_err(|cause| BackupError::Write { path: folder.to_owned(), cause })?;
    let mut id = [0u8; ID];
    getrandom::fill(&mut id).map_err(|e| KeyError::Generate(e.to_string()))?;
    let mut pad = Zeroizing::new([0u8; ELEMENT]);
    getrandom::fill(pad.as_mut()).map_err(|e| KeyError::Generate(e.to_string()))?;
    let padded = xor(&*key.secret(), &*pad);
    // A share wipes itself when dropped.
    let shares = Sharks(NEEDED).dealer(pad.as_ref()).take(usize::from(SHARES));
    for ((share, path), pass) in shares.zip(&paths).zip(passes) {
        let bytes = Zeroizing::new(Vec::from(&share));
        // As long as it will get: a vector that grows leaves its old bytes behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(ID + ELEMENT + bytes.len()));
        plain.extend_from_slice(&id);
        plain.extend_from_slice(&padded);
        plain.extend_from_slice(&bytes);
        let sealed =
            seal::seal(pass, CONTEXT, &plain).map_err(|cause| BackupError::Sealed { path: path.clone(), cause })?;
        seal::write_private(path, &sealed).map_err(|cause| BackupError::Write { path: path.clone(), cause })?;
    }
    Ok(paths)
}

fn xor(a: &[u8], b: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(a.iter().zip(b).map(|(a, b)| a ^ b).collect())
}

/// A share as it was opened.
pub struct Opened {
    path: PathBuf,
    id: [u8; ID],
    padded: Zeroizing<Vec<u8>>,
    share: Share,
    digest: [u8; 32],
}

/// Opens one share.
///
/// # Errors
/// When the file can't be read, the passphrase is another, or it holds no share.
pub fn open(path: &Path, pass: &Passphrase) -> Result<Opened, BackupError> {
    let sealed = |cause| BackupError::Sealed { path: path.to_owned(), cause };
    let file = seal::read_private(path).map_err(sealed)?;
    let plain = seal::open(pass, CONTEXT, &file).map_err(sealed)?;
    let malformed = || BackupError::Malformed(path.to_owned());
    let (id, rest) = plain.split_at_checked(ID).ok_or_else(malformed)?;
    let (padded, bytes) = rest.split_at_checked(ELEMENT).ok_or_else(malformed)?;
    if bytes.len() != ELEMENT + 1 {
        return Err(malformed());
    }
    let padded = Zeroizing::new(padded.to_vec());
    let share = Share::try_from(bytes).map_err(|_| malformed())?;
    let id = id.try_into().map_err(|_| malformed())?;
    Ok(Opened { path: path.to_owned(), id, padded, share, digest: Sha256::digest(bytes).into() })
}

/// Puts the key together from two shares or more, if it is the one that `recorded` (a file with the public key) says.
///
/// # Errors
/// When there are too few different shares, they don't belong together, or they make another key.
pub fn combine(shares: &[Opened], recorded: &Path) -> Result<LinkageKey, BackupError> {
    for (i, first) in shares.iter().enumerate() {
        if let Some(second) = shares.iter().skip(i + 1).find(|other| other.digest == first.digest) {
            return Err(BackupError::Twice { first: first.path.clone(), second: second.path.clone() });
        }
        if shares.iter().any(|other| other.id != first.id || other.padded != first.padded) {
            return Err(BackupError::Different);
        }
    }
    let Some(one) = shares.first().filter(|_| shares.len() >= usize::from(NEEDED)) else {
        return Err(BackupError::TooFew { given: shares.len() });
    };
    let public = recorded_key(recorded)?;
    let pad = Zeroizing::new(
        Sharks(NEEDED)
            .recover(shares.iter().map(|opened| &opened.share))
            .map_err(|_| BackupError::TooFew { given: shares.len() })?,
    );
    let key = LinkageKey::from_secret(&xor(&one.padded, &pad)).map_err(|_| BackupError::Different)?;
    if hex::encode(key.public_key()) != public {
        let recorded = hex::decode(&public).map(|bytes| crate::key::kid_of(&bytes)).unwrap_or_default();
        return Err(BackupError::OtherKey { found: key.link_kid(), recorded });
    }
    Ok(key)
}

fn recorded_key(path: &Path) -> Result<String, BackupError> {
    let wrong = |message: String| BackupError::Recorded { path: path.to_owned(), message };
    let text = std::fs::read_to_string(path).map_err(|e| {
        wrong(format!("{e}. Write the public key there that the spokes have pinned (keys/custodian.pub)"))
    })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests;
