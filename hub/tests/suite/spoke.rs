//! A spoke that answers from memory, over the real link.

use crate::blind::members::Sharing;
use crate::faults::broken::{self, Faults, without_status};
use arrow::{
    array::{AsArray, RecordBatch, new_null_array},
    datatypes::{DataType, Date32Type, Field, Schema, SchemaRef},
    ipc::{CompressionType, writer::IpcWriteOptions},
    row::{RowConverter, SortField},
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
    encode::{DictionaryHandling, FlightDataEncoderBuilder},
    error::FlightError,
    flight_service_server::{FlightService, FlightServiceServer},
};
use datafusion::{
    datasource::{MemTable, provider_as_source},
    execution::context::SessionContext,
    logical_expr::TableSource,
    prelude::SessionConfig,
};
use futures::{StreamExt, stream::BoxStream};
use hub::release::{Ledger, SchemaRoles};
use policies::{application::Part, disclosure::Threshold};
use prost::Message;
use proto::{
    envelope::{CATALOGUE_ACTION, DECISIONS_ACTION, PART_ACTION, catalogue_request},
    fragment::{self, Limits, Literals},
    plan::{Tables, decode_plainly, decode_with, keys::Keys},
    refusal::{Kind, Refusal},
    schema, wire,
};
use runtime::{
    peer::Peer,
    tls::{self, Tls},
};
use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::Notify};
use tonic::{Request, Response, Status, Streaming};
use tower::util::MapResponseLayer;

/// How the spoke behaves when it is asked for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Answers,
    /// gives this many batches, then nothing for ever
    Stalls(usize),
    /// gives another schema than planned
    AnotherSchema,
    /// gives bytes that are no Arrow data
    Garbage,
    /// compresses its answers so, if the hub reads it
    Compresses(wire::Compression),
    /// sends few bytes that unfold to more than a message may hold
    Bomb,
    /// gives its rows again and again
    Endless,
    /// fails the first time as a lost connection does, then answers
    LostOnce,
    /// refuses
    Refuses(Kind),
    /// says at the end what it took
    Measures(wire::Measured),
    /// gives this many batches, then says that it was planned by what is old
    StaleAfter(usize),
}

/// Answers an action: its kind and body.
pub type Acts = dyn Fn(&str, &[u8]) -> Result<Vec<u8>, Refusal> + Send + Sync;

#[derive(Clone)]
pub struct Table {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// different values of each column, and the years of days
    pub facts: Vec<(u64, Option<(i32, i32)>)>,
}

#[derive(Default)]
pub struct Seen {
    pub scans: Mutex<Vec<wire::ScanRequest>>,
    pub catalogues: AtomicUsize,
    /// parts of applications that were delivered
    pub parts: Mutex<Vec<Part>>,
    /// what this controller's approver has signed
    pub statements: Mutex<Vec<String>>,
    pub asked_by: Mutex<Vec<proto::envelope::Envelope>>,
    /// batches of rows that were taken from it
    pub given: AtomicUsize,
    /// answers that run now
    pub running: AtomicUsize,
    /// batches that the hub took
    pub sent: AtomicUsize,
    pub dropped: Notify,
}

#[derive(Clone)]
pub struct Spoke {
    pub controller: String,
    /// tables by project
    pub offers: BTreeMap<String, BTreeMap<String, Table>>,
    pub manner: Arc<Mutex<Manner>>,
    pub zone: wire::Zone,
    pub garbage_catalogue: bool,
    /// answers other actions than the catalogue
    pub member: Option<Arc<Acts>>,
    /// under which permit, and with which key, tables are offered
    pub terms: Arc<Mutex<wire::CatalogueReply>>,
    pub seen: Arc<Seen>,
    /// what goes wrong for whom
    pub faults: Arc<Faults>,
    /// rows of one message
    pub rows: usize,
    /// answers questions of blind totals with shares
    pub blind: Option<Arc<Sharing>>,
    /// what it has released, when its terms say that only checked cells leave
    pub released: Arc<Ledger>,
}

