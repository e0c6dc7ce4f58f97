//! A small Flight SQL client that keeps the hub's messages as they are.

use super::exit;
use crate::{
    login::LoginConfig,
    receive::{ALLOW_PARTIAL, ISSUERS, PROGRESS, ToSign},
    watch::Progress,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use arrow_flight::{
    Action, FlightDescriptor, FlightInfo, Ticket,
    decode::FlightRecordBatchStream,
    error::FlightError,
    flight_service_client::FlightServiceClient,
    sql::{CommandGetCatalogs, CommandGetTables, CommandStatementQuery, ProstMessageExt},
};
use futures::{StreamExt, TryStreamExt};
use hyper_util::rt::TokioIo;
use policies::query_signature;
use prost::Message;
use proto::refusal::{Kind, Refusal};
use runtime::token::binding::BindingKey;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use zeroize::Zeroizing;

/// How long a signature over a query is good.
const SIGNED: Duration = Duration::from_secs(300);

/// Which hub, as whom, for which project.
#[derive(Clone)]
pub struct Connect {
    /// `grpc://host:port` or `grpc+tls://host:port`
    pub server: String,
    /// access token
    pub token: Option<Zeroizing<String>>,
    /// project, when the token is good for several
    pub project: Option<String>,
    /// answers may do without members of national tables that can't be asked
    pub allow_partial: bool,
    /// certificates to trust, PEM; for TLS
    pub ca: Option<PathBuf>,
    /// the key that the token is bound to, for permits that demand signatures
    pub key: Option<Arc<BindingKey>>,
}

impl Connect {
    /// To this hub, as nobody.
    #[must_use]
    pub fn new(server: &str, ca: Option<PathBuf>) -> Self {
        Self { server: server.to_owned(), token: None, project: None, allow_partial: false, ca, key: None }
    }
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connect({}, project {:?})", self.server, self.project)
    }
}

/// Why the hub gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was given on the command line can't be used.
    #[error("{0}")]
    Usage(String),
    /// There is no hub there.
    #[error("{server}: can't connect: {message}. Is the hub running, and is this its address (--server)?")]
    Connect {
        /// which address
        server: String,
        /// what went wrong
        message: String,
    },
    /// The hub said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The hub's answer can't be read.
    #[error("the hub's answer can't be read: {0}")]
    Unreadable(String),
}

impl ClientError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Connect { .. } => exit::CONNECT,
            Self::Unreadable(_) => exit::FAILED,
            Self::Refused(refusal) => match refusal.kind {
                Kind::Unauthenticated | Kind::Denied => exit::DENIED,
                Kind::Invalid | Kind::NotFound | Kind::TooLarge => exit::STATEMENT,
                Kind::Cancelled => exit::CANCELLED,
                Kind::Stale | Kind::Exhausted | Kind::Unavailable | Kind::Deadline | Kind::Internal => exit::FAILED,
            },
        }
    }
}

impl From<tonic::Status> for ClientError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(status.into())
    }
}

impl From<FlightError> for ClientError {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Self::from(*status),
            other => Self::Unreadable(other.to_string()),
        }
    }
}

/// A connection to a hub.
pub struct Client {
    inner: FlightServiceClient<Channel>,
    token: Option<MetadataValue<Ascii>>,
    project: Option<MetadataValue<Ascii>>,
    allow_partial: bool,
    key: Option<Arc<BindingKey>>,
}

/// Asks how far the spokes are with one statement.
pub(super) struct Watcher {
    inner: FlightServiceClient<Channel>,
    token: Option<MetadataValue<Ascii>>,
    query: String,
}

impl Watcher {
    /// How far they are; nothing when the hub doesn't tell, or the statement doesn't run any more.
    pub(super) async fn progress(&mut self) -> Option<Vec<Progress>> {
        let mut request = Request::new(Action::new(PROGRESS, self.query.clone().into_bytes()));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        let told = self.inner.do_action(request).await.ok()?.into_inner().message().await.ok()??;
        serde_json::from_slice(&told.body).ok()
    }
}

