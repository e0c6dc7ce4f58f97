//! The spoke's whole surface towards the hub: Arrow Flight's `DoGet` with a question as ticket, and the
//! actions of `actions`. Every other method of Flight refuses.
//!
//! INVARIANT: the caller's certificate is checked in every method before anything else is looked at. What an action wants
//! is asked of the rules where it is answered; what a question wants, at admission.

use super::Question;
use crate::{
    admit::Admission,
    approve::inbox::Inbox,
    member::Duties,
    reply,
    rules::{Guest, Rules},
    scan,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket, flight_service_server::FlightService,
};
use futures::{StreamExt, stream, stream::BoxStream};
use proto::refusal::{Kind, Refusal};
use runtime::{
    peer::Peer,
    telemetry::{TraceParent, spans::TARGET},
    tls::peer_of,
};
use std::{sync::Arc, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

/// Answers the hub.
pub(crate) struct Surface {
    /// the only one who may ask
    pub(crate) hub: Peer,
    /// what callers may do
    pub(crate) rules: Rules,
    /// who decides
    pub(crate) admission: Arc<Admission>,
    /// where parts of applications go
    pub(crate) inbox: Inbox,
    /// keys of projects, checkpoints of logs
    pub(crate) duties: Arc<Duties>,
    /// how fast answers leave
    pub(crate) pace: reply::Pace,
    /// cancelled when running answers have to end
    pub(crate) stop: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

impl Surface {
    /// Whether the caller may come in with a call.
    fn check<T>(&self, request: &Request<T>) -> Result<Guest, Refusal> {
        let peer = peer_of(request)
            .ok_or_else(|| Refusal::new(Kind::Unauthenticated, "only a caller with a link certificate may ask here"))?;
        let denied = |_| Refusal::new(Kind::Denied, "only this controller's own hub may ask here");
        self.rules.comes_in(peer, &self.hub).map_err(denied)
    }

    fn nothing<T, R>(&self, request: &Request<T>) -> Answer<R> {
        self.check(request)?;
        Err(Refusal::new(Kind::Invalid, "a spoke answers DoGet and a few actions of its own, nothing else").into())
    }

    /// `arrived`: when the whole question was here.
    async fn answer(
        &self,
        ticket: &[u8],
        arrived: Instant,
    ) -> Result<BoxStream<'static, Result<FlightData, Status>>, Refusal> {
        let meters = self.admission.meters().clone();
        let question = Question::from_ticket(ticket, self.admission.fragment_limits()).inspect_err(|refusal| {
            tracing::warn!(reason = %refusal, "refused a malformed question");
            meters.refused(refusal.kind);
        })?;
        let trace = tracing::info_span!(
            target: TARGET, parent: None, "question", outcome = tracing::field::Empty, otel.kind = "server"
        );
        TraceParent::parse(&question.envelope.traceparent).adopt(&trace);
        let lists = question.keys.len();
        let query = question.envelope.query_id;
        let pace = self.pace.of(&question.accepts);
        let span = tracing::info_span!(
            "query", %query, project = %question.envelope.project,
            trace = %question.envelope.traceparent
        );
        let admission = Arc::clone(&self.admission);
        let (running, admission) = async move {
            // Large futures: kept on the heap, not in the connection's task.
            let admit = tracing::info_span!(target: TARGET, parent: &trace, "admit");
            let admitted = Box::pin(admission.admit(question)).instrument(admit).await;
            let mut admitted = admitted.inspect_err(|refusal| {
                tracing::info!(%query, reason = %refusal, "refused");
                trace.record("outcome", "refused");
                meters.refused(refusal.kind);
            })?;
            let admission = arrived.elapsed();
            meters.admitted(admission, admitted.context.watch.waited, lists);
            admitted.context.watch.trace = trace.clone();
            let scan = tracing::info_span!(target: TARGET, parent: &trace, "scan");
            let running = Box::pin(scan::run(admitted)).instrument(scan).await;
            let running = running.inspect_err(|refusal| {
                trace.record("outcome", "failed");
                meters.refused(refusal.kind);
            })?;
            Ok::<_, Refusal>((running, admission))
        }
        .instrument(span.clone())
        .await?;
        Ok(reply::stream(running, admission, pace, self.stop.clone(), span))
    }
}

#[tonic::async_trait]
impl FlightService for Surface {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let arrived = Instant::now();
        self.check(&request)?;
        let ticket = request.into_inner().ticket;
        Ok(Response::new(self.answer(&ticket, arrived).await?))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        let guest = self.check(&request)?;
        let action = request.into_inner();
        let reply = Box::pin(self.act(guest, &action.r#type, action.body)).await?;
        let result = arrow_flight::Result { body: reply.into() };
        Ok(Response::new(stream::iter([Ok(result)]).boxed()))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Answer<Self::ListActionsStream> {
        self.nothing(&request)
    }

    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        self.nothing(&request)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        self.nothing(&request)
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        self.nothing(&request)
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<PollInfo> {
        self.nothing(&request)
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        self.nothing(&request)
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        self.nothing(&request)
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        self.nothing(&request)
    }
}
