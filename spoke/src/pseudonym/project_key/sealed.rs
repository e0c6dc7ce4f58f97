//! The file that carries a project key from the lead to one member: JSON, readable but for the key.

use super::{Held, Own, ProjectKeyError, io};
use crate::pseudonym::{
    identity::{Aead, Identity, Kdf, PublicKey, Suite},
    keys::{KeyError, Secret},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use proto::ids::{ControllerId, ProjectId};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::Zeroizing;

const FORMAT: &str = "eger-project-key-1";
/// Bound into the key schedule, so that nothing else sealed to the same identity opens as a project key.
const INFO: &[u8] = b"eger/project-key/v1";
/// Larger files are no such file.
const MAX_BYTES: u64 = 64 * 1024;

/// One member's sealed copy of a project key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFile {
    format: String,
    project: ProjectId,
    epoch: u32,
    /// the lead
    from: ControllerId,
    /// the lead's public key, hex
    sender: String,
    /// the member
    to: ControllerId,
    /// fingerprint of the member's public key
    recipient: String,
    /// base64
    encapsulated_key: String,
    /// base64
    ciphertext: String,
}

impl SealedFile {
    /// Which project's key it is, by its own word until opened.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.project
    }

    /// The lead's controller, by its own word.
    #[must_use]
    pub fn lead(&self) -> &ControllerId {
        &self.from
    }

    /// Everything readable, authenticated with the key.
    fn aad(&self) -> Vec<u8> {
        let epoch = self.epoch.to_string();
        let fields = [
            self.format.as_str(),
            self.project.as_ref(),
            &epoch,
            self.from.as_ref(),
            &self.sender,
            self.to.as_ref(),
            &self.recipient,
        ];
        // No field can hold a line break, so that no two different files have the same text here.
        fields.join("\n").into_bytes()
    }

    pub(super) fn seal(held: &Held, own: Own<'_>, to: &ControllerId, key: &PublicKey) -> Result<Self, ProjectKeyError> {
        let mut file = Self {
            format: FORMAT.to_owned(),
            project: held.project.clone(),
            epoch: held.epoch,
            from: own.controller.clone(),
            sender: own.identity.public().to_string(),
            to: to.clone(),
            recipient: key.fingerprint(),
            encapsulated_key: String::new(),
            ciphertext: String::new(),
        };
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| KeyError::Random(e.to_string()))?;
        let pair = (own.identity.private.clone(), own.identity.public().0.clone());
        let (encapsulated, ciphertext) = hpke::single_shot_seal::<Aead, Kdf, Suite, _>(
            &OpModeS::Auth(pair),
            &key.0,
            INFO,
            &held.secret.0,
            &file.aad(),
            &mut ChaCha20Rng::from_seed(*seed),
        )
        .map_err(|e| ProjectKeyError::Seal { to: to.clone(), reason: e.to_string() })?;
        file.encapsulated_key = STANDARD.encode(encapsulated.to_bytes());
        file.ciphertext = STANDARD.encode(ciphertext);
        Ok(file)
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), ProjectKeyError> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| ProjectKeyError::Format { path: path.to_owned(), reason: e.to_string() })?;
        text.push('\n');
        runtime::seal::write_private(path, text.as_bytes()).map_err(io(path))
    }

    /// Reads the file, without opening it.
    ///
    /// # Errors
    /// When it can't be read or is something else.
    pub fn read(path: &Path) -> Result<Self, ProjectKeyError> {
        let format = |reason: String| ProjectKeyError::Format { path: path.to_owned(), reason };
        if std::fs::metadata(path).map_err(io(path))?.len() > MAX_BYTES {
            return Err(format("it is too large".to_owned()));
        }
        let bytes = std::fs::read(path).map_err(io(path))?;
        let file: Self = serde_json::from_slice(&bytes).map_err(|e| format(e.to_string()))?;
        if file.format != FORMAT {
            return Err(format(format!("its format is not '{FORMAT}'; is this spoke older than the lead's?")));
        }
        Ok(file)
    }

    pub(super) fn open(&self, path: &Path, identity: &Identity) -> Result<Held, ProjectKeyError> {
        let format = |reason: &str| ProjectKeyError::Format { path: path.to_owned(), reason: reason.to_owned() };
        if self.recipient != identity.fingerprint() {
            return Err(ProjectKeyError::Recipient {
                path: path.to_owned(),
                to: self.to.clone(),
                recipient: self.recipient.clone(),
                own: identity.fingerprint(),
            });
        }
        let altered = || ProjectKeyError::Altered { path: path.to_owned() };
        let lead: PublicKey = self.sender.parse().map_err(|_| format("field `sender` is no public key"))?;
        let encapsulated = STANDARD
            .decode(&self.encapsulated_key)
            .ok()
            .and_then(|bytes| <Suite as Kem>::EncappedKey::from_bytes(&bytes).ok())
            .ok_or_else(altered)?;
        let ciphertext = STANDARD.decode(&self.ciphertext).map_err(|_| altered())?;
        let secret = hpke::single_shot_open::<Aead, Kdf, Suite>(
            &OpModeR::Auth(lead.0.clone()),
            &identity.private,
            &encapsulated,
            INFO,
            &ciphertext,
            &self.aad(),
        )
        .map(Zeroizing::new)
        .map_err(|_| altered())?;
        let secret = Secret::from_slice(&secret).ok_or_else(altered)?;
        Ok(Held { secret, project: self.project.clone(), epoch: self.epoch, lead })
    }
}