/// An answer, batch by batch.
pub(super) struct Answer(FlightRecordBatchStream);

impl Answer {
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, ClientError> {
        Ok(self.0.next().await.transpose()?)
    }

    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.0.schema()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When the address can't be used or nobody answers there.
    pub async fn connect(connect: &Connect) -> Result<Self, ClientError> {
        let usage = |message: String| ClientError::Usage(message);
        let (scheme, rest) = connect.server.split_once("://").ok_or_else(|| {
            usage(format!("--server {}: write grpc://host:port or grpc+tls://host:port", connect.server))
        })?;
        let address = rest.trim_end_matches('/').to_owned();
        let host = address.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']).to_owned());
        let host = host.ok_or_else(|| usage(format!("--server {}: the port is missing", connect.server)))?;
        let tls = match scheme {
            "grpc" | "grpc+tcp" => None,
            "grpc+tls" => Some(tls(connect)?),
            other => return Err(usage(format!("--server: '{other}' is not grpc or grpc+tls"))),
        };
        if tls.is_none() && !["localhost", "127.0.0.1", "::1"].contains(&host.as_str()) {
            return Err(usage(format!(
                "--server {}: a token must not cross a network in clear. Use grpc+tls:// with --ca, or a tunnel to this machine",
                connect.server
            )));
        }
        let connector = tower::service_fn(move |_: http::Uri| {
            let (address, host, tls) = (address.clone(), host.clone(), tls.clone());
            async move { dial(&address, host, tls).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://hub.eger.invalid")
            .connect_timeout(Duration::from_secs(10))
            .initial_stream_window_size(runtime::tls::STREAM_WINDOW)
            .initial_connection_window_size(runtime::tls::CONNECTION_WINDOW)
            .connect_with_connector(connector)
            .await
            .map_err(|error| ClientError::Connect { server: connect.server.clone(), message: innermost(&error) })?;
        let header = |what: &str, text: String| {
            text.parse::<MetadataValue<Ascii>>().map_err(|_| usage(format!("{what} has characters that can't be sent")))
        };
        let token = connect.token.as_deref().map(String::as_str).map(bearer).transpose()?;
        let project = connect.project.as_ref().map(|p| header("--project", p.clone())).transpose()?;
        let inner = FlightServiceClient::new(channel).max_decoding_message_size(runtime::tls::MAX_MESSAGE);
        Ok(Self { inner, token, project, allow_partial: connect.allow_partial, key: connect.key.clone() })
    }

    /// From now on, this token is sent.
    pub(super) fn set_token(&mut self, token: &str) -> Result<(), ClientError> {
        self.token = Some(bearer(token)?);
        Ok(())
    }

    /// Where to sign in. Needs no token.
    ///
    /// # Errors
    /// When the hub doesn't say.
    pub(crate) async fn issuers(&mut self) -> Result<Vec<LoginConfig>, ClientError> {
        let mut results = self.inner.do_action(Action::new(ISSUERS, Vec::new())).await?.into_inner();
        let unreadable = || ClientError::Unreadable("it doesn't say where to sign in. Is it an older hub?".to_owned());
        let told = results.message().await?.ok_or_else(unreadable)?;
        serde_json::from_slice(&told.body).map_err(|_| unreadable())
    }

    /// From now on, statements are about this project.
    pub(super) fn set_project(&mut self, project: &str) -> Result<(), ClientError> {
        let value = project.parse().map_err(|_| ClientError::Usage("that is no project's name".to_owned()))?;
        self.project = Some(value);
        Ok(())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        if let Some(project) = &self.project {
            request.metadata_mut().insert("x-eger-project", project.clone());
        }
        if self.allow_partial {
            request.metadata_mut().insert(ALLOW_PARTIAL, MetadataValue::from_static("true"));
        }
        request
    }

    async fn info<M: ProstMessageExt>(&mut self, command: &M) -> Result<FlightInfo, ClientError> {
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let request = self.request(descriptor);
        Ok(self.inner.get_flight_info(request).await?.into_inner())
    }

    /// Has a statement planned.
    pub(super) async fn announce(&mut self, sql: &str) -> Result<FlightInfo, ClientError> {
        self.info(&CommandStatementQuery { query: sql.to_owned(), transaction_id: None }).await
    }

    /// The user's own signature over what will be asked, when the announced statement needs it.
    pub(super) fn signature(&self, info: &FlightInfo) -> Result<Option<String>, ClientError> {
        let Ok(told) = serde_json::from_slice::<ToSign>(&info.app_metadata) else { return Ok(None) };
        if !told.sign {
            return Ok(None);
        }
        let key = self.key.as_deref().ok_or_else(|| {
            ClientError::Usage(
                "a permit of this project demands your signature over each query, and the token in use is bound to no key \
                 here. Sign in with `hub login`, and leave EGER_TOKEN and --token away"
                    .to_owned(),
            )
        })?;
        let digests: Vec<_> = told.digests.iter().map(|part| part.digest).collect();
        query_signature::make(key, &told.query_id, &digests, SystemTime::now() + SIGNED)
            .map(Some)
            .map_err(|error| ClientError::Usage(error.to_string()))
    }

    /// Who can ask how far an announced statement is.
    pub(super) fn watcher(&self, info: &FlightInfo) -> Option<Watcher> {
        let told = serde_json::from_slice::<ToSign>(&info.app_metadata).ok()?;
        Some(Watcher { inner: self.inner.clone(), token: self.token.clone(), query: told.query_id.to_string() })
    }

    /// Fetches an announced answer.
    pub(super) async fn fetch(&mut self, ticket: Ticket, signature: Option<&str>) -> Result<Answer, ClientError> {
        let mut request = self.request(ticket);
        if let Some(signature) = signature {
            let value = signature
                .parse()
                .map_err(|_| ClientError::Usage("the signature has characters that can't be sent".to_owned()))?;
            request.metadata_mut().insert(query_signature::HEADER, value);
        }
        let stream = self.inner.do_get(request).await?.into_inner();
        let frames = stream.map_err(|status| FlightError::Tonic(Box::new(status)));
        Ok(Answer(FlightRecordBatchStream::new_from_flight_data(frames)))
    }

    async fn all<M: ProstMessageExt>(&mut self, command: &M) -> Result<Vec<RecordBatch>, ClientError> {
        let info = self.info(command).await?;
        let mut batches = Vec::new();
        for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
            let mut answer = self.fetch(ticket, None).await?;
            while let Some(batch) = answer.next().await? {
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    pub(crate) async fn projects(&mut self) -> Result<Vec<RecordBatch>, ClientError> {
        self.all(&CommandGetCatalogs {}).await
    }

    pub(super) async fn tables(&mut self) -> Result<Vec<RecordBatch>, ClientError> {
        self.all(&CommandGetTables { include_schema: true, ..CommandGetTables::default() }).await
    }
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, ClientError> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.trim())
        .parse()
        .map_err(|_| ClientError::Usage("the token has characters that can't be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The reason at the bottom of a chain of errors says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn tls(connect: &Connect) -> Result<TlsConnector, ClientError> {
    runtime::crypto::install();
    let usage = |message: String| ClientError::Usage(message);
    let path = connect.ca.as_ref().ok_or_else(|| {
        usage("grpc+tls:// needs --ca FILE, the certificate authority of the hub's certificate".to_owned())
    })?;
    let pem = std::fs::read(path).map_err(|e| usage(format!("--ca {}: {e}", path.display())))?;
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(&pem) {
        cert.map_err(|e| e.to_string())
            .and_then(|cert| roots.add(cert).map_err(|e| e.to_string()))
            .map_err(|e| usage(format!("--ca {}: {e}", path.display())))?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

trait Wire: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Wire for T {}

async fn dial(address: &str, host: String, tls: Option<TlsConnector>) -> io::Result<Box<dyn Wire>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    match tls {
        None => Ok(Box::new(tcp)),
        Some(tls) => {
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Ok(Box::new(tls.connect(name, tcp).await?))
        }
    }
}
