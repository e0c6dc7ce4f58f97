//! A gateway that signs whatever name it is told to, and hands the links that it gets to the test.

use proto::{
    refusal::{Kind, Refusal},
    wire::{
        JoinRequest, LinkCertificate, NudgeReply, NudgeRequest, PurgeReply, PurgeRequest, RenewRequest,
        gateway_server::{Gateway, GatewayServer},
    },
};
use runtime::{
    ca::{Authority, CertRequest},
    invite::{Invite, InviteSecret},
    peer::Peer,
    tls::{self, Protocol, Tls, TlsConn, TlsFiles},
};
use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

pub(super) struct Hub {
    pub(super) authority: Arc<Authority>,
    pub(super) address: SocketAddr,
    pub(super) links: mpsc::Receiver<TlsConn>,
    pub(super) calls: Calls,
    stop: CancellationToken,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The calls, and how they are answered.
#[derive(Clone)]
pub(super) struct Calls {
    authority: Arc<Authority>,
    /// whom certificates are made out to
    pub(super) names: Arc<Mutex<Peer>>,
    /// what it says its authority is
    pub(super) says: Arc<Mutex<String>>,
    /// every secret that it was sent
    pub(super) secrets: Arc<Mutex<Vec<String>>>,
    pub(super) renewals: Arc<Mutex<u32>>,
}

/// Files of an identity in `folder`.
pub(super) fn identity(folder: &Path, authority: &Authority, who: &Peer) -> TlsFiles {
    let at = |name: &str| folder.join(format!("{}-{}.{name}", who.role, who.name));
    let files = TlsFiles { cert: at("crt"), key: at("key"), ca: at("ca") };
    let issued = authority.issue(who, 30).unwrap();
    std::fs::write(&files.cert, &issued.cert_pem).unwrap();
    std::fs::write(&files.ca, authority.cert_pem()).unwrap();
    runtime::seal::write_private(&files.key, issued.key_pem.as_bytes()).unwrap();
    files
}

impl Hub {
    pub(super) async fn start(folder: &Path) -> Self {
        Self::with(folder, Authority::create("links").unwrap(), "127.0.0.1:0").await
    }

    pub(super) async fn with(folder: &Path, authority: Authority, at: &str) -> Self {
        let own = Tls::load(&identity(folder, &authority, &Peer::hub("main").unwrap())).unwrap();
        let authority = Arc::new(authority);
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut accepted = tls::gate(listener, &own, stop.clone()).unwrap();
        let (sender, links) = mpsc::channel(16);
        let (call, incoming) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(conn) = accepted.recv().await {
                let _ = match conn.protocol() {
                    Protocol::Link => sender.send(conn).await.is_ok(),
                    Protocol::Calls => call.send(Ok::<_, std::io::Error>(conn)).await.is_ok(),
                };
            }
        });
        let calls = Calls {
            says: Arc::new(Mutex::new(authority.cert_pem().to_owned())),
            authority: Arc::clone(&authority),
            names: Arc::new(Mutex::new(Peer::spoke("region-h").unwrap())),
            secrets: Arc::default(),
            renewals: Arc::default(),
        };
        let server = tls::server().add_service(GatewayServer::new(calls.clone()));
        tokio::spawn(server.serve_with_incoming(tokio_stream::wrappers::ReceiverStream::new(incoming)));
        Self { authority, address, links, calls, stop }
    }

    /// A code for `region-h` that leads here.
    pub(super) fn invite(&self) -> Invite {
        Invite {
            gateway: self.address.to_string(),
            authority: self.authority.fingerprint().unwrap(),
            hub: Peer::hub("main").unwrap(),
            spoke: Peer::spoke("region-h").unwrap(),
            secret: InviteSecret::random().unwrap(),
        }
    }

    /// The next link that a spoke opens.
    pub(super) async fn link(&mut self) -> TlsConn {
        tokio::time::timeout(Duration::from_secs(10), self.links.recv()).await.expect("a link").unwrap()
    }
}

impl Calls {
    fn sign(&self, csr: &[u8]) -> LinkCertificate {
        let request = CertRequest::from_der(csr).unwrap();
        let certificate = self.authority.issue_for(&self.names.lock().unwrap(), &request, 90).unwrap();
        LinkCertificate { certificate, authority: self.says.lock().unwrap().clone(), hub: "main".to_owned() }
    }
}

#[tonic::async_trait]
impl Gateway for Calls {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<LinkCertificate>, Status> {
        let request = request.into_inner();
        self.secrets.lock().unwrap().push(request.secret);
        Ok(Response::new(self.sign(&request.csr)))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<LinkCertificate>, Status> {
        assert_eq!(tls::peer_of(&request).unwrap().to_string(), "eger://spoke/region-h");
        *self.renewals.lock().unwrap() += 1;
        Ok(Response::new(self.sign(&request.into_inner().csr)))
    }

    async fn nudge(&self, request: Request<NudgeRequest>) -> Result<Response<NudgeReply>, Status> {
        assert_eq!(tls::peer_of(&request).unwrap().to_string(), "eger://spoke/region-h");
        Ok(Response::new(NudgeReply {}))
    }

    async fn purge(&self, _: Request<PurgeRequest>) -> Result<Response<PurgeReply>, Status> {
        Err(Refusal::new(Kind::Unavailable, "not now").into())
    }
}
