//! Flight SQL, call by call.

use super::{
    Announced, Body, Core, Purpose, actions, answer,
    metadata::{Chosen, keys},
    sessions::Session,
};
use crate::{
    audit::Event,
    config::Project,
    identify::{Caller, choose},
    permit::rules,
    plan::{Parameters, number_placeholders},
    watch::Watch,
};
use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    ipc::writer::IpcWriteOptions,
};
use arrow_flight::{
    Action, ActionType, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse,
    IpcMessage, SchemaAsIpc, Ticket,
    decode::FlightRecordBatchStream,
    error::FlightError,
    flight_service_server::FlightService,
    sql::{
        ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionRequest,
        ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
        ActionCreatePreparedSubstraitPlanRequest, ActionEndSavepointRequest, ActionEndTransactionRequest,
        CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
        CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
        CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
        CommandStatementQuery, CommandStatementSubstraitPlan, CommandStatementUpdate, DoPutPreparedStatementResult,
        ProstMessageExt, SqlInfo, TicketStatementQuery,
        server::{FlightSqlService, PeekableFlightDataStream},
    },
};
use futures::{Stream, StreamExt, TryStreamExt};
use policies::{query_signature::HEADER, zone::Zone};
use prost::Message;
use proto::{
    envelope::Proof,
    ids::QueryId,
    refusal::{Kind, Refusal},
};
use runtime::{
    telemetry::{TraceParent, spans::TARGET},
    token::binding::MAX_SIGNED,
};
use std::{pin::Pin, sync::Arc};
use tonic::{
    Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
};
use tracing::Instrument;

/// Header: answers may do without members of national tables that can't be asked.
pub(crate) const ALLOW_PARTIAL: &str = "x-eger-allow-partial";
/// Bytes of values that may be bound to a statement.
const MAX_BOUND: usize = 1 << 20;

type DoGet = <Service as FlightService>::DoGetStream;

/// Flight SQL for one zone.
#[derive(Clone)]
pub struct Service {
    pub(super) core: Arc<Core>,
    zone: Zone,
}

impl Service {
    /// The service of a listener in `zone`.
    #[must_use]
    pub fn new(core: Arc<Core>, zone: Zone) -> Self {
        Self { core, zone }
    }

    pub(super) async fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Refusal> {
        let caller = self.core.identify.caller(request.metadata(), self.zone).await?;
        rules::session(&caller)?;
        Ok(caller)
    }

    pub(super) fn session<T>(&self, request: &Request<T>, caller: &Caller) -> Session {
        Session::new(caller, request.remote_addr())
    }

    fn chosen<T>(&self, request: &Request<T>, caller: &Caller) -> Chosen {
        let header = request.metadata().get("x-eger-project").map(|v| v.to_str().unwrap_or("?").to_owned());
        Chosen { header, session: self.core.sessions.catalog(&self.session(request, caller), caller.expires) }
    }

    fn project<T>(&self, request: &Request<T>, caller: &Caller) -> Result<Project, Refusal> {
        let chosen = self.chosen(request, caller);
        choose(caller, &self.core.projects(), chosen.header.as_deref(), chosen.session.as_deref())
    }

    /// Whether answers may do without members of national tables that can't be asked: the header says so, else the session.
    fn allow_partial<T>(&self, request: &Request<T>, caller: &Caller) -> Result<bool, Refusal> {
        match request.metadata().get(ALLOW_PARTIAL).map(MetadataValue::as_bytes) {
            None => Ok(self.core.sessions.allow_partial(&self.session(request, caller), caller.expires)),
            Some(b"true") => Ok(true),
            Some(b"false") => Ok(false),
            Some(_) => Err(Refusal::new(Kind::Invalid, format!("header '{ALLOW_PARTIAL}' is true or false"))),
        }
    }

    /// Watches a call about a statement.
    fn watch<T>(&self, request: &Request<T>, call: &'static str) -> Arc<Watch> {
        Arc::new(Watch::new(call, parent(request), self.core.meters().clone()))
    }

    async fn info(
        &self,
        (caller, project, allow_partial): (Caller, Project, bool),
        sql: &str,
        parameters: &Parameters,
        descriptor: FlightDescriptor,
        watch: Arc<Watch>,
    ) -> Result<Response<FlightInfo>, Status> {
        let mut announced = Vec::new();
        for row in parameters.rows() {
            // Each row of values is a statement of its own: planned, released, counted and logged as one.
            let context = self.core.context(caller.clone(), project.clone(), allow_partial, Arc::clone(&watch));
            announced.push(self.core.announce(&context, sql, &row).await?);
        }
        Ok(Response::new(listed(announced, descriptor)?))
    }

