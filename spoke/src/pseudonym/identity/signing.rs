//! The spoke's signing identity (Ed25519), `keys/signing.key`: under acceptances, records of epochs and checkpoints of
//! the audit log. It is not an approver's key: it decides nothing.

use runtime::{
    seal::Passphrase,
    sign::{SigningKey, SigningKeyError},
};
use std::path::Path;

const CONTEXT: &str = "eger/spoke/signing/v1";

/// A new identity in a new sealed file.
///
/// # Errors
/// When the file exists or can't be written.
pub fn create(path: &Path, pass: &Passphrase) -> Result<SigningKey, SigningKeyError> {
    SigningKey::create(path, CONTEXT, pass)
}

/// The identity of the sealed file.
///
/// # Errors
/// When it can't be read, or the passphrase is another.
pub fn load(path: &Path, pass: &Passphrase) -> Result<SigningKey, SigningKeyError> {
    SigningKey::load(path, CONTEXT, pass)
}

/// The identity of the sealed file; made when the file is missing, as at spokes from before there was one.
///
/// # Errors
/// As [`load`] and [`create`].
pub fn load_or_create(path: &Path, pass: &Passphrase) -> Result<SigningKey, SigningKeyError> {
    if path.exists() { load(path, pass) } else { create(path, pass) }
}
