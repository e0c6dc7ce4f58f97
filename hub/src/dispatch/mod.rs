//! Sends a permitted fragment to its controller's spoke.
//!
//! INVARIANT: takes only [`Permitted`]; nothing else in the hub asks a spoke for rows.

use crate::{permit::Permitted, registry::Links};
use arrow_flight::{FlightData, Ticket, flight_service_client::FlightServiceClient};
use prost::Message;
use proto::wire;
use tonic::Streaming;

/// Why an answer did not come, or not whole.
#[derive(Debug)]
pub enum Broken {
    /// There is no way to that controller.
    NoLink,
    /// The spoke, or the link to it, said so.
    Said(tonic::Status),
}

/// Sends the fragment and returns the answer's stream. Dropping the stream stops the work at the spoke.
///
/// # Errors
/// When the spoke can't be reached or refuses.
pub async fn send(question: &Permitted<wire::Fragment>, links: &Links) -> Result<Streaming<FlightData>, Broken> {
    let link = links.get(question.controller()).ok_or(Broken::NoLink)?;
    let request = wire::ScanRequest {
        envelope: Some(question.context().envelope()),
        fragment: Some(question.get().clone()),
        schema_fingerprint: question.offer().fingerprint.clone(),
    };
    let mut client = FlightServiceClient::new(link.channel()).max_decoding_message_size(runtime::tls::MAX_MESSAGE);
    let answer = client.do_get(Ticket { ticket: request.encode_to_vec().into() }).await.map_err(Broken::Said)?;
    Ok(answer.into_inner())
}