    fn prepared(&self, handle: &[u8], caller: &Caller) -> Result<Body, Refusal> {
        self.core.sealer.open(Purpose::Prepared, handle, caller)
    }
}

/// FlightInfo of what was announced: an endpoint for each, in order.
fn listed(announced: Vec<Announced>, descriptor: FlightDescriptor) -> Result<FlightInfo, Refusal> {
    let ticket = |handle: Vec<u8>| {
        let command = TicketStatementQuery { statement_handle: handle.into() };
        Ticket::new(command.as_any().encode_to_vec())
    };
    let several = announced.len() > 1;
    let mut all = announced.into_iter();
    let Some(Announced { schema, ticket: first, facts }) = all.next() else {
        return Err(Refusal::new(Kind::Internal, "nothing was announced"));
    };
    let mut info = described(&schema, ticket(first), descriptor)?.with_ordered(several);
    if !several {
        return Ok(info.with_app_metadata(facts));
    }
    // What to sign is another thing for each row, so that it stands with each.
    info.endpoint = info.endpoint.into_iter().map(|endpoint| endpoint.with_app_metadata(facts.clone())).collect();
    for next in all {
        if next.schema != schema {
            return Err(Refusal::new(
                Kind::Invalid,
                "the rows of values give answers of different types: bind them one by one",
            ));
        }
        let endpoint = FlightEndpoint::new().with_ticket(ticket(next.ticket)).with_app_metadata(next.facts);
        info = info.with_endpoint(endpoint);
    }
    Ok(info)
}

fn described(schema: &Schema, ticket: Ticket, descriptor: FlightDescriptor) -> Result<FlightInfo, Refusal> {
    Ok(FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|_| Refusal::new(Kind::Internal, "the answer's schema can't be written"))?
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
        .with_descriptor(descriptor))
}

/// FlightInfo of a question about the catalog: the ticket is the question.
fn catalog_info<M: ProstMessageExt>(
    query: &M,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let ticket = Ticket::new(query.as_any().encode_to_vec());
    Ok(Response::new(described(schema, ticket, request.into_inner())?))
}

/// The user's own signature over what will be asked, when it came along.
fn signature<T>(request: &Request<T>) -> Result<Proof, Refusal> {
    let Some(header) = request.metadata().get(HEADER) else { return Ok(Proof::default()) };
    match header.to_str() {
        Ok(text) if text.len() <= MAX_SIGNED => Ok(Proof::new(text)),
        _ => Err(Refusal::new(Kind::Invalid, format!("header '{HEADER}' holds no signature"))),
    }
}

/// The trace that a request belongs to.
fn parent<T>(request: &Request<T>) -> TraceParent {
    TraceParent::in_headers(request.metadata().as_ref())
}

fn identifying(watch: &Watch) -> tracing::Span {
    tracing::info_span!(target: TARGET, parent: &watch.span(), "identify")
}

fn table(batch: RecordBatch) -> Response<DoGet> {
    let schema = batch.schema();
    Response::new(answer::encode(schema, futures::stream::iter([Ok(batch)])))
}

fn empty(schema: SchemaRef) -> Response<DoGet> {
    Response::new(answer::encode(schema, futures::stream::empty()))
}

fn ipc(schema: &Schema) -> Result<bytes::Bytes, Refusal> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options)
        .try_into()
        .map_err(|_| Refusal::new(Kind::Internal, "a schema can't be written"))?;
    Ok(bytes)
}

