//! A spoke that says what it offers, and answers nothing.

use anyhow::Result;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
    flight_service_server::{FlightService, FlightServiceServer},
};
use futures::{StreamExt, stream::BoxStream};
use prost::Message;
use proto::{
    refusal::{Kind, Refusal},
    schema, wire,
};
use runtime::tls::{self, Tls};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming};

/// Tables of each spoke, alike.
pub(super) const TABLES: [&str; 8] =
    ["observations", "admissions", "diagnoses", "dispensed", "procedures", "results", "contacts", "referrals"];
/// Columns of a table beside the five that statements use most.
const FURTHER: usize = 15;

/// The spokes' names.
pub(super) fn name(n: usize) -> String {
    format!("site-{n:02}")
}

/// The first table as one of all these.
pub(super) fn national(members: &[String]) -> String {
    let mut out = "persons = \"overlapping\"\n".to_owned();
    for field in columns().fields() {
        let kind = match field.data_type() {
            DataType::FixedSizeBinary(_) => "person",
            DataType::Date32 => "date",
            DataType::Float64 => "float64",
            DataType::Int32 => "int32",
            _ => "text",
        };
        out.push_str(&format!("[[column]]\nname = \"{}\"\ntype = \"{kind}\"\n", field.name()));
    }
    for member in members {
        out.push_str(&format!("[[member]]\ncontroller = \"{member}\"\n"));
    }
    out
}

fn columns() -> SchemaRef {
    let person = [(schema::ROLE.to_owned(), schema::PERSON.to_owned())].into();
    let mut fields = vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(person),
        Field::new("day", DataType::Date32, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("value", DataType::Float64, true),
        Field::new("kom", DataType::Int32, true),
    ];
    let kinds = [DataType::Int32, DataType::Utf8, DataType::Float64, DataType::Date32];
    fields.extend((0..FURTHER).zip(kinds.iter().cycle()).map(|(n, k)| Field::new(format!("c_{n}"), k.clone(), true)));
    Arc::new(Schema::new(fields))
}

#[derive(Clone)]
pub(super) struct Offering(Vec<u8>);

impl Offering {
    /// All tables, under a permit that lets key lists go to each of `all`.
    pub(super) fn new(controller: &str, all: &[String]) -> Result<Self> {
        let columns = columns();
        let entry = |(place, table): (usize, &str)| wire::TableEntry {
            name: table.to_owned(),
            rows: 1_000_000 >> place,
            bytes: 100_000_000 >> place,
            arrow_schema: schema::to_bytes(&columns),
            columns: columns.fields().iter().map(|field| column(field)).collect(),
            schema_fingerprint: schema::fingerprint(&columns).to_vec(),
            ..Default::default()
        };
        let reply = wire::CatalogueReply {
            controller: controller.to_owned(),
            tables: TABLES.into_iter().enumerate().map(entry).collect(),
            zone: wire::Zone::Enclave.into(),
            epoch: 1,
            key_id: "aa".to_owned(),
            key_lists_to: all.to_vec(),
            ..Default::default()
        };
        Ok(Self(reply.encode_to_vec()))
    }

    pub(super) async fn serve(self, tls: &Tls) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tls::server().add_service(FlightServiceServer::new(self));
        tokio::spawn(serving.serve_with_incoming(tls::incoming(listener, tls)));
        Ok(address)
    }
}

fn column(field: &Field) -> wire::ColumnEntry {
    let person = field.metadata().contains_key(schema::ROLE);
    let role = if person { wire::ColumnRole::Person } else { wire::ColumnRole::Value };
    let text = |language: &str| format!("What {} holds, {language}", field.name());
    let description = Some(wire::Text { da: text("da"), en: text("en") });
    wire::ColumnEntry { name: field.name().clone(), role: role.into(), description, ..Default::default() }
}

type Out<T> = BoxStream<'static, Result<T, Status>>;

fn no<T>() -> Result<T, Status> {
    Err(Refusal::new(Kind::Invalid, "it only says what it offers").into())
}

#[tonic::async_trait]
impl FlightService for Offering {
    type HandshakeStream = Out<HandshakeResponse>;
    type ListFlightsStream = Out<FlightInfo>;
    type DoGetStream = Out<FlightData>;
    type DoPutStream = Out<PutResult>;
    type DoActionStream = Out<arrow_flight::Result>;
    type ListActionsStream = Out<ActionType>;
    type DoExchangeStream = Out<FlightData>;

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let result = arrow_flight::Result { body: self.0.clone().into() };
        Ok(Response::new(futures::stream::iter([Ok(result)]).boxed()))
    }
    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        no()
    }
    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        no()
    }
    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        no()
    }
    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        no()
    }
    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        no()
    }
    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        no()
    }
    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        no()
    }
    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        no()
    }
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        no()
    }
}
