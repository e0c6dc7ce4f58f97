//! Sends a permitted fragment to its controller's spoke.
//!
//! The envelope names the permit and carries the user's access token, which the spoke verifies itself; with a permit that
//! demands it, also the user's own signature over what is asked. A spoke finds the digest of its fragment among those
//! signed, so that this hub can't ask anything else.
//!
//! INVARIANT: takes only [`Permitted`]; nothing else in the hub asks a spoke for rows.

use crate::{permit::Permitted, registry::Links};
use arrow_flight::{FlightData, Ticket, flight_service_client::FlightServiceClient};
use policies::query_signature::{self, Asked, Digest};
use prost::Message;
use proto::wire;
use runtime::telemetry::TraceParent;
use tonic::Streaming;

/// How an answer may be compressed. Named only to spokes that offered it: one of an older version refuses what it doesn't know.
const READABLE: [wire::Compression; 2] = [wire::Compression::Lz4, wire::Compression::Zstd];

/// Why an answer did not come, or not whole.
#[derive(Debug)]
pub enum Broken {
    /// There is no way to that controller.
    NoLink,
    /// The spoke, or the link to it, said so.
    Said(tonic::Status),
}

/// Sends the fragment, and the key lists that it speaks of, and returns the answer's stream. `parent`: what the spoke hangs its trace below. Dropping the stream stops the work at the spoke.
///
/// # Errors
/// When the spoke can't be reached or refuses.
pub async fn send(
    question: &Permitted<wire::Fragment>,
    keys: Vec<wire::KeyList>,
    links: &Links,
    parent: &TraceParent,
) -> Result<Streaming<FlightData>, Broken> {
    let link = links.reach(question.controller()).await.ok_or(Broken::NoLink)?;
    let mut envelope = question.context().envelope_for(question.terms());
    envelope.traceparent = parent.to_string();
    let request = wire::ScanRequest {
        envelope: Some(envelope),
        fragment: Some(question.get().clone()),
        schema_fingerprint: question.fingerprint(),
        keys,
        versions: question.versions(),
        blind: question.blind().map(|total| wire::Blind { total: total.to_string() }),
        quick: question.quick().cloned(),
        accepts: question
            .terms()
            .compresses
            .iter()
            .filter(|way| READABLE.contains(way))
            .map(|way| (*way).into())
            .collect(),
    };
    let mut client = FlightServiceClient::new(link.channel()).max_decoding_message_size(runtime::tls::MAX_MESSAGE);
    let answer = client.do_get(Ticket { ticket: request.encode_to_vec().into() }).await.map_err(Broken::Said)?;
    Ok(answer.into_inner())
}

/// The digest of the question, for the user's signature: what [`send`] will ask, and nothing else.
#[must_use]
pub fn digest(question: &Permitted<wire::Fragment>) -> Digest {
    let context = question.context();
    query_signature::digest(&Asked {
        project: &context.project.project,
        controller: question.controller(),
        zone: context.caller.zone.to_wire(),
        fragment: &question.get().encode_to_vec(),
        schema_fingerprint: &question.fingerprint(),
    })
}
