//! How fast record batches come over a link that the spoke opened, against a plain Arrow Flight server with TLS: the
//! same batches, the same windows, in turns, in this process.

use crate::{
    Options,
    report::{median, spread},
};
use anyhow::{Context, Result, ensure};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch},
    datatypes::Schema,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
    encode::FlightDataEncoderBuilder,
    error::FlightError,
    flight_service_client::FlightServiceClient,
    flight_service_server::{FlightService, FlightServiceServer},
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use hyper_util::rt::TokioIo;
use proto::refusal::{Kind, Refusal};
use runtime::{
    ca::Authority,
    peer::Peer,
    tls::{self, Tls, TlsFiles},
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::{path::Path, sync::Arc, time::Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Endpoint, Server},
};

/// Rows of a batch.
const ROWS: usize = 8192;
/// Bytes of a row in memory: a pseudonym and three numbers.
const ROW_BYTES: f64 = 40.0;

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let batches = usize::try_from(options.rows)?.div_ceil(ROWS);
    let source = Source { batch: batch()?, batches };
    let link = FlightServiceClient::new(over_link(folder.path(), source.clone()).await?);
    let plain = FlightServiceClient::new(over_plain_tls(source).await?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..=options.runs {
        let one = throughput(link.clone(), batches).await?;
        let other = throughput(plain.clone(), batches).await?;
        // The first of each warms up.
        if run > 0 {
            ours.push(one);
            theirs.push(other);
        }
    }
    println!("record batches over a link that the spoke opened, TLS 1.3, loopback: {}", spread(&ours, "MB/s"));
    println!("  over a plain Arrow Flight server with TLS 1.3: {}", spread(&theirs, "MB/s"));
    println!("  ratio of the medians: {:.2}; goal 0.90 or better", median(&ours) / median(&theirs));
    Ok(())
}

async fn throughput(client: FlightServiceClient<Channel>, batches: usize) -> Result<f64> {
    let begun = Instant::now();
    let mut stream = client.max_decoding_message_size(tls::MAX_MESSAGE).do_get(Ticket::default()).await?.into_inner();
    let mut bodies = 0;
    while let Some(data) = stream.message().await? {
        bodies += usize::from(!data.data_body.is_empty());
    }
    ensure!(bodies == batches, "{bodies} batches came, {batches} were sent");
    Ok(batches as f64 * ROWS as f64 * ROW_BYTES / 1e6 / begun.elapsed().as_secs_f64())
}

fn batch() -> Result<RecordBatch> {
    let ids = (0..ROWS).map(|n| (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834).to_be_bytes());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("pnr", Arc::new(FixedSizeBinaryArray::try_from_iter(ids)?)),
        ("day", Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|n| n * 7919)))),
        ("code", Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|n| n % 997)))),
        ("value", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|n| n as f64 / 3.0)))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// As spoke and hub do it.
async fn over_link(folder: &Path, source: Source) -> Result<Channel> {
    let authority = Authority::create("bench")?;
    let identity = |who: &Peer| -> Result<Tls> {
        let issued = authority.issue(who, 1)?;
        let at = |name: &str| folder.join(format!("{}.{name}", who.role));
        let files = TlsFiles { cert: at("crt"), key: at("key"), ca: at("ca") };
        std::fs::write(&files.cert, issued.cert_pem)?;
        std::fs::write(&files.ca, authority.cert_pem())?;
        runtime::seal::write_private(&files.key, issued.key_pem.as_bytes())?;
        Ok(Tls::load(&files)?)
    };
    let (hub, spoke) = (Peer::hub("main")?, Peer::spoke("region-h")?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut accepted = tls::gate(listener, &identity(&hub)?, CancellationToken::new())?;
    let mut conn = tls::link::dial_link(&address, &hub, &identity(&spoke)?).await?;
    // As in use: a link is always watched.
    let _ = conn.watch();
    let server = tls::server().add_service(FlightServiceServer::new(source));
    tokio::spawn(server.serve_with_incoming(tls::link::only(conn)));
    let mut conn = accepted.recv().await.context("the link")?;
    let _ = conn.watch();
    Ok(tls::link::link_channel(conn).await?)
}

/// As anybody would do it.
async fn over_plain_tls(source: Source) -> Result<Channel> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (cert, key) = (made.cert.der().clone(), PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let tls13 = &[&rustls::version::TLS13];
    let mut server = rustls::ServerConfig::builder_with_protocol_versions(tls13)
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], PrivateKeyDer::from(key))?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert)?;
    let mut client =
        rustls::ClientConfig::builder_with_protocol_versions(tls13).with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let incoming = futures::stream::unfold((listener, acceptor), |(listener, acceptor)| async move {
        let accepted = async {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            acceptor.accept(tcp).await
        }
        .await;
        Some((accepted, (listener, acceptor)))
    });
    let serving = Server::builder()
        .initial_stream_window_size(tls::STREAM_WINDOW)
        .initial_connection_window_size(tls::CONNECTION_WINDOW)
        .add_service(FlightServiceServer::new(source));
    tokio::spawn(async move { serving.serve_with_incoming(incoming.map_ok(Plain)).await });
    let connector = TlsConnector::from(Arc::new(client));
    let connect = tower::service_fn(move |_: http::Uri| {
        let connector = connector.clone();
        async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            connector.connect(name, tcp).await.map(TokioIo::new)
        }
    });
    Ok(Endpoint::from_static("http://localhost")
        .initial_stream_window_size(tls::STREAM_WINDOW)
        .initial_connection_window_size(tls::CONNECTION_WINDOW)
        .connect_with_connector(connect)
        .await?)
}

/// A connection of the plain server.
struct Plain(tokio_rustls::server::TlsStream<TcpStream>);

impl tonic::transport::server::Connected for Plain {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl tokio::io::AsyncRead for Plain {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for Plain {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Gives the same batch again and again.
#[derive(Clone)]
struct Source {
    batch: RecordBatch,
    batches: usize,
}

type Out<T> = BoxStream<'static, Result<T, Status>>;

fn no<T>() -> Result<T, Status> {
    Err(Refusal::new(Kind::Invalid, "only DoGet").into())
}

#[tonic::async_trait]
impl FlightService for Source {
    type HandshakeStream = Out<HandshakeResponse>;
    type ListFlightsStream = Out<FlightInfo>;
    type DoGetStream = Out<FlightData>;
    type DoPutStream = Out<PutResult>;
    type DoActionStream = Out<arrow_flight::Result>;
    type ListActionsStream = Out<ActionType>;
    type DoExchangeStream = Out<FlightData>;

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let batches = std::iter::repeat_n(self.batch.clone(), self.batches).map(Ok::<_, FlightError>);
        let schema: Arc<Schema> = self.batch.schema();
        let data = FlightDataEncoderBuilder::new().with_schema(schema).build(futures::stream::iter(batches));
        Ok(Response::new(data.map_err(Into::into).boxed()))
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
    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        no()
    }
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        no()
    }
}
