//! One action at one spoke: a message there, a message back.

use crate::registry::{Links, lost};
use arrow_flight::{Action, flight_service_client::FlightServiceClient};
use prost::Message;
use proto::{ids::ControllerId, refusal::Refusal};
use std::time::Duration;

/// A spoke that takes longer counts as away.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer taken.
const MAX: usize = 4 << 20;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Silence {
    /// the spoke can't be reached now
    Away,
    /// it says no
    Said(Refusal),
}

/// Asks `controller`'s spoke.
pub(super) async fn act<R: Message + Default>(
    links: &Links,
    controller: &ControllerId,
    action: &str,
    request: &impl Message,
) -> Result<R, Silence> {
    let channel = links.get(controller).map(|link| link.channel()).ok_or(Silence::Away)?;
    let action = Action { r#type: action.to_owned(), body: request.encode_to_vec().into() };
    let asked = async {
        let mut client = FlightServiceClient::new(channel).max_decoding_message_size(MAX);
        client.do_action(action).await?.into_inner().message().await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Err(_) => Err(Silence::Away),
        Ok(Err(status)) if lost(&status) => Err(Silence::Away),
        Ok(Err(status)) => Err(Silence::Said(Refusal::from(status))),
        Ok(Ok(None)) => Err(Silence::Away),
        Ok(Ok(Some(result))) => R::decode(result.body).map_err(|_| Silence::Away),
    }
}
