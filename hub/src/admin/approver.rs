//! Public keys of controllers' approvers, as the operator registers them.

use super::{AdminError, rules};
use crate::{
    apply::{Applications, Approver},
    config::HubConfig,
    gateway::Enrolment,
};
use chrono::Utc;
use policies::authorize::Action;
use proto::ids::ControllerId;
use runtime::sign::VerifyingKey;

fn failed(error: crate::apply::ApplyError) -> AdminError {
    AdminError::Usage(error.to_string())
}

async fn may(config: &HubConfig, controller: &ControllerId) -> Result<(), AdminError> {
    rules::controller(&Enrolment::open(&config.database()).await?, Action::ControllerApprover, controller).await
}

/// Registers a key: what it signs counts for that controller.
///
/// # Errors
/// When the rules don't allow it, or it can't be written.
pub async fn add(
    config: &HubConfig,
    controller: &ControllerId,
    key: &VerifyingKey,
    name: &str,
) -> Result<(), AdminError> {
    may(config, controller).await?;
    let applications = Applications::open(&config.database()).await?;
    applications.add_approver(controller, key, name, Utc::now()).await.map_err(failed)
}

/// All registered keys.
///
/// # Errors
/// When they can't be read.
pub async fn list(config: &HubConfig) -> Result<Vec<Approver>, AdminError> {
    rules::list_controllers()?;
    Applications::open(&config.database()).await?.approvers().await.map_err(failed)
}

/// Takes a key away; permits that it signed count no longer.
///
/// # Errors
/// When there is no such key.
pub async fn remove(config: &HubConfig, controller: &ControllerId, key: &VerifyingKey) -> Result<(), AdminError> {
    may(config, controller).await?;
    let applications = Applications::open(&config.database()).await?;
    if applications.remove_approver(controller, key, Utc::now()).await.map_err(failed)? {
        Ok(())
    } else {
        Err(AdminError::Usage(format!("controller '{controller}' has no such key: see `hub admin approver list`")))
    }
}
