//! The way on which the hub is asked to remove what it holds: its gateway.

use super::{GatewayError, purge};
use crate::{config::SpokeConfig, member::Removal};
use async_trait::async_trait;
use policies::receipt::Reason;
use proto::{
    ids::ProjectId,
    refusal::{Kind, Refusal},
};

/// Asks over the gateway.
pub(crate) struct OverGateway(pub(crate) SpokeConfig);

#[async_trait]
impl Removal for OverGateway {
    async fn purge(&self, project: &ProjectId, reason: Reason) -> Result<String, Refusal> {
        purge(&self.0, project, reason.as_str()).await.map_err(|error| match error {
            GatewayError::Refused(refusal) => refusal,
            other => Refusal::new(Kind::Unavailable, other.to_string()),
        })
    }
}
