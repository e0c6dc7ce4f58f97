//! What the Flight SQL JDBC driver (and DBeaver on it) does on the wire, step by step.

use crate::{
    house::{ANNA, BO, two},
    tickets::set,
};
use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray},
    datatypes::DataType,
};
use arrow_flight::{
    FlightInfo,
    sql::{
        CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
        CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo, client::FlightSqlServiceClient,
    },
};
use futures::TryStreamExt;
use policies::zone::Zone;
use std::sync::Arc;
use tonic::transport::Channel;

type Jdbc = FlightSqlServiceClient<Channel>;

/// A connection as the driver makes it: user name and password go into a handshake, a Bearer token comes back.
async fn connect(two: &crate::house::Two) -> Jdbc {
    let address = format!("http://{}", two.house.at.enclave);
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = Jdbc::new(channel);
    client.handshake(ANNA, &two.house.token(ANNA)).await.unwrap();
    assert!(client.token().is_some(), "the driver goes on with the token of the answer");
    client
}

async fn all(client: &mut Jdbc, info: FlightInfo) -> Vec<RecordBatch> {
    let stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.try_collect().await.unwrap()
}

fn texts(batches: &[RecordBatch], column: &str) -> Vec<String> {
    batches
        .iter()
        .flat_map(|b| b.column_by_name(column).unwrap().as_string::<i32>().iter().flatten().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_with_user_and_password_and_none_with_another_user() {
    let two = two().await;
    let mut client = connect(&two).await;
    let info = client.execute("SELECT count(*) AS n FROM sds.lmdb".to_owned(), None).await.unwrap();
    assert_eq!(all(&mut client, info).await[0].num_rows(), 1);
    let channel = Channel::from_shared(format!("http://{}", two.house.at.open)).unwrap().connect().await.unwrap();
    let refused = Jdbc::new(channel).handshake(BO, &two.house.token(ANNA)).await.unwrap_err().to_string();
    assert!(refused.contains("not valid here"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_instead_of_user_and_password() {
    let two = two().await;
    let channel = Channel::from_shared(format!("http://{}", two.house.at.enclave)).unwrap().connect().await.unwrap();
    let mut client = Jdbc::new(channel);
    client.set_token(two.house.token(ANNA));
    let info = client.execute("SELECT 1 AS one".to_owned(), None).await.unwrap();
    assert_eq!(all(&mut client, info).await[0].num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_driver_asks_about_the_service_and_its_types() {
    let two = two().await;
    let mut client = connect(&two).await;
    let info = client
        .get_sql_info(vec![
            SqlInfo::FlightSqlServerName,
            SqlInfo::FlightSqlServerVersion,
            SqlInfo::SqlIdentifierQuoteChar,
        ])
        .await
        .unwrap();
    assert_eq!(all(&mut client, info).await[0].num_rows(), 3);
    let info = client.get_sql_info(vec![]).await.unwrap();
    assert!(all(&mut client, info).await[0].num_rows() > 40);
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
    assert!(texts(&all(&mut client, info).await, "type_name").contains(&"DATE".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn catalogs_schemas_table_types_and_tables_with_columns() {
    let two = two().await;
    let mut client = connect(&two).await;
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(texts(&all(&mut client, info).await, "catalog_name"), ["diabetes"]);
    let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
    assert_eq!(texts(&all(&mut client, info).await, "db_schema_name"), ["region-h", "sds"]);
    let info = client.get_table_types().await.unwrap();
    assert_eq!(texts(&all(&mut client, info).await, "table_type"), ["TABLE"]);
    for include_schema in [false, true] {
        let wanted = CommandGetTables {
            catalog: Some("diabetes".into()),
            db_schema_filter_pattern: Some("sds".into()),
            table_name_filter_pattern: Some("%".into()),
            table_types: vec!["TABLE".into()],
            include_schema,
        };
        let info = client.get_tables(wanted).await.unwrap();
        let found = all(&mut client, info).await;
        assert_eq!(texts(&found, "table_name"), ["lmdb"]);
        assert_eq!(found[0].column_by_name("table_schema").is_some(), include_schema);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_asked_for_and_there_are_none() {
    let two = two().await;
    let mut client = connect(&two).await;
    let table = || "lmdb".to_owned();
    let infos = [
        client.get_primary_keys(CommandGetPrimaryKeys { table: table(), ..Default::default() }).await.unwrap(),
        client.get_imported_keys(CommandGetImportedKeys { table: table(), ..Default::default() }).await.unwrap(),
        client.get_exported_keys(CommandGetExportedKeys { table: table(), ..Default::default() }).await.unwrap(),
        client.get_cross_reference(CommandGetCrossReference::default()).await.unwrap(),
    ];
    for info in infos {
        let columns = info.clone().try_decode_schema().unwrap().fields().len();
        assert!(columns >= 6);
        assert_eq!(crate::client::rows(&all(&mut client, info).await), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_is_made_bound_run_twice_and_closed() {
    let two = two().await;
    let mut client = connect(&two).await;
    let mut statement = client.prepare("SELECT volume FROM sds.lmdb WHERE atc = ?".to_owned(), None).await.unwrap();
    assert_eq!(*statement.parameter_schema().unwrap().field(0).data_type(), DataType::Utf8);
    assert_eq!(statement.dataset_schema().unwrap().field(0).name(), "volume");
    for code in ["A10BA02", "C09AA05"] {
        let value: ArrayRef = Arc::new(StringArray::from(vec![code]));
        statement.set_parameters(RecordBatch::try_from_iter([("1", value)]).unwrap()).unwrap();
        let info = statement.execute().await.unwrap();
        assert_eq!(crate::client::rows(&all(&mut client, info).await), 20);
    }
    statement.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn session_options_are_set_read_and_closed() {
    let two = two().await;
    let mut client = two.house.client(ANNA, Zone::Enclave).await;
    assert!(set(&mut client, "catalog", "diabetes").await.is_empty());
    assert!(!client.action("GetSessionOptions", vec![]).await.unwrap().is_empty());
    let closed = client.action("CloseSession", vec![]).await.unwrap();
    assert_eq!(closed, [8, 1], "status: closed");
    assert!(client.action("GetSessionOptions", vec![]).await.unwrap().is_empty());
    // What was closed may be opened again on the same connection.
    assert!(set(&mut client, "catalog", "diabetes").await.is_empty());
}
