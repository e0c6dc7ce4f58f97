//! Prepared statements, with the Arrow project's own client.

use crate::{
    client::rows,
    house::{ANNA, two},
};
use arrow::{
    array::{Array, ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Schema},
};
use arrow_flight::{IpcMessage, sql::client::FlightSqlServiceClient};
use futures::TryStreamExt;
use std::sync::Arc;
use tonic::transport::Channel;

async fn client(token: String, address: std::net::SocketAddr) -> FlightSqlServiceClient<Channel> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = FlightSqlServiceClient::new(channel);
    client.set_token(token);
    client
}

fn row(values: Vec<ArrayRef>) -> RecordBatch {
    // Drivers name columns as they like.
    RecordBatch::try_from_iter(values.into_iter().enumerate().map(|(n, v)| (format!("p{n}"), v))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound_and_typed() {
    let two = two().await;
    let mut client = client(two.house.token(ANNA), two.house.at.enclave).await;
    let sql = "SELECT atc, volume FROM sds.lmdb WHERE atc = ? AND volume < ? AND eksd >= ? -- ?\n ORDER BY volume";
    let mut statement = client.prepare(sql.to_owned(), None).await.unwrap();
    let parameters: Vec<_> =
        statement.parameter_schema().unwrap().fields().iter().map(|f| f.data_type().clone()).collect();
    assert_eq!(parameters, [DataType::Utf8, DataType::Float64, DataType::Date32]);
    assert_eq!(statement.dataset_schema().unwrap().fields().len(), 2);
    for (limit, expected) in [(10.0, 4), (20.0, 9)] {
        let values: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["A10BA02"])),
            Arc::new(Float64Array::from(vec![limit])),
            Arc::new(Date32Array::from(vec![18_001])),
        ];
        statement.set_parameters(row(values)).unwrap();
        let info = statement.execute().await.unwrap();
        let announced = Schema::try_from(IpcMessage(info.schema.clone())).unwrap();
        let stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        let batches: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(rows(&batches), expected);
        assert_eq!(*batches[0].schema(), announced);
    }
    let asked = two.sds.asked().pop().unwrap();
    assert!(asked.contains("20") && asked.contains("A10BA02"), "values travel as filters: {asked}");
    statement.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_is_converted_and_wrong_numbers_of_values_refused() {
    let two = two().await;
    let mut client = client(two.house.token(ANNA), two.house.at.enclave).await;
    let mut statement =
        client.prepare("SELECT count(*) AS n FROM sds.lmdb WHERE volume < $1".to_owned(), None).await.unwrap();
    let unbound = statement.execute().await.unwrap_err().to_string();
    assert!(unbound.contains("1 parameters, and 0 values"), "{unbound}");
    statement.set_parameters(row(vec![Arc::new(Int64Array::from(vec![10]))])).unwrap();
    let info = statement.execute().await.unwrap();
    let stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(batches[0].column(0), &(Arc::new(Int64Array::from(vec![10])) as ArrayRef));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rows_of_values_are_several_answers_in_their_order() {
    let two = two().await;
    let mut client = client(two.house.token(ANNA), two.house.at.enclave).await;
    let sql = "SELECT count(*) AS n FROM sds.lmdb WHERE volume < $1";
    let mut statement = client.prepare(sql.to_owned(), None).await.unwrap();
    let limits = [3, 10, 0, 7];
    statement.set_parameters(row(vec![Arc::new(Int64Array::from(limits.to_vec()))])).unwrap();
    let info = statement.execute().await.unwrap();
    assert!(info.ordered && info.endpoint.len() == limits.len(), "{info:?}");
    let announced = Schema::try_from(IpcMessage(info.schema.clone())).unwrap();
    for (limit, endpoint) in limits.into_iter().zip(&info.endpoint) {
        let stream = client.do_get(endpoint.ticket.clone().unwrap()).await.unwrap();
        let batches: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(*batches[0].schema(), announced);
        assert_eq!(batches[0].column(0), &(Arc::new(Int64Array::from(vec![limit])) as ArrayRef));
    }
    let asked = two.sds.asked();
    assert_eq!(asked.len(), limits.len(), "each row is a question of its own: {asked:?}");

    let mut statement = client.prepare(sql.to_owned(), None).await.unwrap();
    statement.set_parameters(row(vec![Arc::new(Int64Array::from_iter_values(0..101))])).unwrap();
    let many = statement.execute().await.unwrap_err().to_string();
    assert!(many.contains("101 rows") && many.contains("Bind fewer"), "{many}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_values_is_released_by_itself() {
    let two = two().await;
    let mut client = client(two.house.token(ANNA), two.house.at.open).await;
    let sql = "SELECT count(DISTINCT pnr) AS n FROM sds.lmdb WHERE volume < $1";
    let mut statement = client.prepare(sql.to_owned(), None).await.unwrap();
    statement.set_parameters(row(vec![Arc::new(Int64Array::from(vec![3, 1000]))])).unwrap();
    let info = statement.execute().await.unwrap();
    let mut answers = Vec::new();
    for endpoint in &info.endpoint {
        let stream = client.do_get(endpoint.ticket.clone().unwrap()).await.unwrap();
        answers.extend(stream.try_collect::<Vec<_>>().await.unwrap());
    }
    assert!(answers[0].column(0).is_null(0), "three people are too few: {answers:?}");
    assert!(answers[1].column(0).is_valid(0), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_without_parameters_and_ones_that_are_refused() {
    let two = two().await;
    let mut client = client(two.house.token(ANNA), two.house.at.open).await;
    let mut statement = client.prepare("SELECT count(DISTINCT pnr) AS n FROM sds.lmdb".to_owned(), None).await.unwrap();
    let prepared = statement.dataset_schema().unwrap().clone();
    assert_eq!(prepared.fields().last().unwrap().name(), "release_status");
    let info = statement.execute().await.unwrap();
    assert_eq!(Schema::try_from(IpcMessage(info.schema.clone())).unwrap(), prepared);
    let refused = client.prepare("SELECT pnr FROM sds.lmdb".to_owned(), None).await.unwrap_err().to_string();
    assert!(refused.contains("This works"), "{refused}");
    let refused = client.prepare("DELETE FROM sds.lmdb".to_owned(), None).await.unwrap_err().to_string();
    assert!(refused.contains("DELETE is refused"), "{refused}");
    let refused = client.execute_update("DELETE FROM sds.lmdb".to_owned(), None).await.unwrap_err().to_string();
    assert!(refused.contains("only reads"), "{refused}");
}
