//! The registered controllers, as the operator handles them.

use super::{AdminError, rules};
use crate::{
    config::HubConfig,
    gateway::{ControllerRecord, Enrolment},
};
use policies::authorize::Action;
use proto::ids::ControllerId;

/// All controllers that were invited or whose spokes listen.
///
/// # Errors
/// When they can't be read.
pub async fn controllers(config: &HubConfig) -> Result<Vec<ControllerRecord>, AdminError> {
    rules::list_controllers()?;
    let enrolment = Enrolment::open(&config.database()).await?;
    for controller in config.spokes.keys() {
        enrolment.know(controller).await?;
    }
    Ok(enrolment.controllers().await?)
}

/// Expels a controller: its links end within a second, and no certificate or code that it has counts any more.
///
/// # Errors
/// When there is no such controller, or it can't be written down.
pub async fn expel(config: &HubConfig, controller: &ControllerId) -> Result<(), AdminError> {
    let enrolment = Enrolment::open(&config.database()).await?;
    if config.spokes.contains_key(controller) {
        enrolment.know(controller).await?;
    }
    rules::controller(&enrolment, Action::ControllerExpel, controller).await?;
    if enrolment.expel(controller).await? {
        Ok(())
    } else {
        Err(AdminError::Usage(format!("there is no controller '{controller}'; `hub admin controllers` lists them")))
    }
}

/// Whether a certificate may be issued by hand for the spoke of `controller`: that lets it in as an invitation does.
///
/// # Errors
/// When not.
pub async fn may_issue(config: &HubConfig, controller: &ControllerId) -> Result<(), AdminError> {
    rules::controller(&Enrolment::open(&config.database()).await?, Action::ControllerInvite, controller).await
}

/// Writes down a certificate that was issued by hand for a spoke, so that it counts and can be expelled.
///
/// # Errors
/// When it can't be read or written down.
pub async fn write_down(config: &HubConfig, controller: &ControllerId, certificate: &str) -> Result<(), AdminError> {
    Ok(Enrolment::open(&config.database()).await?.issued(controller, certificate).await?)
}
