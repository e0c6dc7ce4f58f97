//! Spoke and custodian as each other's witnesses: after an ingest each shows how far its audit log goes and countersigns the
//! other's, so that neither can cut its log's tail unseen.

use crate::config::SpokeConfig;
use proto::wire::{CustodianCheckpointRequest, custodian_client::CustodianClient};
use runtime::{
    audit::{
        AuditError, AuditLog,
        witness::{Witness, WitnessError},
    },
    enrolment::SPOKE_SIGNING_CONTEXT,
    peer::{Peer, Role},
    seal::{Passphrase, SealError},
    sign::{SigningKey, SigningKeyError, VerifyingKey},
    tls::{self, Tls, TlsError},
};
use std::{sync::Arc, time::Duration};
use tonic::{Status, transport::Channel};

/// How long the custodian may take over it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why nothing was witnessed.
#[derive(Debug, thiserror::Error)]
pub enum WitnessTrouble {
    /// Own passphrase.
    #[error(transparent)]
    Passphrase(#[from] SealError),
    /// Own signing key.
    #[error(transparent)]
    Signing(#[from] SigningKeyError),
    /// Own log.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// The connection.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What the custodian said, or that it said nothing.
    #[error("the custodian: {0}")]
    Custodian(String),
    /// The custodian's log goes back, or its countersignature doesn't hold.
    #[error(transparent)]
    Witness(#[from] WitnessError),
}

impl WitnessTrouble {
    /// Whether somebody's log was changed, which is more than a lost connection.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        matches!(self, Self::Witness(_) | Self::Log(_))
    }
}

/// Shows the custodian this spoke's log and countersigns the custodian's. Does nothing when no custodian is enrolled at.
///
/// # Errors
/// When a key or log can't be used, the custodian can't be reached, or one of the logs was changed.
pub async fn witness(config: &SpokeConfig) -> Result<(), WitnessTrouble> {
    let Some(custodian) = &config.custodian else { return Ok(()) };
    let key_file = config.ingest_keys_dir().join("signing.key");
    let Ok(text) = std::fs::read_to_string(custodian.signing_key()) else { return Ok(()) };
    if !key_file.exists() {
        return Ok(());
    }
    let theirs: VerifyingKey = text.parse().map_err(|_| {
        WitnessTrouble::Custodian(format!("{}: holds no public key", custodian.signing_key().display()))
    })?;
    let pass: Passphrase = config.ingest_passphrase()?;
    let key = Arc::new(SigningKey::load(&key_file, SPOKE_SIGNING_CONTEXT, &pass)?);
    let log = Arc::new(AuditLog::open(&config.audit_log())?);
    let own = Peer { role: Role::Spoke, name: config.controller.to_string() };
    let witness = Witness::new(own, key, log);
    let peer = custodian.peer();
    let theirs = witness.pinned(&peer, &theirs)?;
    let tls = Tls::load(&custodian.tls())?;
    let mut client = CustodianClient::new(tls::channel(&custodian.address, peer.clone(), &tls));
    let reply = ask(&mut client, witness.checkpoint()?, String::new()).await?;
    witness.keep(&peer, &theirs, &reply.witnessed)?;
    let countersigned = witness.witness(&peer, &theirs, &reply.checkpoint)?;
    ask(&mut client, String::new(), countersigned).await?;
    Ok(())
}

async fn ask(
    client: &mut CustodianClient<Channel>,
    checkpoint: String,
    witnessed: String,
) -> Result<proto::wire::CustodianCheckpointReply, WitnessTrouble> {
    let said = |status: Status| WitnessTrouble::Custodian(status.message().to_owned());
    match tokio::time::timeout(PATIENCE, client.checkpoint(CustodianCheckpointRequest { checkpoint, witnessed })).await
    {
        Ok(reply) => reply.map(tonic::Response::into_inner).map_err(said),
        Err(_) => Err(WitnessTrouble::Custodian("no answer within 15 s".to_owned())),
    }
}
