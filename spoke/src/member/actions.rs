//! The actions of the link that are about a member's keys: bytes in, bytes out.
//!
//! INVARIANT: the caller's certificate was checked before; nothing here needs a user, and nothing here tells of data.
//! INVARIANT: each action asks the rules, with the own permit's facts, before a key is opened, made or taken for it.

use super::{Member, MemberError, take};
use crate::rules::Guest;
use policies::authorize::{Action, PermitFacts, PermitState, Resource};
use prost::Message;
use proto::{
    ids::ProjectId,
    refusal::{Kind, Refusal},
    wire::{
        AcceptanceReply, AcceptanceRequest, MakeEpochReply, MakeEpochRequest, SealedKey, TakeEpochReply,
        TakeEpochRequest,
    },
};
use std::sync::Arc;

/// Members that one project may have.
const MAX_MEMBERS: usize = 256;

impl Member {
    /// Answers `eger.v1.acceptance`.
    pub(crate) async fn acceptance(self: &Arc<Self>, guest: Guest, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let project = project(&decode::<AcceptanceRequest>(body)?.project)?;
        let accept = move |member: &Self| match member.asked(&guest, Action::SpokeAcceptance, &project) {
            Ok(()) => member.accept(&project),
            // No permit, nothing accepted: that is an answer, and no trouble.
            Err(MemberError::NoPermit(_)) => Ok(None),
            Err(error) => Err(error),
        };
        let acceptance = self.blocking(accept).await?;
        Ok(AcceptanceReply { acceptance: acceptance.unwrap_or_default() }.encode_to_vec())
    }

    /// Answers `eger.v1.epoch.make`.
    pub(crate) async fn make(self: &Arc<Self>, guest: Guest, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = decode::<MakeEpochRequest>(body)?;
        let project = project(&request.project)?;
        if request.acceptances.len() > MAX_MEMBERS {
            return Err(Refusal::new(Kind::TooLarge, format!("a project has {MAX_MEMBERS} members at most")));
        }
        let made = self
            .blocking(move |member| {
                member.asked(&guest, Action::SpokeEpochMake, &project)?;
                member.make_epoch(&project, &request.acceptances, request.after)
            })
            .await
            .inspect_err(|refusal| tracing::warn!(reason = %refusal, "made no epoch"))?;
        let keys = made.keys.into_iter().map(|(to, sealed)| SealedKey { controller: to.to_string(), sealed });
        let left_out = made.left_out.into_iter().map(|(who, why)| format!("{who}: {why}"));
        Ok(MakeEpochReply { record: made.record, keys: keys.collect(), left_out: left_out.collect() }.encode_to_vec())
    }

    /// Answers `eger.v1.epoch.take`.
    pub(crate) async fn take(self: &Arc<Self>, guest: Guest, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = decode::<TakeEpochRequest>(body)?;
        let epoch = self
            .blocking(move |member| {
                member.asked(&guest, Action::SpokeEpochTake, &take::claimed(&request.record)?.project)?;
                member.take_epoch(&request.record, &request.sealed)
            })
            .await
            .inspect_err(|refusal| tracing::warn!(reason = %refusal, "took no epoch"))?;
        Ok(TakeEpochReply { epoch }.encode_to_vec())
    }

    /// Whether the rules allow it, by the own live permit of the project.
    fn asked(&self, guest: &Guest, action: Action, project: &ProjectId) -> Result<(), MemberError> {
        let live = self.permits.live(project);
        let facts =
            live.as_ref().map_or_else(PermitFacts::none, |live| PermitFacts::of(live.permit(), PermitState::Live));
        let leads = facts.leads;
        guest.may(action, Resource::Permit(facts)).map_err(|_| match &live {
            None => MemberError::NoPermit(project.clone()),
            Some(live) if action == Action::SpokeEpochMake && !leads => {
                MemberError::NotMaker { lead: live.permit().lead.clone() }
            }
            Some(_) => MemberError::Forbidden,
        })
    }

    /// Key files are slow to open on purpose.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, MemberError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let member = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&member)).await;
        done.map_err(|_| Refusal::new(Kind::Unavailable, "this spoke is stopping"))?.map_err(Refusal::from)
    }
}

pub(super) fn decode<T: Message + Default>(body: &[u8]) -> Result<T, Refusal> {
    let unreadable = || Refusal::new(Kind::Invalid, "the request cannot be read");
    let message = T::decode(body).map_err(|_| unreadable())?;
    // what this side does not know, it must not pass over
    if message.encode_to_vec() == body { Ok(message) } else { Err(unreadable()) }
}

fn project(text: &str) -> Result<ProjectId, Refusal> {
    text.parse().map_err(|_| Refusal::new(Kind::Invalid, "the request's field `project` is not valid"))
}