fn refused(what: &str) -> Refusal {
    Refusal::new(
        Kind::Invalid,
        format!("{what} is refused: this service only reads (SELECT, EXPLAIN, SHOW TABLES, DESCRIBE)"),
    )
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        let caller = self.caller(&request).await?;
        let token = caller.token.reveal().to_owned();
        self.core.audit.record(Event::Login { user: caller.user, how: "handshake" }).await?;
        let reply = HandshakeResponse { protocol_version: 0, payload: token.clone().into_bytes().into() };
        let mut response: Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>> =
            Response::new(Box::pin(futures::stream::iter([Ok(reply)])));
        let mut header: MetadataValue<Ascii> = format!("Bearer {token}")
            .parse()
            .map_err(|_| Refusal::new(Kind::Internal, "the token can't be sent back"))?;
        header.set_sensitive(true);
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let watch = self.watch(&request, "get-flight-info");
        let caller = self.caller(&request).instrument(identifying(&watch)).await?;
        if query.transaction_id.is_some() {
            return Err(refused("a transaction").into());
        }
        let project = self.project(&request, &caller)?;
        let allow_partial = self.allow_partial(&request, &caller)?;
        self.info((caller, project, allow_partial), &query.query, &Parameters::default(), request.into_inner(), watch)
            .await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let watch = self.watch(&request, "get-flight-info");
        let caller = self.caller(&request).instrument(identifying(&watch)).await?;
        let body = self.prepared(&query.prepared_statement_handle, &caller)?;
        let project = self.core.project_of(&body, &caller)?;
        let parameters = Parameters::from_bytes(&body.parameters)?;
        self.info((caller, project, body.allow_partial), &body.sql, &parameters, request.into_inner(), watch).await
    }

    async fn get_flight_info_substrait_plan(
        &self,
        _query: CommandStatementSubstraitPlan,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        Err(Refusal::new(Kind::Invalid, "Substrait plans are not taken: send SQL").into())
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        let schema = query.into_builder().schema();
        catalog_info(&query, &schema, request)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        let schema = query.clone().into_builder().schema();
        catalog_info(&query, &schema, request)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        let schema = query.clone().into_builder().schema();
        catalog_info(&query, &schema, request)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        let schema = query.into_builder().schema();
        catalog_info(&query, &schema, request)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        catalog_info(&query, &self.core.facts.sql.schema(), request)
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        catalog_info(&query, &keys::primary(), request)
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        catalog_info(&query, &keys::foreign(), request)
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        catalog_info(&query, &keys::foreign(), request)
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        catalog_info(&query, &keys::foreign(), request)
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await?;
        catalog_info(&query, &self.core.facts.types.schema(), request)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        let caller = self.caller(&request).await?;
        let signature = signature(&request)?;
        Ok(Response::new(self.core.redeem(caller, &ticket.statement_handle, signature, parent(&request)).await?))
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        let caller = self.caller(&request).await?;
        let body = self.prepared(&query.prepared_statement_handle, &caller)?;
        Ok(Response::new(self.core.run(caller, &body, QueryId::new(), Proof::default(), parent(&request)).await?))
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        let caller = self.caller(&request).await?;
        Ok(table(self.core.catalogs(query, &caller, &self.chosen(&request, &caller))?))
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        let caller = self.caller(&request).await?;
        Ok(table(self.core.schemas(query, &caller, &self.chosen(&request, &caller)).await?))
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        let caller = self.caller(&request).await?;
        Ok(table(self.core.tables(query, &caller, &self.chosen(&request, &caller)).await?))
    }

    async fn do_get_table_types(
        &self,
        _query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.caller(&request).await?;
        Ok(table(Core::table_types()?))
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.caller(&request).await?;
        let batch = self
            .core
            .facts
            .sql
            .record_batch(query.info)
            .map_err(|_| Refusal::new(Kind::Internal, "the service can't be described"))?;
        Ok(table(batch))
    }

    async fn do_get_primary_keys(
        &self,
        _query: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.caller(&request).await?;
        Ok(empty(keys::primary()))
    }

    async fn do_get_exported_keys(
        &self,
        _query: CommandGetExportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.caller(&request).await?;
        Ok(empty(keys::foreign()))
    }

    async fn do_get_imported_keys(
        &self,
        _query: CommandGetImportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.caller(&request).await?;
        Ok(empty(keys::foreign()))
    }

    async fn do_get_cross_reference(
        &self,
        _query: CommandGetCrossReference,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.caller(&request).await?;
        Ok(empty(keys::foreign()))
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Result<Response<DoGet>, Status> {
        self.caller(&request).await?;
        let batch = self
            .core
            .facts
            .types
            .record_batch(query.data_type)
            .map_err(|_| Refusal::new(Kind::Internal, "the types can't be listed"))?;
        Ok(table(batch))
    }

    async fn do_put_statement_update(
        &self,
        _ticket: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.caller(&request).await?;
        Err(refused("an update").into())
    }

    async fn do_put_statement_ingest(
        &self,
        _ticket: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.caller(&request).await?;
        Err(refused("bulk ingestion").into())
    }

    async fn do_put_prepared_statement_update(
        &self,
        _query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.caller(&request).await?;
        Err(refused("an update").into())
    }

    async fn do_put_substrait_plan(
        &self,
        _query: CommandStatementSubstraitPlan,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.caller(&request).await?;
        Err(refused("a Substrait plan").into())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let caller = self.caller(&request).await?;
        let body = self.prepared(&query.prepared_statement_handle, &caller)?;
        let mut bytes = 0;
        let limited = request.into_inner().map_err(|status| FlightError::Tonic(Box::new(status))).and_then(
            move |data: FlightData| {
                bytes += data.data_body.len() + data.data_header.len();
                let fits = bytes <= MAX_BOUND;
                async move { if fits { Ok(data) } else { Err(FlightError::NotYetImplemented(String::new())) } }
            },
        );
        let batches: Vec<RecordBatch> = FlightRecordBatchStream::new_from_flight_data(limited)
            .try_collect()
            .await
            .map_err(|error| match error {
                FlightError::NotYetImplemented(_) => {
                    Refusal::new(Kind::TooLarge, format!("more than {MAX_BOUND} bytes of values are bound"))
                }
                _ => Refusal::new(Kind::Invalid, "the values bound can't be read"),
            })?;
        let parameters = Parameters::new(&batches)?;
        let bound = Body { parameters: parameters.to_bytes()?, ..body };
        // The handle is the state: clients go on with the one that they get here.
        let handle = self.core.sealer.seal(Purpose::Prepared, &bound)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle.into()) })
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let caller = self.caller(&request).await?;
        if query.transaction_id.is_some() {
            return Err(refused("a transaction").into());
        }
        let project = self.project(&request, &caller)?;
        self.core.check_length(&query.query)?;
        let sql = number_placeholders(&query.query);
        let allow_partial = self.allow_partial(&request, &caller)?;
        let context = self.core.context(caller, project, allow_partial, self.core.unwatched());
        let prepared = self.core.prepare(&context, &sql).await?;
        let body = self.core.body(&context, &sql, &Parameters::default(), super::PREPARED)?;
        let handle = self.core.sealer.seal(Purpose::Prepared, &body)?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into(),
            dataset_schema: prepared.dataset.map(|schema| ipc(&schema)).transpose()?.unwrap_or_default(),
            parameter_schema: ipc(&prepared.parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        // Nothing is kept for a prepared statement.
        self.caller(&request).await?;
        Ok(())
    }

    async fn do_action_create_prepared_substrait_plan(
        &self,
        _query: ActionCreatePreparedSubstraitPlanRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        self.caller(&request).await?;
        Err(refused("a Substrait plan").into())
    }

    async fn do_action_begin_transaction(
        &self,
        _query: ActionBeginTransactionRequest,
        request: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        self.caller(&request).await?;
        Err(refused("a transaction").into())
    }

    async fn do_action_end_transaction(
        &self,
        _query: ActionEndTransactionRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.caller(&request).await?;
        Err(refused("a transaction").into())
    }

    async fn do_action_begin_savepoint(
        &self,
        _query: ActionBeginSavepointRequest,
        request: Request<Action>,
    ) -> Result<ActionBeginSavepointResult, Status> {
        self.caller(&request).await?;
        Err(refused("a savepoint").into())
    }

    async fn do_action_end_savepoint(
        &self,
        _query: ActionEndSavepointRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.caller(&request).await?;
        Err(refused("a savepoint").into())
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let caller = self.caller(&request).await?;
        let info = FlightInfo::decode(query.info)
            .map_err(|_| Refusal::new(Kind::Invalid, "CancelQuery needs the FlightInfo to cancel"))?;
        // 1: cancelled, 3: not cancellable
        let result = if self.cancel(&caller, &info)? { 1 } else { 3 };
        Ok(ActionCancelQueryResult { result })
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let body = self.action(&request).await?;
        let result = arrow_flight::Result::new(body);
        Ok(Response::new(futures::stream::iter([Ok(result)]).boxed()))
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        let all = actions::ACTIONS.iter().map(|(name, description)| {
            Ok(ActionType { r#type: (*name).to_owned(), description: (*description).to_owned() })
        });
        Some(all.collect())
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
