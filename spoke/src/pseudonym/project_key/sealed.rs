//! What carries a project key from its maker to one member: JSON, readable but for the key.

use super::{Held, ProjectKeyError};
use crate::pseudonym::{
    identity::{Aead, Identity, Kdf, PublicKey, Suite},
    keys::{KeyError, Secret},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use proto::ids::{ControllerId, ProjectId};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const FORMAT: &str = "eger-project-key-1";
/// Bound into the key schedule, so that nothing else sealed to the same identity opens as a project key.
const INFO: &[u8] = b"eger/project-key/v1";
/// Longer bytes are no such thing.
const MAX_BYTES: usize = 64 * 1024;

/// One member's sealed copy of a project key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    format: String,
    project: ProjectId,
    epoch: u32,
    /// the maker
    from: ControllerId,
    /// the maker's public key, hex
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

impl SealedKey {
    /// Which project's key it is, by its own word until opened.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.project
    }

    /// Of which epoch, by its own word until opened.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Who made it: the controller and its public HPKE key (hex), by its own word until opened.
    #[must_use]
    pub fn sender(&self) -> (&ControllerId, &str) {
        (&self.from, &self.sender)
    }

    /// For whom, by its own word until opened.
    #[must_use]
    pub fn to(&self) -> &ControllerId {
        &self.to
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

    pub(super) fn seal(
        held: &Held,
        (from, identity): (&ControllerId, &Identity),
        to: &ControllerId,
        key: &PublicKey,
    ) -> Result<Self, ProjectKeyError> {
        let mut sealed = Self {
            format: FORMAT.to_owned(),
            project: held.project.clone(),
            epoch: held.epoch,
            from: from.clone(),
            sender: identity.public().to_string(),
            to: to.clone(),
            recipient: key.fingerprint(),
            encapsulated_key: String::new(),
            ciphertext: String::new(),
        };
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| KeyError::Random(e.to_string()))?;
        let pair = (identity.private.clone(), identity.public().0.clone());
        let (encapsulated, ciphertext) = hpke::single_shot_seal::<Aead, Kdf, Suite, _>(
            &OpModeS::Auth(pair),
            &key.0,
            INFO,
            &held.secret.0,
            &sealed.aad(),
            &mut ChaCha20Rng::from_seed(*seed),
        )
        .map_err(|e| ProjectKeyError::Seal { to: to.clone(), reason: e.to_string() })?;
        sealed.encapsulated_key = STANDARD.encode(encapsulated.to_bytes());
        sealed.ciphertext = STANDARD.encode(ciphertext);
        Ok(sealed)
    }

    /// As bytes for the way.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProjectKeyError> {
        serde_json::to_vec(self).map_err(|e| ProjectKeyError::Format(e.to_string()))
    }

    /// Reads the bytes, without opening them.
    ///
    /// # Errors
    /// When they are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProjectKeyError> {
        if bytes.len() > MAX_BYTES {
            return Err(ProjectKeyError::Format("it is too long".to_owned()));
        }
        let sealed: Self = serde_json::from_slice(bytes).map_err(|e| ProjectKeyError::Format(e.to_string()))?;
        if sealed.format != FORMAT {
            let reason = format!("its format is not '{FORMAT}'; is this spoke older than the lead's?");
            return Err(ProjectKeyError::Format(reason));
        }
        Ok(sealed)
    }

    /// Opens it with the own identity: proves that it was made by the holder of the sender's private key.
    ///
    /// # Errors
    /// When it is sealed to somebody else, was changed, or the sender did not make it.
    pub fn open(&self, identity: &Identity) -> Result<Held, ProjectKeyError> {
        if self.recipient != identity.fingerprint() {
            return Err(ProjectKeyError::Recipient {
                to: self.to.clone(),
                recipient: self.recipient.clone(),
                own: identity.fingerprint(),
            });
        }
        let altered = || ProjectKeyError::Altered;
        let sender: PublicKey =
            self.sender.parse().map_err(|_| ProjectKeyError::Format("field `sender` is no public key".to_owned()))?;
        let encapsulated = STANDARD
            .decode(&self.encapsulated_key)
            .ok()
            .and_then(|bytes| <Suite as Kem>::EncappedKey::from_bytes(&bytes).ok())
            .ok_or_else(altered)?;
        let ciphertext = STANDARD.decode(&self.ciphertext).map_err(|_| altered())?;
        let secret = hpke::single_shot_open::<Aead, Kdf, Suite>(
            &OpModeR::Auth(sender.0),
            &identity.private,
            &encapsulated,
            INFO,
            &ciphertext,
            &self.aad(),
        )
        .map(Zeroizing::new)
        .map_err(|_| altered())?;
        let secret = Secret::from_slice(&secret).ok_or_else(altered)?;
        Ok(Held { secret, project: self.project.clone(), epoch: self.epoch })
    }
}
