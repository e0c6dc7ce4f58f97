//! The user's own signature over what a statement asks, where a permit demands it: what the client is told to sign, and
//! whether what came is that. The spokes decide; the hub only says early, and clearly, what is missing.
//!
//! INVARIANT: what runs is what was announced: another plan than the one that was signed is not run.

use crate::{plan::Question, request::RequestContext};
use policies::query_signature::{Digest, HEADER, MAX_DIGESTS, verify};
use proto::{
    ids::{ControllerId, QueryId},
    refusal::{Kind, Refusal},
};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// What comes with FlightInfo, as `app_metadata`: the query's id, which a user reads to the operator to find the statement
/// in the logs, and what to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToSign {
    /// the query's id
    pub query_id: QueryId,
    /// what is asked under permits that demand a signature
    pub digests: Vec<Part>,
    /// whether the signature must come with DoGet
    pub sign: bool,
}

/// What is asked of one controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// whom
    pub controller: ControllerId,
    /// what
    pub digest: Digest,
}

impl ToSign {
    pub(super) fn new(query_id: QueryId, questions: Vec<Question>) -> Self {
        let digests: Vec<Part> =
            questions.into_iter().map(|Question { controller, digest }| Part { controller, digest }).collect();
        Self { query_id, sign: !digests.is_empty(), digests }
    }
}

/// Refuses what no signature could list.
pub(super) fn fits(questions: &[Question]) -> Result<(), Refusal> {
    if questions.len() <= MAX_DIGESTS {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::TooLarge,
        format!(
            "the statement asks {} things that must be signed; {MAX_DIGESTS} can be. Ask for less",
            questions.len()
        ),
    ))
}

/// Whether the caller signed all of `questions`, which were announced as `announced`.
pub(super) fn check(context: &RequestContext, announced: &[String], questions: &[Question]) -> Result<(), Refusal> {
    let asked: Vec<String> = questions.iter().map(|question| question.digest.to_string()).collect();
    let Some(first) = questions.first() else {
        return if announced.is_empty() { Ok(()) } else { Err(plan_again()) };
    };
    if announced.is_empty() {
        return Err(Refusal::new(
            Kind::Denied,
            format!(
                "the permit of '{}' demands your signature over each query: announce it with GetFlightInfo, sign the \
                 digests that come with it, and send the signature in header '{HEADER}' of DoGet (hub sql does)",
                first.controller
            ),
        ));
    }
    if asked != announced {
        return Err(plan_again());
    }
    let Some(key) = &context.caller.key else {
        return Err(Refusal::new(
            Kind::Denied,
            format!(
                "the permit of '{}' demands your signature over each query, and your access token is bound to no key. Sign \
                 in with `hub login` at an issuer that binds tokens (DPoP)",
                first.controller
            ),
        ));
    };
    if context.signature.is_empty() {
        return Err(Refusal::new(
            Kind::Denied,
            format!(
                "the permit of '{}' demands your signature over each query: sign the digests that came with FlightInfo and \
                 send the signature in header '{HEADER}' of DoGet (hub sql does)",
                first.controller
            ),
        ));
    }
    let now = SystemTime::now();
    for question in questions {
        verify(context.signature.reveal(), key, &question.digest, &context.query, now)
            .map_err(|error| Refusal::new(Kind::Denied, error.to_string()))?;
    }
    Ok(())
}

fn plan_again() -> Refusal {
    Refusal::new(
        Kind::Unavailable,
        "the statement would now ask something else than what was announced and signed: tables or permits have changed. \
         Plan it again",
    )
}
