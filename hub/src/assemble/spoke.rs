//! What the hub says to one spoke about applications: here is a part; what has been signed?

use crate::{
    apply::{Applications, ApplyError},
    registry::{Link, Links},
};
use arrow_flight::{Action, flight_service_client::FlightServiceClient};
use chrono::{DateTime, Utc};
use prost::Message;
use proto::{
    envelope::{DECISIONS_ACTION, PART_ACTION},
    ids::ControllerId,
    refusal::Refusal,
    wire,
};

/// The largest reply taken, bytes.
const MAX_REPLY: usize = 16 << 20;

/// Why a spoke could not be spoken to. What its parts show.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the spoke has no link at the moment")]
    NoLink,
    #[error("the spoke can't be reached, or refuses: {0}")]
    Said(Refusal),
    #[error("the spoke's answer can't be read")]
    Unreadable,
    #[error(transparent)]
    Database(#[from] ApplyError),
}

/// Delivers what waits, and fetches what was signed.
pub(super) async fn exchange(
    applications: &Applications,
    links: &Links,
    controller: &ControllerId,
    now: DateTime<Utc>,
) -> Result<(), Trouble> {
    let link = links.get(controller).ok_or(Trouble::NoLink)?;
    for waiting in applications.waiting(controller).await? {
        let request = wire::PartRequest { part: waiting.part.to_json() };
        let reply: wire::PartReply = ask(&link, PART_ACTION, &request).await?;
        if reply.part != waiting.id.to_string() {
            return Err(Trouble::Unreadable);
        }
        applications.delivered(&waiting.id, now).await?;
    }
    let request = wire::DecisionsRequest { seen: applications.seen(controller, now).await? };
    let reply: wire::DecisionsReply = ask(&link, DECISIONS_ACTION, &request).await?;
    if !reply.statements.is_empty() {
        applications.take(controller, &reply.statements, now).await?;
    }
    Ok(())
}

async fn ask<Q: Message, A: Message + Default>(link: &Link, action: &str, request: &Q) -> Result<A, Trouble> {
    let action = Action { r#type: action.to_owned(), body: request.encode_to_vec().into() };
    let mut client = FlightServiceClient::new(link.channel()).max_decoding_message_size(MAX_REPLY);
    let said = |status: tonic::Status| Trouble::Said(Refusal::from(status));
    let mut results = client.do_action(action).await.map_err(said)?.into_inner();
    let first = results.message().await.map_err(said)?.ok_or(Trouble::Unreadable)?;
    A::decode(first.body).map_err(|_| Trouble::Unreadable)
}
