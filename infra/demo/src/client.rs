//! A Flight SQL client: announce a statement, fetch its answer, keep the hub's messages as they are.

use std::net::SocketAddr;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

/// A connection to one of the hub's listeners, as one user, for one project.
pub struct Client {
    inner: FlightSqlServiceClient<Channel>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("cannot connect to the hub at {address}: {cause}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why not.
        cause: tonic::transport::Error,
    },
    /// The hub's message.
    #[error("{0}")]
    Refused(String),
    /// Not what Flight SQL says.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

impl From<FlightError> for ClientError {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => ClientError::Refused(status.message().to_owned()),
            other => ClientError::Unreadable(other.to_string()),
        }
    }
}

impl Client {
    /// Connects with an access token.
    pub async fn connect(address: SocketAddr, token: &str, project: &str) -> Result<Client, ClientError> {
        let connect = |cause| ClientError::Connect { address, cause };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(connect)?;
        let channel = endpoint.tcp_nodelay(true).connect().await.map_err(connect)?;
        let mut inner = FlightSqlServiceClient::new(channel);
        inner.set_token(token.to_owned());
        inner.set_header("x-eger-project", project);
        Ok(Client { inner })
    }

    /// The whole answer as one batch, rows in their order.
    pub async fn ask(&mut self, sql: &str) -> Result<RecordBatch, ClientError> {
        let info = self.inner.execute(sql.to_owned(), None).await?;
        let schema = info.clone().try_decode_schema().map_err(|e| ClientError::Unreadable(e.to_string()))?;
        let mut batches = Vec::new();
        for endpoint in info.endpoint {
            let ticket =
                endpoint.ticket.ok_or_else(|| ClientError::Unreadable("an endpoint without ticket".to_owned()))?;
            let stream = self.inner.do_get(ticket).await?;
            batches.extend(stream.try_collect::<Vec<_>>().await?);
        }
        concat_batches(&schema.into(), &batches).map_err(|e| ClientError::Unreadable(e.to_string()))
    }
}
