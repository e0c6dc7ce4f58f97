//! Inviting a controller: a one-time code for its spoke.

use super::{AdminError, at, rules};
use crate::{config::HubConfig, gateway};
use gateway::Enrolment;
use policies::authorize::Action;
use proto::ids::ControllerId;
use runtime::{invite::Invite, peer::Peer};
use std::net::SocketAddr;
use zeroize::Zeroizing;

/// The longest life of a code, hours.
const MAX_HOURS: u32 = 24 * 30;

/// Makes a code for the spoke of `controller`, good for `hours`; earlier ones are void. `gateway` is where spokes find
/// the hub, instead of what `hub.toml` says.
///
/// # Errors
/// When `hours` is out of range, nobody knows where spokes find the gateway, or the code can't be written down.
pub async fn invite(
    config: &HubConfig,
    controller: &ControllerId,
    hours: u32,
    gateway: Option<&str>,
) -> Result<Zeroizing<String>, AdminError> {
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(AdminError::Usage(format!("--hours {hours}: a code lives from 1 to {MAX_HOURS} hours")));
    }
    let name = |error: runtime::peer::PeerError| AdminError::Usage(error.to_string());
    let (hub, spoke) = (Peer::hub(&config.name).map_err(name)?, Peer::spoke(controller.as_ref()).map_err(name)?);
    let gateway = match gateway {
        Some(given) => given.to_owned(),
        None => public(config)?,
    };
    if !gateway
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
    {
        return Err(AdminError::Usage(format!("'{gateway}' is no address of a gateway: write HOST:PORT")));
    }
    let authority = gateway::authority(&config.folder).map_err(at(&config.folder.join("keys")))?.fingerprint()?;
    let enrolment = Enrolment::open(&config.database()).await?;
    rules::controller(&enrolment, Action::ControllerInvite, controller).await?;
    let secret = enrolment.invite(controller, hours).await?;
    Ok(Invite { gateway, authority, hub, spoke, secret }.code())
}

/// Where spokes find the gateway, as far as the configuration tells.
fn public(config: &HubConfig) -> Result<String, AdminError> {
    let Some(gateway) = &config.gateway else {
        return Err(AdminError::Usage(
            "hub.toml has no [gateway]: give it an address, start the hub again, and invite then".to_owned(),
        ));
    };
    let usable = |address: &SocketAddr| !address.ip().is_unspecified() && address.port() != 0;
    match (&gateway.public, gateway.address) {
        (Some(public), _) => Ok(public.clone()),
        (None, address) if usable(&address) => Ok(address.to_string()),
        (None, address) => Err(AdminError::Usage(format!(
            "spokes can't connect to {address}: set [gateway] public = \"HOST:PORT\" in hub.toml, or give --gateway HOST:PORT"
        ))),
    }
}
