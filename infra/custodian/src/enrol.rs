//! Enrolment of a spoke: its controller's approver endorses a key by hand-exchanged signature, the custodian certifies it.
//!
//! INVARIANT: a certificate is made only for the key and name that a registered approver endorsed; the hub has no part in
//! it.

use crate::{
    config::Config,
    key::LinkageKey,
    log::{Event, Log},
    register::{Register, RegisterError},
    setup::{self, SetupError},
};
use chrono::Utc;
use runtime::{
    audit::AuditError,
    ca::CertRequest,
    enrolment::{EnrolmentError, HubReply, Reply, Request},
    sign::{SigningKeyError, VerifyingKey},
    tls::{Peer, PeerError},
};

/// Why a spoke isn't enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The request is none.
    #[error("this is no request of `spoke custodian request`: {0}")]
    Form(String),
    /// The request doesn't hold.
    #[error(transparent)]
    Request(#[from] EnrolmentError),
    /// The register.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Own keys and folder.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The signing key.
    #[error(transparent)]
    Signing(#[from] SigningKeyError),
    /// The audit log.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// The controller's name.
    #[error(transparent)]
    Name(#[from] PeerError),
}

/// Registers a controller with its approver's public key.
///
/// # Errors
/// When the name is none, the controller stands there already (unless `replace`), or it can't be written down.
pub async fn register(
    config: &Config,
    controller: &str,
    approver: &VerifyingKey,
    population: u64,
    replace: bool,
) -> Result<(), EnrolError> {
    Peer::spoke(controller)?;
    let register = Register::open(&config.register()).await?;
    let log = Log::open(&config.audit_log())?;
    if register.find(controller).await?.is_some_and(|c| c.removed.is_none()) && !replace {
        return Err(RegisterError::Exists(controller.to_owned()).into());
    }
    log.write(&Event::Registered { controller, approver: &approver.fingerprint(), population })?;
    register.add(controller, approver, population, replace).await?;
    Ok(())
}

/// Removes a controller; its streams end with their next batch.
///
/// # Errors
/// When it isn't registered, or it can't be written down.
pub async fn remove(config: &Config, controller: &str) -> Result<(), EnrolError> {
    let register = Register::open(&config.register()).await?;
    let log = Log::open(&config.audit_log())?;
    register.remove(controller).await?;
    log.write(&Event::Removed { controller })?;
    Ok(())
}

/// Checks a request and certifies its key for `days` days. Refusals are written down too.
///
/// # Errors
/// When anything about the request doesn't hold.
pub async fn enrol(config: &Config, request: &str, days: u32) -> Result<Reply, EnrolError> {
    let request: Request = serde_json::from_str(request).map_err(|e| EnrolError::Form(e.to_string()))?;
    let name = request
        .claimed_controller()
        .ok_or_else(|| EnrolError::Form("its endorsement names no controller".to_owned()))?;
    let peer = Peer::spoke(&name)?;
    let register = Register::open(&config.register()).await?;
    let log = Log::open(&config.audit_log())?;
    let refused = |error: EnrolError| {
        let reason = error.to_string();
        match log.write(&Event::EnrolmentRefused { controller: &name, reason: &reason }) {
            Ok(_) => error,
            Err(failed) => failed.into(),
        }
    };
    let controller = match register.find(&name).await? {
        Some(controller) if controller.removed.is_none() => controller,
        _ => return Err(refused(RegisterError::Unknown(name.clone()).into())),
    };
    let (csr, endorsement) =
        request.verify(&name, &config.name, &controller.approver, Utc::now()).map_err(|error| refused(error.into()))?;

    let pass = config.passphrase().map_err(SetupError::Passphrase)?;
    let key = LinkageKey::load(&config.keys.linkage, &pass).map_err(SetupError::Key)?;
    let signing = setup::signing_key(config, &pass)?;
    let (authority, authority_pem) = setup::authority(config, &pass)?;
    let certificate = authority.issue_for(&peer, &csr, days).map_err(SetupError::Authority)?;
    // The register last looks whether the endorsement is a new one; who fails there has no certificate in hand.
    let digest = csr.key_digest();
    register
        .enrol(&name, &digest, &endorsement.signing, endorsement.at)
        .await
        .map_err(|error| refused(error.into()))?;
    if controller.signing.is_some_and(|before| before != endorsement.signing) {
        retire(&config.audit_dir(), &peer).map_err(|cause| SetupError::Io { path: config.audit_dir(), cause })?;
    }
    log.write(&Event::Enrolled { controller: &name, key: &digest, approver: &controller.approver.fingerprint() })?;
    Ok(Reply {
        controller: name,
        custodian: config.name.clone(),
        certificate,
        authority: authority_pem,
        evaluation_key: hex::encode(key.public_key()),
        signing_key: signing.public(),
    })
}

/// Certifies the key of a hub's request (PKCS#10, PEM) for `days` days: it may ask for sums of masks. There is no approver's word
/// for a hub: compare `key` of the reply with what the hub's operator reads.
///
/// # Errors
/// When the request is none, the name can't stand in a certificate, or it can't be written down.
pub async fn enrol_hub(config: &Config, hub: &str, csr: &str, days: u32) -> Result<HubReply, EnrolError> {
    let peer = Peer::hub(hub)?;
    let csr = CertRequest::from_pem(csr).map_err(SetupError::Authority)?;
    let register = Register::open(&config.register()).await?;
    let log = Log::open(&config.audit_log())?;
    let pass = config.passphrase().map_err(SetupError::Passphrase)?;
    let (authority, authority_pem) = setup::authority(config, &pass)?;
    let certificate = authority.issue_for(&peer, &csr, days).map_err(SetupError::Authority)?;
    let sealing = setup::sealing_key(config, &pass)?;
    let key = csr.key_digest();
    register.enrol_hub(hub, &key).await?;
    log.write(&Event::HubEnrolled { hub, key: &key })?;
    Ok(HubReply {
        hub: hub.to_owned(),
        custodian: config.name.clone(),
        certificate,
        authority: authority_pem,
        sealing_key: sealing.public().to_string(),
        key,
    })
}

/// Removes a hub. `false`: there was none.
///
/// # Errors
/// When it can't be written down.
pub async fn remove_hub(config: &Config, hub: &str) -> Result<bool, EnrolError> {
    let register = Register::open(&config.register()).await?;
    let log = Log::open(&config.audit_log())?;
    let there = register.remove_hub(hub).await?;
    if there {
        log.write(&Event::HubRemoved { hub })?;
    }
    Ok(there)
}

/// Puts aside what was exchanged under a spoke's earlier signing key: the approver has endorsed another one.
fn retire(audit: &std::path::Path, spoke: &Peer) -> std::io::Result<()> {
    let stem = format!("{}.{}", spoke.role, spoke.name);
    let stamp = Utc::now().format("%Y%m%dT%H%M%S%6f").to_string();
    for kind in ["seen", "witnessed"] {
        let folder = audit.join(kind);
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let old = folder.join("earlier").join(&stamp);
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let rest = text.strip_prefix(&stem).unwrap_or_default();
            // `region.jws`, `region.pub` and `region-2026-11-22.jws`, but not those of `region-h`
            let own = rest.starts_with('.') || (rest.starts_with("-2") && rest.ends_with(".jws"));
            if own && entry.file_type()?.is_file() {
                std::fs::create_dir_all(&old)?;
                std::fs::rename(entry.path(), old.join(&name))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
