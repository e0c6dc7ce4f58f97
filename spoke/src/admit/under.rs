//! Under what a question is asked: the live permit, and the person whom it names.
//!
//! INVARIANT: the permit is the controller's own signed one. What the hub sends is a name for it at most.

use super::{
    Admission, blind,
    count::{no_state, used_up},
    permits::Live,
    quick,
    user::{self, Asker},
};
use crate::{
    audit::{Scan, Stage},
    receive::{Envelope, Question},
};
use chrono::Utc;
use policies::{
    authorize::{Action, Actor, PermitFacts, PermitState, Proof, Request, Resource},
    permit::{Denied, Output, Permit},
    query_signature::{self, Asked, Digest},
    zone::Zone,
};
use prost::Message;
use proto::{
    fragment::{self, Literals},
    refusal::{Kind, Refusal},
};
use std::{sync::Arc, time::SystemTime};
use tokio_util::sync::CancellationToken;

/// See the module.
pub(super) struct Under {
    pub(super) permit: Arc<Permit>,
    /// cancelled when the permit is over
    pub(super) ended: CancellationToken,
    pub(super) asker: Asker,
    /// where the answer is shown
    zone: Zone,
}

impl Under {
    /// Whether the answer is shown in the enclave.
    pub(super) fn in_enclave(&self) -> bool {
        self.zone == Zone::Enclave
    }

    /// Where the answer is shown.
    pub(super) fn zone(&self) -> Zone {
        self.zone
    }

    /// Whether the permit lets people see rows.
    pub(super) fn shows_rows(&self) -> bool {
        self.permit.output == Output::EnclaveRows
    }

    fn request(&self, action: Action) -> Request<'_> {
        let actor = Actor::Person {
            user: &self.asker.user,
            issuer: &self.asker.issuer,
            proof: Proof::Issuer,
            roles: &[],
            bound: None,
        };
        let permit = Resource::Permit(PermitFacts::of(&self.permit, PermitState::Live));
        Request::new(actor, action, permit).in_zone(self.zone)
    }
}

/// The one refusal for everything that no permit covers.
pub(super) fn denied() -> Refusal {
    Refusal::new(Kind::Denied, Denied.to_string())
}

impl Admission {
    /// The permit that covers the request, and who asks.
    pub(super) async fn permitted(&self, envelope: &Envelope) -> Result<Under, Refusal> {
        let asker = user::identify(&self.issuers, envelope).await?;
        let no = |why: String| {
            tracing::info!(query = %envelope.query_id, project = %envelope.project, user = %asker.user, why, "no permit");
            denied()
        };
        let found = self.permits.find(&envelope.project).await;
        let Live { permit, ended } = found.ok_or_else(|| no("none is live".to_owned()))?;
        let zone = Zone::from_wire(envelope.zone.into()).ok_or_else(|| no("no zone".to_owned()))?;
        if envelope.permit.is_some_and(|meant| meant != permit.id) {
            return Err(no("another permit is meant".to_owned()));
        }
        let under = Under { permit, ended, asker, zone };
        self.rules.may(&under.request(Action::SpokeCatalogue)).map_err(|denial| {
            tracing::info!(
                query = %envelope.query_id, project = %envelope.project, user = %under.asker.user, %denial, "no permit"
            );
            denied()
        })?;
        Ok(under)
    }

    /// Whether rows may be read for what is asked; the audit log's entry for it.
    pub(super) fn scannable(&self, under: &Under, question: &Question) -> Result<Scan, Refusal> {
        let action = match quick::action(under, question)? {
            Some(counting) => counting,
            None => blind::action(under, question)?,
        };
        let entry = self.signed(under, question)?;
        // A signature that was demanded has been verified above, or there is no entry.
        let request = under.request(action).signed(under.permit.client_signature);
        self.rules.may(&request).map_err(|denial| {
            tracing::info!(query = %question.envelope.query_id, user = %under.asker.user, %denial, "no permit");
            denied()
        })?;
        Ok(entry)
    }

    /// Checks the user's own signature, when the permit demands one; the audit log's entry for the question.
    fn signed(&self, under: &Under, question: &Question) -> Result<Scan, Refusal> {
        let (envelope, permit) = (&question.envelope, &under.permit);
        let digest = query_signature::digest(&Asked {
            project: &envelope.project,
            controller: &self.controller,
            zone: envelope.zone,
            fragment: &question.fragment.encode_to_vec(),
            schema_fingerprint: question.fingerprint.as_ref().map_or(&[], |bytes| bytes.as_slice()),
        });
        if permit.client_signature {
            demanded(under, envelope, &digest)?;
        }
        Ok(Scan {
            stage: Stage::Asked,
            query: envelope.query_id,
            user: under.asker.user.clone(),
            issuer: under.asker.issuer.clone(),
            token: under.asker.token.clone(),
            project: permit.project.clone(),
            permit: permit.id,
            purpose: permit.purpose.ehds,
            zone: under.zone.to_string(),
            digest: digest.to_string(),
            blind: question.blind,
            sql: Some(Scan::text(fragment::text(&question.fragment, Literals::Shown))),
            rows: None,
            bytes: None,
            outcome: None,
            ms: None,
        })
    }

    /// Counts the question against the permit's day.
    pub(super) async fn counted(&self, permit: &Permit) -> Result<(), Refusal> {
        let most = permit.caps.queries_per_day;
        let room = self.state.count_question(permit.id, Utc::now().date_naive(), most).await;
        if room.map_err(|error| no_state(&error))? { Ok(()) } else { Err(used_up(most)) }
    }
}

fn demanded(under: &Under, envelope: &Envelope, digest: &Digest) -> Result<(), Refusal> {
    let unsigned = |message: String| {
        tracing::info!(query = %envelope.query_id, user = %under.asker.user, reason = %message, "not signed by the user");
        Refusal::new(Kind::Unauthenticated, message)
    };
    let Some(key) = &under.asker.key else {
        return Err(unsigned(
            "this controller's permit demands the user's own signature, and the access token is bound to no key. Sign in \
             again with a client that binds it (hub login)"
                .to_owned(),
        ));
    };
    if envelope.signature.is_empty() {
        return Err(unsigned(
            "this controller's permit demands the user's own signature over each question; sign the digests that came with \
             FlightInfo"
                .to_owned(),
        ));
    }
    query_signature::verify(envelope.signature.reveal(), key, digest, &envelope.query_id, SystemTime::now())
        .map_err(|error| unsigned(error.to_string()))
}