impl Spoke {
    pub fn new(controller: &str) -> Self {
        Self {
            controller: controller.to_owned(),
            offers: BTreeMap::new(),
            manner: Arc::new(Mutex::new(Manner::Answers)),
            zone: wire::Zone::Enclave,
            garbage_catalogue: false,
            member: None,
            terms: Arc::new(Mutex::new(wire::CatalogueReply {
                epoch: 1,
                key_id: "aa".to_owned(),
                ..wire::CatalogueReply::default()
            })),
            seen: Arc::default(),
            faults: Arc::default(),
            // Small batches, so that there is something to stop in the middle.
            rows: 1000,
            blind: None,
            released: Arc::default(),
        }
    }

    /// From now on only cells leave that it has checked itself, of so many people at least.
    pub fn checks(&self, threshold: u32) {
        self.terms.lock().unwrap().checked = Some(wire::CheckedCells { threshold });
    }

    /// From now on its permit asks for so many people, and the hub looks whether there are.
    pub fn asks_for(&self, threshold: u32) {
        self.terms.lock().unwrap().threshold = threshold;
    }

    pub fn offer(mut self, project: &str, name: &str, batches: Vec<RecordBatch>) -> Self {
        let facts = (0..batches[0].num_columns()).map(|column| facts(&batches, column)).collect();
        let table = Table { schema: batches[0].schema(), batches, facts };
        self.offers.entry(project.to_owned()).or_default().insert(name.to_owned(), table);
        self
    }

    pub fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// What was asked, as SQL.
    pub fn asked(&self) -> Vec<String> {
        let scans = self.seen.scans.lock().unwrap();
        scans.iter().map(|s| fragment::text(s.fragment.as_ref().unwrap(), Literals::Shown)).collect()
    }

