//! Flight SQL and the further actions, call by call, in the zone `open`.

use super::{asked, followed};
use crate::{
    client::{Client, Said},
    house::{ANNA, Two, two},
    spoke::Manner,
};
use arrow_flight::{
    CancelFlightInfoRequest, FlightData, FlightDescriptor, FlightInfo, Ticket,
    sql::{
        ActionBeginSavepointRequest, ActionBeginTransactionRequest, ActionCancelQueryRequest,
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
        ActionCreatePreparedSubstraitPlanRequest, ActionEndSavepointRequest, ActionEndTransactionRequest, Any,
        CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
        CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
        CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
        CommandStatementSubstraitPlan, CommandStatementUpdate, ProstMessageExt,
    },
};
use hub::endpoints::{FLIGHT_ACTIONS, FLIGHT_SQL};
use policies::{
    authorize::{Action, trail::Trail},
    zone::Zone,
};
use prost::Message;

const COUNT: &str = "SELECT count(*) AS n FROM \"region-h\".lab_forsker";

fn any(message: &impl ProstMessageExt) -> Vec<u8> {
    message.as_any().encode_to_vec()
}

/// A client that makes each call as it is meant.
struct Calls {
    client: Client,
    handle: bytes::Bytes,
    info: FlightInfo,
}

impl Calls {
    async fn info(&mut self, command: &impl ProstMessageExt) -> Said<()> {
        self.client.info(command).await.map(drop)
    }

    async fn get(&mut self, command: &impl ProstMessageExt) -> Said<()> {
        self.client.stream(Ticket::new(any(command))).await.map(drop)
    }

    async fn put(&mut self, command: &impl ProstMessageExt) -> Said<()> {
        let descriptor = Some(FlightDescriptor::new_cmd(any(command)));
        let data = FlightData { flight_descriptor: descriptor, ..FlightData::default() };
        let request = self.client.request(futures::stream::iter([data]));
        let mut results = self.client.inner.do_put(request).await?.into_inner();
        Ok(results.message().await.map(drop)?)
    }

    async fn act(&mut self, name: &str, body: &impl ProstMessageExt) -> Said<Vec<u8>> {
        self.client.action(name, any(body)).await
    }

    fn prepared(&self) -> CommandPreparedStatementQuery {
        CommandPreparedStatementQuery { prepared_statement_handle: self.handle.clone() }
    }

    /// Whether it is answered or only refuses is not looked at here.
    async fn make(&mut self, name: &str) -> Said<()> {
        match name {
            "do_handshake" => {
                let request = self.client.request(futures::stream::empty());
                self.client.inner.handshake(request).await?;
                Ok(())
            }
            "get_flight_info_statement" => {
                self.info = self.client.announce(COUNT).await?;
                Ok(())
            }
            "get_flight_info_prepared_statement" => self.info(&self.prepared()).await,
            "get_flight_info_substrait_plan" => self.info(&CommandStatementSubstraitPlan::default()).await,
            "get_flight_info_catalogs" => self.info(&CommandGetCatalogs {}).await,
            "get_flight_info_schemas" => self.info(&CommandGetDbSchemas::default()).await,
            "get_flight_info_tables" => self.info(&CommandGetTables::default()).await,
            "get_flight_info_table_types" => self.info(&CommandGetTableTypes {}).await,
            "get_flight_info_sql_info" => self.info(&CommandGetSqlInfo::default()).await,
            "get_flight_info_primary_keys" => self.info(&CommandGetPrimaryKeys::default()).await,
            "get_flight_info_exported_keys" => self.info(&CommandGetExportedKeys::default()).await,
            "get_flight_info_imported_keys" => self.info(&CommandGetImportedKeys::default()).await,
            "get_flight_info_cross_reference" => self.info(&CommandGetCrossReference::default()).await,
            "get_flight_info_xdbc_type_info" => self.info(&CommandGetXdbcTypeInfo::default()).await,
            "do_get_statement" => {
                let ticket = self.info.endpoint[0].ticket.clone().unwrap();
                self.client.stream(ticket).await.map(drop)
            }
            "do_get_prepared_statement" => self.get(&self.prepared()).await,
            "do_get_catalogs" => self.get(&CommandGetCatalogs {}).await,
            "do_get_schemas" => self.get(&CommandGetDbSchemas::default()).await,
            "do_get_tables" => self.get(&CommandGetTables::default()).await,
            "do_get_table_types" => self.get(&CommandGetTableTypes {}).await,
            "do_get_sql_info" => self.get(&CommandGetSqlInfo::default()).await,
            "do_get_primary_keys" => self.get(&CommandGetPrimaryKeys::default()).await,
            "do_get_exported_keys" => self.get(&CommandGetExportedKeys::default()).await,
            "do_get_imported_keys" => self.get(&CommandGetImportedKeys::default()).await,
            "do_get_cross_reference" => self.get(&CommandGetCrossReference::default()).await,
            "do_get_xdbc_type_info" => self.get(&CommandGetXdbcTypeInfo::default()).await,
            "do_put_statement_update" => self.put(&CommandStatementUpdate::default()).await,
            "do_put_statement_ingest" => self.put(&CommandStatementIngest::default()).await,
            "do_put_prepared_statement_update" => self.put(&CommandPreparedStatementUpdate::default()).await,
            "do_put_substrait_plan" => self.put(&CommandStatementSubstraitPlan::default()).await,
            "do_put_prepared_statement_query" => self.put(&self.prepared()).await,
            "do_action_close_prepared_statement" => {
                let close = ActionClosePreparedStatementRequest { prepared_statement_handle: self.handle.clone() };
                self.act("ClosePreparedStatement", &close).await.map(drop)
            }
            "do_action_create_prepared_statement" => self.prepare().await,
            "do_action_create_prepared_substrait_plan" => {
                let plan = ActionCreatePreparedSubstraitPlanRequest::default();
                self.act("CreatePreparedSubstraitPlan", &plan).await.map(drop)
            }
            "do_action_begin_transaction" => {
                self.act("BeginTransaction", &ActionBeginTransactionRequest {}).await.map(drop)
            }
            "do_action_end_transaction" => {
                let end = ActionEndTransactionRequest { transaction_id: Vec::new().into(), action: 1 };
                self.act("EndTransaction", &end).await.map(drop)
            }
            "do_action_begin_savepoint" => {
                self.act("BeginSavepoint", &ActionBeginSavepointRequest::default()).await.map(drop)
            }
            "do_action_end_savepoint" => {
                let end = ActionEndSavepointRequest { savepoint_id: Vec::new().into(), action: 1 };
                self.act("EndSavepoint", &end).await.map(drop)
            }
            "do_action_cancel_query" => {
                let info = self.info.encode_to_vec().into();
                self.act("CancelQuery", &ActionCancelQueryRequest { info }).await.map(drop)
            }
            "do_action_fallback" => self.client.action("eger.v1.everything", Vec::new()).await.map(drop),
            "CancelFlightInfo" => {
                let body = CancelFlightInfoRequest::new(self.info.clone()).encode_to_vec();
                self.client.action("CancelFlightInfo", body).await.map(drop)
            }
            "eger.v1.progress" => {
                let told: hub::receive::ToSign = serde_json::from_slice(&self.info.app_metadata).unwrap();
                self.client.action(name, told.query_id.to_string().into_bytes()).await.map(drop)
            }
            "eger.v1.issuers" | "SetSessionOptions" | "GetSessionOptions" | "CloseSession" => {
                self.client.action(name, Vec::new()).await.map(drop)
            }
            other => panic!("say here how {other} is called"),
        }
    }

