//! The service as tonic calls it: everything goes on to Flight SQL, but for one call that the Arrow crate answers with
//! "not implemented" without asking.

use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo, SchemaResult,
    Ticket, flight_service_server::FlightService, sql::server::FlightSqlService,
};
use tonic::{Request, Response, Status, Streaming};

/// A Flight SQL service that also tells a statement's schema alone.
#[derive(Clone)]
pub struct Front<S>(pub S);

#[tonic::async_trait]
impl<S: FlightSqlService + FlightService> FlightService for Front<S> {
    type HandshakeStream = <S as FlightService>::HandshakeStream;
    type ListFlightsStream = <S as FlightService>::ListFlightsStream;
    type DoGetStream = <S as FlightService>::DoGetStream;
    type DoPutStream = <S as FlightService>::DoPutStream;
    type DoActionStream = <S as FlightService>::DoActionStream;
    type ListActionsStream = <S as FlightService>::ListActionsStream;
    type DoExchangeStream = <S as FlightService>::DoExchangeStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.0.handshake(request).await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.0.list_flights(request).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.0.get_flight_info(request).await
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        // Planning is quick and running starts with DoGet, so that there is never anything to poll for.
        let info = self.0.get_flight_info(request).await?.into_inner();
        Ok(Response::new(PollInfo::new().with_info(info)))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let info = self.0.get_flight_info(request).await?.into_inner();
        Ok(Response::new(SchemaResult { schema: info.schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.0.do_get(request).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        self.0.do_put(request).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.0.do_exchange(request).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        self.0.do_action(request).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.0.list_actions(request).await
    }
}
