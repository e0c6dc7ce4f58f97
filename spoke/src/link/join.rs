//! Joining a hub with a one-time code.
//!
//! INVARIANT: the code's secret is sent only to the hub whose authority the code names; the private key never is.

use super::{
    files::{self, FilesError},
    settings,
};
use crate::config::SpokeConfig;
use proto::{
    refusal::Refusal,
    wire::{JoinRequest, gateway_client::GatewayClient},
};
use runtime::{
    ca::{CaError, CertFacts, CertRequest},
    config::ConfigError,
    invite::Invite,
    peer::Peer,
    tls,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a spoke could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The code is for another controller.
    #[error("this code is for '{invited}', but this spoke is '{own}'")]
    OtherController {
        /// whom the code invites
        invited: String,
        /// who this is
        own: String,
    },
    /// The hub can't be reached, or it isn't the one of the code.
    #[error("{gateway}: {source}. Is outgoing traffic to it allowed? Nothing was sent that is secret")]
    Gateway {
        /// where it should be
        gateway: String,
        /// what went wrong
        source: io::Error,
    },
    /// The hub refused.
    #[error("the hub says: {0}")]
    Refused(Refusal),
    /// The hub's answer doesn't fit the code.
    #[error("the hub's answer doesn't fit the code: {0}. Tell the hub's operator")]
    Answer(&'static str),
    /// No key can be made.
    #[error(transparent)]
    Key(#[from] CaError),
    /// The certificate can't be put in place.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// `spoke.toml` can't be changed.
    #[error("{}: {source}", path.display())]
    Settings {
        /// which file
        path: PathBuf,
        /// what the operating system said
        source: io::Error,
    },
    /// `spoke.toml` would not be readable afterwards.
    #[error("spoke.toml can't be changed by itself: {0}. Set [link] hub, gateway and mode by hand")]
    Config(#[from] ConfigError),
}

/// What came of it.
#[derive(Debug)]
pub struct Joined {
    /// the hub
    pub hub: Peer,
    /// its gateway
    pub gateway: String,
    /// the certificate
    pub certificate: CertFacts,
}

/// Joins the hub of `invite` as the spoke of the configuration at `path`.
///
/// # Errors
/// When the code is another's, the hub is not the one of the code or refuses, or files can't be written. The code can be
/// used again unless the hub had answered.
pub async fn join(path: &Path, config: &SpokeConfig, invite: &Invite) -> Result<Joined, JoinError> {
    if invite.spoke.name != config.controller.as_ref() {
        return Err(JoinError::OtherController {
            invited: invite.spoke.name.clone(),
            own: config.controller.to_string(),
        });
    }
    // Everything that can fail here fails before the code is used.
    let settings_failed = |source| JoinError::Settings { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(settings_failed)?;
    let text = configured(&text, invite);
    SpokeConfig::parse(&text, &path.display().to_string(), &config.folder)?;
    let (csr, key_pem) = CertRequest::create_der()?;
    let files = config.link_tls();
    if let Some(folder) = files.key.parent() {
        std::fs::create_dir_all(folder).map_err(|source| FilesError::Io { path: folder.to_owned(), source })?;
    }

    let channel = tls::join_channel(&invite.gateway, &invite.hub, invite.authority)
        .await
        .map_err(|source| JoinError::Gateway { gateway: invite.gateway.clone(), source })?;
    let request = JoinRequest { secret: invite.secret.text().to_string(), csr };
    let reply = GatewayClient::new(channel).join(request).await;
    let reply = reply.map_err(|status| JoinError::Refused(status.into()))?.into_inner();

    if CertFacts::read(&reply.authority)?.fingerprint != hex::encode(invite.authority) {
        return Err(JoinError::Answer("it names another authority"));
    }
    let certificate = CertFacts::read(&reply.certificate)?;
    if !certificate.issued_by(&reply.authority) {
        return Err(JoinError::Answer("its certificate is not from its authority"));
    }
    std::fs::write(&files.ca, &reply.authority).map_err(|source| FilesError::Io { path: files.ca.clone(), source })?;
    files::replace(&files, &invite.spoke.to_string(), &key_pem, &reply.certificate)?;
    write(path, &text).map_err(settings_failed)?;
    Ok(Joined { hub: invite.hub.clone(), gateway: invite.gateway.clone(), certificate })
}

fn configured(text: &str, invite: &Invite) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let text = settings::set(text, "link", "gateway", &quoted(&invite.gateway));
    let text = settings::set(&text, "link", "hub", &quoted(&invite.hub.name));
    settings::set(&text, "link", "mode", "\"dial\"")
}

/// All at once, with the rights that the file had.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    std::fs::write(&partial, text)?;
    std::fs::set_permissions(&partial, std::fs::metadata(path)?.permissions())?;
    std::fs::rename(&partial, path)
}
