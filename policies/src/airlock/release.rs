//! The hub's signed word that it let files out, so that a reader can check where a number came from.

use chrono::{DateTime, Utc};
use proto::ids::{ProjectId, SubmissionId};
use runtime::sign::{self, SigningKey, StatementError, VerifyingKey};

/// JWS type of a release.
pub const RELEASE: &str = "eger-release+jws";

/// What left.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// which hub
    pub hub: String,
    /// which submission
    pub submission: SubmissionId,
    /// of which project
    pub project: ProjectId,
    /// when
    pub released_at: DateTime<Utc>,
    /// SHA-512 of the crate's list of files with their hashes, hex
    pub manifest_sha512: String,
    /// organisations that approved it
    pub approved_by: Vec<String>,
    /// whether the platform has computed it itself, from the stated queries and by the open zone's rules
    pub computed: bool,
}

/// Why a release is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Not signed by the hub, or changed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Signed, but it can't be read.
    #[error("the release can't be read: {0}")]
    Form(String),
    /// Signed, but for other files.
    #[error("the signature is over another list of files: the crate was changed after it was released")]
    Other,
}

impl Release {
    /// Signs it with the hub's signing key.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn sign(&self, key: &SigningKey) -> Result<String, ReleaseError> {
        let payload = serde_json::to_vec(self).map_err(|e| ReleaseError::Form(e.to_string()))?;
        Ok(key.sign(RELEASE, &payload))
    }

    /// Reads a release by the hub's key `key`, of files whose list has the SHA-512 `manifest` (hex).
    ///
    /// # Errors
    /// When it is anything else.
    pub fn verify(compact: &str, key: &VerifyingKey, manifest: &str) -> Result<Self, ReleaseError> {
        let statement = sign::verify(compact, RELEASE, [key])?;
        let release: Self =
            serde_json::from_slice(&statement.payload).map_err(|e| ReleaseError::Form(e.to_string()))?;
        if release.manifest_sha512 == manifest { Ok(release) } else { Err(ReleaseError::Other) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_release_counts_for_its_files_and_by_the_hubs_key() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let release = Release {
            hub: "main".to_owned(),
            submission: SubmissionId::new(),
            project: "diabetes".parse().unwrap(),
            released_at: Utc::now(),
            manifest_sha512: "ab".repeat(64),
            approved_by: vec!["ssi".to_owned()],
            computed: false,
        };
        let compact = release.sign(&key).unwrap();
        assert_eq!(Release::verify(&compact, &key.public(), &release.manifest_sha512), Ok(release.clone()));
        assert_eq!(Release::verify(&compact, &key.public(), &"cd".repeat(64)), Err(ReleaseError::Other));
        assert!(Release::verify(&compact, &other.public(), &release.manifest_sha512).is_err());
        let receipt = key.sign("eger-receipt+jws", &serde_json::to_vec(&release).unwrap());
        assert!(Release::verify(&receipt, &key.public(), &release.manifest_sha512).is_err());
    }
}
