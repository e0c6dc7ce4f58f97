//! A Flight SQL client that keeps statuses as they come.

use arrow::{array::RecordBatch, datatypes::Schema, util::pretty::pretty_format_batches};
use arrow_flight::{
    Action, FlightDescriptor, FlightInfo, IpcMessage, Ticket,
    decode::FlightRecordBatchStream,
    error::FlightError,
    flight_service_client::FlightServiceClient,
    sql::{CommandStatementQuery, ProstMessageExt},
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use prost::Message;
use proto::refusal::Refusal;
use std::net::SocketAddr;
use tonic::{Request, transport::Channel};

pub struct Client {
    pub inner: FlightServiceClient<Channel>,
    pub headers: Vec<(&'static str, String)>,
}

pub type Said<T> = Result<T, Refusal>;

impl Client {
    pub async fn connect(address: SocketAddr, token: &str) -> Self {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { inner: FlightServiceClient::new(channel), headers: vec![("authorization", format!("Bearer {token}"))] }
    }

    pub fn project(mut self, project: &str) -> Self {
        self.headers.push(("x-eger-project", project.to_owned()));
        self
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    pub async fn info<M: ProstMessageExt>(&mut self, command: &M) -> Said<FlightInfo> {
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let request = self.request(descriptor);
        Ok(self.inner.get_flight_info(request).await?.into_inner())
    }

    pub async fn announce(&mut self, sql: &str) -> Said<FlightInfo> {
        self.info(&CommandStatementQuery { query: sql.to_owned(), transaction_id: None }).await
    }

    pub async fn stream(&mut self, ticket: Ticket) -> Said<BoxStream<'static, Result<RecordBatch, FlightError>>> {
        let request = self.request(ticket);
        let stream = self.inner.do_get(request).await?.into_inner();
        Ok(FlightRecordBatchStream::new_from_flight_data(stream.map_err(|s| FlightError::Tonic(Box::new(s)))).boxed())
    }

    /// Fetches an answer whole, and checks that it has the schema that was announced.
    pub async fn fetch(&mut self, info: &FlightInfo) -> Said<Vec<RecordBatch>> {
        let announced = schema_of(info);
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let request = self.request(ticket);
        let stream = self.inner.do_get(request).await?.into_inner();
        let mut stream =
            FlightRecordBatchStream::new_from_flight_data(stream.map_err(|s| FlightError::Tonic(Box::new(s))));
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            match batch {
                Ok(batch) => batches.push(batch),
                Err(FlightError::Tonic(status)) => return Err((*status).into()),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(**stream.schema().expect("a schema"), announced);
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(announced.into()));
        }
        Ok(batches)
    }

    pub async fn command<M: ProstMessageExt>(&mut self, command: &M) -> Said<Vec<RecordBatch>> {
        let info = self.info(command).await?;
        self.fetch(&info).await
    }

    pub async fn sql(&mut self, sql: &str) -> Said<Vec<RecordBatch>> {
        let info = self.announce(sql).await?;
        self.fetch(&info).await
    }

    /// The answer, printed.
    pub async fn shown(&mut self, sql: &str) -> String {
        match self.sql(sql).await {
            Ok(batches) => pretty_format_batches(&batches).unwrap().to_string(),
            Err(refusal) => format!("{:?}: {}", refusal.kind, refusal.message),
        }
    }

    pub async fn refused(&mut self, sql: &str) -> Refusal {
        match self.sql(sql).await {
            Ok(batches) => panic!("answered:\n{}", pretty_format_batches(&batches).unwrap()),
            Err(refusal) => refusal,
        }
    }

    pub async fn action(&mut self, name: &str, body: Vec<u8>) -> Said<Vec<u8>> {
        let request = self.request(Action::new(name, body));
        let mut results = self.inner.do_action(request).await?.into_inner();
        Ok(results.message().await?.map(|r| r.body.to_vec()).unwrap_or_default())
    }
}

pub fn schema_of(info: &FlightInfo) -> Schema {
    Schema::try_from(IpcMessage(info.schema.clone())).unwrap()
}

pub fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}
