//! The calls: joining with a code, renewing, nudging, asking for removal.
//!
//! INVARIANT: the name in a certificate is that of the code or of the certificate presented; a request's own is not
//! looked at. Every wrong code gets the same answer.

use super::{Enrolment, EnrolmentError, Nudges, attempts::Attempts, decide::Decide};
use crate::assemble::purge::PurgeHandler;
use policies::{authorize::Action, receipt::Reason};
use proto::{
    ids::{ControllerId, ProjectId},
    refusal::{Kind, Refusal},
    wire::{
        JoinRequest, LinkCertificate, NudgeReply, NudgeRequest, PurgeReply, PurgeRequest, RenewRequest,
        gateway_server::Gateway,
    },
};
use runtime::{
    ca::{Authority, CertRequest},
    invite::InviteSecret,
    peer::{Peer, Role},
    tls::PeerInfo,
};
use std::{net::IpAddr, sync::Arc};
use tonic::{Request, Response, Status};

pub(super) struct Service {
    pub(super) hub: String,
    pub(super) authority: Arc<Authority>,
    pub(super) decide: Decide,
    pub(super) days: u32,
    pub(super) enrolment: Enrolment,
    pub(super) attempts: Attempts,
    pub(super) nudges: Nudges,
    pub(super) purge: Option<Arc<dyn PurgeHandler>>,
}

fn failed(error: &EnrolmentError) -> Refusal {
    tracing::error!(%error, "enrolment failed");
    Refusal::new(Kind::Internal, "the hub could not do it. Tell its operator")
}

impl Service {
    fn certificate(&self, pem: String) -> LinkCertificate {
        LinkCertificate { certificate: pem, authority: self.authority.cert_pem().to_owned(), hub: self.hub.clone() }
    }

    fn sign(&self, controller: &ControllerId, request: &CertRequest) -> Result<String, EnrolmentError> {
        let who = Peer { role: Role::Spoke, name: controller.to_string() };
        Ok(self.authority.issue_for(&who, request, self.days)?)
    }

    async fn join(&self, request: JoinRequest, from: IpAddr) -> Result<LinkCertificate, Refusal> {
        let useless = || {
            Refusal::new(
                Kind::Denied,
                "this code can't be used: it is wrong, was used before, or has expired. Ask the hub's operator for a new one",
            )
        };
        if !self.attempts.allowed(from) {
            return Err(Refusal::new(Kind::Exhausted, "too many attempts from this address. Try again in a minute"));
        }
        // Before the code is looked at: a request that can't be signed must not use it up.
        let asked = CertRequest::from_der(&request.csr).map_err(|_| unsignable())?;
        let Some(secret) = InviteSecret::parse(&request.secret) else {
            self.attempts.failed(from);
            return Err(useless());
        };
        let sign = |controller: &ControllerId| {
            if self.decide.join(controller) { self.sign(controller, &asked) } else { Err(EnrolmentError::Denied) }
        };
        let joined = self.enrolment.join(&secret, sign).await;
        match joined.map_err(|error| failed(&error))? {
            Some((controller, pem)) => {
                tracing::info!(%controller, %from, "a spoke has joined");
                Ok(self.certificate(pem))
            }
            None => {
                self.attempts.failed(from);
                tracing::warn!(%from, "a code that can't be used");
                Err(useless())
            }
        }
    }

    /// The controller that asks, if its certificate still counts.
    async fn controller<T>(&self, request: &Request<T>, action: Action) -> Result<(ControllerId, String), Refusal> {
        let info = request.extensions().get::<PeerInfo>();
        let denied = || Refusal::new(Kind::Denied, "only a controller's spoke may ask this");
        let (Some(peer), Some(certificate)) =
            (info.and_then(|info| info.peer.as_ref()), info.and_then(|info| info.certificate.as_ref()))
        else {
            return Err(Refusal::new(Kind::Unauthenticated, "this needs a link certificate. Join first: spoke join"));
        };
        if peer.role != Role::Spoke {
            return Err(denied());
        }
        let controller: ControllerId = peer.name.parse().map_err(|_| denied())?;
        match self.enrolment.admits(&controller, &certificate.fingerprint).await {
            Ok(current) if self.decide.own(&controller, current, action) => {
                Ok((controller, certificate.fingerprint.clone()))
            }
            Ok(_) => Err(Refusal::new(
                Kind::Denied,
                "this certificate doesn't count any more. Ask the hub's operator for a new code",
            )),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn unsignable() -> Refusal {
    Refusal::new(Kind::Invalid, "that is no request for a certificate, or it is not signed with its own key")
}

#[tonic::async_trait]
impl Gateway for Service {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<LinkCertificate>, Status> {
        let address = request.extensions().get::<PeerInfo>().and_then(|info| info.address);
        let from = address.map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip());
        Ok(Response::new(Self::join(self, request.into_inner(), from).await?))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<LinkCertificate>, Status> {
        let (controller, present) = self.controller(&request, Action::LinkRenew).await?;
        let asked = CertRequest::from_der(&request.get_ref().csr).map_err(|_| unsignable())?;
        let renewed = self.enrolment.renew(&controller, &present, |controller| self.sign(controller, &asked)).await;
        match renewed.map_err(|error| failed(&error))? {
            Some(pem) => {
                tracing::info!(%controller, "a link certificate was renewed");
                Ok(Response::new(self.certificate(pem)))
            }
            None => Err(Refusal::new(Kind::Exhausted, "too many certificates today. Try again tomorrow").into()),
        }
    }

    async fn nudge(&self, request: Request<NudgeRequest>) -> Result<Response<NudgeReply>, Status> {
        let (controller, _) = self.controller(&request, Action::LinkNudge).await?;
        self.nudges.nudge(&controller);
        Ok(Response::new(NudgeReply {}))
    }

    async fn purge(&self, request: Request<PurgeRequest>) -> Result<Response<PurgeReply>, Status> {
        let (controller, _) = self.controller(&request, Action::LinkPurge).await?;
        let request = request.into_inner();
        let project: ProjectId =
            request.project.parse().map_err(|_| Refusal::new(Kind::Invalid, "that is no project's id"))?;
        let reason = Reason::parse(&request.reason)
            .ok_or_else(|| Refusal::new(Kind::Invalid, "that is no reason to remove anything"))?;
        let Some(purge) = &self.purge else {
            return Err(Refusal::new(Kind::Unavailable, "the hub can't say now what it holds. Ask again later").into());
        };
        let receipt = purge.purge(&controller, &project, reason).await?;
        Ok(Response::new(PurgeReply { receipt }))
    }
}