    pub async fn serve(&self, tls: &Tls) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.serve_on(listener, tls);
        address
    }

    pub fn serve_on(&self, listener: TcpListener, tls: &Tls) {
        let service = FlightServiceServer::new(self.clone());
        let layer = MapResponseLayer::new(without_status as fn(_) -> _);
        let server = tls::server().layer(layer).add_service(service);
        tokio::spawn(server.serve_with_incoming(tls::incoming(listener, tls)));
    }

    /// Opens a link at a gateway and serves on it. The link ends when the handle is cancelled.
    pub async fn dial(&self, gateway: SocketAddr, tls: &Tls) -> std::io::Result<Dialled> {
        let mut conn = tls::link::dial_link(&gateway.to_string(), &Peer::hub("main").unwrap(), tls).await?;
        let watch = conn.watch();
        let service = FlightServiceServer::new(self.clone());
        let serving = tls::server().add_service(service).serve_with_incoming(tls::link::only(conn));
        tokio::spawn(serving);
        tokio::select! {
            () = watch.heard() => Ok(Dialled { watch }),
            () = watch.gone() => Err(std::io::Error::other("refused")),
        }
    }

    fn catalogue(&self, body: &[u8]) -> Result<wire::CatalogueReply, Refusal> {
        self.seen.catalogues.fetch_add(1, Ordering::SeqCst);
        let envelope = catalogue_request(body)?;
        self.seen.asked_by.lock().unwrap().push(envelope.clone());
        let tables = self
            .offers
            .get(envelope.project.as_ref())
            .ok_or_else(|| Refusal::new(Kind::Denied, "no such project for this user here, or its time is over"))?;
        let tables = tables
            .iter()
            .map(|(name, table)| wire::TableEntry {
                name: name.clone(),
                rows: table.batches.iter().map(|b| b.num_rows() as u64).sum(),
                bytes: 1000,
                arrow_schema: if self.garbage_catalogue { vec![1, 2, 3] } else { schema::to_bytes(&table.schema) },
                columns: table.schema.fields().iter().zip(&table.facts).map(|(f, facts)| column(f, *facts)).collect(),
                schema_fingerprint: schema::fingerprint(&table.schema).to_vec(),
                ..Default::default()
            })
            .collect();
        Ok(wire::CatalogueReply {
            controller: self.controller.clone(),
            tables,
            zone: self.zone.into(),
            ..self.terms.lock().unwrap().clone()
        })
    }

    /// As a spoke looks at what a question was planned by.
    fn check(&self, envelope: &wire::Envelope) -> Result<(), Refusal> {
        let terms = self.terms.lock().unwrap();
        if !terms.permit.is_empty() && envelope.permit != terms.permit {
            return Err(Refusal::new(Kind::Denied, "no such project for this user here, or its time is over"));
        }
        if envelope.epoch != 0 && envelope.epoch != terms.epoch {
            return Err(Refusal::new(Kind::Stale, "the project's key has another epoch here; plan it again"));
        }
        Ok(())
    }

    async fn answer(
        &self,
        request: wire::ScanRequest,
    ) -> Result<BoxStream<'static, Result<FlightData, Status>>, Refusal> {
        let envelope = request.envelope.clone().unwrap();
        let tables = self.offers.get(&envelope.project).ok_or_else(|| Refusal::new(Kind::Denied, "no"))?.clone();
        self.seen.scans.lock().unwrap().push(request.clone());
        let manner = *self.manner.lock().unwrap();
        self.check(&envelope)?;
        match manner {
            Manner::Refuses(kind) => return Err(Refusal::new(kind, "that is too much for today")),
            Manner::LostOnce => {
                self.set(Manner::Answers);
                return Err(Refusal::new(Kind::Unavailable, "connection lost"));
            }
            Manner::Garbage => {
                let data = FlightData { data_header: vec![0xff; 64].into(), ..Default::default() };
                return Ok(futures::stream::iter([Ok(data)]).boxed());
            }
            Manner::Answers
            | Manner::Stalls(_)
            | Manner::AnotherSchema
            | Manner::Compresses(_)
            | Manner::Bomb
            | Manner::Measures(_)
            | Manner::StaleAfter(_)
            | Manner::Endless => {}
        }
        let mut config = SessionConfig::new();
        config.options_mut().execution.skip_physical_aggregate_schema_check = true;
        let context = SessionContext::new_with_config(config);
        let keys: Vec<_> = request.keys.iter().map(|list| Arc::new(Keys::from_wire(list.clone()))).collect();
        let (fragment, limits) = (request.fragment.as_ref().unwrap(), Limits::default());
        let checked = self.terms.lock().unwrap().checked.as_ref().map(|cells| cells.threshold);
        let plan = match checked {
            // As a spoke does it: what is masked could be shown.
            None if request.blind.is_some() && self.blind.is_some() => {
                let state = context.state();
                let asked = decode_plainly(fragment, &Offered(tables), &state, &limits)?;
                let asked = state.analyzer().execute_and_check(asked, state.config_options(), |_, _| {}).unwrap();
                let parts = hub::release::shared(&asked, &self.released);
                parts.map_err(|unshared| Refusal::new(Kind::Invalid, unshared.to_string()))?.into_inner()
            }
            None => decode_with(fragment, &keys, &Offered(tables), &context.state(), &limits)?,
            // As a spoke does it.
            Some(threshold) => {
                assert!(keys.is_empty(), "a spoke that checks its cells takes no key lists");
                let state = context.state();
                let asked = decode_plainly(fragment, &Offered(tables), &state, &limits)?;
                let asked = state.analyzer().execute_and_check(asked, state.config_options(), |_, _| {}).unwrap();
                let least = Threshold::DEFAULT.raised_to(threshold.into());
                let checked = hub::release::checked(asked, &SchemaRoles, &self.released, least);
                let checked = checked.map_err(|refusal| Refusal::new(Kind::Denied, refusal.to_string()))?;
                checked.into_parts().0.into_inner()
            }
        };
        let frame = context.execute_logical_plan(plan).await.unwrap();
        let mut schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let mut batches = frame.collect().await.map_err(|error| {
            // as a spoke says it, without a value
            assert!(error.to_string().contains("Divide by zero"), "{error}");
            Refusal::new(Kind::Invalid, "a division by zero; exclude such rows with NULLIF(divisor, 0)")
        })?;
        if manner == Manner::AnotherSchema {
            schema = Arc::new(Schema::new(vec![Field::new("surprise", DataType::Int32, true)]));
            batches = vec![RecordBatch::new_empty(Arc::clone(&schema))];
        }
        if let (Some(asked), Some(sharing)) = (&request.blind, &self.blind)
            && manner != Manner::AnotherSchema
        {
            let (sent, share) = sharing.share(&request, asked, &batches[0]);
            (schema, batches) = (sent, vec![share]);
        }
        // Small batches, so that there is something to stop in the middle.
        let mut rows: Vec<RecordBatch> = batches
            .iter()
            .flat_map(|b| (0..b.num_rows()).step_by(self.rows).map(|at| b.slice(at, self.rows.min(b.num_rows() - at))))
            .collect();
        let codec = match manner {
            Manner::Compresses(way) if request.accepts().any(|accepted| accepted == way) => match way {
                wire::Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
                wire::Compression::Zstd => Some(CompressionType::ZSTD),
                wire::Compression::Unspecified => None,
            },
            Manner::Bomb => {
                let nothing = schema.fields().iter().map(|f| new_null_array(f.data_type(), 10_000_000));
                rows = vec![RecordBatch::try_new(Arc::clone(&schema), nothing.collect()).unwrap()];
                Some(CompressionType::ZSTD)
            }
            _ => None,
        };
        let options = IpcWriteOptions::default().try_with_compression(codec).unwrap();
        let guard = Guard::new(Arc::clone(&self.seen));
        let seen = Arc::clone(&self.seen);
        let again = if manner == Manner::Endless { usize::MAX } else { 1 };
        let batches = futures::stream::iter(std::iter::repeat_n(rows, again).flatten()).map(move |batch| {
            seen.given.fetch_add(1, Ordering::SeqCst);
            Ok::<_, FlightError>(batch)
        });
        let batches = match manner {
            Manner::Stalls(given) => batches.take(given).chain(futures::stream::pending()).boxed(),
            Manner::StaleAfter(given) => {
                let stale = Status::from(Refusal::new(Kind::Stale, "plan it again"));
                let stale = futures::stream::once(async { Err(FlightError::Tonic(Box::new(stale))) });
                batches.take(given).chain(stale).boxed()
            }
            _ => batches.boxed(),
        };
        let batches = batches.map(move |batch| {
            guard.0.sent.fetch_add(1, Ordering::SeqCst);
            batch
        });
        let encoder = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_options(options)
            .with_max_flight_data_size(1 << 30)
            .with_dictionary_handling(DictionaryHandling::Resend);
        let answer = encoder.build(batches).map(|d| d.map_err(Into::into));
        let end = match manner {
            Manner::Measures(measured) => Some(Err(proto::measured::end(&measured))),
            _ => None,
        };
        Ok(answer.chain(futures::stream::iter(end)).boxed())
    }
}