    async fn prepare(&mut self) -> Said<()> {
        let query = ActionCreatePreparedStatementRequest { query: COUNT.to_owned(), transaction_id: None };
        let reply = self.act("CreatePreparedStatement", &query).await?;
        let made: ActionCreatePreparedStatementResult =
            Any::decode(reply.as_slice()).unwrap().unpack().unwrap().unwrap();
        self.handle = made.prepared_statement_handle;
        Ok(())
    }
}

async fn calls(two: &Two, zone: Zone) -> Calls {
    let mut client = two.house.client(ANNA, zone).await;
    let info = client.announce(COUNT).await.unwrap();
    let mut calls = Calls { client, handle: bytes::Bytes::new(), info };
    calls.prepare().await.unwrap();
    calls
}

#[test]
fn every_call_of_flight_sql_asks_what_its_row_says() {
    let trail = Trail::default();
    followed(&trail, async {
        let two = two().await;
        let mut calls = calls(&two, Zone::Open).await;
        for row in FLIGHT_SQL.iter().chain(FLIGHT_ACTIONS) {
            // Only what runs can be cancelled.
            let running = if row.1.contains(&Action::HubQueryCancel) {
                two.region.set(Manner::Stalls(0));
                calls.info = calls.client.announce(COUNT).await.unwrap();
                let ticket = calls.info.endpoint[0].ticket.clone().unwrap();
                Some(calls.client.stream(ticket).await.unwrap())
            } else {
                two.region.set(Manner::Answers);
                None
            };
            trail.taken();
            let answer = calls.make(row.0).await;
            asked(&trail, row);
            if let Err(refusal) = answer {
                assert!(!refusal.message.contains("docs/permissions.md"), "{}: {refusal}", row.0);
            }
            drop(running);
        }
    });
}

#[test]
fn a_question_asks_by_zone_and_by_what_it_wants() {
    let trail = Trail::default();
    followed(&trail, async {
        let two = two().await;
        let (mut open, mut inside) = (calls(&two, Zone::Open).await, calls(&two, Zone::Enclave).await);
        trail.taken();
        inside.make("do_get_prepared_statement").await.unwrap();
        asked(&trail, &("in the enclave", &[Action::HubSession, Action::HubQueryEnclave]));
        open.client.sql(&format!("EXPLAIN {COUNT}")).await.unwrap();
        asked(&trail, &("EXPLAIN", &[Action::HubSession, Action::HubExplain, Action::HubQueryOpen]));
    });
}
