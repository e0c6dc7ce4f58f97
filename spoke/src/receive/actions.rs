//! What the hub may ask besides rows: Arrow Flight's actions, one line a kind.
//!
//! INVARIANT: the caller's certificate was checked before an action comes here: a [`Guest`] can't be had otherwise.
//! INVARIANT: each action asks the rules for itself before anything is read or written for it.
//! INVARIANT: without a user's token nothing of the data is told: parts go in, what approvers signed goes out.

use super::flight::Surface;
use crate::{
    approve::inbox::{self, InboxError, Received},
    audit::Event,
    member::Duties,
    rules::Guest,
};
use bytes::Bytes;
use policies::{
    application::{MAX_PART, Part},
    authorize::{Action, PartState, Resource},
};
use prost::Message;
use proto::{
    envelope::{self, CATALOGUE_ACTION, DECISIONS_ACTION, PART_ACTION},
    refusal::{Kind, Refusal},
    wire::{DecisionsReply, DecisionsRequest, PartReply, PartRequest},
};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use tracing::Instrument;

/// Kinds of action that are answered here, for the one text that names them.
const KNOWN: [&str; 3] = [CATALOGUE_ACTION, PART_ACTION, DECISIONS_ACTION];
/// Bytes of statements in one reply; the hub asks again for the rest.
const MAX_DECISIONS: usize = 2 << 20;
/// Digests in one request, bytes.
const MAX_SEEN: usize = 4 << 20;

impl Surface {
    /// Answers an action with one message.
    pub(super) async fn act(&self, guest: Guest, kind: &str, body: Bytes) -> Result<Vec<u8>, Refusal> {
        match kind {
            CATALOGUE_ACTION => self.catalogue(&body).await,
            PART_ACTION => self.part(guest, &body).await,
            DECISIONS_ACTION => self.decisions(&guest, &body).await,
            _ => match self.duties.act(guest, kind, &body).await {
                Some(reply) => reply,
                None => {
                    let known = [KNOWN.as_slice(), &Duties::ACTIONS].concat().join(", ");
                    Err(Refusal::new(Kind::Invalid, format!("the actions here are {known}")))
                }
            },
        }
    }

    async fn catalogue(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let envelope = envelope::catalogue_request(body).map_err(Refusal::from)?;
        let span = tracing::info_span!("catalogue", query = %envelope.query_id, project = %envelope.project);
        let reply = Box::pin(self.admission.catalogue(&envelope)).instrument(span).await?;
        Ok(reply.encode_to_vec())
    }

    /// A part of an application, into the inbox.
    async fn part(&self, guest: Guest, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = message::<PartRequest>(body, MAX_PART + 64)?;
        let inbox = self.inbox.clone();
        let received = tokio::task::spawn_blocking(move || take_in(&guest, &inbox, &request.part)).await;
        let (part, new) = received.map_err(|_| broken())??;
        if new == Received::New {
            tracing::info!(part = %part.id, project = %part.project, "a part of an application waits for a decision");
            self.admission.audit().write(&Event::PartReceived { part: part.id, project: part.project }).await?;
        }
        Ok(PartReply { part: part.id.to_string() }.encode_to_vec())
    }

    /// What the approvers signed and the hub has not seen.
    async fn decisions(&self, guest: &Guest, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        guest.may(Action::SpokeDecisions, Resource::System).map_err(|_| forbidden())?;
        let request = message::<DecisionsRequest>(body, MAX_SEEN)?;
        let seen: HashSet<String> = request.seen.into_iter().collect();
        let mut room = MAX_DECISIONS;
        let mut statements = self.admission.permits().statements().await.ok_or_else(broken)?;
        statements.retain(|text| {
            let new = !seen.contains(&hex::encode(Sha256::digest(text)));
            let fits = new && text.len() <= room;
            if fits {
                room -= text.len();
            }
            fits
        });
        Ok(DecisionsReply { statements }.encode_to_vec())
    }
}

/// Takes a part in when the rules say so. One that was decided on is acknowledged and stays as it is: the hub may not know
/// of the decision yet.
fn take_in(guest: &Guest, inbox: &inbox::Inbox, bytes: &[u8]) -> Result<(Part, Received), Refusal> {
    let part = inbox::parse(bytes).map_err(refused)?;
    let (own, state) = (inbox.is_own(&part), inbox.state(part.id).map_err(refused)?);
    match guest.may(Action::SpokePart, Resource::Part { own, state }) {
        Ok(()) => inbox.take(part, bytes).map_err(refused),
        Err(_) if !own => Err(refused(InboxError::Other)),
        Err(_) if state == PartState::Decided => Ok((part, Received::Known)),
        Err(_) => Err(forbidden()),
    }
}

fn refused(error: InboxError) -> Refusal {
    tracing::warn!(%error, "a part was not taken in");
    let kind = match error {
        InboxError::TooLong(_) => Kind::TooLarge,
        InboxError::Full => Kind::Exhausted,
        InboxError::Io { .. } => return broken(),
        InboxError::Form(_) | InboxError::Other | InboxError::Unknown(_) => Kind::Invalid,
    };
    Refusal::new(kind, error.to_string())
}

/// The rules say no to somebody who may come in.
pub(crate) fn forbidden() -> Refusal {
    Refusal::new(
        Kind::Denied,
        "the rules of the platform don't allow this here; docs/permissions.md says who may do what",
    )
}

/// A message that says nothing that this version doesn't know.
fn message<M: Message + Default>(body: &[u8], most: usize) -> Result<M, Refusal> {
    if body.len() > most {
        return Err(Refusal::new(Kind::TooLarge, format!("the request is {} bytes; {most} at most", body.len())));
    }
    M::decode(body)
        .ok()
        .filter(|message| message.encode_to_vec() == body)
        .ok_or_else(|| Refusal::new(Kind::Invalid, "the request can't be read"))
}

fn broken() -> Refusal {
    Refusal::new(Kind::Unavailable, "this controller's spoke can't use its own folders at the moment; its log says why")
}