/// Counts an answer as running until its stream is dropped.
pub struct Guard(Arc<Seen>);

impl Guard {
    pub fn new(seen: Arc<Seen>) -> Self {
        seen.running.fetch_add(1, Ordering::SeqCst);
        Self(seen)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.dropped.notify_waiters();
    }
}

impl Spoke {
    /// Waits until no answer runs.
    pub async fn idle(&self) {
        let waited = async {
            loop {
                let dropped = self.seen.dropped.notified();
                if self.seen.running.load(Ordering::SeqCst) == 0 {
                    return;
                }
                let _ = tokio::time::timeout(Duration::from_millis(100), dropped).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waited).await.expect("the spoke still works");
    }
}

struct Offered(BTreeMap<String, Table>);

impl Tables for Offered {
    fn table(&self, name: &str) -> Option<Arc<dyn TableSource>> {
        let table = self.0.get(name)?;
        let memory = MemTable::try_new(Arc::clone(&table.schema), vec![table.batches.clone()]).unwrap();
        Some(provider_as_source(Arc::new(memory)))
    }
}

fn facts(batches: &[RecordBatch], column: usize) -> (u64, Option<(i32, i32)>) {
    let schema = batches[0].schema();
    let rows = RowConverter::new(vec![SortField::new(schema.field(column).data_type().clone())]).unwrap();
    let mut different = HashSet::new();
    let mut years: Option<(i32, i32)> = None;
    for batch in batches {
        let values = batch.column(column);
        let converted = rows.convert_columns(std::slice::from_ref(values)).unwrap();
        different.extend(converted.iter().map(|row| row.data().to_vec()));
        if let Some(days) = values.as_primitive_opt::<Date32Type>() {
            let year = |day: i32| 1970 + (f64::from(day) / 365.25).floor() as i32;
            for year in days.iter().flatten().map(year) {
                years = Some(years.map_or((year, year), |(first, last)| (first.min(year), last.max(year))));
            }
        }
    }
    (different.len() as u64, years)
}

fn column(field: &Field, (distinct, years): (u64, Option<(i32, i32)>)) -> wire::ColumnEntry {
    let role = match field.metadata().get(schema::ROLE).map(String::as_str) {
        Some(schema::PERSON) => wire::ColumnRole::Person,
        Some(schema::KEY) => wire::ColumnRole::Key,
        _ => wire::ColumnRole::Value,
    };
    wire::ColumnEntry {
        name: field.name().clone(),
        role: role.into(),
        distinct,
        first_year: years.map(|years| years.0),
        last_year: years.map(|years| years.1),
        ..Default::default()
    }
}

fn no<T>() -> Result<T, Status> {
    Err(Refusal::new(Kind::Invalid, "a spoke has no such call").into())
}

type Out<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for Spoke {
    type HandshakeStream = Out<HandshakeResponse>;
    type ListFlightsStream = Out<FlightInfo>;
    type DoGetStream = Out<FlightData>;
    type DoPutStream = Out<PutResult>;
    type DoActionStream = Out<arrow_flight::Result>;
    type ListActionsStream = Out<ActionType>;
    type DoExchangeStream = Out<FlightData>;

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
    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        assert_eq!(tls::peer_of(&request).unwrap().to_string(), "eger://hub/main");
        let scan = fragment::from_bytes(&request.get_ref().ticket, &Limits::default()).map_err(Refusal::from)?;
        let fault = self.faults.of(&scan.envelope.as_ref().unwrap().user);
        broken::answer(fault, Guard::new(Arc::clone(&self.seen)), self.answer(scan)).await
    }
    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        no()
    }
    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        no()
    }
    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        assert_eq!(tls::peer_of(&request).unwrap().to_string(), "eger://hub/main");
        let body = &request.get_ref().body;
        let reply = match (request.get_ref().r#type.as_str(), &self.member) {
            (CATALOGUE_ACTION, _) => {
                let fault = self.faults.of(catalogue_request(body).map_err(Refusal::from)?.user.as_ref());
                return broken::catalogue(fault, self.catalogue(body)?).await;
            }
            (PART_ACTION, _) => {
                let part = Part::from_json(&wire::PartRequest::decode(body.as_ref()).unwrap().part).unwrap();
                let reply = wire::PartReply { part: part.id.to_string() };
                self.seen.parts.lock().unwrap().push(part);
                reply.encode_to_vec()
            }
            (DECISIONS_ACTION, _) => {
                let seen = wire::DecisionsRequest::decode(body.as_ref()).unwrap().seen;
                let said = self.seen.statements.lock().unwrap();
                let new = said.iter().filter(|s| !seen.contains(&hub::decide::digest(s))).cloned().collect();
                wire::DecisionsReply { statements: new }.encode_to_vec()
            }
            (kind, Some(member)) => member(kind, body)?,
            (_, None) => return no(),
        };
        let result = arrow_flight::Result { body: reply.into() };
        Ok(Response::new(futures::stream::iter([Ok(result)]).boxed()))
    }
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        no()
    }
}

/// A link that a spoke opened; cut when dropped.
pub struct Dialled {
    pub watch: tls::Watch,
}

impl Drop for Dialled {
    fn drop(&mut self) {
        self.watch.cut();
    }
}

/// Forwards bytes until it is cut, as a machine that loses its power.
pub struct Proxy {
    pub address: SocketAddr,
    pub cut: tokio_util::sync::CancellationToken,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = tokio_util::sync::CancellationToken::new();
        let end = cut.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = end.cancelled() => return,
                };
                let end = end.clone();
                tokio::spawn(async move {
                    let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = end.cancelled() => {}
                    }
                });
            }
        });
        Self { address, cut }
    }
}
